/**
 * What `fetch` has decoded must not go on as if it were still coded: a function that returns the answer of another server,
 * or copies its headers, would send plain bytes that say they are gzip.
 *
 * @module
 */

// Captured before user code runs.
const NativeHeaders = Headers;
const NativeRequest = Request;
const streamFrom = ReadableStream.from.bind(ReadableStream);
const { defineProperty } = Object;

type Bytes = Uint8Array<ArrayBuffer>;

/** What Deno's `fetch` decodes by itself. */
const DECODED = /^(gzip|br)$/i;
const STALE = ["content-encoding", "content-length"];

/** Takes the headers away that are about the coded body, where there was one. */
export function withoutCoding(response: Response, input: RequestInfo | URL, init: RequestInit | undefined): Response {
  const coding = response.headers.get("content-encoding");
  if (coding === null || !DECODED.test(coding) || response.body === null) return response;
  const { method, headers } = input instanceof NativeRequest ? input : { method: "GET", headers: undefined };
  if ((init?.method ?? method).toUpperCase() === "HEAD") return response;
  // Part of a body cannot be decoded, and is not.
  if (new NativeHeaders(init?.headers ?? headers).has("range")) return response;
  const kept = new NativeHeaders(response.headers);
  for (const name of STALE) kept.delete(name);
  return withHeaders(response, kept);
}

/** What another function answers comes as it is; `fetch` has to decode it as it would from outside. */
export function decoded(body: Bytes | ReadableStream<Bytes>, headers: Headers): Bytes | ReadableStream<Bytes> {
  if (headers.get("content-encoding")?.toLowerCase() !== "gzip") return body;
  for (const name of STALE) headers.delete(name);
  const stream = body instanceof Uint8Array ? streamFrom([body]) : body;
  return stream.pipeThrough(new DecompressionStream("gzip"));
}

function withHeaders(response: Response, headers: Headers): Response {
  const { clone } = response;
  defineProperty(response, "headers", { value: headers, configurable: true });
  defineProperty(response, "clone", {
    value: () => withHeaders(clone.call(response), new NativeHeaders(headers)),
    configurable: true,
  });
  return response;
}
