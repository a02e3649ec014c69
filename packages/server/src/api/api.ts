/**
 * The control plane's HTTP: looks a route up, checks who asks, answers in JSON.
 *
 * Owns: routing, access by the table, 404 and 405, how answers and errors look, and that each change is audited.
 * Does not own: what the routes do (./*_routes.ts).
 *
 * @module
 */
import { type CorsPolicy, DEFAULT_NAMESPACE, PlatformError } from "@fluxbase/contract";
import { Hono } from "hono";
import { type AuditLog, refusalIn, type RequestFacts } from "../audit/audit_log.ts";
import { changesBetween } from "../audit/changes.ts";
import type { Authenticator } from "../auth/authenticator.ts";
import { ANONYMOUS, type Caller } from "../auth/caller.ts";
import { assertAdmin, assertCredential, assertMay } from "../auth/permissions.ts";
import { isOver } from "../auth/tokens.ts";
import { headerProblem } from "../../sandbox_runtime/header_rules.ts";
import { createCors } from "../core/cors.ts";
import { errorAnswer, NOSNIFF, rateLimitHeaders, type Standing } from "../core/error_response.ts";
import { InvariantError } from "../core/invariant.ts";
import type { Log } from "../core/log.ts";
import { assertHead } from "../core/request_head.ts";
import { requestIdOf } from "../core/request_id.ts";
import type { CallerLimits, Origin } from "../ratelimit/caller_limits.ts";
import { asDatabaseError } from "../storage/db.ts";
import { absentAt } from "./absent_routes.ts";
import { type Idempotency, IDEMPOTENCY_HEADER } from "./idempotency.ts";
import { type BodyLimits, readJsonBody, readTextBody } from "./json_body.ts";
import { openApiDocument } from "./openapi.ts";
import type { ApiAnswer, ApiCall, Route } from "./route.ts";

export interface ApiOptions {
  readonly routes: readonly Route[];
  readonly authenticator: Authenticator;
  readonly audit: AuditLog;
  readonly callerLimits: CallerLimits;
  readonly idempotency: Idempotency;
  readonly log: Log;
  readonly cors: CorsPolicy;
  /** The public URL of the server. */
  readonly place: { readonly baseUrl: string };
  readonly version: string;
  readonly bodyLimits: BodyLimits;
  readonly functionsEnabled: boolean;
}

export interface ApiOrigin {
  readonly address: string;
  /** Keeps the connection from being ended for being quiet. */
  hold(): Disposable;
}

export interface Api {
  /** The address is that of the client. */
  handle(request: Request, from: ApiOrigin): Promise<Response>;
}

type Facts = RequestFacts & {
  readonly request: Request;
  readonly hold: ApiOrigin["hold"];
  /** Set by what counts it. */
  standing?: Standing | undefined;
};

interface About {
  readonly facts: Facts;
  readonly action: string;
  readonly target: string | null;
}

interface Audited {
  readonly facts: Facts;
  readonly call: ApiCall;
  readonly action: string;
  readonly asked: Readonly<Record<string, unknown>>;
}

const PREFIX = "/api/v1";
/** Routes that also stand at the root, where load balancers, tools and older clients look for them. */
const AT_ROOT: readonly string[] = [
  "/health",
  "/health/ready",
  "/limits",
  "/openapi.json",
  "/dashboard/auth/login",
  "/dashboard/auth/refresh",
  "/dashboard/auth/sso/providers",
];

/** A client in the field asks for `/service-keys`. */
const SERVICE_KEYS = "/admin/service-keys";

export function createApi(options: ApiOptions): Api {
  const cors = createCors(
    { origins: null, methods: null, headers: null, credentials: null, maxAgeSec: null },
    options.cors,
  );
  const routes = [...options.routes, documentRoute()];
  const app = new Hono<{ Bindings: Facts }>({ strict: false });
  for (const route of routes) {
    for (const place of placesOf(route)) {
      app.on(route.method, toHono(place), async (context) => {
        const facts = context.env;
        return await answer(facts, () => run(route, facts, context.req.param()), route.shapeError);
      });
    }
  }
  for (const path of new Set(routes.flatMap(placesOf))) {
    const allowed = routes.filter((route) => placesOf(route).includes(path)).map(({ method }) => method);
    app.all(toHono(path), (context) => answer(context.env, () => refuseMethod(context.req.raw, allowed)));
  }
  app.notFound((context) => {
    const absent = absentAt(new URL(context.req.raw.url).pathname);
    return absent === undefined ? notFound(context.env) : answer(context.env, () => Promise.reject(absent));
  });

  function documentRoute(): Route {
    return {
      method: "GET",
      path: "/openapi.json",
      summary: "Get this document",
      access: "public",
      answer: { status: 200 },
      handle: () => ({ status: 200, body: documentOf() }),
    };
  }

  function documentOf() {
    return openApiDocument(options.routes, {
      version: options.version,
      serverUrl: options.place.baseUrl,
      apiPrefix: PREFIX,
    });
  }

  async function run(route: Route, facts: Facts, params: Record<string, string>): Promise<ApiAnswer> {
    const { request, requestId } = facts;
    const action = `${route.method} ${route.path.replace("*}", "}")}`;
    const query = new URL(request.url).searchParams;
    const asked = { namespace: query.get("namespace") || DEFAULT_NAMESPACE, ...params };
    const target = targetOf(route, asked);
    if (!options.functionsEnabled && route.path.includes("/functions")) throw featureDisabled();
    const about = { facts, action, target };
    const caller = await admit(route, about);
    let parsed: Promise<unknown> | undefined;
    const call: ApiCall = {
      caller,
      callerNow: async () => await options.authenticator.authenticate(facts.headers),
      requestId,
      origin: originOf(facts),
      params,
      query,
      method: request.method,
      headers: request.headers,
      text: () => readTextBody(request, options.bodyLimits),
      body: () => parsed ??= readJsonBody(request, options.bodyLimits),
    };
    if (isManagement(route)) {
      const change = (call: ApiCall) => runAudited(route, { facts, call, action, asked });
      const { pathname, search } = new URL(request.url);
      return isRepeatable(route, call) ? await options.idempotency.once(call, pathname + search, change) : change(call);
    }
    return await noting(about, caller, async () => await route.handle(call));
  }

  async function admit(route: Route, about: About): Promise<Caller> {
    const { facts } = about;
    const authenticate = async () => {
      try {
        return await options.authenticator.authenticate(facts.headers);
      } catch (error) {
        // Clients send what they have, also when they sign in or refresh because it is over.
        if (route.access === "public" && isOver(error)) return ANONYMOUS;
        throw error;
      }
    };
    const caller = await noting(about, undefined, authenticate);
    return await noting(about, caller, async () => {
      facts.standing = await options.callerLimits.take(caller, originOf(facts));
      assertAccess(route, caller);
      return caller;
    });
  }

  /** A refusal is kept, with what is known of who was refused. */
  async function noting<Result>(
    about: About,
    caller: Caller | undefined,
    work: () => Promise<Result>,
  ): Promise<Result> {
    try {
      return await work();
    } catch (error) {
      options.audit.noteRefusal(about.facts, { ...about, caller }, error);
      throw error;
    }
  }

  async function runAudited(route: Route, { facts, call, action, asked }: Audited): Promise<ApiAnswer> {
    const { caller } = call;
    const before = await route.audit?.before?.(call).catch(() => undefined);
    try {
      const answered = await route.handle(call);
      const { status, body } = answered;
      const target = targetOf(route, { ...asked, ...before, ...(isRecord(body) ? body : {}) });
      const isKept = route.audit !== undefined && !route.audit.withoutChanges;
      const changes = isKept ? changesBetween(before, body) : null;
      await options.audit.note(facts, { action, target, caller }, { status, code: null, changes });
      return answered;
    } catch (error) {
      const known = asDatabaseError(error);
      const { status, code } = refusalIn(known) ??
        (known instanceof PlatformError ? known : { status: 500, code: "INTERNAL" });
      const target = targetOf(route, asked);
      await options.audit.note(facts, { action, target, caller }, { status, code, changes: null });
      throw error;
    }
  }

  async function answer(
    facts: Facts,
    work: () => ApiAnswer | Promise<ApiAnswer>,
    shape: Route["shapeError"] = ({ body }) => body,
  ): Promise<Response> {
    const { request, requestId } = facts;
    const common = [...cors.headers(request.headers.get("origin")), ["x-request-id", requestId]] as [string, string][];
    try {
      const { status, body, text, socket, headers = [] } = await work();
      if (socket !== undefined) return upgrade(facts, socket);
      if (facts.standing !== undefined) common.push(...rateLimitHeaders(facts.standing));
      common.push(NOSNIFF);
      for (const [name, value] of headers) {
        const problem = headerProblem(name, value);
        if (problem !== undefined) throw new InvariantError("api-header", `Cannot answer with ${problem}`);
        common.push([name, value]);
      }
      if (text !== undefined) return new Response(text, { status, headers: common });
      if (body === undefined) return new Response(null, { status, headers: common });
      return new Response(JSON.stringify(body), { status, headers: [...common, ["content-type", "application/json"]] });
    } catch (error) {
      const refusal = await options.callerLimits.refusalOf(asDatabaseError(error), originOf(facts));
      const { status, headers, body } = errorAnswer(refusal, requestId, options.log);
      const shown = shape({ status, body: { ...body } });
      return new Response(JSON.stringify(shown), { status, headers: [...common, ...headers] as [string, string][] });
    }
  }

  function notFound({ request, requestId }: Facts): Response {
    const body = { error: "Not Found", code: "NOT_FOUND", path: new URL(request.url).pathname, request_id: requestId };
    return new Response(JSON.stringify(body), {
      status: 404,
      headers: [
        ...cors.headers(request.headers.get("origin")),
        ["x-request-id", requestId],
        ["content-type", "application/json"],
        NOSNIFF,
      ] as [string, string][],
    });
  }

  return {
    async handle(sent, { address, hold }) {
      const request = withQueryApart(sent);
      const requestId = requestIdOf(request.headers);
      const facts = { request, requestId, address, hold, headers: credentialsOf(request) };
      try {
        assertHead(request.headers);
        if (!URL.canParse(request.url)) refuseUrl();
      } catch (error) {
        return await answer(facts, () => Promise.reject(error));
      }
      if (request.method === "OPTIONS") {
        const headers = [...cors.preflight(request.headers), ["x-request-id", requestId]];
        return new Response(null, { status: 204, headers: headers as [string, string][] });
      }
      return await app.fetch(request, facts);
    },
  };
}

/** A client that does not answer pings for this long is gone. */
const SOCKET_IDLE_SEC = 60;

function upgrade({ request, hold }: Facts, { protocol, attach }: NonNullable<ApiAnswer["socket"]>): Response {
  const held = hold();
  try {
    const { socket, response } = Deno.upgradeWebSocket(request, { protocol, idleTimeout: SOCKET_IDLE_SEC });
    socket.addEventListener("close", () => held[Symbol.dispose]());
    attach(socket);
    return response;
  } catch (error) {
    held[Symbol.dispose]();
    throw error;
  }
}

/** Browsers give a WebSocket no headers: the credential is one of the protocols that it offers. */
const BEARER_PROTOCOL = "fluxbase.bearer.";

function credentialsOf({ headers }: Request): Headers {
  const offered = headers.get("sec-websocket-protocol");
  if (offered === null || headers.has("authorization")) return headers;
  const protocol = offered.split(",").map((one) => one.trim()).find((one) => one.startsWith(BEARER_PROTOCOL));
  if (protocol === undefined) return headers;
  const withCredential = new Headers(headers);
  withCredential.set("authorization", `Bearer ${protocol.slice(BEARER_PROTOCOL.length)}`);
  return withCredential;
}

/** A command line in the field writes the question mark of these paths as part of the path. */
function withQueryApart(request: Request): Request {
  const { url } = request;
  const at = url.includes("?") ? -1 : url.search(/%3f/i);
  if (at < 0 || !URL.canParse(url) || !new URL(url.slice(0, at)).pathname.startsWith(SECRETS)) return request;
  return new Request(`${url.slice(0, at)}?${url.slice(at + 3)}`, request);
}

const SECRETS = `${PREFIX}/secrets`;

function placesOf({ path, isAtRoot }: Route): string[] {
  if (isAtRoot) return [path];
  if (path.startsWith(SERVICE_KEYS)) return [PREFIX + path, path.replace("/admin", "")];
  return AT_ROOT.includes(path) ? [PREFIX + path, path] : [PREFIX + path];
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

function originOf({ address }: Facts): Origin {
  return { address: () => address };
}

/** What changes something and is not for everybody, and what says that it is to be audited. */
function isManagement({ method, access, audit }: Route): boolean {
  return audit !== undefined || (method !== "GET" && access !== "public" && access !== "credential");
}

/** Not what is for everybody: nobody can be told from another there. */
function isRepeatable({ method, access }: Route, { headers }: ApiCall): boolean {
  return method !== "GET" && access !== "public" && headers.get(IDEMPOTENCY_HEADER) !== null;
}

function targetOf(route: Route, facts: Readonly<Record<string, unknown>>): string | null {
  return route.audit?.target(facts) ?? null;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function refuseMethod(request: Request, allowed: readonly string[]): never {
  const methods = [...new Set(allowed)].join(", ");
  throw new PlatformError("METHOD_NOT_ALLOWED", `Cannot ${request.method} this path: it takes ${methods}`, {
    details: { allowed: [...new Set(allowed)] },
  });
}

function refuseUrl(): never {
  throw new PlatformError("INVALID_ARGUMENT", "Cannot serve the request: its Host and path make no URL");
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
