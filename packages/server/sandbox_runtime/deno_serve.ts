/**
 * Servers of Deno, which bind nothing here: `Deno.serve` in all its forms, and `Deno.listen` with `Deno.serveHttp`, on
 * which `serve` of old versions of std and other libraries stand.
 *
 * @module
 */
import { continueAs } from "./current_call.ts";
import { FunctionRequest } from "./request.ts";
import type { ServerHandle, Servers, UserHandler } from "./servers.ts";

const PORT = 8_000;
const NativePromise = Promise;

/** Stand in for what they are named after. */
export function createDenoServers(servers: Servers): Readonly<Record<"serve" | "listen" | "serveHttp", unknown>> {
  return {
    serve: (...values: unknown[]) => serve(servers, values),
    listen: (options?: unknown) => listen(servers, options),
    serveHttp: (connection: unknown) => {
      if (connection instanceof CapturedConnection) return connection.requests;
      throw new TypeError("Cannot serve HTTP on this connection: give Deno.serveHttp one that Deno.listen accepted");
    },
  };
}

function serve(servers: Servers, values: readonly unknown[]): unknown {
  const part = (name: string) => values.map((value) => partOf(value, name)).find((one) => one !== undefined);
  const handler = values.find(isFunction) ?? part("handler") ?? part("fetch");
  if (!isFunction(handler)) throw new TypeError("Cannot serve without a handler: call Deno.serve(handler)");
  const onError = part("onError");
  const server = servers.start("Deno.serve", isFunction(onError) ? withOnError(handler, onError) : handler, handler);
  const finished = NativePromise.withResolvers<void>();
  const shutdown = () => {
    server.close();
    finished.resolve();
    return finished.promise;
  };
  const signal = part("signal");
  if (signal instanceof AbortSignal) {
    if (signal.aborted) void shutdown();
    else signal.addEventListener("abort", () => void shutdown(), { once: true });
  }
  const addr = addressOf({ port: part("port"), hostname: part("hostname") });
  const onListen = part("onListen");
  if (isFunction(onListen)) onListen(addr, undefined);
  return {
    finished: finished.promise,
    addr,
    ref() {},
    unref() {},
    shutdown,
    [Symbol.asyncDispose]: shutdown,
  };
}

function withOnError(handler: UserHandler, onError: UserHandler): UserHandler {
  return async (request, info) => {
    try {
      return await handler(request, info);
    } catch (error) {
      return await onError(error, undefined);
    }
  };
}

function listen(servers: Servers, options: unknown): unknown {
  const transport = partOf(options, "transport") ?? "tcp";
  if (transport !== "tcp") {
    throw new TypeError(`Cannot listen on ${String(transport)}: a function answers HTTP requests, and binds nothing`);
  }
  const requests = new RequestQueue();
  const server = servers.start("Deno.listen", (request) => requests.push(request));
  const addr = addressOf(options);
  const connection = new CapturedConnection(requests, addr);
  let isAccepted = false;
  const accept = (): Promise<CapturedConnection> => {
    if (isAccepted) return requests.ended;
    isAccepted = true;
    return NativePromise.resolve(connection);
  };
  const close = () => endAll(server, requests);
  return {
    addr,
    rid: 0,
    accept,
    close,
    ref() {},
    unref() {},
    async *[Symbol.asyncIterator]() {
      yield await accept();
      await requests.ended.catch(() => {});
    },
    [Symbol.dispose]: close,
  };
}

function endAll(server: ServerHandle, requests: RequestQueue): void {
  server.close();
  requests.close();
}

/** The one connection on which all requests come. */
class CapturedConnection {
  readonly requests: RequestQueue;
  readonly localAddr: Deno.NetAddr;
  readonly remoteAddr: Deno.NetAddr;
  readonly rid = 0;

  constructor(requests: RequestQueue, addr: Deno.NetAddr) {
    this.requests = requests;
    this.localAddr = addr;
    this.remoteAddr = { transport: "tcp", hostname: "127.0.0.1", port: 0 };
  }
  close(): void {}
  ref(): void {}
  unref(): void {}
  [Symbol.dispose](): void {}
}

interface RequestEvent {
  readonly request: unknown;
  respondWith(response: unknown): Promise<void>;
}

/** What `Deno.serveHttp` returned. */
class RequestQueue {
  readonly rid = 0;
  readonly #waiting: RequestEvent[] = [];
  readonly #takers: ((event: RequestEvent | null) => void)[] = [];
  readonly #ended = NativePromise.withResolvers<never>();
  #isClosed = false;

  constructor() {
    this.#ended.promise.catch(() => {});
  }

  /** Rejects when the listener is closed, as `accept` does then. */
  get ended(): Promise<never> {
    return this.#ended.promise;
  }

  push(request: unknown): Promise<unknown> {
    const { promise, resolve, reject } = NativePromise.withResolvers<unknown>();
    const event: RequestEvent = {
      // One loop takes all requests: who asks for this one goes on as part of it.
      get request() {
        if (request instanceof FunctionRequest) continueAs(FunctionRequest.callOf(request));
        return request;
      },
      async respondWith(response) {
        try {
          resolve(await response);
        } catch (error) {
          reject(error);
          throw error;
        }
      },
    };
    const taker = this.#takers.shift();
    if (taker === undefined) this.#waiting.push(event);
    else taker(event);
    return promise;
  }

  nextRequest(): Promise<RequestEvent | null> {
    continueAs(undefined);
    if (this.#isClosed) return NativePromise.resolve(null);
    const next = this.#waiting.shift();
    return next === undefined
      ? new NativePromise((resolve) => this.#takers.push(resolve))
      : NativePromise.resolve(next);
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const taker of this.#takers.splice(0)) taker(null);
    this.#ended.reject(new Deno.errors.BadResource("Listener has been closed"));
  }

  async *[Symbol.asyncIterator]() {
    for (let event = await this.nextRequest(); event !== null; event = await this.nextRequest()) yield event;
  }
}

function addressOf(options: unknown): Deno.NetAddr {
  const port = Number(partOf(options, "port") ?? PORT);
  const hostname = partOf(options, "hostname");
  return { transport: "tcp", hostname: typeof hostname === "string" ? hostname : "0.0.0.0", port: port || PORT };
}

function partOf(options: unknown, name: string): unknown {
  return typeof options === "object" && options !== null ? Reflect.get(options, name) : undefined;
}

function isFunction(value: unknown): value is UserHandler {
  return typeof value === "function";
}
