/**
 * From what a handler returned to status, headers and body.
 *
 * @module
 */
import { jsonText } from "./json_text.ts";
import { TextualBody } from "./textual_body.ts";

export interface Answer {
  readonly status: number;
  /** Names and values in turn; repeated names stay repeated. */
  readonly headers: readonly string[];
  readonly body: Uint8Array | string | ReadableStream<Uint8Array> | null;
}

// Captured before user code runs.
const { get } = Reflect;
const { keys } = Object;
const { isArray } = Array;
const { isView } = ArrayBuffer;
const { asyncIterator } = Symbol;
const fromBase64 = Uint8Array.fromBase64.bind(Uint8Array);
const streamFrom = ReadableStream.from.bind(ReadableStream);
const NativeResponse = Response;
const NativeHeaders = Headers;
const NativeError = Error;
/** Above any limit that a server sets: more are not even collected. */
const HEADERS_MAX_COUNT = 1_000;
const NO_HEADERS: Answer["headers"] = [];
const NO_CONTENT: Answer = { status: 204, headers: NO_HEADERS, body: null };
const JSON_HEADERS: Answer["headers"] = ["content-type", "application/json"];

/**
 * Accepts a Response, the guide's `{status, headers?, body?}`, Lambda's `{statusCode, …}`, what a Response takes as body
 * (bytes, a stream, a Blob, a form), any other value (JSON), undefined or null (204). A returned Error is a failure.
 */
export function toAnswer(result: unknown): Answer {
  if (typeof result !== "object") {
    return result === undefined ? NO_CONTENT : { status: 200, headers: JSON_HEADERS, body: jsonText(result) };
  }
  if (result === null) return NO_CONTENT;
  if (result instanceof NativeResponse) return fromResponse(result);
  if (result instanceof NativeError) throw result;
  return fromParts(partsOf(result) ?? { status: 200, headers: NO_HEADERS, body: result });
}

function fromResponse(response: Response): Answer {
  if (response.type === "error") throw new TypeError("Cannot answer with Response.error(): it has no status");
  if (response.bodyUsed) throw new TypeError("Cannot answer with this Response: its body was already read");
  return { status: checkStatus(response.status), headers: textsOf(response.headers), body: response.body };
}

interface Parts {
  readonly status: number;
  /** Names and values in turn. */
  readonly headers: readonly string[];
  readonly body: unknown;
}

/** Fields that say no more than a status does. */
const ABOUT_STATUS: ReadonlySet<string> = new Set(["status", "statusText", "headers", "body"]);
const OF_LAMBDA: ReadonlySet<string> = new Set([
  "statusCode",
  "headers",
  "multiValueHeaders",
  "cookies",
  "body",
  "isBase64Encoded",
]);

/**
 * An object with a numeric `status` is an answer, whatever else it carries. Where it has neither `body` nor `headers`, its
 * other fields are what it has to say, so the body is all of it. Without a body, a number that is no status of HTTP is
 * data, such as the state of a row.
 */
function partsOf(value: object): Parts | undefined {
  const code: unknown = get(value, "statusCode");
  if (code !== undefined) {
    const parts = lambdaParts(value, code);
    if (parts !== undefined) return parts;
  }
  const status: unknown = get(value, "status");
  if (typeof status !== "number" || isArray(value)) return undefined;
  const headers: unknown = get(value, "headers");
  const body: unknown = get(value, "body");
  if (body === undefined && !saysNoMoreThan(ABOUT_STATUS, value)) {
    if (!isStatus(status)) return undefined;
    if (headers === undefined) return { status, headers: NO_HEADERS, body: value };
  }
  return { status, headers: textsOf(headers), body };
}

function lambdaParts(value: object, code: unknown): Parts | undefined {
  const status = typeof code === "string" && /^\d{3}$/.test(code) ? Number(code) : code;
  if (typeof status !== "number") return undefined;
  const headers = [...textsOf(get(value, "headers")), ...textsOf(get(value, "multiValueHeaders"))];
  const cookies: unknown = get(value, "cookies");
  if (isArray(cookies)) { for (const cookie of cookies) headers.push("set-cookie", String(cookie)); }
  let body: unknown = get(value, "body");
  if (body === undefined && !saysNoMoreThan(OF_LAMBDA, value)) body = value;
  if (typeof body === "string" && get(value, "isBase64Encoded") === true) body = bytesOfBase64(body);
  return { status, headers, body };
}

function saysNoMoreThan(names: ReadonlySet<string>, value: object): boolean {
  return keys(value).every((name) => names.has(name));
}

function bytesOfBase64(text: string): Uint8Array<ArrayBuffer> {
  try {
    return fromBase64(text);
  } catch {
    throw new TypeError("Cannot answer with this body: isBase64Encoded is true, and it is not base64");
  }
}

function fromParts({ status, headers, body }: Parts): Answer {
  checkStatus(status);
  if (body === undefined || body === null) return { status, headers, body: null };
  if (typeof body === "string") return { status, headers: withType(headers, "text/plain;charset=UTF-8"), body };
  if (typeof body === "object") {
    if (TextualBody.isOne(body)) return fromTextual(body, { status, headers });
    const streamed = bodyOf(body);
    if (streamed !== undefined) return fromBody(streamed, { status, headers });
    if (body instanceof NativeError) throw body;
  }
  return { status, headers: withType(headers, "application/json"), body: jsonText(body) };
}

/** The body of the request goes back as it came. */
function fromTextual(body: TextualBody, { status, headers }: Pick<Answer, "status" | "headers">): Answer {
  const source = TextualBody.sourceOf(body);
  return {
    status,
    headers: withType(headers, "text/plain;charset=UTF-8"),
    body: source.unreadBytes() ?? source.stream(),
  };
}

/** Of a Response too: a function may have put another number in its place. */
function checkStatus(status: number): number {
  if (isStatus(status)) return status;
  throw new RangeError(`Cannot answer with status ${String(status)}: it must be an integer from 200 to 599`);
}

function isStatus(status: number): boolean {
  return Number.isInteger(status) && status >= 200 && status <= 599;
}

/** The type of a form or a Blob is the one that a Response gives it. */
function fromBody(body: BodyInit, { status, headers }: Pick<Answer, "status" | "headers">): Answer {
  const response = new NativeResponse(body);
  const type = response.headers.get("content-type");
  return { status, headers: type === null ? headers : withType(headers, type), body: response.body };
}

const BODY_CLASSES = [Uint8Array, ReadableStream, ArrayBuffer, Blob, FormData, URLSearchParams];

/** What a Response takes as its body, or an async iterable of chunks, such as a stream of Node or an async generator. */
function bodyOf(value: object): BodyInit | undefined {
  if (BODY_CLASSES.some((bodyClass) => value instanceof bodyClass) || isView(value)) return value as BodyInit;
  return asyncIterator in value ? streamFrom(value as AsyncIterable<Uint8Array>) : undefined;
}

function withType(headers: readonly string[], type: string): readonly string[] {
  const hasType = headers.some((text, index) => index % 2 === 0 && text.toLowerCase() === "content-type");
  return hasType ? headers : [...headers, "content-type", type];
}

/** Of `Headers`, of a list of pairs, or of an object. Whether they may leave is checked when they do. */
function textsOf(headers: unknown): string[] {
  const texts: string[] = [];
  if (headers === undefined || headers === null) return texts;
  if (typeof headers !== "object") throw new TypeError(`Cannot use ${typeof headers} as headers: it must be an object`);
  if (headers instanceof NativeHeaders) {
    headers.forEach((value, name) => void texts.push(name, value));
    return texts;
  }
  if (Symbol.iterator in headers) {
    for (const pair of headers as Iterable<unknown>) {
      if (!Array.isArray(pair) || pair.length !== 2) {
        throw new TypeError("Cannot use the list as headers: each item must be a pair of name and value");
      }
      texts.push(String(pair[0]), String(pair[1]));
    }
    return texts;
  }
  for (const name of Object.keys(headers)) {
    const value: unknown = Reflect.get(headers, name);
    if (value === undefined || value === null) continue;
    if (texts.length > 2 * HEADERS_MAX_COUNT) {
      throw new TypeError(`Cannot answer with more than ${HEADERS_MAX_COUNT} headers`);
    }
    // A list gives one header line per item: the only way to set several cookies from a plain object.
    for (const item of Array.isArray(value) ? value : [value]) texts.push(name, String(item));
  }
  return texts;
}
