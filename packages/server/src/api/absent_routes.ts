/**
 * What clients of Supabase may ask for and this server does not have: 501 with a sentence, rather than a 404 that looks
 * like a mistake in the address.
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
