// deno-lint-ignore-file no-console -- inside a sandbox the console is the log of the execution
/**
 * HTTP servers of Node: `listen` hands the server to us and binds nothing. It gets each request over a connection that
 * exists only in memory, with Node's own parsers at both ends, so that bodies, upgrades and aborts are what they are on
 * a machine of one's own.
 *
 * Node's modules are loaded when the function asks for them; until then nothing of this runs.
 *
 * @module
 */
import { replaceListen } from "./node_listen.ts";
import { type Call, signalOf } from "./call.ts";
import type { HandlerContext } from "./globals.ts";
import { asksForWebSocket, lookupIn } from "./handshake.ts";
import { CONNECTION_HEADERS } from "./header_rules.ts";
import { createConnections, type MemorySocket } from "./node_sockets.ts";
import { FunctionRequest } from "./request.ts";
import type { Servers, UserHandler } from "./servers.ts";
import { joinWebSocket, type Upgrade } from "./node_web_socket.ts";

import type { ClientRequest, IncomingMessage, Server } from "node:http";

/** Between the client and the platform, not between the platform and the function. */
const HOP_BY_HOP: ReadonlySet<string> = new Set([...CONNECTION_HEADERS, "expect"]);
/** An answer of this size or less travels whole. */
const WHOLE_MAX_BYTES = 65_536;
/** Above what the platform lets through. */
const HEAD_MAX_BYTES = 1_048_576;
const BODILESS = new Set([204, 205, 304]);

// Captured before user code runs.
const { apply } = Reflect;
const NativeStream = ReadableStream;

/** Called when user code asks for one of Node's modules that have servers. */
export function captureNodeServers(servers: Servers, upgrade: Upgrade): void {
  const load = process.getBuiltinModule.bind(process);
  const connections = createConnections(load("node:stream"));
  replaceListen((server, kind) => {
    const event = kind === "https" ? "secureConnection" : "connection";
    watchListeners(server);
    // Bounds of heads and of time are the platform's.
    Object.assign(server, { maxHeaderSize: HEAD_MAX_BYTES, maxHeadersCount: 0, requestTimeout: 0, headersTimeout: 0 });
    const handle: UserHandler = (request, context) =>
      new Exchange({ request: request as FunctionRequest, context: context as HandlerContext, upgrade }).run(
        (options, socket) => {
          const [near, far] = connections.pair(socket);
          const outgoing = load("node:http").request({ ...options, createConnection: () => near });
          server.emit(event, far);
          return { outgoing, far };
        },
      );
    return servers.start(`listen of node:${kind}`, handle);
  }, load);
}

/** What a listener throws or rejects with ends its request, where Node would end the process. */
function watchListeners(server: Server): void {
  const { emit } = server;
  server.emit = function (this: Server, type: string, ...values: unknown[]): boolean {
    if (type !== "request") return apply(emit, this, [type, ...values]);
    const { socket } = values[0] as IncomingMessage;
    for (const listener of this.rawListeners("request")) {
      try {
        const result: unknown = apply(listener, this, values);
        if (result instanceof Promise) {
          result.catch((error) => {
            // Behind its answer it is one that nobody has handled.
            if (socket.destroyed) throw error;
            socket.destroy(asError(error));
          });
        }
      } catch (error) {
        socket.destroy(asError(error));
      }
    }
    return true;
  } as Server["emit"];
}

function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown), { cause: thrown });
}

interface ConnectionFacts {
  readonly remoteAddress: string;
  readonly encrypted: boolean;
}

interface Opened {
  readonly outgoing: ClientRequest;
  /** The server's end. */
  readonly far: MemorySocket;
}

type Connect = (options: object, facts: ConnectionFacts) => Opened;

/** One request on its way through a server of Node. */
class Exchange {
  readonly #request: FunctionRequest;
  readonly #call: Call;
  readonly #context: HandlerContext;
  readonly #upgrade: Upgrade;
  readonly #answer = Promise.withResolvers<unknown>();
  #isAnswered = false;

  constructor(
    { request, context, upgrade }: { request: FunctionRequest; context: HandlerContext; upgrade: Upgrade },
  ) {
    this.#request = request;
    this.#call = FunctionRequest.callOf(request);
    this.#context = context;
    this.#upgrade = upgrade;
  }

  run(connect: Connect): Promise<unknown> {
    const { method, url } = this.#call;
    const { protocol, pathname, search } = new URL(url);
    const { outgoing, far } = connect({
      method,
      path: `${pathname}${search}`,
      headers: this.#headers(),
      setHost: false,
      maxHeaderSize: HEAD_MAX_BYTES,
    }, {
      remoteAddress: this.#context.remoteAddr.hostname,
      encrypted: protocol === "https:",
    });
    // What nobody catches in the function's code is thrown here: in Node it would end the process.
    this.#call.onUnhandled = (error) => {
      far.destroy(asError(error));
      this.#answer.reject(error);
    };
    far.on("error", (error) => {
      if (this.#isAnswered) console.error("The request failed behind the head of its answer:", error);
      this.#answer.reject(error);
    });
    outgoing.on("error", (error) => this.#fail(error));
    outgoing.on("response", (response) => void this.#respond(response));
    outgoing.on("upgrade", (response, socket, head) => {
      try {
        const protocol = response.headers["sec-websocket-protocol"];
        this.#answer.resolve(joinWebSocket({ socket, head, protocol }, this.#request, this.#upgrade));
        // It lives on whatever one of its messages leads to.
        this.#call.onUnhandled = undefined;
      } catch (error) {
        socket.destroy();
        this.#answer.reject(error);
      }
    });
    const signal = signalOf(this.#call);
    if (signal.aborted) outgoing.destroy();
    else signal.addEventListener("abort", () => outgoing.destroy(asError(signal.reason)), { once: true });
    void this.#sendBody(outgoing);
    return this.#answer.promise;
  }

  #fail(error: Error): void {
    // The end that is told of it first is not always the one that knows why.
    setTimeout(() => {
      this.#answer.reject(
        error.message === "socket hang up"
          ? new Error("The function has closed the connection without an answer")
          : error,
      );
    }, 0);
  }

  #headers(): string[] {
    const { headerPairs, body } = this.#call;
    const isWebSocket = asksForWebSocket(lookupIn(headerPairs));
    const headers: string[] = [];
    let hasLength = false;
    for (let index = 0; index + 1 < headerPairs.length; index += 2) {
      const [name = "", value = ""] = headerPairs.slice(index, index + 2);
      if (HOP_BY_HOP.has(name) && name !== "upgrade") continue;
      // No compression of messages: there is no network in between.
      if (name === "sec-websocket-extensions" || (name === "upgrade" && !isWebSocket)) continue;
      if (name === "content-length") {
        if (body === null || body instanceof Uint8Array) continue;
        hasLength = true;
      }
      headers.push(name, value);
    }
    // Each connection is for one request: left open, the server would keep it for seconds.
    headers.push("connection", isWebSocket ? "Upgrade" : "close");
    if (body instanceof Uint8Array) headers.push("content-length", String(body.length));
    else if (body !== null && !hasLength) headers.push("transfer-encoding", "chunked");
    return headers;
  }

  async #sendBody(outgoing: ClientRequest): Promise<void> {
    const { body } = this.#call;
    if (body === null || body instanceof Uint8Array) {
      outgoing.end(body ?? undefined);
      return;
    }
    const reader = body.stream.getReader();
    // An answer may come before the end of the body: then nobody reads the rest.
    outgoing.on("close", () => void reader.cancel().catch(() => {}));
    try {
      for (let part = await reader.read(); !part.done; part = await reader.read()) {
        if (outgoing.destroyed) return;
        if (!outgoing.write(part.value)) await drained(outgoing);
      }
      outgoing.end();
    } catch (error) {
      outgoing.destroy(asError(error));
    }
  }

  async #respond(response: IncomingMessage): Promise<void> {
    const { statusCode = 500, rawHeaders, headers } = response;
    const pairs: [string, string][] = [];
    for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
      const [name = "", value = ""] = rawHeaders.slice(index, index + 2);
      if (!HOP_BY_HOP.has(name.toLowerCase())) pairs.push([name, value]);
    }
    const answer = (body: unknown) => {
      this.#isAnswered = true;
      this.#answer.resolve({ status: statusCode, headers: pairs, body });
    };
    if (this.#call.method === "HEAD" || BODILESS.has(statusCode)) {
      response.resume();
      return answer(null);
    }
    if (Number(headers["content-length"] ?? Infinity) > WHOLE_MAX_BYTES) return answer(streamOf(response));
    try {
      const chunks: Uint8Array[] = [];
      for await (const chunk of response) chunks.push(chunk);
      answer(chunks.length === 0 ? null : new Uint8Array(Buffer.concat(chunks)));
    } catch (error) {
      this.#answer.reject(error);
    }
  }
}

function drained(outgoing: ClientRequest): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  outgoing.once("drain", resolve);
  outgoing.once("close", resolve);
  return promise;
}

function streamOf(response: IncomingMessage): ReadableStream<Uint8Array> {
  return new NativeStream<Uint8Array>({
    start(controller) {
      response.on("data", (chunk: Uint8Array) => {
        controller.enqueue(chunk);
        if ((controller.desiredSize ?? 0) <= 0) response.pause();
      });
      response.on("end", () => controller.close());
      response.on("error", (error) => controller.error(error));
      response.pause();
    },
    pull() {
      response.resume();
    },
    cancel() {
      response.destroy();
    },
  }, { highWaterMark: 0 });
}
