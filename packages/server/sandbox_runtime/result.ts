/**
 * From what a handler returned to status, headers and body.
 *
 * @module
 */

export interface Answer {
  readonly status: number;
  /** Name and value pairs; repeated names stay repeated. */
  readonly headers: readonly (readonly [string, string])[];
  readonly body: Uint8Array | string | ReadableStream<Uint8Array> | null;
}

const NativeResponse = Response;
const NativeHeaders = Headers;
const NO_HEADERS: Answer["headers"] = [];
const JSON_HEADERS: Answer["headers"] = [["content-type", "application/json"]];

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
  return { status: response.status, headers: [...response.headers], body: response.body };
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
  const status = result.status ?? 200;
  if (!Number.isInteger(status) || status < 200 || status > 599) {
    throw new RangeError(`Cannot answer with status ${status}: it must be an integer from 200 to 599`);
  }
  const { body } = result;
  const headers = pairsOf(result.headers);
  if (body === undefined || body === null) return { status, headers, body: null };
  if (typeof body === "string") return { status, headers: withType(headers, "text/plain;charset=UTF-8"), body };
  if (isBody(body)) return fromResponse(new NativeResponse(body, { status, headers }));
  return { status, headers: withType(headers, "application/json"), body: toJson(body) };
}

const BODY_CLASSES = [Uint8Array, ReadableStream, ArrayBuffer, DataView, Blob, FormData, URLSearchParams];

function isBody(value: unknown): value is BodyInit {
  return BODY_CLASSES.some((bodyClass) => value instanceof bodyClass);
}

function withType(headers: [string, string][], type: string): [string, string][] {
  const hasType = headers.some(([name]) => name.toLowerCase() === "content-type");
  return hasType ? headers : [...headers, ["content-type", type]];
}

function pairsOf(headers: unknown): [string, string][] {
  if (headers === undefined || headers === null) return [];
  if (typeof headers !== "object") throw new TypeError(`Cannot use ${typeof headers} as headers: it must be an object`);
  if (Symbol.iterator in headers) return [...new NativeHeaders(headers as Iterable<string[]>)];
  const pairs: [string, string][] = [];
  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined || value === null) continue;
    // A list gives one header line per item: the only way to set several cookies from a plain object.
    for (const item of Array.isArray(value) ? value : [value]) pairs.push([name, String(item)]);
  }
  return pairs;
}

function toJson(value: unknown): string {
  const text = JSON.stringify(value);
  if (text === undefined) throw new TypeError(`Cannot answer with a ${typeof value}: it has no JSON form`);
  return text;
}
