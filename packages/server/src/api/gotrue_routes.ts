/**
 * Routes below `/auth/v1`, as clients of Supabase use them: the same accounts as ./auth_routes.ts, in GoTrue's shapes.
 *
 * Does not own: what is not there (./absent_routes.ts).
 *
 * @module
 */
import { type ErrorCode, PlatformError, type RateLimit } from "@fluxbase/contract";
import { z } from "zod";
import type { Accounts, SignedIn } from "../auth/accounts.ts";
import type { PublicKeySet } from "../auth/signing_keys.ts";
import { userOf } from "../auth/caller.ts";
import type { RateLimiter } from "../ratelimit/rate_limiter.ts";
import type { User } from "../storage/users.ts";
import { email, metadata, newPassword, parseBody, password, PASSWORD_MIN_CHARACTERS } from "./auth_routes.ts";
import type { ApiAnswer, ApiCall, ErrorFacts, Route } from "./route.ts";

export interface GotrueRouteParts {
  readonly accounts: Accounts;
  readonly rateLimiter: RateLimiter;
  readonly attempts: { readonly perAddress: number; readonly perAccount: number };
  readonly signUpEnabled: boolean;
  readonly version: string;
  readonly keys: PublicKeySet;
}

const PER_PAGE_MAX_COUNT = 1_000;
const NO_SUCH_FLOW = "is not available on this server: sign in with e-mail and password, or anonymously";

/** What clients send along whether it is used or not. */
const along = {
  gotrue_meta_security: z.unknown().optional(),
  code_challenge: z.unknown().optional(),
  code_challenge_method: z.unknown().optional(),
  channel: z.unknown().optional(),
};
const data = metadata.nullish();
const signUpSchema = z.strictObject({ email: email.optional(), password: newPassword.optional(), data, ...along });
const passwordSchema = z.strictObject({ email: z.string().max(254), password, ...along });
const refreshSchema = z.strictObject({ refresh_token: z.string().max(1_024), ...along });
const changeSchema = z.strictObject({
  email: email.optional(),
  password: newPassword.optional(),
  data,
  nonce: z.unknown().optional(),
  current_password: z.unknown().optional(),
  ...along,
});
const adminFields = {
  email: email.optional(),
  password: newPassword.optional(),
  email_confirm: z.boolean().optional(),
  user_metadata: metadata.optional(),
  app_metadata: metadata.optional(),
};
const adminCreateSchema = z.strictObject({ ...adminFields, id: z.uuid("must be a UUID").optional(), email });
const adminChangeSchema = z.strictObject(adminFields);

/** GoTrue's word for each of ours. */
const ERROR_CODES: Readonly<Partial<Record<ErrorCode, string>>> = {
  UNAUTHENTICATED: "no_authorization",
  INVALID_CREDENTIAL: "bad_jwt",
  FORBIDDEN: "not_admin",
  INVALID_ARGUMENT: "validation_failed",
  INVALID_JSON: "bad_json",
  USER_NOT_FOUND: "user_not_found",
  ALREADY_EXISTS: "email_exists",
  RATE_LIMITED: "over_request_rate_limit",
  HOOK_REFUSED: "hook_payload_refused",
  REQUEST_TIMEOUT: "request_timeout",
  NOT_AVAILABLE: "not_available",
};

/** `{"code": 400, "error_code": "bad_json", "msg": "…"}`, with ours beside it. */
export function gotrueError({ status, body }: ErrorFacts): object {
  const { code, error, ...others } = body;
  const known: string | undefined = Reflect.get(ERROR_CODES, String(code));
  return { ...others, code: status, error_code: known ?? "unexpected_failure", msg: error, error };
}

type Refusals = Readonly<Partial<Record<ErrorCode, readonly [status: number, errorCode: string, message: string]>>>;

/** What a route calls an error of ours, where the general word would mislead. */
function refusing(refusals: Refusals, handle: (call: ApiCall) => Promise<ApiAnswer>) {
  return async (call: ApiCall): Promise<ApiAnswer> => {
    try {
      return await handle(call);
    } catch (error) {
      const found = error instanceof PlatformError ? refusals[error.code] : undefined;
      if (found === undefined) throw error;
      const [status, error_code, msg] = found;
      return { status, body: { code: status, error_code, msg, error: msg, request_id: call.requestId } };
    }
  };
}

/** Fields of GoTrue that mean nothing here when they say this. */
const MEANINGLESS: Readonly<Record<string, readonly unknown[]>> = {
  phone: ["", null],
  phone_confirm: [true, false],
  role: ["", "authenticated"],
  ban_duration: ["none", ""],
};

/**
 * What is sent with e-mail or password beside them: refused in GoTrue's words where it asks for what is not there, such as
 * a phone number, and left out where it asks for nothing.
 */
function lookingAtFields(handle: (call: ApiCall) => Promise<ApiAnswer>, { isNew = true } = {}) {
  return async (call: ApiCall): Promise<ApiAnswer> => {
    const sent = await call.body();
    if (typeof sent !== "object" || sent === null || Array.isArray(sent)) return await handle(call);
    const { phone, password, ban_duration } = sent as Readonly<Record<string, unknown>>;
    const refuse = (status: number, error_code: string, msg: string, more = {}): ApiAnswer => ({
      status,
      body: { code: status, error_code, msg, error: msg, request_id: call.requestId, ...more },
    });
    if (phone) return refuse(422, "phone_provider_disabled", "Phone numbers are not available on this server");
    if (typeof ban_duration === "string" && !MEANINGLESS["ban_duration"]?.includes(ban_duration)) {
      return refuse(
        501,
        "not_available",
        "Banning users is not available on this server: delete the user, or its sessions",
      );
    }
    if (isNew && typeof password === "string" && password.length < PASSWORD_MIN_CHARACTERS && password !== "") {
      const rule = `Password should be at least ${PASSWORD_MIN_CHARACTERS} characters`;
      return refuse(422, "weak_password", rule, { weak_password: { reasons: ["length"], message: rule } });
    }
    const kept = Object.fromEntries(
      Object.entries(sent).filter(([name, value]) => MEANINGLESS[name]?.includes(value) !== true),
    );
    return await handle({ ...call, body: () => Promise.resolve(kept) });
  };
}

const WRONG_PAIR: Refusals = { INVALID_CREDENTIAL: [400, "invalid_credentials", "Invalid login credentials"] };
const NO_SIGN_UP: Refusals = {
  FORBIDDEN: [422, "signup_disabled", "Signups not allowed for this instance"],
  INVALID_CREDENTIAL: [422, "user_already_exists", "User already registered"],
};
const TAKEN: Refusals = {
  ALREADY_EXISTS: [422, "email_exists", "A user with this email address has already been registered"],
};
const NO_REFRESH: Refusals = {
  INVALID_CREDENTIAL: [400, "refresh_token_not_found", "Invalid Refresh Token: Refresh Token Not Found"],
};

export function gotrueRoutes(
  { accounts, rateLimiter, attempts, signUpEnabled, version, keys }: GotrueRouteParts,
): Route[] {
  const ofAddress: readonly RateLimit[] = [{ limit: attempts.perAddress, per: "min" }];
  const ofAccount: readonly RateLimit[] = [{ limit: attempts.perAccount, per: "hour" }];

  /** The same counters as for the other routes by which people sign in. */
  async function count({ origin }: ApiCall, account?: string): Promise<void> {
    await rateLimiter.take("sign-in", `address ${origin.address()}`, ofAddress);
    if (account !== undefined) await rateLimiter.take("sign-in", `account ${account.toLowerCase()}`, ofAccount);
  }

  const originOf = ({ origin }: ApiCall) => ({ address: origin.address() });

  async function signUp(call: ApiCall) {
    const sent = parseBody(signUpSchema, await call.body());
    await count(call, sent.email);
    if (sent.email === undefined && sent.password === undefined) {
      return { status: 200, body: sessionView(await accounts.signInAnonymously(sent.data ?? {}, originOf(call))) };
    }
    if (sent.email === undefined || sent.password === undefined) {
      throw new PlatformError("INVALID_ARGUMENT", "Cannot sign up: send both email and password, or neither");
    }
    const credentials = { email: sent.email, password: sent.password };
    return { status: 200, body: sessionView(await accounts.signUp(credentials, sent.data ?? {}, originOf(call))) };
  }

  const signIn = refusing(WRONG_PAIR, async (call) => {
    const credentials = parseBody(passwordSchema, await call.body());
    await count(call, credentials.email);
    return { status: 200, body: sessionView(await accounts.signIn(credentials, { origin: originOf(call) })) };
  });

  const refresh = refusing(NO_REFRESH, async (call) => {
    const { refresh_token } = parseBody(refreshSchema, await call.body());
    await count(call);
    return { status: 200, body: sessionView(await accounts.refresh(refresh_token)) };
  });

  const GRANTS: Readonly<Record<string, (call: ApiCall) => Promise<ApiAnswer>>> = {
    password: lookingAtFields(signIn, { isNew: false }),
    refresh_token: refresh,
  };

  async function token(call: ApiCall) {
    const kind = call.query.get("grant_type") ?? "";
    const grant = Object.hasOwn(GRANTS, kind) ? GRANTS[kind] : undefined;
    if (grant !== undefined) return await grant(call);
    if (kind === "") throw new PlatformError("INVALID_ARGUMENT", "Cannot give a token: grant_type is missing");
    throw new PlatformError("NOT_AVAILABLE", `Signing in by ${JSON.stringify(kind.slice(0, 40))} ${NO_SUCH_FLOW}`);
  }

  async function change(call: ApiCall) {
    const who = userOf(call.caller);
    const { email, password, data } = parseBody(changeSchema, await call.body());
    if (email !== undefined) await count(call, `${who.userId} changes e-mail`);
    const { userMetadata } = await accounts.read(who.userId);
    const merged = data === null || data === undefined ? undefined : mergedWith(userMetadata, data);
    return { status: 200, body: userView(await accounts.change(who, { email, password, userMetadata: merged })) };
  }

  async function signOut(call: ApiCall) {
    const { userId, sessionId } = userOf(call.caller);
    const scope = call.query.get("scope") ?? "global";
    if (!["global", "local", "others"].includes(scope)) {
      throw new PlatformError("INVALID_ARGUMENT", "Cannot sign out: scope must be global, local or others");
    }
    if (scope !== "others" && sessionId !== null) await accounts.signOut(sessionId);
    if (scope !== "local") await accounts.signOutAll(userId, sessionId);
    return { status: 204 };
  }

  async function list({ query }: ApiCall) {
    const page = pageIn(query.get("page"), 1, Number.MAX_SAFE_INTEGER);
    const perPage = pageIn(query.get("per_page"), 50, PER_PAGE_MAX_COUNT);
    const { users, total } = await accounts.list({ limit: perPage, offset: (page - 1) * perPage });
    const lastPage = Math.max(1, Math.ceil(total / perPage));
    const link = (to: number, rel: string) => `</auth/v1/admin/users?page=${to}&per_page=${perPage}>; rel="${rel}"`;
    const links = [...(page < lastPage ? [link(page + 1, "next")] : []), link(lastPage, "last")];
    return {
      status: 200,
      headers: [["x-total-count", String(total)], ["link", links.join(", ")]] as const,
      body: { users: users.map(userView), aud: "authenticated" },
    };
  }

  async function adminChange(call: ApiCall) {
    const sent = parseBody(adminChangeSchema, await call.body());
    const id = call.params["id"] ?? "";
    const { userMetadata, appMetadata } = await accounts.read(id);
    const user = await accounts.update(id, {
      email: sent.email,
      password: sent.password,
      emailVerified: sent.email_confirm,
      userMetadata: sent.user_metadata === undefined ? undefined : mergedWith(userMetadata, sent.user_metadata),
      appMetadata: sent.app_metadata === undefined ? undefined : mergedWith(appMetadata, sent.app_metadata),
    });
    return { status: 200, body: userView(user) };
  }

  const at = { isAtRoot: true, shapeError: gotrueError, answer: { status: 200 } } as const;
  const target: Route["audit"] = { target: ({ id }) => typeof id === "string" ? id : undefined };
  return [
    {
      ...at,
      method: "POST",
      path: "/auth/v1/signup",
      summary: "Sign up; without email and password as an anonymous user",
      access: "public",
      body: signUpSchema,
      handle: lookingAtFields(refusing(NO_SIGN_UP, signUp)),
    },
    {
      ...at,
      method: "POST",
      path: "/auth/v1/token",
      summary: "Sign in (grant_type=password) or refresh tokens (grant_type=refresh_token)",
      access: "public",
      handle: token,
    },
    {
      ...at,
      method: "GET",
      path: "/auth/v1/user",
      summary: "Get the current user",
      access: "credential",
      handle: async ({ caller }) => ({ status: 200, body: userView(await accounts.read(userOf(caller).userId)) }),
    },
    {
      ...at,
      method: "PUT",
      path: "/auth/v1/user",
      summary: "Update email, password or metadata of the current user",
      access: "credential",
      body: changeSchema,
      handle: lookingAtFields(refusing(TAKEN, change)),
    },
    {
      ...at,
      method: "POST",
      path: "/auth/v1/logout",
      summary: "Sign out of all sessions (scope=global), this one (local) or the others (others)",
      access: "credential",
      answer: { status: 204 },
      handle: signOut,
    },
    {
      ...at,
      method: "GET",
      path: "/auth/v1/admin/users",
      summary: "List users, newest first, by page",
      access: "admin",
      handle: list,
    },
    {
      ...at,
      method: "POST",
      path: "/auth/v1/admin/users",
      summary: "Create a user",
      access: "admin",
      audit: target,
      body: adminCreateSchema,
      handle: lookingAtFields(refusing(TAKEN, async (call) => {
        const { email_confirm, user_metadata, app_metadata, ...sent } = parseBody(adminCreateSchema, await call.body());
        const user = await accounts.create({
          ...sent,
          emailVerified: email_confirm,
          userMetadata: user_metadata,
          appMetadata: app_metadata,
        });
        return { status: 200, body: userView(user) };
      })),
    },
    {
      ...at,
      method: "GET",
      path: "/auth/v1/admin/users/{id}",
      summary: "Get a user",
      access: "admin",
      handle: async ({ params }) => ({ status: 200, body: userView(await accounts.read(params["id"] ?? "")) }),
    },
    {
      ...at,
      method: "PUT",
      path: "/auth/v1/admin/users/{id}",
      summary: "Update a user; metadata is merged",
      access: "admin",
      audit: target,
      body: adminChangeSchema,
      handle: lookingAtFields(refusing(TAKEN, adminChange)),
    },
    {
      ...at,
      method: "DELETE",
      path: "/auth/v1/admin/users/{id}",
      summary: "Delete a user with sessions and keys",
      access: "admin",
      audit: target,
      async handle({ params }) {
        await accounts.remove(params["id"] ?? "");
        return { status: 200, body: {} };
      },
    },
    {
      ...at,
      method: "GET",
      path: "/auth/v1/settings",
      summary: "Get the sign-in methods",
      access: "public",
      handle: () => ({
        status: 200,
        body: {
          external: { anonymous_users: signUpEnabled, email: true, phone: false },
          disable_signup: !signUpEnabled,
          mailer_autoconfirm: true,
          phone_autoconfirm: false,
          sms_provider: "",
          saml_enabled: false,
          mfa_enabled: false,
        },
      }),
    },
    {
      ...at,
      method: "GET",
      path: "/auth/v1/health",
      summary: "Check that authentication responds",
      access: "public",
      handle: () => ({ status: 200, body: { name: "Fluxbase", version, description: "Accounts in GoTrue's shapes" } }),
    },
    {
      ...at,
      method: "GET",
      path: "/auth/v1/.well-known/jwks.json",
      summary: "Get the public keys that sign user tokens; empty if a secret signs them",
      access: "public",
      handle: () => ({ status: 200, headers: [["cache-control", "public, max-age=600"]], body: keys }),
    },
  ];
}

/** Keys with null are taken away. */
function mergedWith(
  before: Readonly<Record<string, unknown>>,
  change: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  return Object.fromEntries(Object.entries({ ...before, ...change }).filter(([, value]) => value !== null));
}

function pageIn(text: string | null, otherwise: number, max: number): number {
  if (text === null || text === "") return otherwise;
  const number = Number(text);
  if (/^\d{1,9}$/.test(text) && number >= 1) return Math.min(number, max);
  throw new PlatformError("INVALID_ARGUMENT", "Cannot list users: page and per_page must be whole numbers from 1");
}

function sessionView({ user, accessToken, refreshToken, expiresInSec }: SignedIn) {
  return {
    access_token: accessToken,
    token_type: "bearer",
    expires_in: expiresInSec,
    expires_at: Math.floor(Date.now() / 1_000) + expiresInSec,
    refresh_token: refreshToken,
    user: userView(user),
  };
}

function userView(user: User) {
  const { id, email, role, isAnonymous, emailVerified, appMetadata, userMetadata, createdAt, updatedAt } = user;
  const provider = isAnonymous ? null : "email";
  const confirmedAt = emailVerified ? updatedAt.toISOString() : null;
  return {
    id,
    aud: "authenticated",
    role,
    email: email ?? "",
    phone: "",
    ...(confirmedAt === null ? {} : { email_confirmed_at: confirmedAt, confirmed_at: confirmedAt }),
    app_metadata: provider === null ? appMetadata : { provider, providers: [provider], ...appMetadata },
    user_metadata: userMetadata,
    identities: provider === null ? [] : [{
      identity_id: id,
      id,
      user_id: id,
      provider,
      identity_data: { sub: id, email },
      created_at: createdAt.toISOString(),
      updated_at: updatedAt.toISOString(),
    }],
    is_anonymous: isAnonymous,
    created_at: createdAt.toISOString(),
    updated_at: updatedAt.toISOString(),
  };
}
