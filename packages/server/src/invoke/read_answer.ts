/**
 * The body of an answer that nobody waits for.
 *
 * @module
 */
import { ByteBuffer } from "../../sandbox_runtime/byte_buffer.ts";
import type { SandboxResponse } from "../sandbox/exchange.ts";

export interface ReadAnswer {
  /** Of a larger one a little more than `maxBytes`. */
  readonly bytes: Uint8Array;
  readonly isCut: boolean;
}

/** `rest`: "take" lets the function finish what it sends, "cancel" ends it there. */
export async function readAnswer(
  { body }: SandboxResponse,
  { maxBytes, rest }: { readonly maxBytes: number; readonly rest: "take" | "cancel" },
): Promise<ReadAnswer> {
  if (!(body instanceof ReadableStream)) {
    const bytes = typeof body === "string" ? new TextEncoder().encode(body) : body ?? new Uint8Array();
    return { bytes, isCut: bytes.length > maxBytes };
  }
  const buffer = new ByteBuffer();
  for await (const chunk of body) {
    if (buffer.bytes.length <= maxBytes) buffer.add(chunk);
    if (rest === "cancel" && buffer.bytes.length > maxBytes) break;
  }
  return { bytes: buffer.bytes, isCut: buffer.bytes.length > maxBytes };
}
