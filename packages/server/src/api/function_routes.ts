/**
 * Routes that manage functions.
 *
 * @module
 */
import { DEFAULT_NAMESPACE, parseNamespace, PlatformError } from "@fluxbase/contract";
import { z } from "zod";
import type { Caller } from "../auth/caller.ts";
import { assertMay, assertMayAt, concealed, isAdmin, may, reaches } from "../auth/permissions.ts";
import { functionNotFound } from "../catalog/function_not_found.ts";
import type { Deployer, SaveFunction } from "../deploy/deploy.ts";
import {
  changesOf,
  functionCreateSchema,
  functionUpdateSchema,
  invalidFunction,
  parseFunctionUpdate,
  parseNewFunction,
} from "../deploy/function_input.ts";
import type { Database } from "../storage/db.ts";
import { type FunctionWithVersion, listFunctions } from "../storage/functions.ts";
import { detailsOf, summaryOf, versionDetailsOf, versionOf } from "./function_view.ts";
import { choiceParam, numberParam, pageParam, parseQuery, textParam } from "./query.ts";
import { type ApiCall, type Audit, authorOf, type Route } from "./route.ts";
import {
  functionDetailsSchema,
  functionSummarySchema,
  functionVersionDetailsSchema,
  functionVersionSchema,
} from "./schemas.ts";

const namespaceQuery = z.object({ namespace: textParam });
const PAGE_MAX_COUNT = 1_000;
const listQuery = z.object({
  namespace: textParam,
  text: textParam,
  after: z.string().max(200).regex(
    /^[^/\0]+\/[^/\0]+$/,
    'must be such as "default/hello", the last one of the page before',
  )
    .optional(),
  limit: pageParam(PAGE_MAX_COUNT),
});
const PERCENT = "must be a percentage from 1 to 99";
const writeQuery = z.object({
  namespace: textParam,
  strict: choiceParam(["true", "false"]),
});
const updateQuery = writeQuery.extend({
  if_version: numberParam("must be the number of a version"),
  /** The new version is tried with so many of 100 calls. */
  canary: z.coerce.number().int().min(1, PERCENT).max(99, PERCENT).optional(),
});

const trafficSchema = z.strictObject({ version: z.int().min(1), percent: z.int().min(1).max(99) });
const rollbackSchema = z.strictObject({ version: z.int().min(1) });

export interface FunctionRouteParts {
  readonly db: Database["db"];
  readonly deployer: Deployer;
  readonly saving: SaveFunction;
}

export function functionRoutes({ db, deployer, saving }: FunctionRouteParts): Route[] {
  async function list({ caller, query }: ApiCall) {
    const { namespace, text, after, limit } = parseQuery(listQuery, query);
    if (namespace !== undefined) parseNamespace(namespace);
    if (namespace !== undefined && !reaches(caller, namespace)) return { status: 200, body: [] };
    const found: FunctionWithVersion[] = [];
    // Those that the caller may not see leave room for others.
    for (let from = after;;) {
      const wanted = limit === undefined ? undefined : limit - found.length;
      const page = await listFunctions(db, { namespace, text, after: from, limit: wanted });
      found.push(...page.filter((one) => isVisible(caller, one)));
      const last = page.at(-1)?.function;
      if (wanted === undefined || page.length < wanted || found.length === limit || last === undefined) break;
      from = `${last.namespace}/${last.name}`;
    }
    return { status: 200, body: found.map(summaryOf) };
  }

  async function create(call: ApiCall) {
    const { strict, namespace: asked } = parseQuery(writeQuery, call.query);
    const sent = parseNewFunction(await call.body());
    if (asked !== undefined && sent.namespace !== undefined && asked !== sent.namespace) {
      throw invalidFunction([
        `"namespace" is ${JSON.stringify(sent.namespace)} in the body and "${asked}" in the query`,
      ]);
    }
    const input = asked === undefined ? sent : { ...sent, namespace: parseNamespace(asked) };
    const namespace = await deployer.namespaceOf(input);
    assertMay(call.caller, "functions:write", namespace);
    const { name } = input;
    const created = await saving(
      { namespace, name },
      () => deployer.create({ ...input, namespace }, optionsOf(call, strict)),
    );
    return { status: 201, body: detailsOf(created) };
  }

  async function read(call: ApiCall) {
    const { namespace, name } = functionOf(call);
    if (!reaches(call.caller, namespace)) throw concealed(functionNotFound(namespace, name));
    const found = await deployer.read(namespace, name);
    // Not even that it exists is told to who may not see it.
    if (!isVisible(call.caller, found)) throw functionNotFound(namespace, name);
    const seesCode = may(call.caller, "functions:read", namespace);
    return { status: 200, body: seesCode ? detailsOf(found) : summaryOf(found) };
  }

  async function update(call: ApiCall) {
    const { strict, if_version: ifVersion, canary: canaryPercent } = parseQuery(updateQuery, call.query);
    const { namespace, name } = writable(call);
    const sent = await call.body();
    const isWhole = typeof sent === "object" && sent !== null && "id" in sent;
    const shown = isWhole ? detailsOf(await deployer.read(namespace, name)) : undefined;
    const input = parseFunctionUpdate(shown === undefined ? sent : changesOf(sent, { ...shown }));
    const updated = await saving(
      { namespace, name },
      () =>
        deployer.update(namespace, name, input, {
          ...optionsOf(call, strict),
          ...(ifVersion === undefined ? {} : { ifVersion }),
          ...(canaryPercent === undefined ? {} : { canaryPercent }),
        }),
    );
    return { status: 200, body: detailsOf(updated) };
  }

  async function remove(call: ApiCall) {
    const { namespace, name } = writable(call);
    const removed = await saving(
      { namespace, name },
      () => deployer.remove(namespace, name, { mayGrant: isAdmin(call.caller) }),
    );
    const counts = Object.entries(removed).map(([what, count]) => `${what}=${count}`);
    return { status: 204, headers: [["x-fluxbase-removed", counts.join(", ")]] as const };
  }

  async function versions(call: ApiCall) {
    const { function: fn } = await readable(call);
    return { status: 200, body: (await deployer.versions(fn)).map((version) => versionOf(version, fn)) };
  }

  async function version(call: ApiCall) {
    const { function: fn } = await readable(call);
    const number = Number(/^[1-9]\d{0,8}$/.exec(call.params["version"] ?? "")?.[0] ?? NaN);
    if (Number.isNaN(number)) {
      throw new PlatformError("INVALID_ARGUMENT", "Cannot use this path: a version is a number, such as 3");
    }
    return { status: 200, body: versionDetailsOf(await deployer.version(fn, number), fn) };
  }

  async function readable(call: ApiCall): Promise<FunctionWithVersion> {
    const { namespace, name } = placeFor(call, "functions:read");
    return await deployer.read(namespace, name);
  }

  async function rollback(call: ApiCall) {
    const { namespace, name } = writable(call);
    const { data } = rollbackSchema.safeParse(await call.body());
    if (data === undefined) {
      throw new PlatformError("INVALID_ARGUMENT", 'Cannot roll back: the body must be such as {"version": 3}');
    }
    const options = {
      number: data.version,
      mayGrant: isAdmin(call.caller),
      mayRoute: call.caller.namespaces === null,
    };
    const rolledBack = await saving({ namespace, name }, () => deployer.rollback(namespace, name, options));
    return { status: 200, body: detailsOf(rolledBack) };
  }

  async function shareCalls(call: ApiCall) {
    const { namespace, name } = writable(call);
    const { data } = trafficSchema.safeParse(await call.body());
    if (data === undefined) {
      throw new PlatformError(
        "INVALID_ARGUMENT",
        'Cannot split the calls: the body must be such as {"version": 3, "percent": 10}, with 1 to 99 percent',
      );
    }
    const { version: number, percent } = data;
    const split = await deployer.shareCalls(namespace, name, { number, percent, mayGrant: isAdmin(call.caller) });
    return { status: 200, body: detailsOf(split) };
  }

  async function endCanary(call: ApiCall) {
    const { namespace, name } = writable(call);
    const granter = { mayGrant: isAdmin(call.caller) };
    // The folder has the source of what was tried.
    const ended = await saving({ namespace, name }, () => deployer.endCanary(namespace, name, granter));
    return { status: 200, body: detailsOf(ended) };
  }

  async function restore(call: ApiCall) {
    const { namespace, name } = writable(call);
    const granter = { mayGrant: isAdmin(call.caller) };
    const restored = await saving({ namespace, name }, () => deployer.restore(namespace, name, granter));
    return { status: 200, body: detailsOf(restored) };
  }

  const changing: Audit = {
    async before(call) {
      const { namespace, name } = writable(call);
      return detailsOf(await deployer.read(namespace, name));
    },
    target: placeOf,
  };
  const routes: Route[] = [
    {
      method: "GET",
      path: "/functions",
      summary: "List functions; public ones for any caller, all with functions:read; `limit` and `after` give pages",
      access: "credential",
      query: listQuery,
      answer: { status: 200, schema: z.array(functionSummarySchema) },
      handle: list,
    },
    {
      method: "POST",
      path: "/functions",
      summary:
        "Create a function; a source that does not build is stored with bundle_error, or refused with strict=true",
      access: "functions:write",
      audit: { target: placeOf },
      query: writeQuery,
      body: functionCreateSchema,
      answer: { status: 201, schema: functionDetailsSchema },
      handle: create,
    },
  ];
  for (const path of ["/functions/{name}", "/functions/{namespace}/{name}"]) {
    routes.push(
      {
        method: "GET",
        path,
        summary: "Get a function; the source requires functions:read",
        access: "credential",
        query: namespaceQuery,
        answer: { status: 200, schema: functionDetailsSchema },
        handle: read,
      },
      ...(["PUT", "PATCH"] as const).map((method): Route => ({
        method,
        path,
        summary:
          "Update a function: fields that are sent are replaced; `if_version` refuses the update if somebody else has changed it",
        access: "functions:write",
        audit: changing,
        query: updateQuery,
        body: functionUpdateSchema,
        answer: { status: 200, schema: functionDetailsSchema },
        handle: update,
      })),
      {
        method: "DELETE",
        path,
        summary: "Delete a function; it can be restored for 30 days",
        access: "functions:write",
        audit: changing,
        query: namespaceQuery,
        answer: { status: 204 },
        handle: remove,
      },
      {
        method: "GET",
        path: `${path}/versions`,
        summary: "List versions of a function, newest first",
        access: "functions:read",
        query: namespaceQuery,
        answer: { status: 200, schema: z.array(functionVersionSchema) },
        handle: versions,
      },
      {
        method: "GET",
        path: `${path}/versions/{version}`,
        summary: "Get a version of a function with its source",
        access: "functions:read",
        query: namespaceQuery,
        answer: { status: 200, schema: functionVersionDetailsSchema },
        handle: version,
      },
      {
        method: "POST",
        path: `${path}/rollback`,
        summary: "Roll back: make an earlier version live",
        access: "functions:write",
        audit: changing,
        query: namespaceQuery,
        body: rollbackSchema,
        answer: { status: 200, schema: functionDetailsSchema },
        handle: rollback,
      },
      {
        method: "PUT",
        path: `${path}/canary`,
        summary: "Send a share of the HTTP calls to another version",
        access: "functions:write",
        audit: changing,
        query: namespaceQuery,
        body: trafficSchema,
        answer: { status: 200, schema: functionDetailsSchema },
        handle: shareCalls,
      },
      {
        method: "DELETE",
        path: `${path}/canary`,
        summary: "Send all calls to the live version again",
        access: "functions:write",
        audit: changing,
        query: namespaceQuery,
        answer: { status: 200, schema: functionDetailsSchema },
        handle: endCanary,
      },
      {
        method: "POST",
        path: `${path}/restore`,
        summary: "Restore a deleted function with all its versions",
        access: "functions:write",
        audit: { target: placeOf },
        query: namespaceQuery,
        answer: { status: 200, schema: functionDetailsSchema },
        handle: restore,
      },
    );
  }
  return routes;
}

/** The function a route is about: its namespace may stand in the path or in the query. */
function functionOf({ params, query }: ApiCall): { namespace: string; name: string } {
  return {
    namespace: params["namespace"] ?? (query.get("namespace") || DEFAULT_NAMESPACE),
    name: params["name"] ?? "",
  };
}

/**
 * The function of the call, for a caller that may know of it.
 *
 * @throws {PlatformError} FUNCTION_NOT_FOUND outside the caller's namespaces; UNAUTHENTICATED, FORBIDDEN
 */
export function placeFor(call: ApiCall, scope: "functions:read" | "functions:write") {
  const { namespace, name } = functionOf(call);
  assertMayAt(call.caller, scope, { namespace, notFound: () => functionNotFound(namespace, name) });
  return { namespace, name };
}

function writable(call: ApiCall): { namespace: string; name: string } {
  return placeFor(call, "functions:write");
}

function placeOf({ namespace, name }: Readonly<Record<string, unknown>>): string | undefined {
  return name === undefined ? undefined : `${namespace}/${name}`;
}

function isVisible(caller: Caller, { function: fn, version }: FunctionWithVersion): boolean {
  return may(caller, "functions:read", fn.namespace) || (version.settings.isPublic && reaches(caller, fn.namespace));
}

function optionsOf(call: ApiCall, strict: "true" | "false" | undefined) {
  return {
    strict: strict === "true",
    source: "api" as const,
    createdBy: authorOf(call),
    mayGrant: isAdmin(call.caller),
    mayRoute: call.caller.namespaces === null,
  };
}
