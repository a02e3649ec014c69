/**
 * From what a handler returned to status, headers and body.
 *
 * @module
 */

export interface Answer {
  readonly status: number;
  /** Names and values in turn; repeated names stay repeated. */
  readonly headers: readonly string[];
  readonly body: Uint8Array | string | ReadableStream<Uint8Array> | null;
}

const NativeResponse = Response;
const NativeHeaders = Headers;
/** Above any limit that a server sets: more are not even collected. */
const HEADERS_MAX_COUNT = 1_000;
const NO_HEADERS: Answer["headers"] = [];
const JSON_HEADERS: Answer["headers"] = ["content-type", "application/json"];

/**
 * Accepts a Response, the guide's `{status, headers?, body?}`, what a Response takes as body (bytes, a stream, a Blob, a
 * form), any other value (JSON), undefined or null (204).
 */
export function toAnswer(result: unknown): Answer {
  if (result === undefined || result === null) return { status: 204, headers: NO_HEADERS, body: null };
  if (result instanceof NativeResponse) return fromResponse(result);
  if (isGuideResult(result)) return fromGuideResult(result);
  if (isBody(result)) return fromGuideResult({ body: result });
  return { status: 200, headers: JSON_HEADERS, body: toJson(result) };
}

function fromResponse(response: Response): Answer {
  if (response.type === "error") throw new TypeError("Cannot answer with Response.error(): it has no status");
  if (response.bodyUsed) throw new TypeError("Cannot answer with this Response: its body was already read");
  return { status: checkStatus(response.status), headers: textsOf(response.headers), body: response.body };
}

interface GuideResult {
  readonly status?: number;
  readonly headers?: unknown;
  readonly body?: unknown;
}

/** An object is the guide's answer when it has a numeric status and nothing but the guide's names. */
function isGuideResult(value: unknown): value is GuideResult {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  if (typeof Reflect.get(value, "status") !== "number") return false;
  return Object.keys(value).every((key) => key === "status" || key === "headers" || key === "body");
}

function fromGuideResult(result: GuideResult): Answer {
  const status = checkStatus(result.status ?? 200);
  const { body } = result;
  const headers = textsOf(result.headers);
  if (body === undefined || body === null) return { status, headers, body: null };
  if (typeof body === "string") return { status, headers: withType(headers, "text/plain;charset=UTF-8"), body };
  if (isBody(body)) return fromBody(body, { status, headers });
  return { status, headers: withType(headers, "application/json"), body: toJson(body) };
}

/** Of a Response too: a function may have put another number in its place. */
function checkStatus(status: number): number {
  if (Number.isInteger(status) && status >= 200 && status <= 599) return status;
  throw new RangeError(`Cannot answer with status ${String(status)}: it must be an integer from 200 to 599`);
}

/** The type of a form or a Blob is the one that a Response gives it. */
function fromBody(body: BodyInit, { status, headers }: Pick<Answer, "status" | "headers">): Answer {
  const response = new NativeResponse(body);
  const type = response.headers.get("content-type");
  return { status, headers: type === null ? headers : withType(headers, type), body: response.body };
}

const BODY_CLASSES = [Uint8Array, ReadableStream, ArrayBuffer, DataView, Blob, FormData, URLSearchParams];

function isBody(value: unknown): value is BodyInit {
  return BODY_CLASSES.some((bodyClass) => value instanceof bodyClass);
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

function toJson(value: unknown): string {
  const text = JSON.stringify(value);
  if (text === undefined) throw new TypeError(`Cannot answer with a ${typeof value}: it has no JSON form`);
  return text;
}
