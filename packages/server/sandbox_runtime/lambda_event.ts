/**
 * The event that functions of AWS Lambda and Netlify get, beside what the guide's request has: fields of both versions of
 * API Gateway's form.
 *
 * @module
 */
import type { Call } from "./call.ts";
import { GuideRequest } from "./request.ts";

// Captured before user code runs.
const { defineProperty, entries, fromEntries } = Object;
const strictDecoder = new TextDecoder("utf-8", { fatal: true });
const NativeURL = URL;

/** Its fields are its own, as middleware expects that changes them or lists them. */
export class LambdaEvent extends GuideRequest {
  constructor(call: Call) {
    super(call);
    const { method, url, headers } = this;
    const { pathname: path, search, searchParams, host } = new NativeURL(url);
    const sourceIp = headers.get("x-forwarded-for") ?? "127.0.0.1";
    const userAgent = headers.get("user-agent") ?? "";
    const fields = {
      version: "2.0",
      httpMethod: method,
      path,
      rawPath: path,
      rawQueryString: search.slice(1),
      rawUrl: url,
      headers: withUsualNames(headers),
      multiValueHeaders: fromEntries([...headers].map(([name, value]) => [name, [value]])),
      cookies: headers.get("cookie")?.split(/;\s*/).filter((cookie) => cookie !== "") ?? [],
      queryStringParameters: fromEntries(searchParams),
      multiValueQueryStringParameters: fromEntries(
        [...searchParams.keys()].map((name) => [name, searchParams.getAll(name)]),
      ),
      pathParameters: { proxy: path.slice(1) },
      requestContext: {
        requestId: call.executionId,
        domainName: host,
        httpMethod: method,
        path,
        stage: "$default",
        identity: { sourceIp, userAgent },
        http: { method, path, protocol: "HTTP/1.1", sourceIp, userAgent },
      },
      ...bodyOf(call),
    };
    for (const [name, value] of entries(fields)) {
      defineProperty(this, name, { value, writable: true, enumerable: true, configurable: true });
    }
  }
}

/** Null when there is none; base64 where it is no text. */
function bodyOf({ body }: Call): { readonly body: string | null; readonly isBase64Encoded: boolean } {
  if (!(body instanceof Uint8Array) || body.length === 0) return { body: null, isBase64Encoded: false };
  try {
    return { body: strictDecoder.decode(body), isBase64Encoded: false };
  } catch {
    return { body: body.toBase64(), isBase64Encoded: true };
  }
}

/** In lower case as with the guide, and, unseen by who lists them, as senders write them: `event.headers.Authorization`. */
function withUsualNames(headers: Headers): Headers {
  for (const [name, value] of headers) {
    const usual = name.replaceAll(/(?<=^|-)[a-z]/g, (letter) => letter.toUpperCase());
    if (!(usual in headers)) defineProperty(headers, usual, { value, writable: true, configurable: true });
  }
  return headers;
}

/** What only reads an event of Lambda: its fields, or the name that everybody gives it. */
const OF_LAMBDA =
  /^(?:async\s+)?(?:function\b[^(]*)?\(?\s*_*(?:event|evt)\w*\b|\b(?:httpMethod|queryStringParameters|rawPath|rawQueryString|multiValueHeaders|pathParameters|requestContext)\b|\.\s*isBase64Encoded\b/;

/** Asked of the handler's own source, since nothing else tells. */
export function asksForLambdaEvent(handler: (...values: never[]) => unknown): boolean {
  return OF_LAMBDA.test(Function.prototype.toString.call(handler));
}

type Callback = (error: unknown, result?: unknown) => void;

/** `handler(event, context, callback)`: what it returns counts, or what it hands to the callback. */
export function withCallback(
  handle: (event: unknown, context: unknown, callback: Callback) => unknown,
): (event: unknown, context: unknown) => unknown {
  return (event, context) =>
    new Promise((resolve, reject) => {
      const returned = handle(event, context, (error, result) => {
        if (error === null || error === undefined) resolve(result);
        else reject(error);
      });
      if (returned !== undefined) resolve(returned);
    });
}
