/**
 * Calls from a function to the platform's own URL: `fetch` sends them in frames over the sandbox's socket, so they never
 * leave the machine, and they work although loopback addresses are refused and no new unix socket can be made.
 *
 * @module
 */
import { type BodyInbox, BodyOutbox, cancelQuietly, createBodyInbox } from "./body.ts";
import { currentCall } from "./current_call.ts";
import { decoded, withoutCoding } from "./decoded_response.ts";
import {
  ABORT_REASON,
  CALL_METHOD,
  FLAG,
  FRAME,
  type FrameWriter,
  HEAD_MAX_BYTES,
  listBytes,
  OF_CALL,
  readHeaders,
  readResponseHead,
  withDepth,
} from "./frames.ts";
import { noticeRefusal } from "./refusals.ts";
import { isNamed, traced, traceHeaders } from "./tracing.ts";

const REDIRECTS_MAX_COUNT = 20;
const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);
const BODILESS: ReadonlySet<number> = new Set([101, 204, 205, 304]);

const NativeRequest = Request;
const NativeResponse = Response;
const NativeHeaders = Headers;
const NativeTransformStream = TransformStream;
const nativeFetch = fetch;

const DATABASE_PROTOCOL = /^postgres(ql)?:$/;

function notHttp(): TypeError {
  return new TypeError(
    'Cannot fetch a postgres: URL, since a database does not speak HTTP: hand DATABASE_URL to a driver (import pg from "npm:pg"), or use the SDK (client.from("users").select())',
  );
}

/** What cannot be made a request fails as `fetch` fails. */
async function fetchTraced(input: RequestInfo | URL, init?: RequestInit): Promise<Response> {
  return await fetchOutside(traced(input, init));
}

async function fetchOutside(input: RequestInfo | URL, init?: RequestInit): Promise<Response> {
  try {
    return withoutCoding(await nativeFetch(input, init), input, init);
  } catch (error) {
    if (error instanceof TypeError && error.cause instanceof Error) noticeRefusal(error.cause.message);
    throw error;
  }
}

interface OwnCall {
  readonly url: string;
  readonly signal: AbortSignal;
  readonly resolve: (response: Response) => void;
  readonly reject: (reason: unknown) => void;
  readonly leave: () => void;
  outbox: BodyOutbox | undefined;
  inbox: BodyInbox | undefined;
}

export class OwnServer {
  readonly #writer: () => FrameWriter;
  readonly #calls = new Map<number, OwnCall>();
  #origins: readonly string[] = [];
  #lastId = 0;

  constructor(writer: () => FrameWriter) {
    this.#writer = writer;
  }

  /**
   * Replaces `fetch`: what goes to one of `origins` goes to the platform, everything else its usual way, with the trace
   * of its request where the host is one of `traceHosts`.
   */
  install(origins: readonly string[], traceHosts: readonly string[]): void {
    this.#origins = origins;
    const own = (request: Request) => this.#fetch(request, 0);
    Object.defineProperty(globalThis, "fetch", {
      value: function fetch(input: RequestInfo | URL, init?: RequestInit): Promise<Response> {
        const url = URL.parse(typeof input === "string" || input instanceof URL ? String(input) : input.url);
        if (url !== null && DATABASE_PROTOCOL.test(url.protocol)) return Promise.reject(notHttp());
        if (url === null || !origins.includes(url.origin)) {
          const isTraced = traceHosts.length > 0 && url !== null && isNamed(url.hostname, traceHosts);
          return isTraced ? fetchTraced(input, init) : fetchOutside(input, init);
        }
        return own(new NativeRequest(input, init));
      },
      writable: true,
      configurable: true,
      enumerable: true,
    });
  }

  /** A way for bytes in both directions that ends when either side does. */
  async open(url: string): Promise<{ readable: ReadableStream<Uint8Array>; writable: WritableStream<Uint8Array> }> {
    const { readable, writable } = new NativeTransformStream<Uint8Array, Uint8Array>();
    const init: RequestInit & { duplex: "half" } = { method: "POST", body: readable, duplex: "half" };
    const response = await this.#call(new NativeRequest(url, init));
    if (response.ok && response.body !== null) return { readable: response.body, writable };
    throw new TypeError(await response.text());
  }

  onResponse(id: number, payload: Uint8Array): void {
    const call = this.#calls.get(id);
    if (call === undefined) return;
    const head = readResponseHead(payload);
    const { flags, status, bodyStart } = head;
    const headers = new NativeHeaders();
    const pairs = readHeaders(payload, head);
    for (let index = 0; index < pairs.length; index += 2) headers.append(pairs[index] ?? "", pairs[index + 1] ?? "");
    const isStreamed = (flags & FLAG.streamedBody) !== 0;
    if (isStreamed) {
      call.inbox = createBodyInbox({
        credit: (byteCount) => {
          const writer = this.#writer();
          writer.begin(FRAME.CREDIT | OF_CALL, id);
          writer.u32(byteCount);
          writer.end();
        },
        unwanted: () => this.#giveUp(id),
      });
    }
    const body = call.inbox?.stream ?? (payload.length > bodyStart ? payload.slice(bodyStart) : null);
    const response = new NativeResponse(BODILESS.has(status) || body === null ? null : decoded(body, headers), {
      status,
      headers,
    });
    Object.defineProperty(response, "url", { value: call.url, configurable: true });
    if (!isStreamed) this.#forget(id);
    call.resolve(response);
  }

  onBody(id: number, payload: Uint8Array): void {
    this.#calls.get(id)?.inbox?.push(payload.slice());
  }

  onBodyEnd(id: number): void {
    this.#calls.get(id)?.inbox?.end();
    this.#forget(id);
  }

  onCredit(id: number, byteCount: number): void {
    this.#calls.get(id)?.outbox?.credited(byteCount);
  }

  onAbort(id: number, reason: number): void {
    const call = this.#calls.get(id);
    if (call === undefined) return;
    call.outbox?.stop();
    if (reason === ABORT_REASON.bodyUnwanted) return;
    const error = new TypeError("The answer of the platform broke off");
    call.inbox?.fail(error);
    call.reject(error);
    this.#forget(id);
  }

  async #fetch(request: Request, hops: number): Promise<Response> {
    const response = await this.#call(request);
    const location = response.headers.get("location");
    if (!REDIRECTS.has(response.status) || location === null || request.redirect === "manual") return response;
    await response.body?.cancel();
    if (request.redirect === "error" || hops === REDIRECTS_MAX_COUNT) {
      throw new TypeError(`Cannot follow the redirect from ${request.url}`);
    }
    const next = redirected(request, new URL(location, request.url), response.status);
    return this.#origins.includes(new URL(next.url).origin)
      ? await this.#fetch(next, hops + 1)
      : await fetchOutside(next);
  }

  async #call(request: Request): Promise<Response> {
    request.signal.throwIfAborted();
    const { url, signal, method } = request;
    if (!CALL_METHOD.test(method)) {
      throw new TypeError(`Cannot call ${url} with method "${method.slice(0, 20)}": use 1 to 20 letters from A to Z`);
    }
    const head = [method, url, ...[...request.headers].flat(), ...traceHeaders(request.headers)];
    if (listBytes(head) > HEAD_MAX_BYTES) throw new TypeError(`Cannot call ${url}: its headers are too large`);
    const { promise, resolve, reject } = Promise.withResolvers<Response>();
    this.#lastId = this.#lastId % 0xffff_fffe + 1;
    const id = this.#lastId;
    const leave = () => {
      reject(signal.reason);
      this.#calls.get(id)?.inbox?.fail(signal.reason);
      this.#giveUp(id);
    };
    signal.addEventListener("abort", leave, { once: true });
    const call: OwnCall = { url, signal, resolve, reject, leave, outbox: undefined, inbox: undefined };
    this.#calls.set(id, call);
    this.#begin(id, head, request.body === null ? 0 : FLAG.streamedBody);
    if (request.body !== null) void this.#sendBody(id, call, request.body.getReader());
    return await promise;
  }

  #begin(id: number, head: readonly string[], flags: number): void {
    const writer = this.#writer();
    writer.begin(FRAME.REQUEST | OF_CALL, id);
    const call = currentCall();
    writer.u8(withDepth(flags, call?.depth ?? 0));
    // The request on whose behalf it is made; 0 for code outside any.
    writer.u32(call?.id ?? 0);
    writer.sizedList(head);
    writer.end();
  }

  async #sendBody(id: number, call: OwnCall, reader: ReadableStreamDefaultReader<Uint8Array>): Promise<void> {
    const outbox = call.outbox = new BodyOutbox((piece) => {
      const writer = this.#writer();
      writer.begin(FRAME.BODY | OF_CALL, id);
      writer.bytes(piece);
      writer.end();
    });
    try {
      if (!await outbox.pump(reader, (chunk) => chunk as Uint8Array)) return await cancelQuietly(reader);
      this.#writer().begin(FRAME.BODY_END | OF_CALL, id);
      this.#writer().end();
    } catch (error) {
      call.reject(error);
      this.#giveUp(id);
    }
  }

  #giveUp(id: number): void {
    if (!this.#calls.has(id)) return;
    this.#calls.get(id)?.outbox?.stop();
    this.#forget(id);
    const writer = this.#writer();
    writer.begin(FRAME.ABORT | OF_CALL, id);
    writer.u8(ABORT_REASON.clientGone);
    writer.end();
  }

  #forget(id: number): void {
    const call = this.#calls.get(id);
    call?.signal.removeEventListener("abort", call.leave);
    this.#calls.delete(id);
  }
}

/** The next request, as the fetch standard has it. */
function redirected(request: Request, to: URL, status: number): Request {
  const isNowGet = status === 303 ? request.method !== "HEAD" : status < 303 && request.method === "POST";
  if (!isNowGet && request.body !== null) {
    throw new TypeError(`Cannot follow the redirect from ${request.url}: the body was already sent`);
  }
  const headers = new NativeHeaders(request.headers);
  if (to.origin !== new URL(request.url).origin) {
    for (const name of ["authorization", "cookie", "apikey"]) headers.delete(name);
  }
  return new NativeRequest(to, { method: isNowGet ? "GET" : request.method, headers, signal: request.signal });
}
