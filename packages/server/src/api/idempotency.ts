/**
 * Changes with an `Idempotency-Key`: sent again by the same caller to the same path they get the answer of the first
 * time, for a day, and nothing is done twice.
 *
 * Only what succeeded is kept: what failed may be tried again with the same key.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { PlatformError } from "@fluxbase/contract";
import type { Cipher, SealContext } from "../secrets/cipher.ts";
import type { Db } from "../storage/db.ts";
import { claimRequest, forgetRequest, keepAnswer } from "../storage/idempotent_requests.ts";
import type { ApiAnswer, ApiCall } from "./route.ts";

export interface Idempotency {
  /** The answer of the work, or that of the first time. */
  once(call: ApiCall, path: string, work: (call: ApiCall) => Promise<ApiAnswer>): Promise<ApiAnswer>;
}

export const IDEMPOTENCY_HEADER = "idempotency-key";
const KEY = /^[\x21-\x7e]{1,255}$/;
const KEPT_SEC = 86_400;
/** Longer than any change takes. */
const ABANDONED_SEC = 300;

/** An answer that is moved to another request in the database opens no more. */
function contextOf(place: Uint8Array): SealContext {
  return { purpose: "idempotent answer", owner: "", name: place.toHex() };
}

export function createIdempotency({ db, cipher }: { readonly db: Db; readonly cipher: Cipher }): Idempotency {
  return {
    async once(call, path, work) {
      const key = call.headers.get(IDEMPOTENCY_HEADER) ?? "";
      if (!KEY.test(key)) {
        throw new PlatformError(
          "INVALID_ARGUMENT",
          "Cannot use the Idempotency-Key: it must have 1 to 255 printable characters without spaces",
        );
      }
      const text = await call.text();
      const { kind, userId, keyId, role } = call.caller;
      const place = hashOf([kind, userId ?? keyId ?? role, call.method, path, key]);
      const bodyHash = hashOf([text]);
      const known = await claimRequest(db, { place, bodyHash }, { abandonedSec: ABANDONED_SEC, keptSec: KEPT_SEC });
      if (known !== undefined) return await again(known, { place, bodyHash });
      try {
        const answer = await work({ ...call, text: () => Promise.resolve(text), body: () => bodyOf(text) });
        await keepAnswer(db, place, await cipher.seal(JSON.stringify(answer), contextOf(place)));
        return answer;
      } catch (error) {
        await forgetRequest(db, place);
        throw error;
      }
    },
  };

  async function again(
    known: { readonly bodyHash: Uint8Array; readonly answer: Uint8Array | null },
    { place, bodyHash }: { readonly place: Uint8Array; readonly bodyHash: Uint8Array },
  ): Promise<ApiAnswer> {
    if (Uint8Array.from(known.bodyHash).toHex() !== Uint8Array.from(bodyHash).toHex()) {
      throw new PlatformError(
        "IDEMPOTENCY_MISMATCH",
        "Cannot use this Idempotency-Key: it came with another body before; use a new key for another request",
      );
    }
    if (known.answer === null) {
      throw new PlatformError(
        "IDEMPOTENCY_IN_PROGRESS",
        "Cannot answer yet: the first request with this Idempotency-Key still runs; try again in a moment",
        { details: { retry_after: 1 } },
      );
    }
    const { headers = [], ...answer }: ApiAnswer = JSON.parse(await cipher.open(known.answer, contextOf(place)));
    return { ...answer, headers: [...headers, ["idempotent-replayed", "true"]] };
  }
}

function bodyOf(text: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    try {
      resolve(JSON.parse(text));
    } catch (error) {
      const why = text === "" ? "it is empty" : error instanceof Error ? error.message.slice(0, 200) : "it is no JSON";
      reject(new PlatformError("INVALID_JSON", `Cannot read the request body as JSON: ${why}`));
    }
  });
}

/** As JSON, so that no part runs into the next. */
function hashOf(parts: readonly unknown[]): Uint8Array {
  return Uint8Array.from(createHash("sha256").update(JSON.stringify(parts)).digest());
}
