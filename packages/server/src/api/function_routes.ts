/**
 * Routes that manage functions.
 *
 * @module
 */
import { DEFAULT_NAMESPACE, parseNamespace } from "@fluxbase/contract";
import { z } from "zod";
import type { Caller } from "../auth/caller.ts";
import { assertMay, may } from "../auth/permissions.ts";
import { type Deployer, functionNotFound } from "../deploy/deploy.ts";
import {
  functionCreateSchema,
  functionUpdateSchema,
  parseFunctionUpdate,
  parseNewFunction,
} from "../deploy/function_input.ts";
import type { Database } from "../storage/db.ts";
import { type FunctionWithVersion, listFunctions } from "../storage/functions.ts";
import { detailsOf, summaryOf } from "./function_view.ts";
import { choiceParam, parseQuery, textParam } from "./query.ts";
import type { ApiCall, Route } from "./route.ts";
import { functionDetailsSchema, functionSummarySchema } from "./schemas.ts";

const namespaceQuery = z.object({ namespace: textParam });
const writeQuery = z.object({
  namespace: textParam,
  strict: choiceParam(["true", "false"]),
});

export function functionRoutes({ db, deployer }: { db: Database["db"]; deployer: Deployer }): Route[] {
  async function list({ caller, query }: ApiCall) {
    const { namespace } = parseQuery(namespaceQuery, query);
    if (namespace !== undefined) parseNamespace(namespace);
    const found = await listFunctions(db, namespace);
    return { status: 200, body: found.filter((one) => isVisible(caller, one)).map(summaryOf) };
  }

  async function create(call: ApiCall) {
    const { strict } = parseQuery(writeQuery, call.query);
    const input = parseNewFunction(await call.body());
    assertMay(call.caller, "functions:write", input.namespace ?? DEFAULT_NAMESPACE);
    return { status: 201, body: detailsOf(await deployer.create(input, optionsOf(call, strict))) };
  }

  async function read(call: ApiCall) {
    const { namespace, name } = functionOf(call);
    const found = await deployer.read(namespace, name);
    // Not even that it exists is told to who may not see it.
    if (!isVisible(call.caller, found)) throw functionNotFound(namespace, name);
    const seesCode = may(call.caller, "functions:read", namespace);
    return { status: 200, body: seesCode ? detailsOf(found) : summaryOf(found) };
  }

  async function update(call: ApiCall) {
    const { strict } = parseQuery(writeQuery, call.query);
    const { namespace, name } = functionOf(call);
    assertMay(call.caller, "functions:write", namespace);
    const input = parseFunctionUpdate(await call.body());
    return { status: 200, body: detailsOf(await deployer.update(namespace, name, input, optionsOf(call, strict))) };
  }

  async function remove(call: ApiCall) {
    const { namespace, name } = functionOf(call);
    assertMay(call.caller, "functions:write", namespace);
    await deployer.remove(namespace, name);
    return { status: 204 };
  }

  const routes: Route[] = [
    {
      method: "GET",
      path: "/functions",
      summary: "Lists functions: public ones for any caller, all for functions:read",
      access: "credential",
      query: namespaceQuery,
      answer: { status: 200, schema: z.array(functionSummarySchema) },
      handle: list,
    },
    {
      method: "POST",
      path: "/functions",
      summary:
        "Creates a function; a source that does not build is stored with bundle_error, or refused with strict=true",
      access: "functions:write",
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
        summary: "Reads one function; its source only for functions:read",
        access: "credential",
        query: namespaceQuery,
        answer: { status: 200, schema: functionDetailsSchema },
        handle: read,
      },
      ...(["PUT", "PATCH"] as const).map((method): Route => ({
        method,
        path,
        summary: "Updates a function: fields that are sent replace, the others stay",
        access: "functions:write",
        query: writeQuery,
        body: functionUpdateSchema,
        answer: { status: 200, schema: functionDetailsSchema },
        handle: update,
      })),
      {
        method: "DELETE",
        path,
        summary: "Deletes a function",
        access: "functions:write",
        query: namespaceQuery,
        answer: { status: 204 },
        handle: remove,
      },
    );
  }
  return routes;
}

/** The function a route is about: its namespace may stand in the path or in the query. */
export function functionOf({ params, query }: ApiCall): { namespace: string; name: string } {
  return {
    namespace: params["namespace"] ?? (query.get("namespace") || DEFAULT_NAMESPACE),
    name: params["name"] ?? "",
  };
}

function isVisible(caller: Caller, { function: fn, version }: FunctionWithVersion): boolean {
  if (may(caller, "functions:read", fn.namespace)) return true;
  const isInside = caller.namespaces === null || caller.namespaces.includes(fn.namespace);
  return version.settings.isPublic && isInside;
}

function optionsOf({ caller }: ApiCall, strict: "true" | "false" | undefined) {
  return {
    strict: strict === "true",
    source: "api" as const,
    createdBy: caller.userId ?? caller.keyId ?? caller.role,
  };
}
