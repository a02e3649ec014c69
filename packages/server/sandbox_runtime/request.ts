// deno-lint-ignore-file no-console -- inside a sandbox the console is the log of the execution
/**
 * The request a handler gets: a web `Request` that costs nothing until one of its parts is used, and at the same
 * time the plain object of the guide.
 *
 * The object's prototype is `Request.prototype`, and the internal slots of a native Request are accessors that make
 * one on first use: so it is accepted wherever a Request is (`fetch(req)`, `new Request(req)`), and a handler that reads
 * only `method`, `url`, headers or a small body never pays for it. A native Request for each call halved the throughput.
 *
 * @module
 */
import { type Call, signalOf } from "./call.ts";
import { joinCall } from "./current_call.ts";
import { type BodySource, TextualBody } from "./textual_body.ts";

const NativeRequest = Request;
const NativeHeaders = Headers;
const decoder = new TextDecoder();
const strictDecoder = new TextDecoder("utf-8", { fatal: true });
const BODILESS = new Set(["GET", "HEAD"]);

/** The web face: handlers in the forms `export default { fetch }` and `Deno.serve`. */
export class FunctionRequest {
  readonly #call: Call;
  #native: Request | undefined;
  #headers: Headers | undefined;
  #isConsumed = false;

  constructor(call: Call) {
    this.#call = call;
  }

  get method(): string {
    return this.#call.method;
  }
  get url(): string {
    return this.#call.url;
  }
  get headers(): Headers {
    return this.#headers ??= this.#makeHeaders();
  }
  get signal(): AbortSignal {
    return signalOf(this.#call);
  }
  get body(): ReadableStream<Uint8Array<ArrayBuffer>> | string | null {
    return this.#toNative().body;
  }
  get bodyUsed(): boolean {
    return this.#native === undefined ? this.#isConsumed : this.#native.bodyUsed;
  }
  get params(): Record<string, string> {
    return paramsOf(this.#call.url);
  }
  /** Routers put their own there. */
  set params(value: unknown) {
    Object.defineProperty(this, "params", { value, writable: true, enumerable: true, configurable: true });
  }
  /** What Workers know of the connection: nothing, here. */
  get cf(): Record<string, unknown> {
    return {};
  }
  set cf(value: unknown) {
    Object.defineProperty(this, "cf", { value, writable: true, enumerable: true, configurable: true });
  }
  /** In one piece; frameworks put their own there. */
  get user(): { readonly id: string; readonly email: string | null; readonly role: string | null } | undefined {
    const { user_id: id, user_email: email = null, user_role: role = null } = this.#call.caller;
    return id === undefined ? undefined : { id, email, role };
  }
  set user(value: unknown) {
    Object.defineProperty(this, "user", { value, writable: true, enumerable: true, configurable: true });
  }
  get user_id(): string | undefined {
    return this.#call.caller.user_id;
  }
  get user_email(): string | undefined {
    return this.#call.caller.user_email;
  }
  get user_role(): string | undefined {
    return this.#call.caller.user_role;
  }
  get session_id(): string | undefined {
    return this.#call.caller.session_id;
  }
  /** Claims of the token beside these. */
  get user_claims(): Readonly<Record<string, unknown>> | undefined {
    return this.#call.caller.user_claims;
  }

  // deno-lint-ignore require-await
  async text(): Promise<string> {
    const bytes = this.#takeBytes();
    return bytes === undefined ? this.#toNative().text() : decoder.decode(bytes);
  }
  // deno-lint-ignore require-await
  async json(): Promise<unknown> {
    const bytes = this.#takeBytes();
    return bytes === undefined ? this.#toNative().json() : JSON.parse(decoder.decode(bytes));
  }
  // deno-lint-ignore require-await
  async bytes(): Promise<Uint8Array> {
    return this.#takeBytes() ?? this.#toNative().bytes();
  }
  // deno-lint-ignore require-await
  async arrayBuffer(): Promise<ArrayBuffer> {
    return this.#takeBytes()?.buffer ?? this.#toNative().arrayBuffer();
  }
  blob(): Promise<Blob> {
    return this.#toNative().blob();
  }
  formData(): Promise<FormData> {
    return this.#toNative().formData();
  }
  clone(): Request {
    return this.#toNative().clone();
  }

  /** Some servers put all requests into one queue: who takes one out of it goes on as part of it. */
  #makeHeaders(): Headers {
    joinCall(this.#call);
    return headersOf(this.#call.headerPairs);
  }

  /** The body if it is here whole and unused; marks it used. Undefined: ask the native request. */
  #takeBytes(): Uint8Array<ArrayBuffer> | undefined {
    const { body } = this.#call;
    if (this.#native !== undefined || this.#isConsumed) return undefined;
    joinCall(this.#call);
    if (body !== null && !(body instanceof Uint8Array)) return undefined;
    if (body !== null) this.#isConsumed = true;
    return body ?? new Uint8Array(0);
  }

  #toNative(): Request {
    if (this.#native !== undefined) return this.#native;
    const { method, url, body } = this.#call;
    const init: RequestInit = { method, headers: this.headers, signal: this.signal };
    if (body !== null && !BODILESS.has(method)) init.body = body instanceof Uint8Array ? body : body.stream;
    this.#native = new NativeRequest(url, init);
    if (this.#isConsumed) void this.#native.bytes();
    return this.#native;
  }

  /** Reads an internal slot of the native request; see the module comment. */
  static readSlot(request: FunctionRequest, slot: symbol): unknown {
    return Reflect.get(request.#toNative(), slot);
  }
  static writeSlot(request: FunctionRequest, slot: symbol, value: unknown): void {
    Reflect.set(request.#toNative(), slot, value);
  }
  static callOf(request: FunctionRequest): Call {
    return request.#call;
  }
  static streamOf(request: FunctionRequest): ReadableStream<Uint8Array<ArrayBuffer>> {
    return request.#toNative().body ?? new ReadableStream();
  }
  /** The body, if it is here whole and nobody has read it. */
  static unreadBytesOf(request: FunctionRequest): Uint8Array<ArrayBuffer> | undefined {
    const { body } = request.#call;
    const isUsed = request.#isConsumed || request.#native?.bodyUsed || request.#native?.body?.locked;
    return body instanceof Uint8Array && !isUsed ? body : undefined;
  }
}

/** The guide's face: `body` is the raw body as a string, header values are properties too. */
export class GuideRequest extends FunctionRequest {
  #text: string | undefined;
  #headers: Headers | undefined;

  override get body(): ReadableStream<Uint8Array<ArrayBuffer>> | string | null {
    return this.#text ??= textOf(FunctionRequest.callOf(this));
  }
  override get headers(): Headers {
    return this.#headers ??= withProperties(super.headers);
  }
}

/** The face for default-exported functions: the guide's, with a `body` that is a stream as well; null when it is empty. */
export class DefaultRequest extends GuideRequest {
  #body: TextualBody | null | undefined;

  override get body(): ReadableStream<Uint8Array<ArrayBuffer>> | null {
    if (this.#body === undefined) {
      const { body } = FunctionRequest.callOf(this);
      this.#body = body instanceof Uint8Array && body.length > 0 ? new TextualBody(new BodyOf(this)) : null;
    }
    return this.#body as ReadableStream<Uint8Array<ArrayBuffer>> | null;
  }
}

class BodyOf implements BodySource {
  readonly #request: FunctionRequest;
  #text: string | undefined;

  constructor(request: FunctionRequest) {
    this.#request = request;
  }

  text(): string {
    return this.#text ??= textOf(FunctionRequest.callOf(this.#request));
  }
  stream(): ReadableStream<Uint8Array<ArrayBuffer>> {
    return FunctionRequest.streamOf(this.#request);
  }
  unreadBytes(): Uint8Array<ArrayBuffer> | undefined {
    return FunctionRequest.unreadBytesOf(this.#request);
  }
}

let hasToldOfBytes = false;

/** Bytes that are no text never become one silently; told once, since the function is the same for each request. */
function textOf({ body }: Call): string {
  if (!(body instanceof Uint8Array)) return "";
  try {
    return strictDecoder.decode(body);
  } catch {
    if (!hasToldOfBytes) {
      console.warn(
        "The body of this request is not text in UTF-8, so req.body as text has lost bytes of it: use req.arrayBuffer() or req.bytes()",
      );
    }
    hasToldOfBytes = true;
    return decoder.decode(body);
  }
}

function headersOf(pairs: readonly string[]): Headers {
  const headers = new NativeHeaders();
  for (let index = 0; index + 1 < pairs.length; index += 2) headers.append(pairs[index] ?? "", pairs[index + 1] ?? "");
  return headers;
}

/** Adds `headers["x-api-key"]` beside `headers.get("x-api-key")`; names that are methods of Headers stay methods. */
function withProperties(headers: Headers): Headers {
  for (const [name, value] of headers) {
    if (name in headers) continue;
    Object.defineProperty(headers, name, { value, enumerable: true, configurable: true, writable: true });
  }
  return headers;
}

function paramsOf(url: string): Record<string, string> {
  const query = url.indexOf("?");
  return query < 0 ? {} : Object.fromEntries(new URLSearchParams(url.slice(query)));
}

Object.setPrototypeOf(FunctionRequest.prototype, NativeRequest.prototype);
for (const slot of Object.getOwnPropertySymbols(new NativeRequest("http://localhost/"))) {
  Object.defineProperty(FunctionRequest.prototype, slot, {
    get(this: FunctionRequest) {
      return FunctionRequest.readSlot(this, slot);
    },
    set(this: FunctionRequest, value: unknown) {
      FunctionRequest.writeSlot(this, slot, value);
    },
    configurable: true,
  });
}
