/**
 * Finds out by hand which function a URL means: this runs for every call.
 *
 *     /api/v1/functions/{name}/invoke[/further]
 *     /api/v1/functions/{namespace}/{name}/invoke[/further]
 *     /functions/v1/{name}[/further]                            (the path of Supabase's clients)
 *
 * @module
 */
import { DEFAULT_NAMESPACE, type FunctionSettings } from "@fluxbase/contract";

export interface FunctionRoute {
  readonly namespace: string;
  readonly name: string;
  /** What follows the function's own path, with its slash; empty when nothing does. */
  readonly path: string;
  readonly by: RouteKind;
}

/** `supabase`: where the function's name is part of the path that it sees. `public`: a path of the function's own. */
export type RouteKind = "invoke" | "supabase" | "public";

const API_PREFIX = "/api/v1/functions/";
const SUPABASE_PREFIX = "/functions/v1/";

interface SeenAs {
  readonly name: string;
  readonly target: string;
  readonly basePath: FunctionSettings["basePath"];
}

/**
 * Path and query that the function sees: `/<name>/further` on the path of Supabase's clients, as there, else what follows
 * its own path; `full`: `/functions/v1/<name>/further` always. It never begins with two slashes, which a URL takes for a
 * host.
 */
export function seenTarget(
  { by, path }: FunctionRoute,
  { name, target, basePath }: SeenAs,
): string {
  const queryStart = target.indexOf("?");
  const query = queryStart < 0 ? "" : target.slice(queryStart);
  if (by === "public") return target;
  if (basePath === "full") return `${SUPABASE_PREFIX}${name}${path}${query}`;
  if (by === "supabase" && basePath === undefined) return `/${name}${path}${query}`;
  return `${path.startsWith("//") ? path.replace(/^\/+/, "/") : path || "/"}${query}`;
}

/** `target` is the path with its query. Undefined: not the path of a function. */
export function functionRoute(target: string): FunctionRoute | undefined {
  const queryStart = target.indexOf("?");
  const path = queryStart < 0 ? target : target.slice(0, queryStart);
  const found = path.startsWith(API_PREFIX)
    ? apiRoute(path)
    : path.startsWith(SUPABASE_PREFIX)
    ? supabaseRoute(path)
    : undefined;
  if (found === undefined || queryStart < 0 || found.namespace !== DEFAULT_NAMESPACE) return found;
  const namespace = target.includes("namespace=", queryStart)
    ? new URLSearchParams(target.slice(queryStart)).get("namespace")
    : null;
  return namespace === null ? found : { ...found, namespace };
}

function apiRoute(path: string): FunctionRoute | undefined {
  const first = API_PREFIX.length;
  const firstEnd = path.indexOf("/", first);
  if (firstEnd < 0) return undefined;
  if (isInvoke(path, firstEnd + 1)) return invokeRoute(undefined, path, first, firstEnd);
  const secondEnd = path.indexOf("/", firstEnd + 1);
  if (secondEnd < 0 || !isInvoke(path, secondEnd + 1)) return undefined;
  return invokeRoute(path.slice(first, firstEnd), path, firstEnd + 1, secondEnd);
}

const INVOKE = "invoke";

function isInvoke(path: string, at: number): boolean {
  const end = at + INVOKE.length;
  return path.startsWith(INVOKE, at) && (path.length === end || path[end] === "/");
}

function invokeRoute(namespace: string | undefined, path: string, nameStart: number, nameEnd: number) {
  return made(path.slice(nameStart, nameEnd), path.slice(nameEnd + 1 + INVOKE.length), { namespace, by: "invoke" });
}

function supabaseRoute(path: string): FunctionRoute | undefined {
  const nameStart = SUPABASE_PREFIX.length;
  const slash = path.indexOf("/", nameStart);
  const nameEnd = slash < 0 ? path.length : slash;
  return made(path.slice(nameStart, nameEnd), path.slice(nameEnd), { namespace: undefined, by: "supabase" });
}

function made(
  name: string,
  path: string,
  { namespace, by }: { readonly namespace: string | undefined; readonly by: RouteKind },
): FunctionRoute | undefined {
  if (name === "") return undefined;
  return {
    namespace: namespace === undefined ? DEFAULT_NAMESPACE : decoded(namespace),
    name: decoded(name),
    path,
    by,
  };
}

/** A name that cannot be decoded is no name of any function. */
function decoded(text: string): string {
  if (!text.includes("%")) return text;
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
