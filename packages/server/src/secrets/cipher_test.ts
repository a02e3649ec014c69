/**
 * What is sealed opens only under the same key, for the same place, and unchanged.
 *
 * @module
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { Secret } from "../core/secret.ts";
import { createCipher } from "./cipher.ts";

const keyOf = (byte: number) => new Secret(new Uint8Array(32).fill(byte).toBase64());
const PLACE = { purpose: "environment", owner: "default/a", name: "env" };

Deno.test("any text comes back; equal texts look different", async () => {
  const cipher = await createCipher(keyOf(1));
  await fc.assert(
    fc.asyncProperty(fc.string({ unit: "binary" }), async (text) => {
      assert.equal(await cipher.open(await cipher.seal(text, PLACE), PLACE), text);
    }),
    { numRuns: 50 },
  );
  assert.notDeepEqual(await cipher.seal("x", PLACE), await cipher.seal("x", PLACE));
  assert.equal(await cipher.fingerprint("x"), await cipher.fingerprint("x"));
  assert.notEqual(await cipher.fingerprint("x"), await (await createCipher(keyOf(2))).fingerprint("x"));
});

Deno.test("another key, another place or a changed byte does not open it", async () => {
  const cipher = await createCipher(keyOf(1));
  const sealed = await cipher.seal("value", PLACE);
  await assert.rejects((await createCipher(keyOf(2))).open(sealed, PLACE), /another FLUXBASE_ENCRYPTION_KEY/);
  for (const other of [{ ...PLACE, owner: "default/b" }, { ...PLACE, name: "e" }, { ...PLACE, purpose: "secret" }]) {
    await assert.rejects(cipher.open(sealed, other), /changed or belongs elsewhere/);
  }
  for (let index = 0; index < sealed.length; index += 1) {
    const changed = sealed.slice();
    changed[index] = (changed[index] ?? 0) ^ 1;
    await assert.rejects(cipher.open(changed, PLACE));
  }
  await assert.rejects(cipher.open(sealed.slice(0, 10), PLACE), /not a sealed value/);
});

Deno.test("a secret cannot be printed by accident", () => {
  const secret = new Secret("topsecret");
  const shown = [String(secret), JSON.stringify({ secret }), Deno.inspect({ secret }), `${secret}`];
  for (const text of shown) assert.doesNotMatch(text, /topsecret/);
});
