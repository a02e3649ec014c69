/**
 * The data plane's HTTP: finds the function a request means, has it invoked, turns what comes back into HTTP.
 *
 * Owns: the headers of every answer to a call, CORS, when a body is read whole.
 * Does not own: the checks and the order of an invocation (../invoke/invoke.ts), all other routes (../api/).
 *
 * @module
 */
import { type CorsPolicy, PlatformError } from "@fluxbase/contract";
import { asksForWebSocket, handshakeProblem } from "../../sandbox_runtime/handshake.ts";
import { CONNECTION_HEADERS } from "../../sandbox_runtime/header_rules.ts";
import type { AuditLog } from "../audit/audit_log.ts";
import { type Catalog, type LiveFunction, versionFor } from "../catalog/catalog.ts";
import { functionNotFound } from "../catalog/function_not_found.ts";
import { clientClosed } from "../core/client_closed.ts";
import { createDeadlines, type Deadlines } from "../core/deadlines.ts";
import { isEventStream, UNBUFFERED } from "../core/event_stream.ts";
import { HeaderList } from "../core/header_list.ts";
import { errorAnswer, rateLimitHeaders, type Standing } from "../core/error_response.ts";
import type { Log } from "../core/log.ts";
import { assertHead } from "../core/request_head.ts";
import { givenRequestId } from "../core/request_id.ts";
import { type ClientAddresses, clientOf, type Connection, tellAddress } from "../ratelimit/client_address.ts";
import { readAsyncWish } from "../invoke/async_call.ts";
import type { AsyncWish, Invocation, InvocationBody } from "../invoke/invocation.ts";
import { invoke, type InvokeParts } from "../invoke/invoke.ts";
import { bodyTooLarge, type SandboxResponse } from "../sandbox/exchange.ts";
import { type Cors, createCors, type HeaderPair } from "../core/cors.ts";
import { type FunctionRoute, functionRoute, seenTarget } from "./route.ts";
import { watchPublicRoutes } from "./public_routes.ts";
import { peerOf } from "./sockets.ts";
import { createWholeBodies, type WholeBodies } from "./whole_bodies.ts";
import { socketResponse } from "./socket_response.ts";

export interface GatewayParts extends InvokeParts {
  readonly audit: AuditLog;
  readonly clientAddresses: ClientAddresses;
  readonly catalog: Catalog;
  readonly log: Log;
}

export interface GatewayOptions {
  /** The public URL of the server. */
  readonly place: { readonly baseUrl: string };
  readonly cors: CorsPolicy;
  readonly functionsEnabled: boolean;
  /** Where what functions answer must not become a page of the dashboard's origin: on which host, or on all. */
  readonly isolated: { readonly enabled: boolean; readonly host: string | null };
  /** Error answers carry the stack of what the function threw. */
  readonly development: boolean;
}

export interface Gateway {
  /** Undefined: the path is not that of a function. */
  handle(request: Request, connection: Connection): Promise<Response> | undefined;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Bodies up to this size travel in one frame with their request. */
const WHOLE_BODY_MAX_BYTES = 64 * 1024;

export function createGateway(parts: GatewayParts, options: GatewayOptions): Gateway {
  const serverCors = createCors(
    { origins: null, methods: null, headers: null, credentials: null, maxAgeSec: null },
    options.cors,
  );
  const slowBodies = createDeadlines(parts.clock);
  const wholeBodies = createWholeBodies();
  const corsOf = new WeakMap<LiveFunction, Cors>();
  const publicRoutes = watchPublicRoutes(parts.catalog);

  function publicRoute(request: Request, target: string): FunctionRoute | undefined {
    const queryStart = target.indexOf("?");
    const path = queryStart < 0 ? target : target.slice(0, queryStart);
    const fn = publicRoutes.find(request, path);
    return fn && { namespace: fn.namespace, name: fn.name, path, by: "public" };
  }

  function corsFor(fn: LiveFunction): Cors {
    let cors = corsOf.get(fn);
    if (cors === undefined) corsOf.set(fn, cors = createCors(fn.settings.cors, options.cors));
    return cors;
  }

  function isIsolated(url: string): boolean {
    const { enabled, host } = options.isolated;
    return enabled && (host === null || new URL(url).hostname === host);
  }

  let known = { baseUrl: "", origin: "" };
  /** A proxy in front may have put the server below a path, of which functions know nothing. */
  function originOf(baseUrl: string): string {
    if (known.baseUrl !== baseUrl) known = { baseUrl, origin: new URL(baseUrl).origin };
    return known.origin;
  }

  async function respond(request: Request, { target, route, connection }: Target): Promise<Response> {
    const { method } = request;
    const headers = new HeaderList(request.headers);
    const givenId = givenRequestId(headers);
    const executionId = crypto.randomUUID();
    const requestId = givenId ?? executionId;
    const found = parts.catalog.find(route.namespace, route.name);
    const fn = found?.canary ? versionFor(found, Math.random()) : found;
    const cors = fn === undefined ? serverCors : corsFor(fn);
    const origin = headers.get("origin");
    let call: HttpInvocation | undefined;
    try {
      assertHead(headers);
      if (asksForWebSocket(headers)) assertHandshake(method, headers);
      if (!options.functionsEnabled) throw featureDisabled();
      if (fn === undefined) throw functionNotFound(route.namespace, route.name);
      const { ownCors, basePath } = fn.settings;
      if (method === "OPTIONS" && !ownCors) return preflightResponse(cors.preflight(headers), requestId);
      if (REFUSED_METHODS.has(method)) throw methodRefused(method);
      tellAddress(parts.clientAddresses, connection, headers);
      call = new HttpInvocation(request, headers, {
        fn,
        executionId,
        givenRequestId: givenId,
        url: originOf(options.place.baseUrl) +
          seenTarget(route, { name: fn.name, target, basePath }),
        path: route.path === "/" ? "" : route.path,
        slowBodies,
        wholeBodies,
        connection,
        clientAddresses: parts.clientAddresses,
      });
      const answer = await invoke(call, parts);
      if (answer.socket !== undefined) return socketResponse(request, answer.socket);
      const response = functionResponse(answer, {
        method,
        cors: ownCors ? NO_HEADERS : cors.headers(origin),
        requestId,
      });
      if (answer.headers !== null && isPage(response, headers) && isIsolated(request.url)) {
        response.headers.append(...SANDBOXED);
      }
      if (givenId !== null) response.headers.append("x-execution-id", executionId);
      if (call.standing !== undefined) {
        for (const [name, value] of rateLimitHeaders(call.standing)) response.headers.append(name, value);
      }
      return response;
    } catch (error) {
      const address = clientOf(parts.clientAddresses, connection, headers);
      const from = { address: () => address };
      const action = { action: "invoke", target: `${route.namespace}/${route.name}`, caller: undefined };
      if (call?.isAdmitted === false) noteRefusal(call, error);
      parts.audit.noteRefusal({ requestId, address, headers }, action, error);
      const refusal = await parts.callerLimits.refusalOf(error, from);
      const response = errorResponse(refusal, (isNotFound(error) ? serverCors : cors).headers(origin), {
        requestId,
        route,
      });
      if (givenId !== null && fn !== undefined && !isNotFound(error)) {
        response.headers.append("x-execution-id", executionId);
      }
      return response;
    }
  }

  function noteRefusal({ fn, trigger }: Invocation, error: unknown): void {
    parts.executions.refused({
      functionId: fn.id,
      version: fn.liveVersion ?? fn.latestVersion,
      triggerType: trigger,
      atMs: parts.clock.epochMs(),
      code: error instanceof PlatformError ? error.code : "INTERNAL",
    });
  }

  function errorResponse(
    error: unknown,
    cors: readonly HeaderPair[],
    { requestId, route: { namespace, name } }: { requestId: string; route: FunctionRoute },
  ): Response {
    const about = { namespace, function: name };
    const { status, headers, body } = errorAnswer(error, requestId, parts.log, about);
    const stack = options.development ? stackOf(error) : undefined;
    const shown = stack === undefined ? body : { ...body, stack };
    return new Response(JSON.stringify(shown), {
      status,
      headers: [...headers, ...cors, ["x-request-id", requestId]] as [string, string][],
    });
  }

  return {
    handle(request, connection) {
      const target = targetOf(request.url);
      const route = functionRoute(target) ?? publicRoute(request, target);
      return route && respond(request, { target, route, connection });
    },
    async [Symbol.asyncDispose]() {
      publicRoutes[Symbol.dispose]();
      await slowBodies[Symbol.asyncDispose]();
    },
  };
}

/** Where the function itself failed, in its own source. */
function stackOf(error: unknown): string | undefined {
  const isItsOwn = error instanceof PlatformError &&
    (error.code === "FUNCTION_ERROR" || error.code === "BUNDLE_FAILED");
  return isItsOwn && typeof error.cause === "string" ? error.cause : undefined;
}

/** Path and query of an absolute URL, as they were sent. */
function targetOf(url: string): string {
  const start = url.indexOf("/", url.indexOf("://") + 3);
  return start < 0 ? "/" : url.slice(start);
}

interface InvocationFacts {
  readonly fn: LiveFunction;
  readonly executionId: string;
  readonly givenRequestId: string | null;
  readonly url: string;
  readonly path: string;
  readonly slowBodies: Deadlines;
  readonly wholeBodies: WholeBodies;
  readonly connection: Connection;
  readonly clientAddresses: ClientAddresses;
}

interface Target {
  readonly target: string;
  readonly route: FunctionRoute;
  readonly connection: Connection;
}

/** A class for the same reason as Recording: no closures for each request. */
class HttpInvocation implements Invocation {
  readonly trigger = "http";
  readonly task = null;
  readonly executionId: string;
  readonly givenRequestId: string | null;
  readonly fn: LiveFunction;
  readonly method: string;
  readonly url: string;
  readonly path: string;
  readonly headers: HeaderList;
  readonly bodyBytes: number | undefined;
  readonly isUpgrade: boolean;
  isAdmitted = false;
  standing: Standing | undefined;
  readonly #peer: string | undefined;
  readonly #connection: Connection;
  readonly #clientAddresses: ClientAddresses;
  readonly #request: Request;
  readonly #slowBodies: Deadlines;
  readonly #wholeBodies: WholeBodies;

  constructor(request: Request, headers: HeaderList, facts: InvocationFacts) {
    const { fn, executionId, givenRequestId, url, path, slowBodies } = facts;
    this.executionId = executionId;
    this.givenRequestId = givenRequestId;
    this.fn = fn;
    this.method = request.method;
    this.url = url;
    this.path = path;
    this.headers = headers;
    this.#request = request;
    this.#slowBodies = slowBodies;
    this.#wholeBodies = facts.wholeBodies;
    this.#connection = facts.connection;
    this.#clientAddresses = facts.clientAddresses;
    const announced = this.headers.get("content-length");
    this.bodyBytes = announced === null ? undefined : Number(announced);
    this.isUpgrade = asksForWebSocket(headers);
    // Deno forgets it when the connection becomes a WebSocket.
    this.#peer = this.isUpgrade ? peerOf(facts.connection) : undefined;
  }

  address(): string {
    return clientOf(this.#clientAddresses, this.#connection, this.headers);
  }

  get depth(): number {
    return this.#connection.depth ?? 0;
  }

  get parentId(): string | undefined {
    return this.#connection.executionId;
  }

  signal(): AbortSignal {
    return this.#request.signal;
  }

  asyncWish(): AsyncWish {
    return readAsyncWish(this.#request.headers, Date.now());
  }

  peer(): string {
    return this.#peer ?? peerOf(this.#connection) ?? "";
  }

  readBody(): InvocationBody | Promise<InvocationBody> {
    const { method, bodyBytes } = this;
    if (bodyBytes === 0 || method === "GET" || method === "HEAD") return null;
    if (bodyBytes === undefined || bodyBytes > WHOLE_BODY_MAX_BYTES) return this.#request.body;
    const reading = this.#request.bytes().catch(bodyBroke);
    return this.#slowBodies.guard(reading, this.fn.settings.timeoutMs, bodyTooSlow);
  }

  async readWhole(maxBytes: number): Promise<Uint8Array<ArrayBuffer>> {
    const { method, bodyBytes } = this;
    const { body } = this.#request;
    if (bodyBytes === 0 || method === "GET" || method === "HEAD" || body === null) return new Uint8Array();
    if (bodyBytes !== undefined && bodyBytes > maxBytes) throw bodyTooLarge(maxBytes);
    const reader = body.getReader();
    const reading = this.#wholeBodies.read(reader, maxBytes).catch((error) => {
      throw error instanceof PlatformError ? error : clientClosed();
    });
    return await this.#slowBodies.guard(reading, this.fn.settings.timeoutMs, (timeoutMs) => {
      void reader.cancel().catch(() => {});
      return bodyTooSlow(timeoutMs);
    });
  }
}

/** Nothing but the end of the connection makes a body unreadable. */
function bodyBroke(): never {
  throw clientClosed();
}

function bodyTooSlow(timeoutMs: number): PlatformError {
  return new PlatformError(
    "WALL_LIMIT",
    `The request body did not arrive within ${timeoutMs} ms, the time limit of the function`,
    { details: { limit: timeoutMs } },
  );
}

/** Before a function is looked for, so the answer tells nothing of it. */
function assertHandshake(method: string, headers: HeaderList): void {
  const problem = handshakeProblem(method, headers);
  if (problem === undefined) return;
  throw new PlatformError("INVALID_ARGUMENT", `Cannot open a WebSocket for this request: ${problem}`);
}

/** Echoing a request back, and tunnels: no business of functions. */
const REFUSED_METHODS: ReadonlySet<string> = new Set(["TRACE", "CONNECT"]);

function methodRefused(method: string): PlatformError {
  return new PlatformError("METHOD_NOT_ALLOWED", `Cannot ${method} a function: use any other method`);
}

/** About the connection, not the answer: the server decides on them. */
const DROPPED: ReadonlySet<string> = new Set([
  ...CONNECTION_HEADERS,
  "content-length",
  "x-request-id",
  "x-execution-id",
]);
const NO_HEADERS: readonly HeaderPair[] = [];
const BODILESS: ReadonlySet<number> = new Set([204, 205, 304]);
const LENGTH = /^\d{1,15}$/;

/** For a text without a type, the constructor of Response would make up another one. */
const JSON_TYPE = { "content-type": "application/json" };

interface AnswerFacts {
  readonly method: string;
  readonly cors: readonly HeaderPair[];
  readonly requestId: string;
}

function functionResponse(answer: SandboxResponse, { method, cors, requestId }: AnswerFacts): Response {
  const { status, headers: own } = answer;
  const isBodiless = BODILESS.has(status);
  const isHead = method === "HEAD";
  const body = isBodiless || (isHead && answer.body instanceof ReadableStream) ? dropBody(answer.body) : answer.body;
  const response = new Response(body, own === null && !isBodiless ? { status, headers: JSON_TYPE } : { status });
  // Appended one by one: a list handed to the constructor is converted twice, 0.6 µs more when measured.
  const { headers } = response;
  headers.append("x-request-id", requestId);
  let decidesOnCors = false;
  let isEvents = false;
  // Names and values were checked when the sandbox answered (sandbox/sandbox.ts).
  for (let index = 0; own !== null && index < own.length; index += 2) {
    const name = (own[index] ?? "").toLowerCase();
    const value = own[index + 1] ?? "";
    if (DROPPED.has(name)) {
      // Of HEAD only the head is wanted, with the length that a GET would have.
      if (isHead && name === "content-length" && LENGTH.test(value)) headers.set(name, value);
      continue;
    }
    // A function that speaks of origins itself is taken at its word.
    if (name === "access-control-allow-origin") decidesOnCors = true;
    if (name === "content-type") {
      if (isBodiless) continue;
      headers.set(name, value);
      isEvents = isEventStream(value);
    } else headers.append(name, value);
  }
  if (isEvents && !headers.has(UNBUFFERED[0])) headers.append(...UNBUFFERED);
  if (!decidesOnCors) { for (const [name, value] of cors) headers.append(name, value); }
  return response;
}

/**
 * A page of an origin of its own, without the storage, the session and the workers of the dashboard beside it
 * (docs/decisions/0075-pages-of-functions-have-no-origin.md).
 */
const SANDBOXED: [string, string] = [
  "content-security-policy",
  "sandbox allow-scripts allow-forms allow-modals allow-popups allow-downloads allow-top-navigation-by-user-activation",
];
/** What a browser never shows as a page. */
const INERT =
  /^(?:application\/(?:json|octet-stream|pdf)|text\/(?:plain|event-stream|css|csv)|image\/(?!svg)|audio\/|video\/|font\/)/i;

/** What a script asks for is none, and browsers say so where they say anything. */
function isPage(response: Response, asked: HeaderList): boolean {
  if (BODILESS.has(response.status) || INERT.test(response.headers.get("content-type") ?? "")) return false;
  return asked.get("sec-fetch-dest") !== "empty";
}

function dropBody(body: SandboxResponse["body"]): null {
  if (body instanceof ReadableStream && !body.locked) void body.cancel().catch(() => {});
  return null;
}

function preflightResponse(cors: readonly HeaderPair[], requestId: string): Response {
  return new Response(null, { status: 204, headers: [...cors, ["x-request-id", requestId]] as [string, string][] });
}

/** The function is not there for this caller, so its CORS settings are not either. */
function isNotFound(error: unknown): boolean {
  return error instanceof PlatformError && error.code === "FUNCTION_NOT_FOUND";
}

function featureDisabled(): PlatformError {
  return new PlatformError(
    "FEATURE_DISABLED",
    "Functions are switched off on this server (FLUXBASE_FUNCTIONS_ENABLED)",
  );
}
