/**
 * Which function of a loaded bundle answers requests, and which face of the request it expects.
 *
 * @module
 */
import { evaluateBundle } from "./bundle.ts";
import type { HandlerContext } from "./globals.ts";
import { named, type Servers, type StartedServer, type UserHandler } from "./servers.ts";
import { hasTicks, type Jobs, type TickHandler, tickHandlerOf } from "./ticks.ts";
import { createWorkerEnv } from "./worker_env.ts";

export type { UserHandler };

import { CLIENT_EXPORT, withClients } from "./given_clients.ts";
import { asksForLambdaEvent, withCallback } from "./lambda_event.ts";
import { asksForText } from "./textual_body.ts";

/**
 * `guide`: `req.body` is a string. `web`: `req.body` is a stream, as in `Deno.serve`. `both`: it is a stream that reads as
 * text (./textual_body.ts). `lambda`: it is an event (./lambda_event.ts).
 */
export type HandlerFace = "guide" | "web" | "both" | "lambda";

export interface FoundHandler {
  readonly face: HandlerFace;
  readonly handle: UserHandler;
  /** What runs at the instants of schedules instead. */
  readonly tick?: TickHandler;
}

type Exports = Readonly<Record<string, unknown>>;

const METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];
const LOOKED_FOR =
  'a default export (a function, or an object with fetch), exports named handler, main, GET, POST, PUT, PATCH or DELETE, scheduled or Deno.cron, a top-level `function handler`, a call of Deno.serve, addEventListener("fetch", …), and listen() of an HTTP server of Node';
/** For servers that are started behind something that takes its time. */
const LATE_SERVER_MS = 2_000;

// Captured before user code runs.
const { get, has } = Reflect;
const startTimer = setTimeout;
const endTimer = clearTimeout;
const NativeResponse = Response;

export interface Loading {
  /** What is noted there that a function starts while it loads. */
  readonly servers: Servers;
  readonly jobs: Jobs;
  /** The rest of a top level that went on after its server was there has failed. */
  failedLate(error: unknown): void;
}

/**
 * Runs the top level of a bundle, and finds what answers. A top level that waits for its own server (`await
 * server.finished`) never ends, so with a server it has as long as it needs no event from outside.
 *
 * @throws what the top level throws, or a sentence that says what was looked for
 */
export async function loadHandler(
  code: string,
  { servers, jobs, failedLate }: Loading,
): Promise<FoundHandler> {
  const evaluated = evaluateBundle(code);
  let isOver = await Promise.race([evaluated, servers.settled]);
  isOver ??= await Promise.race([evaluated, nextTurn()]);
  if (isOver === undefined) evaluated.catch(failedLate);
  const exports = isOver?.exports;
  const found = exports && exportedHandler(exports, servers);
  const tick = tickHandlerOf(exports, jobs);
  const isOfTicks = hasTicks(exports, jobs);
  if (exports !== undefined && found === undefined && !servers.hasStarted && !isOfTicks) {
    await withinMs(LATE_SERVER_MS, Promise.race([servers.settled, servers.noted]));
  }
  const started = servers.seal();
  if (started === undefined) {
    if (found !== undefined) return { ...found, tick };
    return isOfTicks ? { face: "web", handle: refuseCall, tick } : noHandler(exports ?? {}, servers);
  }
  if (found !== undefined && !isSameHandler(exports?.["default"], started)) {
    throw new TypeError(
      `Cannot use ${found.name} beside the server that ${
        named(started)
      } starts: a function answers in one way; remove one`,
    );
  }
  return { face: "web", handle: started.handle, tick };
}

/** Of a function that has nothing but schedules. */
function refuseCall(): Response {
  return NativeResponse.json({ error: "This function answers no calls: it runs by its schedules" }, { status: 404 });
}

/** What only happens to be there, such as the `handler` that is given to `Deno.serve`, counts when there is no server. */
interface ExportedHandler extends FoundHandler {
  readonly name: string;
}

function exportedHandler(exports: Exports, servers: Servers): ExportedHandler | undefined {
  const main = exports["default"];
  const ofDefault = takingClients(defaultHandler(main, servers), exports);
  if (ofDefault !== undefined) return ofDefault;
  if (servers.hasStarted) return undefined;
  // The default export of a CommonJS module is all that it exports.
  return takingClients(namedHandler(exports), exports) ??
    (isObject(main) ? defaultHandler(get(main, "default"), servers) ?? namedHandler(main as Exports) : undefined);
}

/** Where the bundle brings what makes clients, the handler wants them. */
function takingClients(found: ExportedHandler | undefined, exports: Exports): ExportedHandler | undefined {
  const createClient = exports[CLIENT_EXPORT];
  if (found === undefined || found.face === "web" || !isHandler(createClient)) return found;
  return { ...found, handle: withClients(found.handle as never, createClient as never) };
}

function defaultHandler(main: unknown, servers: Servers): ExportedHandler | undefined {
  if (!isObject(main) && !isHandler(main)) return undefined;
  const fetch = methodOf(main, "fetch");
  if (fetch !== undefined) return worker(main, fetch);
  const listen = methodOf(main, "listen");
  if (listen !== undefined) {
    // An application of a framework for Node.
    if (!servers.hasStarted) listen.call(main, { port: 0 }, undefined);
    return undefined;
  }
  if (isHandler(main)) return { name: "the default export", face: asksForText(main) ? "guide" : "both", handle: main };
  const handle = methodOf(main, "handle");
  return handle && worker(main, handle);
}

/** In the form of Workers: `fetch(request, env, ctx)`. */
function worker(owner: object, fetch: UserHandler): ExportedHandler {
  return {
    name: "the default export",
    face: "web",
    handle: (request, context) =>
      Reflect.apply(fetch, owner, [request, createWorkerEnv(context as HandlerContext), context]),
  };
}

function namedHandler(exports: Exports): ExportedHandler | undefined {
  for (const name of ["$fluxbaseHandler", "handler", "main"]) {
    const handle = exports[name];
    if (!isHandler(handle)) continue;
    const found = { name: `the export ${name}`, face: "guide", handle } as const;
    if (!asksForLambdaEvent(handle)) return found;
    return { ...found, face: "lambda", handle: handle.length === 3 ? withCallback(handle) : handle };
  }
  return methodsHandler(exports);
}

/** `export function GET(request)` and its like, as files of routes have them. */
function methodsHandler(exports: Exports): ExportedHandler | undefined {
  const byMethod = new Map<string, UserHandler>();
  for (const method of METHODS) {
    const handle = exports[method];
    if (isHandler(handle)) byMethod.set(method, handle);
  }
  if (byMethod.size === 0) return undefined;
  const allowed = new Set([...byMethod.keys(), "OPTIONS", ...byMethod.has("GET") ? ["HEAD"] : []]);
  const headers = { allow: [...allowed].join(", ") };
  return {
    name: "the exports by method",
    face: "web",
    handle(request, context) {
      const method = String(get(request as object, "method"));
      const handle = byMethod.get(method) ?? (method === "HEAD" ? byMethod.get("GET") : undefined);
      if (handle !== undefined) return handle(request, context);
      return new NativeResponse(null, { status: method === "OPTIONS" ? 204 : 405, headers });
    },
  };
}

function isSameHandler(main: unknown, { original }: StartedServer): boolean {
  return main === original || (isObject(main) && methodOf(main, "fetch") === original);
}

function noHandler(exports: Exports, { firstNoted: noted, closed }: Servers): never {
  const names = Object.keys(exports);
  const there = names.length === 0 ? "it exports nothing" : `it exports ${names.slice(0, 20).join(", ")}`;
  const also = [
    ...closed === undefined ? [] : [`it has closed the server that ${named(closed)} had started`],
    ...noted === undefined ? [] : [`while it loaded, this went wrong: ${textOf(noted.reason)}`],
  ].map((text) => `; ${text}`).join("");
  throw new TypeError(
    `Cannot find a handler: there is none of ${LOOKED_FOR}; ${there}${also}`,
    noted === undefined ? undefined : { cause: noted.reason },
  );
}

function textOf(reason: unknown): string {
  try {
    return reason instanceof Error ? reason.message : String(reason);
  } catch {
    return "a value that cannot be shown";
  }
}

/** Routers answer to every name that is asked for with a method: only what is really there counts. */
function methodOf(owner: object, name: string): UserHandler | undefined {
  if (!has(owner, name)) return undefined;
  const value: unknown = get(owner, name);
  return isHandler(value) ? value : undefined;
}

function nextTurn(): Promise<undefined> {
  return new Promise((resolve) => startTimer(() => resolve(undefined), 0));
}

async function withinMs(ms: number, work: Promise<unknown>): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = startTimer(resolve, ms);
  await Promise.race([work, promise]);
  endTimer(timer);
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}

function isHandler(value: unknown): value is UserHandler {
  return typeof value === "function";
}
