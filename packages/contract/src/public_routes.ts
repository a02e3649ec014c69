/**
 * Public paths that functions have of their own: `GET /shop/*`.
 *
 * @module
 */

export interface PublicRoute {
  /** `*` stands for every method. */
  readonly method: string;
  /** Ends in `/*` when it stands for all that begins so. */
  readonly path: string;
}

const ROUTE = /^(?:([A-Za-z]+|\*) +)?(\/\S*)$/;
const METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
const ALL_METHODS = ["*", "ANY", "ALL"];
const SEGMENT = /^(?!\.{1,2}$)[A-Za-z0-9._~-]+$/;
const PATH_MAX_CHARACTERS = 200;
export const ROUTE_SEGMENTS_MAX_COUNT = 16;

/** First parts of paths that are the server's own, now or later. */
const RESERVED_SEGMENTS: ReadonlySet<string> = new Set([
  "api",
  "auth",
  "dashboard",
  "docs",
  "functions",
  "graphql",
  "health",
  "hooks",
  "mcp",
  "metrics",
  "openapi.json",
  "realtime",
  "rest",
  "storage",
  "webhooks",
]);

/** A route, or the end of a sentence that says what is wrong with it. */
export function parsePublicRoute(text: string): PublicRoute | string {
  const [, methodText = "*", given] = ROUTE.exec(text.trim()) ?? [];
  if (given === undefined || given.length > PATH_MAX_CHARACTERS) {
    return `it must be such as GET /shop/* or /shop, with at most ${PATH_MAX_CHARACTERS} characters`;
  }
  const upper = methodText.toUpperCase();
  const method = ALL_METHODS.includes(upper) ? "*" : upper;
  if (method !== "*" && !METHODS.includes(method)) return `its method must be one of ${METHODS.join(", ")} or *`;
  const isWhole = !given.endsWith("/*");
  const segments = (isWhole ? given : given.slice(0, -2)).split("/").slice(1);
  if (isWhole && segments.at(-1) === "") segments.pop();
  if (segments.length > ROUTE_SEGMENTS_MAX_COUNT) return `its path may have at most ${ROUTE_SEGMENTS_MAX_COUNT} parts`;
  if (!segments.every((segment) => SEGMENT.test(segment))) {
    return "its path may have letters, digits, and . _ ~ - between slashes, and /* at its end";
  }
  if (isReservedSegment(segments[0])) return `paths below /${segments[0]} are the server's own`;
  return { method, path: `/${segments.join("/")}${isWhole ? "" : segments.length === 0 ? "*" : "/*"}` };
}

/** Whatever a route says, these never lead to a function. */
export function isReservedSegment(segment: string | undefined): boolean {
  return segment !== undefined && RESERVED_SEGMENTS.has(segment.toLowerCase());
}

export function publicRouteText({ method, path }: PublicRoute): string {
  return `${method} ${path}`;
}
