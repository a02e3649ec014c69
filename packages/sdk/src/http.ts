/**
 * Requests to one server: credentials, time limits, repetition of what may be repeated, errors.
 *
 * @module
 */
import { errorOf, FluxbaseError } from "./errors.ts";

export interface RequestOptions {
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>> | URLSearchParams;
  /** What is not a string, bytes, a form or a stream is sent as JSON. */
  readonly body?: unknown;
  readonly headers?: HeadersInit;
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds until the answer begins; the client's own setting without. */
  readonly timeoutMs?: number;
  /** With the client's key alone, whoever is signed in. */
  readonly withoutUser?: boolean;
}

export interface SocketOptions {
  readonly protocol: string;
  readonly query?: RequestOptions["query"];
}

export interface Http {
  readonly url: string;
  /** Any answer, whatever its status; throws only when there is none. */
  send(method: string, path: string, options?: RequestOptions): Promise<Response>;
  /** A connection that has the client's credential; throws when there is none. */
  socket(path: string, options: SocketOptions): Promise<WebSocket>;
  /** The decoded answer; throws FluxbaseError from 400 on. */
  request<Result>(method: string, path: string, options?: RequestOptions): Promise<Result>;
}

export interface HttpOptions {
  readonly url: string;
  readonly fetch: typeof fetch;
  readonly headers: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  /** How often a request that changes nothing twice is sent again. */
  readonly retries: number;
  /** Headers that say who asks, fetched for each attempt. */
  credentials(options: { readonly withoutUser: boolean }): Promise<Readonly<Record<string, string>>>;
  /** The server refused the credential: whether there is another one by now. */
  renew(): Promise<boolean>;
}

/** Sending one of these twice does the same as once. */
const IDEMPOTENT = new Set(["GET", "HEAD", "OPTIONS", "PUT", "DELETE"]);
const AGAIN_LATER = new Set([429, 502, 503]);
const FIRST_WAIT_MS = 200;
/** Whoever is told to wait longer is told so instead. */
const LONGEST_WAIT_MS = 10_000;

export function createHttp(options: HttpOptions): Http {
  const { url } = options;

  async function attempt(method: string, path: string, request: RequestOptions): Promise<Response> {
    const headers = new Headers(options.headers);
    const credentials = await options.credentials({ withoutUser: request.withoutUser === true });
    for (const [name, value] of Object.entries(credentials)) headers.set(name, value);
    const { body, type } = encode(request.body);
    if (type !== undefined) headers.set("content-type", type);
    new Headers(request.headers).forEach((value, name) => headers.set(name, value));
    const limit = new AbortController();
    const timer = setTimeout(() => limit.abort(), request.timeoutMs ?? options.timeoutMs);
    const stop = () => limit.abort();
    request.signal?.addEventListener("abort", stop, { once: true });
    try {
      if (request.signal?.aborted) throw new Error("aborted before it was sent");
      const init: RequestInit & { duplex?: "half" } = { method, headers, signal: limit.signal };
      if (body !== undefined) init.body = body;
      if (isStream(body)) init.duplex = "half";
      return await options.fetch(url + path + queryOf(request.query), init);
    } catch (cause) {
      throw noAnswer(cause, request.signal?.aborted === true, limit.signal.aborted);
    } finally {
      // From here on only the caller's own signal ends the body.
      clearTimeout(timer);
    }
  }

  async function send(method: string, path: string, request: RequestOptions = {}): Promise<Response> {
    const response = await sendAndRepeat(method, path, request);
    const mayRenew = response.status === 401 && request.withoutUser !== true && !isStream(request.body);
    if (!mayRenew || !await options.renew()) return response;
    await response.body?.cancel();
    return await sendAndRepeat(method, path, request);
  }

  async function sendAndRepeat(method: string, path: string, request: RequestOptions): Promise<Response> {
    const repeats = IDEMPOTENT.has(method) && !isStream(request.body) ? options.retries : 0;
    for (let count = 0;; count += 1) {
      const isLast = count >= repeats;
      try {
        const response = await attempt(method, path, request);
        const waitMs = waitOf(response, count);
        if (isLast || !AGAIN_LATER.has(response.status) || waitMs > LONGEST_WAIT_MS) return response;
        await response.body?.cancel();
        await wait(waitMs, request.signal);
      } catch (error) {
        const isNetwork = error instanceof FluxbaseError && error.code === "NETWORK_ERROR";
        if (isLast || !isNetwork) throw error;
        await wait(backoff(count), request.signal);
      }
    }
  }

  async function socket(path: string, { protocol, query }: SocketOptions): Promise<WebSocket> {
    if (typeof WebSocket === "undefined") {
      throw new FluxbaseError("This runtime has no WebSocket: use Node 22 or later", {
        status: 0,
        code: "UNSUPPORTED",
      });
    }
    const { authorization } = await options.credentials({ withoutUser: false });
    // Browsers give a WebSocket no headers.
    const bearer = authorization === undefined ? [] : [authorization.replace("Bearer ", "fluxbase.bearer.")];
    const opened = new WebSocket(url.replace(/^http/, "ws") + path + queryOf(query), [protocol, ...bearer]);
    return await new Promise((resolve, reject) => {
      opened.addEventListener("open", () => resolve(opened), { once: true });
      opened.addEventListener("error", () =>
        reject(
          new FluxbaseError(
            "The server did not open the connection: it may be away, or the credential does not suffice",
            {
              status: 0,
              code: "NETWORK_ERROR",
            },
          ),
        ), { once: true });
    });
  }

  return {
    url,
    send,
    socket,
    async request<Result>(method: string, path: string, request: RequestOptions = {}): Promise<Result> {
      const response = await send(method, path, request);
      if (response.status >= 400) throw await errorOf(response);
      return await decode(response) as Result;
    },
  };
}

/** JSON, text, or bytes, as the type of the content says; undefined without a body. */
export async function decode(response: Response): Promise<unknown> {
  if (response.status === 204 || response.status === 205) return undefined;
  const type = response.headers.get("content-type") ?? "";
  if (/^application\/(.+\+)?json/i.test(type)) {
    const text = await response.text();
    return text === "" ? undefined : parse(text, response);
  }
  if (type === "" || /^text\/|^application\/(xml|javascript|x-www-form-urlencoded)|\+xml/i.test(type)) {
    const text = await response.text();
    return text === "" && type === "" ? undefined : text;
  }
  return new Uint8Array(await response.arrayBuffer());
}

function parse(text: string, { status, headers }: Response): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new FluxbaseError(`Cannot read the answer, which says that it is JSON: ${text.slice(0, 200)}`, {
      status,
      code: "INVALID_JSON",
      requestId: headers.get("x-request-id"),
      cause: error,
    });
  }
}

function encode(body: unknown): { readonly body: BodyInit | undefined; readonly type: string | undefined } {
  if (body === undefined) return { body: undefined, type: undefined };
  if (typeof body === "string") return { body, type: isJson(body) ? "application/json" : "text/plain;charset=UTF-8" };
  if (isNative(body)) return { body, type: undefined };
  return { body: JSON.stringify(body), type: "application/json" };
}

/** Can be read once only. */
function isStream(body: unknown): body is ReadableStream {
  return typeof ReadableStream !== "undefined" && body instanceof ReadableStream;
}

function isNative(body: unknown): body is BodyInit {
  return body instanceof ArrayBuffer || ArrayBuffer.isView(body) || isStream(body) ||
    (typeof Blob !== "undefined" && body instanceof Blob) ||
    (typeof FormData !== "undefined" && body instanceof FormData) || body instanceof URLSearchParams;
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function queryOf(query: RequestOptions["query"]): string {
  if (query === undefined) return "";
  const params = query instanceof URLSearchParams ? query : new URLSearchParams();
  if (!(query instanceof URLSearchParams)) {
    for (const [name, value] of Object.entries(query)) if (value !== undefined) params.append(name, String(value));
  }
  const text = params.toString();
  return text === "" ? "" : `?${text}`;
}

function noAnswer(cause: unknown, isAborted: boolean, isLate: boolean): FluxbaseError {
  if (isAborted) return new FluxbaseError("The request was aborted", { status: 0, code: "ABORTED", cause });
  if (isLate) return new FluxbaseError("The server did not answer in time", { status: 0, code: "TIMEOUT", cause });
  const why = cause instanceof Error ? cause.message : String(cause);
  return new FluxbaseError(`The server cannot be reached: ${why}`, { status: 0, code: "NETWORK_ERROR", cause });
}

function backoff(count: number): number {
  return FIRST_WAIT_MS * 2 ** count * (0.5 + Math.random());
}

function waitOf(response: Response, count: number): number {
  const seconds = Number(response.headers.get("retry-after") ?? NaN);
  return Number.isFinite(seconds) ? seconds * 1_000 : backoff(count);
}

function wait(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(done, ms);
    signal?.addEventListener("abort", abort, { once: true });
    function done() {
      signal?.removeEventListener("abort", abort);
      resolve();
    }
    function abort() {
      clearTimeout(timer);
      reject(new FluxbaseError("The request was aborted", { status: 0, code: "ABORTED" }));
    }
  });
}
