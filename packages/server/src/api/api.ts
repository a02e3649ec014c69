/**
 * The control plane's HTTP: looks a route up, checks who asks, answers in JSON.
 *
 * Owns: routing, access by the table, 404 and 405, how answers and errors look.
 * Does not own: what the routes do (./*_routes.ts).
 *
 * @module
 */
import { type CorsPolicy, PlatformError } from "@fluxbase/contract";
import { Hono } from "hono";
import type { Authenticator } from "../auth/authenticator.ts";
import type { Caller } from "../auth/caller.ts";
import { assertAdmin, assertCredential, assertMay } from "../auth/permissions.ts";
import { createCors } from "../core/cors.ts";
import { errorAnswer } from "../core/error_response.ts";
import type { Log } from "../core/log.ts";
import { requestIdOf } from "../core/request_id.ts";
import { asDatabaseError } from "../storage/db.ts";
import { readJsonBody } from "./json_body.ts";
import { openApiDocument } from "./openapi.ts";
import type { ApiAnswer, Route } from "./route.ts";

export interface ApiOptions {
  readonly routes: readonly Route[];
  readonly authenticator: Authenticator;
  readonly log: Log;
  readonly cors: CorsPolicy;
  /** The public URL of the server. */
  readonly place: { readonly baseUrl: string };
  readonly version: string;
  readonly bodyMaxBytes: number;
  readonly functionsEnabled: boolean;
}

export interface Api {
  handle(request: Request): Promise<Response>;
}

const PREFIX = "/api/v1";
/** Routes that also stand at the root, where load balancers and tools look for them. */
const AT_ROOT: readonly string[] = ["/health", "/health/ready", "/limits", "/openapi.json"];

export function createApi(options: ApiOptions): Api {
  const cors = createCors(
    { origins: null, methods: null, headers: null, credentials: null, maxAgeSec: null },
    options.cors,
  );
  const routes = [...options.routes, documentRoute()];
  const app = new Hono({ strict: false });
  for (const route of routes) {
    const places = AT_ROOT.includes(route.path) ? [PREFIX + route.path, route.path] : [PREFIX + route.path];
    for (const place of places) {
      app.on(route.method, toHono(place), async (context) => {
        const request = context.req.raw;
        return await answer(request, () => run(route, request, context.req.param()));
      });
    }
  }
  for (
    const path of new Set(
      routes.flatMap(({ path }) => AT_ROOT.includes(path) ? [PREFIX + path, path] : [PREFIX + path]),
    )
  ) {
    const allowed = routes.filter((route) => PREFIX + route.path === path || route.path === path).map(({ method }) =>
      method
    );
    app.all(toHono(path), (context) => answer(context.req.raw, () => refuseMethod(context.req.raw, allowed)));
  }
  app.notFound((context) => notFound(context.req.raw));

  function documentRoute(): Route {
    return {
      method: "GET",
      path: "/openapi.json",
      summary: "This document",
      access: "public",
      answer: { status: 200 },
      handle: () => ({
        status: 200,
        body: openApiDocument(options.routes, {
          version: options.version,
          serverUrl: options.place.baseUrl,
          apiPrefix: PREFIX,
        }),
      }),
    };
  }

  async function run(route: Route, request: Request, params: Record<string, string>): Promise<ApiAnswer> {
    if (!options.functionsEnabled && route.path.includes("/functions")) throw featureDisabled();
    const caller = await options.authenticator.authenticate(request.headers);
    assertAccess(route, caller);
    return route.handle({
      caller,
      requestId: requestIdOf(request.headers),
      params,
      query: new URL(request.url).searchParams,
      body: () => readJsonBody(request, options.bodyMaxBytes),
    });
  }

  async function answer(request: Request, work: () => ApiAnswer | Promise<ApiAnswer>): Promise<Response> {
    const requestId = requestIdOf(request.headers);
    const common = [...cors.headers(request.headers.get("origin")), ["x-request-id", requestId]] as [string, string][];
    try {
      const { status, body } = await work();
      if (body === undefined) return new Response(null, { status, headers: common });
      return new Response(JSON.stringify(body), { status, headers: [...common, ["content-type", "application/json"]] });
    } catch (error) {
      const { status, headers, body } = errorAnswer(asDatabaseError(error), requestId, options.log);
      return new Response(JSON.stringify(body), { status, headers: [...common, ...headers] as [string, string][] });
    }
  }

  function notFound(request: Request): Response {
    const requestId = requestIdOf(request.headers);
    const body = { error: "Not Found", code: "NOT_FOUND", path: new URL(request.url).pathname, request_id: requestId };
    return new Response(JSON.stringify(body), {
      status: 404,
      headers: [
        ...cors.headers(request.headers.get("origin")),
        ["x-request-id", requestId],
        ["content-type", "application/json"],
      ] as [string, string][],
    });
  }

  return {
    async handle(request) {
      if (request.method === "OPTIONS") {
        const headers = [...cors.preflight(request.headers), ["x-request-id", requestIdOf(request.headers)]];
        return new Response(null, { status: 204, headers: headers as [string, string][] });
      }
      return await app.fetch(request);
    },
  };
}

/** Routes with a scope check it again where they know the namespace: a key may be limited to some. */
function assertAccess({ access }: Route, caller: Caller): void {
  switch (access) {
    case "public":
      return;
    case "credential":
      return assertCredential(caller);
    case "admin":
      return assertAdmin(caller);
    default:
      return assertMay(caller, access);
  }
}

function refuseMethod(request: Request, allowed: readonly string[]): never {
  const methods = [...new Set(allowed)].join(", ");
  throw new PlatformError("METHOD_NOT_ALLOWED", `Cannot ${request.method} this path: it takes ${methods}`, {
    details: { allowed: [...new Set(allowed)] },
  });
}

function featureDisabled(): PlatformError {
  return new PlatformError(
    "FEATURE_DISABLED",
    "Functions are switched off on this server (FLUXBASE_FUNCTIONS_ENABLED)",
  );
}

function toHono(path: string): string {
  return path.replaceAll(/\{(\w+)\*\}/g, ":$1{.+}").replaceAll(/\{(\w+)\}/g, ":$1");
}
