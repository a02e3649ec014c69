/**
 * Who may take a public path, and what is said when it has an owner (../gateway/public_routes.ts).
 *
 * @module
 */
import { type FunctionSettings, PlatformError } from "@fluxbase/contract";
import type { Catalog } from "../catalog/catalog.ts";
import { isUniqueViolation } from "../storage/db.ts";

type Routed = Pick<FunctionSettings, "routes">;

/** @throws {PlatformError} FORBIDDEN */
export function assertNoNewRoute(name: string, { routes = [] }: Routed, before: Routed | undefined): void {
  const added = routes.find((route) => !before?.routes?.includes(route));
  if (added === undefined) return;
  throw new PlatformError(
    "FORBIDDEN",
    `Cannot give function "${name}" the public path ${added}: paths are shared by all namespaces, and the credential is limited to some; ask who manages the server`,
  );
}

const TAKEN = /^Key \(path, method\)=\((.+), ([^,]+)\) already exists/;

/** Undefined when it is about something else. */
export function routeTaken(error: unknown, catalog: Pick<Catalog, "all">): PlatformError | undefined {
  if (!isUniqueViolation(error) || Reflect.get(Object(error), "constraint") !== "public_routes_pkey") return undefined;
  const [, path = "", method = ""] = TAKEN.exec(String(Reflect.get(Object(error), "detail"))) ?? [];
  const route = `${method} ${path}`;
  const owner = catalog.all().find(({ settings }) => settings.routes?.includes(route));
  return new PlatformError(
    "ALREADY_EXISTS",
    `Cannot take the public path ${route}: ${
      owner === undefined
        ? "another function has it"
        : `function "${owner.name}" in namespace "${owner.namespace}" has it`
    }; take it away there first`,
  );
}
