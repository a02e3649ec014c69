/**
 * Routes by which admins manage users, and see what one of them would get.
 *
 * @module
 */
import type { ListedUser as ListedUserView, UserToken } from "@fluxbase/contract";
import { z } from "zod";
import type { Accounts } from "../auth/accounts.ts";
import type { ListedUser, User } from "../storage/users.ts";
import { email, metadata, newPassword, parseBody, userView } from "./auth_routes.ts";
import { cursorOf, cursorParam, userMark } from "./cursor.ts";
import { choiceParam, integerParam, parseQuery, textParam } from "./query.ts";
import { type ApiCall, authorOf, type Route } from "./route.ts";
import { userSchema } from "./schemas.ts";

const ROLES = ["authenticated", "admin"] as const;
const TOKEN_SEC = { default: 900, max: 3_600 } as const;

const listQuery = z.object({
  search: textParam,
  role: choiceParam(ROLES),
  limit: integerParam({ min: 1, max: 1_000, otherwise: 100 }),
  cursor: cursorParam(userMark),
  offset: integerParam({ min: 0, max: 10_000_000, otherwise: 0 }),
});
const fields = {
  email,
  password: newPassword,
  role: z.enum(ROLES, `must be one of ${ROLES.join(", ")}`),
  email_verified: z.boolean(),
  user_metadata: metadata,
  app_metadata: metadata,
  disabled: z.boolean(),
};
const changeSchema = z.strictObject(fields).partial();
const createSchema = changeSchema.omit({ disabled: true }).required({ email: true });
const tokenSchema = z.strictObject({
  seconds: z.int().min(10, "must be from 10 to 3600").max(TOKEN_SEC.max, "must be from 10 to 3600").default(
    TOKEN_SEC.default,
  ),
});
const listedSchema = userSchema.extend({ is_anonymous: z.boolean(), cursor: z.string() });

export function userRoutes({ accounts }: { readonly accounts: Accounts }): Route[] {
  const idOf = ({ params }: ApiCall) => params["id"] ?? "";
  const changing: Route["audit"] = {
    before: async (call) => userView(await accounts.read(idOf(call))),
    target: ({ id }) => typeof id === "string" ? id : undefined,
  };
  const user = { status: 200, schema: userSchema } as const;
  const one = { path: "/admin/users/{id}", access: "admin" } as const;

  async function list({ query }: ApiCall) {
    const { cursor: after, ...rest } = parseQuery(listQuery, query);
    const { users, total } = await accounts.list({ ...rest, after });
    return { status: 200, body: { users: users.map(listedView), total } };
  }

  async function tokenAs(call: ApiCall) {
    const { seconds } = parseBody(tokenSchema, await call.body());
    const actor = authorOf(call) ?? "unknown";
    const { user, accessToken, expiresAt } = await accounts.tokenAs(idOf(call), { actor, sec: seconds });
    const body: UserToken = {
      user_id: user.id,
      access_token: accessToken,
      token_type: "bearer",
      expires_at: expiresAt.toISOString(),
    };
    return { status: 201, body };
  }

  return [
    {
      method: "GET",
      path: "/admin/users",
      summary: "List users, newest first; `search` looks in email and id",
      access: "admin",
      query: listQuery,
      answer: { status: 200, schema: z.object({ users: z.array(listedSchema), total: z.int() }) },
      handle: list,
    },
    {
      method: "POST",
      path: "/admin/users",
      summary: "Create a user; without a password nobody can sign in as it",
      access: "admin",
      audit: { target: changing.target },
      body: createSchema,
      answer: { status: 201, schema: userSchema },
      async handle(call) {
        return {
          status: 201,
          body: userView(await accounts.create(namedAs(parseBody(createSchema, await call.body())))),
        };
      },
    },
    {
      ...one,
      method: "GET",
      summary: "Get a user",
      answer: user,
      handle: async (call) => ({ status: 200, body: userView(await accounts.read(idOf(call))) }),
    },
    {
      ...one,
      method: "PATCH",
      summary: "Update a user; a new password or role, and `disabled`, end all sessions",
      audit: changing,
      body: changeSchema,
      answer: user,
      async handle(call) {
        const change = namedAs(parseBody(changeSchema, await call.body()));
        return { status: 200, body: userView(await accounts.update(idOf(call), change)) };
      },
    },
    {
      ...one,
      method: "DELETE",
      summary: "Delete a user with sessions and keys",
      audit: changing,
      answer: { status: 204 },
      async handle(call) {
        await accounts.remove(idOf(call));
        return { status: 204 };
      },
    },
    {
      method: "POST",
      path: "/admin/users/{id}/sign-out",
      summary: "End every session of a user",
      access: "admin",
      audit: { target: changing.target },
      answer: { status: 204 },
      async handle(call) {
        await accounts.read(idOf(call));
        await accounts.signOutAll(idOf(call), null);
        return { status: 204 };
      },
    },
    {
      method: "POST",
      path: "/admin/users/{id}/token",
      summary: "Create a short-lived token to act as a user",
      access: "admin",
      // Its answer is a credential: nothing of it is kept.
      audit: {
        target: ({ user_id, id }) => typeof user_id === "string" ? user_id : typeof id === "string" ? id : undefined,
      },
      body: tokenSchema,
      answer: {
        status: 201,
        schema: z.object({
          user_id: z.string(),
          access_token: z.string(),
          token_type: z.literal("bearer"),
          expires_at: z.string(),
        }),
      },
      handle: tokenAs,
    },
  ];
}

function namedAs<Sent extends z.output<typeof changeSchema>>(
  { email_verified, user_metadata, app_metadata, ...sent }: Sent,
) {
  return { ...sent, emailVerified: email_verified, userMetadata: user_metadata, appMetadata: app_metadata };
}

function listedView(user: ListedUser): ListedUserView {
  return {
    ...userView(user as User),
    is_anonymous: user.isAnonymous,
    cursor: cursorOf(user.createdAtUs, user.id),
  };
}
