/**
 * What clients of Supabase and of the system itself may ask for and this server does not have: 501 with a sentence,
 * rather than a 404 that looks like a mistake in the address.
 *
 * @module
 */
import { PlatformError } from "@fluxbase/contract";
import { gotrueError } from "./gotrue_routes.ts";
import type { Route } from "./route.ts";

const METHODS = { ofOne: ["GET", "POST"], ofMany: ["GET", "POST", "PUT", "DELETE"] } as const;
const PASSWORDS = "sign in with e-mail and password, or anonymously";

/** Paths, and the sentence. */
const ABSENT: readonly (readonly [paths: readonly string[], sentence: string])[] = [
  [
    ["/otp", "/verify", "/magiclink", "/recover", "/resend", "/invite", "/reauthenticate", "/admin/generate_link"],
    `Codes and links by e-mail or SMS are not available on this server: it sends no messages; ${PASSWORDS}`,
  ],
  [
    ["/authorize", "/callback", "/user/identities/{path*}", "/user/oauth/{path*}", "/oauth/{path*}"],
    `OAuth is not available on this server: ${PASSWORDS}, or use tokens of another issuer (FLUXBASE_AUTH_ISSUER)`,
  ],
  [["/admin/oauth/{path*}", "/admin/custom-providers"], "OAuth clients and providers are not available on this server"],
  [["/sso", "/sso/{path*}"], "Single sign-on is not available on this server"],
  [
    ["/factors", "/factors/{path*}", "/admin/users/{id}/factors"],
    "A second factor (MFA) is not available on this server",
  ],
  [["/passkeys", "/passkeys/{path*}"], `Passkeys are not available on this server: ${PASSWORDS}`],
];

const ELSEWHERE: readonly (readonly [paths: readonly string[], sentence: string])[] = [
  [["/storage/v1/{path*}"], "Storage is not available on this server"],
  [["/realtime/v1/{path*}"], "Realtime is not available on this server: poll, or let functions answer with streams"],
  [["/graphql/v1"], "GraphQL is not available on this server: read tables over /rest/v1"],
];

const SET_BY_OPERATOR = "Settings of the server are set by its environment (docs/reference/settings.md), not over HTTP";

/** Below `/api/v1`, where nothing else is found. */
const ABSENT_BELOW_API: readonly (readonly [starts: readonly string[], sentence: string])[] = [
  [["storage"], "Storage is not available on this server"],
  [["realtime"], "Realtime is not available on this server: poll, or let functions answer with streams"],
  [["graphql"], "GraphQL is not available on this server: read tables over /api/v1/tables"],
  [["ai", "admin/ai", "vector", "knowledge-bases", "mcp"], "AI and vector search are not available on this server"],
  [
    ["jobs", "admin/jobs"],
    "Jobs are not available by this path: a call of a function with `Prefer: respond-async` is one (/api/v1/tasks)",
  ],
  [["branches", "admin/branches"], "Branches of the database are not available on this server"],
  [["tenants", "admin/tenants"], "Tenants are not available on this server: use namespaces, and policies on rows"],
  [["webhooks", "admin/webhooks"], "Webhooks of rows are not available by this path: use /api/v1/admin/hooks/database"],
  [
    ["admin/migrations", "admin/ddl", "admin/schemas", "admin/tables", "admin/extensions"],
    "Changing the schema is not available by this path: send SQL to /api/v1/admin/database/query, or use `fluxbase db`",
  ],
  [["admin/system/settings", "admin/app/settings"], SET_BY_OPERATOR],
  [
    ["admin/email", "invitations", "admin/invitations", "auth/magiclink", "auth/otp", "auth/password", "auth/verify"],
    `Messages are not available on this server: it sends none; ${PASSWORDS}`,
  ],
  [["auth/2fa", "auth/mfa"], "A second factor (MFA) is not available on this server"],
  [
    ["auth/signin", "auth/user/identities", "auth/oauth", "auth/sso", "auth/saml", "admin/oauth"],
    `OAuth and SSO are not available on this server: ${PASSWORDS}`,
  ],
  [
    ["auth/reauthenticate", "admin/users"],
    "This is not available on this server: PATCH /api/v1/auth/user and, for admins, /auth/v1/admin/users change users",
  ],
  [["rpc/executions"], "Calls of SQL functions are answered at once on this server: there is nothing to ask for later"],
];

/** What is missing at a path where nothing was found; undefined: it is no path that anybody knows. */
export function absentAt(pathname: string): PlatformError | undefined {
  const [, below = ""] = /^\/api\/v1\/(.*?)\/*$/.exec(pathname) ?? [];
  const found = ABSENT_BELOW_API.find(([starts]) =>
    starts.some((start) => below === start || below.startsWith(`${start}/`))
  );
  return found === undefined ? undefined : new PlatformError("NOT_AVAILABLE", found[1]);
}

export function absentRoutes(): Route[] {
  return [
    ...ABSENT.flatMap(([paths, sentence]) =>
      paths.flatMap((path) => absent(`/auth/v1${path}`, sentence, { shapeError: gotrueError }))
    ),
    ...ELSEWHERE.flatMap(([paths, sentence]) => paths.flatMap((path) => absent(path, sentence))),
  ];
}

function absent(path: string, sentence: string, more: Pick<Route, "shapeError"> = {}): Route[] {
  return METHODS[path.includes("*}") ? "ofMany" : "ofOne"].map((method) => ({
    ...more,
    method,
    path,
    isAtRoot: true,
    summary: sentence,
    access: "public",
    answer: { status: 501 },
    handle() {
      throw new PlatformError("NOT_AVAILABLE", sentence);
    },
  }));
}
