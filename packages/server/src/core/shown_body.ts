/**
 * Bodies within JSON: as text where they are text.
 *
 * @module
 */
import type { ShownBody } from "@fluxbase/contract";

/** `isCut`: there was more before. */
export function shownBody(
  bytes: Uint8Array,
  { isCut, maxBytes }: { readonly isCut: boolean; readonly maxBytes: number },
): ShownBody {
  const some = bytes.subarray(0, maxBytes);
  const facts = { bytes: bytes.length, is_cut: isCut || bytes.length > maxBytes };
  try {
    return { ...facts, encoding: "utf8", content: new TextDecoder("utf-8", { fatal: true }).decode(some) };
  } catch {
    return { ...facts, encoding: "base64", content: some.toBase64() };
  }
}
