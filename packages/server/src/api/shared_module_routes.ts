/**
 * Routes that manage shared modules.
 *
 * @module
 */
import {
  DEFAULT_NAMESPACE,
  modulePathProblem,
  parseNamespace,
  PlatformError,
  type SharedModuleDetails,
} from "@fluxbase/contract";
import { z } from "zod";
import { unknownField } from "../core/nearest.ts";
import { assertMay, assertMayAt, may, reaches } from "../auth/permissions.ts";
import type { Rebuilder } from "../deploy/rebuild.ts";
import { type FunctionPlace, moduleNotFound, type SaveModule, type SharedModules } from "../deploy/shared_modules.ts";
import type { StoredModule } from "../storage/shared_modules.ts";
import { moduleOf } from "./function_view.ts";
import { choiceParam, integerParam, parseQuery, textParam } from "./query.ts";
import { type ApiCall, type Audit, authorOf, type Route } from "./route.ts";
import { sharedModuleDetailsSchema, sharedModuleSchema } from "./schemas.ts";

export interface SharedModuleRouteParts {
  readonly sharedModules: SharedModules;
  readonly rebuilder: Rebuilder;
  readonly saving: SaveModule;
}

const namespaceQuery = z.object({ namespace: textParam });
const readQuery = z.object({ namespace: textParam, version: integerParam({ min: 0, max: 2 ** 31 - 1, otherwise: 0 }) });
const deleteQuery = z.object({ namespace: textParam, force: choiceParam(["true", "false"]) });

const text = z.string().refine((value) => !value.includes("\0") && value.isWellFormed(), "must not contain NUL");
const fields = {
  content: text,
  description: text.max(1_000, "must have at most 1,000 characters").nullable(),
};
const createSchema = z.strictObject({ module_path: text, ...fields, namespace: text }).partial({
  description: true,
  namespace: true,
});
const updateSchema = z.strictObject({ module_path: text, ...fields, namespace: text }).partial();

export function sharedModuleRoutes({ sharedModules, rebuilder, saving }: SharedModuleRouteParts): Route[] {
  async function list({ caller, query }: ApiCall) {
    const { namespace } = parseQuery(namespaceQuery, query);
    if (namespace !== undefined && !reaches(caller, parseNamespace(namespace))) return { status: 200, body: [] };
    const found = await sharedModules.list(namespace === undefined ? undefined : [namespace]);
    return { status: 200, body: found.filter((one) => may(caller, "functions:read", one.namespace)).map(moduleOf) };
  }

  async function create(call: ApiCall) {
    const input = parseBody(createSchema, await call.body());
    const namespace = parseNamespace(input.namespace ?? (call.query.get("namespace") || DEFAULT_NAMESPACE));
    assertMay(call.caller, "functions:write", namespace);
    assertOwn(call, namespace);
    const path = checked(input.module_path);
    const by = { source: "api", createdBy: authorOf(call) } as const;
    // The command line in the field posts every module at each sync.
    let status = 201;
    const stored = await saving({ namespace, modulePath: path }, async () => {
      try {
        return await sharedModules.create(namespace, path, input, by);
      } catch (error) {
        if (!(error instanceof PlatformError) || error.code !== "ALREADY_EXISTS") throw error;
        status = 200;
        return await sharedModules.update(namespace, path, input, by);
      }
    });
    return { status, body: await saved(call, stored) };
  }

  async function read(call: ApiCall) {
    const { version } = parseQuery(readQuery, call.query);
    const { namespace, path } = moduleFor(call, "functions:read");
    const found = await sharedModules.read(namespace, path, version === 0 ? undefined : version);
    const users = await sharedModules.users(namespace, path);
    const body: SharedModuleDetails = {
      ...moduleOf(found),
      versions: (await sharedModules.versions(found)).map(({ version, createdAt, createdBy }) => ({
        version,
        created_at: createdAt.toISOString(),
        created_by: createdBy,
      })),
      used_by: users.filter((user) => may(call.caller, "functions:read", user.namespace)).map(
        ({ namespace: theirs, name, ...user }) => ({ function: `${theirs}/${name}`, ...user }),
      ),
    };
    return { status: 200, body };
  }

  async function update(call: ApiCall) {
    const input = parseBody(updateSchema, await call.body());
    const { namespace, path } = moduleFor(call, "functions:write");
    assertOwn(call, namespace);
    if (input.module_path !== undefined && checked(input.module_path) !== path) {
      throw invalid([`"module_path" cannot change: this is "${path}"; create another module and delete this one`]);
    }
    const stored = await saving(
      { namespace, modulePath: path },
      () => sharedModules.update(namespace, path, input, { source: "api", createdBy: authorOf(call) }),
    );
    return { status: 200, body: await saved(call, stored) };
  }

  async function remove(call: ApiCall) {
    const { force } = parseQuery(deleteQuery, call.query);
    const { namespace, path } = moduleFor(call, "functions:write");
    assertOwn(call, namespace);
    await sharedModules.read(namespace, path);
    if (force !== "true") {
      const users = await sharedModules.usersOf(namespace, path);
      const names = visible(call, users);
      if (users.length > 0) throw inUse(path, names, names.length < users.length);
    }
    await saving({ namespace, modulePath: path }, () => sharedModules.remove(namespace, path));
    const rebuilding = visible(call, await rebuilder.start());
    return { status: 200, body: { message: `Deleted shared module "${path}"`, rebuilding } };
  }

  async function saved(call: ApiCall, stored: StoredModule) {
    return { ...moduleOf(stored), rebuilding: visible(call, await rebuilder.start()) };
  }

  const one = "/functions/shared/{path*}";
  const changing: Audit = {
    async before(call) {
      const { namespace, path } = moduleFor(call, "functions:write");
      return moduleOf(await sharedModules.read(namespace, path));
    },
    target: placeOf,
  };
  return [
    {
      method: "GET",
      path: "/functions/shared",
      summary: "List shared modules",
      access: "functions:read",
      query: namespaceQuery,
      answer: { status: 200, schema: z.array(sharedModuleSchema) },
      handle: list,
    },
    {
      method: "POST",
      path: "/functions/shared",
      summary: "Create or update a shared module",
      access: "functions:write",
      audit: { target: placeOf },
      body: createSchema,
      answer: { status: 201, schema: sharedModuleSchema },
      handle: create,
    },
    {
      method: "GET",
      path: one,
      summary: "Get a shared module, or an earlier version of it, with the functions that import it",
      access: "functions:read",
      query: readQuery,
      answer: { status: 200, schema: sharedModuleDetailsSchema },
      handle: read,
    },
    ...(["PUT", "PATCH"] as const).map((method): Route => ({
      method,
      path: one,
      summary: "Update a shared module; functions that import it are rebuilt",
      access: "functions:write",
      audit: changing,
      query: namespaceQuery,
      body: updateSchema,
      answer: { status: 200, schema: sharedModuleSchema },
      handle: update,
    })),
    {
      method: "DELETE",
      path: one,
      summary: "Delete a shared module; 409 while functions use it, unless force=true",
      access: "functions:write",
      audit: changing,
      query: deleteQuery,
      answer: { status: 200, schema: z.object({ message: z.string(), rebuilding: z.array(z.string()) }) },
      handle: remove,
    },
  ];
}

function placeOf({ namespace, module_path, path }: Readonly<Record<string, unknown>>): string | undefined {
  const place = module_path ?? path;
  return place === undefined ? undefined : `${namespace}/${place}`;
}

/** As `namespace/name`; of other namespaces a key does not even learn that they exist. */
function visible({ caller }: ApiCall, places: readonly FunctionPlace[]): string[] {
  return places.filter(({ namespace }) => may(caller, "functions:write", namespace))
    .map(({ namespace, name }) => `${namespace}/${name}`);
}

function inUse(path: string, names: readonly string[], hasHidden: boolean): PlatformError {
  const shown = names.slice(0, 10);
  const users = [
    ...shown,
    ...(names.length > shown.length ? [`${names.length - shown.length} more`] : []),
    ...(hasHidden ? ["functions of other namespaces"] : []),
  ].join(", ");
  return new PlatformError(
    "MODULE_IN_USE",
    `Cannot delete shared module "${path}": it is used by ${users}; change them first, or send force=true`,
    { details: { used_by: names } },
  );
}

/** @throws {PlatformError} MODULE_NOT_FOUND outside the caller's namespaces; UNAUTHENTICATED, FORBIDDEN */
function moduleFor(call: ApiCall, scope: "functions:read" | "functions:write"): { namespace: string; path: string } {
  const { namespace, path } = moduleIn(call);
  assertMayAt(call.caller, scope, { namespace, notFound: () => moduleNotFound(namespace, path) });
  return { namespace, path };
}

/**
 * Modules of the default namespace are part of functions of every namespace.
 *
 * @throws {PlatformError} FORBIDDEN
 */
function assertOwn({ caller }: ApiCall, namespace: string): void {
  if (namespace !== DEFAULT_NAMESPACE || caller.namespaces === null) return;
  throw new PlatformError(
    "FORBIDDEN",
    "Cannot change shared modules of the default namespace with a credential that is limited to namespaces: functions of every namespace may import them",
  );
}

/** With or without the `_shared/` in front. */
function moduleIn({ params, query }: ApiCall): { namespace: string; path: string } {
  const text = params["path"] ?? "";
  return {
    namespace: parseNamespace(query.get("namespace") || DEFAULT_NAMESPACE),
    path: checked(text.startsWith("_shared/") ? text : `_shared/${text}`),
  };
}

function checked(path: string): string {
  const problem = modulePathProblem(path);
  if (problem !== undefined) throw invalid([problem]);
  return path;
}

function parseBody<Schema extends z.ZodObject>(schema: Schema, value: unknown): z.output<Schema> {
  const { data, error } = schema.safeParse(value);
  if (data !== undefined) return data;
  throw invalid(
    (error?.issues ?? []).map((issue) =>
      issue.code === "unrecognized_keys"
        ? issue.keys.map((key) => unknownField(key, Object.keys(schema.shape))).join("; ")
        : issue.path.length === 0
        ? 'the body must be a JSON object, such as {"module_path": "_shared/cors.ts", "content": "…"}'
        : `"${issue.path.join(".")}" ${issue.code === "invalid_type" ? `must be a ${issue.expected}` : issue.message}`
    ),
  );
}

function invalid(problems: readonly string[]): PlatformError {
  return new PlatformError("INVALID_ARGUMENT", `Cannot accept the shared module: ${problems.join("; ")}`, {
    details: { problems },
  });
}
