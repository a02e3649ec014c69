/**
 * Which function a public path belongs to that is none of the paths of functions.
 *
 * Follows the catalog, and costs nothing where no function has a route: one look at an empty table, behind every other
 * path of the server. That each route has one owner, the database makes sure of.
 *
 * @module
 */
import { isReservedSegment, parsePublicRoute, ROUTE_SEGMENTS_MAX_COUNT } from "@fluxbase/contract";
import type { Catalog, LiveFunction } from "../catalog/catalog.ts";

export interface PublicRoutes {
  /** The longest route that fits, and of one path the one that names the method. */
  find(request: Pick<Request, "method" | "headers">, path: string): LiveFunction | undefined;
  [Symbol.dispose](): void;
}

type Owners = Map<string, LiveFunction>;

export function watchPublicRoutes(catalog: Pick<Catalog, "all" | "subscribe">): PublicRoutes {
  let isStale = true;
  /** By path as it is written, then by method. */
  let routes = new Map<string, Owners>();
  const unsubscribe = catalog.subscribe(({ before, after }) => {
    if (before?.settings.routes !== undefined || after?.settings.routes !== undefined) isStale = true;
  });

  function current(): ReadonlyMap<string, Owners> {
    if (!isStale) return routes;
    isStale = false;
    routes = new Map();
    for (const fn of catalog.all()) {
      if (fn.liveVersion === null) continue;
      for (const text of fn.settings.routes ?? []) {
        const route = parsePublicRoute(text);
        // Written by an older server that allowed more.
        if (typeof route === "string") continue;
        let owners = routes.get(route.path);
        if (owners === undefined) routes.set(route.path, owners = new Map());
        owners.set(route.method, fn);
      }
    }
    return routes;
  }

  return {
    find(request, path) {
      const known = current();
      if (known.size === 0) return undefined;
      const method = methodOf(request);
      for (const candidate of candidates(path)) {
        const owners = known.get(candidate);
        const owner = owners && ownerOf(owners, method);
        if (owner !== undefined) return owner;
      }
      return undefined;
    },
    [Symbol.dispose]: unsubscribe,
  };
}

/** A preflight is for whom the request is that it asks about. */
function methodOf({ method, headers }: Pick<Request, "method" | "headers">): string {
  return method === "OPTIONS" ? headers.get("access-control-request-method")?.toUpperCase() ?? method : method;
}

function ownerOf(owners: Owners, method: string): LiveFunction | undefined {
  return owners.get(method) ?? (method === "HEAD" ? owners.get("GET") : undefined) ?? owners.get("*");
}

/** Patterns that fit a path, the longest first. */
function candidates(path: string): string[] {
  const segments = path.split("/", ROUTE_SEGMENTS_MAX_COUNT + 2).slice(1);
  if (isReservedSegment(segments[0])) return [];
  if (segments.at(-1) === "") segments.pop();
  const found: string[] = [];
  if (segments.length <= ROUTE_SEGMENTS_MAX_COUNT) found.push(`/${segments.join("/")}`);
  for (let count = Math.min(segments.length, ROUTE_SEGMENTS_MAX_COUNT); count >= 0; count -= 1) {
    found.push(`${segments.slice(0, count).map((segment) => `/${segment}`).join("")}/*`);
  }
  return found;
}
