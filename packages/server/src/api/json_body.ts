/**
 * Reads a JSON body: bounded, strictly UTF-8, and with an error that says where it stops being JSON.
 *
 * @module
 */
import { PlatformError } from "@fluxbase/contract";
import { clientClosed } from "../core/client_closed.ts";
import { withDeadline } from "../core/clock.ts";

export interface BodyLimits {
  readonly maxBytes: number;
  /** From the head of the request to the last byte of its body. */
  readonly deadlineMs: number;
}

const decoder = new TextDecoder("utf-8", { fatal: true });

/** @throws {PlatformError} BODY_TOO_LARGE, REQUEST_TIMEOUT, CLIENT_CLOSED_REQUEST, INVALID_JSON */
export async function readJsonBody(request: Request, limits: BodyLimits): Promise<unknown> {
  const text = await readTextBody(request, limits);
  if (text === "") throw invalidJson("it is empty");
  try {
    return JSON.parse(text);
  } catch (error) {
    throw invalidJson(error instanceof Error ? error.message.slice(0, 200) : "it cannot be parsed");
  }
}

/** @throws {PlatformError} as `readJsonBody`; INVALID_JSON when it is not UTF-8 */
export async function readTextBody(request: Request, { maxBytes, deadlineMs }: BodyLimits): Promise<string> {
  const bytes = await withDeadline(readBytes(request, maxBytes), deadlineMs, () => tooSlow(deadlineMs));
  try {
    return decoder.decode(bytes);
  } catch {
    throw invalidJson("it is not valid UTF-8");
  }
}

/** Of a request that may come without one: that is an object without fields. */
export async function optionalBody(call: { text(): Promise<string> }): Promise<unknown> {
  const sent = await call.text();
  try {
    return sent.trim() === "" ? {} : JSON.parse(sent);
  } catch {
    throw invalidJson("it is no JSON");
  }
}

async function readBytes(request: Request, maxBytes: number): Promise<Uint8Array> {
  const announced = Number(request.headers.get("content-length") ?? 0);
  if (announced > maxBytes) throw tooLarge(maxBytes);
  const chunks: Uint8Array[] = [];
  let byteCount = 0;
  try {
    for await (const chunk of request.body ?? []) {
      byteCount += chunk.length;
      if (byteCount > maxBytes) throw tooLarge(maxBytes);
      chunks.push(chunk);
    }
  } catch (error) {
    // Nothing but the end of the connection makes a body unreadable.
    throw error instanceof PlatformError ? error : clientClosed();
  }
  const all = new Uint8Array(byteCount);
  let offset = 0;
  for (const chunk of chunks) {
    all.set(chunk, offset);
    offset += chunk.length;
  }
  return all;
}

function tooSlow(limit: number): PlatformError {
  return new PlatformError(
    "REQUEST_TIMEOUT",
    `Cannot wait for the request body any longer: it did not come within ${limit} ms`,
    {
      details: { limit },
    },
  );
}

function tooLarge(limit: number): PlatformError {
  return new PlatformError("BODY_TOO_LARGE", `Cannot accept the request body: it is larger than ${limit} bytes`, {
    details: { limit },
  });
}

function invalidJson(why: string): PlatformError {
  return new PlatformError("INVALID_JSON", `Cannot read the request body as JSON: ${why}`);
}
