/**
 * Routes by which people sign up, in and out, and by which the first admin comes to be.
 *
 * @module
 */
import { PlatformError, type RateLimit, type SessionView, type UserView } from "@fluxbase/contract";
import { z } from "zod";
import { unknownField } from "../core/nearest.ts";
import type { Accounts, SignedIn } from "../auth/accounts.ts";
import type { AuthOrigin } from "../auth/auth_hooks.ts";
import { userOf } from "../auth/caller.ts";
import type { RateLimiter } from "../ratelimit/rate_limiter.ts";
import type { User } from "../storage/users.ts";
import { optionalBody } from "./json_body.ts";
import type { ApiCall, Route } from "./route.ts";
import { sessionSchema, userSchema } from "./schemas.ts";

export const PASSWORD_MIN_CHARACTERS = 8;
const METADATA_MAX_CHARACTERS = 16 * 1024;

export const email = z.email("must be an e-mail address").max(254, "must have at most 254 characters");
export const newPassword = z.string().min(
  PASSWORD_MIN_CHARACTERS,
  `must have at least ${PASSWORD_MIN_CHARACTERS} characters`,
).max(
  256,
  "must have at most 256 characters",
)
  .refine((value) => value.isWellFormed(), "must not contain unpaired surrogates");
/** Of an account that exists: rules that came later do not lock anybody out. */
export const password = z.string().min(1, "must not be empty").max(1_024, "must have at most 1,024 characters");
export const metadata = z.record(z.string(), z.unknown()).refine(
  (value) => {
    const text = JSON.stringify(value);
    return text.length <= METADATA_MAX_CHARACTERS && !text.includes("\\u0000") && text.isWellFormed();
  },
  `must be an object of at most ${METADATA_MAX_CHARACTERS} characters as JSON, without NUL`,
);
/** What clients send along, and what nobody asks for here. */
const along = {
  captcha_token: z.unknown().optional(),
  challenge_id: z.unknown().optional(),
  device_fingerprint: z.unknown().optional(),
  nonce: z.unknown().optional(),
};
const signUpSchema = z.strictObject({ email, password: newPassword, user_metadata: metadata.optional(), ...along });
const signInSchema = z.strictObject({
  email: z.string().max(254),
  password,
  user_metadata: z.unknown().optional(),
  ...along,
});
const refreshSchema = z.strictObject({ refresh_token: z.string().max(1_024), ...along });
const changeSchema = z.strictObject({ email, password: newPassword, user_metadata: metadata, ...along }).partial();
const removalSchema = z.strictObject({ password: password.optional() });
const setupSchema = z.strictObject({
  email,
  password: newPassword,
  name: z.string().max(200, "must have at most 200 characters").default(""),
  setup_token: z.string().max(1_024),
});

const linkSchema = z.strictObject({ token: z.string().max(1_024) });

export interface AuthRouteParts {
  readonly accounts: Accounts;
  readonly rateLimiter: RateLimiter;
  readonly attempts: { readonly perAddress: number; readonly perAccount: number };
}

export function authRoutes({ accounts, rateLimiter, attempts }: AuthRouteParts): Route[] {
  const ofAddress: readonly RateLimit[] = [{ limit: attempts.perAddress, per: "min" }];
  const ofAccount: readonly RateLimit[] = [{ limit: attempts.perAccount, per: "hour" }];

  /** Right and wrong attempts alike, for accounts that exist and others: no answer tells which it was. */
  async function count({ origin }: ApiCall, account?: string): Promise<void> {
    await rateLimiter.take("sign-in", `address ${origin.address()}`, ofAddress);
    if (account !== undefined) await rateLimiter.take("sign-in", `account ${account.toLowerCase()}`, ofAccount);
  }

  async function signUp(call: ApiCall) {
    const { user_metadata, ...credentials } = parseBody(signUpSchema, await call.body());
    await count(call, credentials.email);
    return { status: 201, body: sessionView(await accounts.signUp(credentials, user_metadata ?? {}, originOf(call))) };
  }

  const signIn = (adminsOnly: boolean) => async (call: ApiCall) => {
    const credentials = parseBody(signInSchema, await call.body());
    await count(call, credentials.email);
    return {
      status: 200,
      body: sessionView(await accounts.signIn(credentials, { adminsOnly, origin: originOf(call) })),
    };
  };

  async function signInWithLink(call: ApiCall) {
    const { token } = parseBody(linkSchema, await call.body());
    await count(call, "sign-in link");
    return { status: 200, body: sessionView(await accounts.signInWithLink(token, originOf(call))) };
  }

  async function refresh(call: ApiCall) {
    const { refresh_token } = parseBody(refreshSchema, await call.body());
    await count(call);
    return { status: 200, body: sessionView(await accounts.refresh(refresh_token)) };
  }

  async function signOut({ caller }: ApiCall) {
    const { sessionId } = userOf(caller);
    if (sessionId !== null) await accounts.signOut(sessionId);
    return { status: 204 };
  }

  async function read({ caller }: ApiCall) {
    return { status: 200, body: userView(await accounts.read(userOf(caller).userId)) };
  }

  async function change(call: ApiCall) {
    const who = userOf(call.caller);
    const { email, password, user_metadata } = parseBody(changeSchema, await call.body());
    // Whether an address is taken is told to who signs in only, and not often.
    if (email !== undefined) await count(call, `${who.userId} changes e-mail`);
    return {
      status: 200,
      body: userView(await accounts.change(who, { email, password, userMetadata: user_metadata })),
    };
  }

  async function removeOwn(call: ApiCall) {
    const { userId } = userOf(call.caller);
    const { password } = parseBody(removalSchema, await optionalBody(call));
    await count(call, `${userId} deletes the account`);
    await accounts.removeOwn(userId, password);
    return { status: 204 };
  }

  async function setUp(call: ApiCall) {
    const { name, setup_token, ...credentials } = parseBody(setupSchema, await call.body());
    await count(call, "setup");
    return { status: 201, body: sessionView(await accounts.setUp(credentials, { name, token: setup_token })) };
  }

  const session = { status: 200, schema: sessionSchema };
  const user = { status: 200, schema: userSchema };
  const post = { method: "POST", access: "public" } as const;
  return [
    {
      ...post,
      path: "/auth/signup",
      summary: "Sign up; signs in if the account exists and the password is right",
      body: signUpSchema,
      answer: { status: 201, schema: sessionSchema },
      handle: signUp,
    },
    {
      ...post,
      path: "/auth/signin",
      summary: "Sign in",
      body: signInSchema,
      answer: session,
      handle: signIn(false),
    },
    {
      ...post,
      path: "/auth/refresh",
      summary: "Refresh tokens; a refresh token that was used before ends its session",
      body: refreshSchema,
      answer: session,
      handle: refresh,
    },
    {
      method: "POST",
      path: "/auth/signout",
      summary: "Sign out; the tokens of the session stop working everywhere",
      access: "credential",
      answer: { status: 204 },
      handle: signOut,
    },
    {
      method: "GET",
      path: "/auth/user",
      summary: "Get the current user",
      access: "credential",
      answer: user,
      handle: read,
    },
    {
      method: "PATCH",
      path: "/auth/user",
      summary: "Update email, password or metadata of the current user; a new password ends other sessions",
      access: "credential",
      body: changeSchema,
      answer: user,
      handle: change,
    },
    {
      method: "DELETE",
      path: "/auth/account",
      summary: "Delete the account of the current user with sessions and keys; requires the password",
      access: "credential",
      body: removalSchema,
      answer: { status: 204 },
      handle: removeOwn,
    },
    ...["/auth/oauth/providers", "/auth/saml/providers"].map((path): Route => ({
      method: "GET",
      path,
      summary: "List other sign-in providers: there are none",
      access: "public",
      answer: { status: 200, schema: z.object({ providers: z.array(z.string()) }) },
      handle: () => ({ status: 200, body: { providers: [] } }),
    })),
    {
      ...post,
      path: "/auth/captcha/check",
      summary: "Get the captcha configuration: none is required",
      answer: { status: 200, schema: z.object({ captcha_required: z.boolean() }) },
      handle: () => ({ status: 200, body: { captcha_required: false } }),
    },
    {
      method: "GET",
      path: "/auth/config",
      summary: "Get the sign-in methods",
      access: "public",
      answer: { status: 200 },
      handle: () => ({
        status: 200,
        body: {
          signup_enabled: accounts.signUpEnabled,
          password_login_enabled: true,
          password_min_length: PASSWORD_MIN_CHARACTERS,
          require_email_verification: false,
          magic_link_enabled: false,
          mfa_available: false,
          oauth_providers: [],
          saml_providers: [],
          captcha: null,
        },
      }),
    },
    {
      method: "GET",
      path: "/auth/captcha/config",
      summary: "Get the captcha configuration: none is required",
      access: "public",
      answer: { status: 200 },
      handle: () => ({ status: 200, body: { enabled: false } }),
    },
    {
      method: "GET",
      path: "/admin/setup/status",
      summary: "Check whether the first admin still has to be created",
      access: "public",
      answer: { status: 200, schema: z.object({ needs_setup: z.boolean(), has_admin: z.boolean() }) },
      async handle() {
        const hasAdmin = await accounts.hasAdmin();
        return { status: 200, body: { needs_setup: !hasAdmin, has_admin: hasAdmin } };
      },
    },
    {
      ...post,
      path: "/admin/setup",
      audit: { target: () => "first admin" },
      summary: "Create the first admin, once, with the setup token",
      body: setupSchema,
      answer: { status: 201, schema: sessionSchema },
      handle: setUp,
    },
    {
      ...post,
      path: "/admin/login/link",
      audit: { target: () => "sign-in link" },
      summary:
        "Signs an admin in with the token of the link that the server prints in a terminal: once, within ten minutes",
      body: linkSchema,
      answer: session,
      handle: signInWithLink,
    },
    ...["/admin/login", "/dashboard/auth/login"].map((path): Route => ({
      ...post,
      path,
      summary: "Sign in as an admin",
      body: signInSchema,
      answer: session,
      handle: signIn(true),
    })),
    ...["/admin/refresh", "/dashboard/auth/refresh"].map((path): Route => ({
      ...post,
      path,
      summary: "Same as /auth/refresh",
      body: refreshSchema,
      answer: session,
      handle: refresh,
    })),
    {
      method: "POST",
      path: "/admin/logout",
      summary: "Same as /auth/signout",
      access: "credential",
      answer: { status: 204 },
      handle: signOut,
    },
    {
      method: "GET",
      path: "/admin/me",
      summary: "Get the current admin",
      access: "admin",
      answer: { status: 200, schema: userSchema.extend({ user: userSchema }) },
      async handle(call) {
        const { body } = await read(call);
        return { status: 200, body: { ...body, user: body } };
      },
    },
    {
      method: "GET",
      path: "/dashboard/auth/sso/providers",
      summary: "List single sign-on providers: there are none",
      access: "public",
      answer: {
        status: 200,
        schema: z.object({ providers: z.array(z.string()), password_login_disabled: z.boolean() }),
      },
      handle: () => ({ status: 200, body: { providers: [], password_login_disabled: false } }),
    },
  ];
}

function originOf({ origin }: ApiCall): AuthOrigin {
  return { address: origin.address() };
}

function sessionView({ user, accessToken, refreshToken, expiresInSec }: SignedIn): SessionView {
  return {
    user: userView(user),
    access_token: accessToken,
    refresh_token: refreshToken,
    expires_in: expiresInSec,
    token_type: "bearer",
  };
}

export function userView(user: User): UserView {
  return {
    id: user.id,
    email: user.email,
    email_verified: user.emailVerified,
    role: user.role,
    user_metadata: user.userMetadata,
    app_metadata: user.appMetadata,
    created_at: user.createdAt.toISOString(),
    updated_at: user.updatedAt.toISOString(),
    disabled_at: user.disabledAt?.toISOString() ?? null,
  };
}

/** Never says what was sent: it may be a password. */
export function parseBody<Schema extends z.ZodObject>(schema: Schema, value: unknown): z.output<Schema> {
  const { data, error } = schema.safeParse(value);
  if (data !== undefined) return data;
  const problems = (error?.issues ?? []).map((issue) =>
    issue.code === "unrecognized_keys"
      ? issue.keys.map((name) => unknownField(name, Object.keys(schema.shape))).join("; ")
      : issue.path.length === 0
      ? "the body must be a JSON object"
      : `"${issue.path.join(".")}" ${issue.code === "invalid_type" ? `must be a ${issue.expected}` : issue.message}`
  );
  throw new PlatformError("INVALID_ARGUMENT", `Cannot do this: ${problems.join("; ")}`, { details: { problems } });
}
