/**
 * What `fetch` has decoded must not go on as if it were still coded: a function that returns the answer of another server,
 * or copies its headers, would send plain bytes that say they are gzip.
 *
 * @module
 */

// Captured before user code runs.
const NativeHeaders = Headers;
const NativeRequest = Request;
const { defineProperty } = Object;

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

function withHeaders(response: Response, headers: Headers): Response {
  const { clone } = response;
  defineProperty(response, "headers", { value: headers, configurable: true });
  defineProperty(response, "clone", {
    value: () => withHeaders(clone.call(response), new NativeHeaders(headers)),
    configurable: true,
  });
  return response;
}
