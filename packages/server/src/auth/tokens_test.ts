/**
 * Tokens that an attacker would try, each refused, and headers of tokens that change nothing.
 *
 * @module
 */
import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { type JWTHeaderParameters, SignJWT } from "jose";
import { Secret } from "../core/secret.ts";
import { createTokens } from "./tokens.ts";

const SECRET = "a secret of the test that is long enough";
const encoder = new TextEncoder();
const tokens = createTokens(new Secret(SECRET));

function mint(header: Partial<JWTHeaderParameters>, { claims = {}, key = SECRET } = {}): Promise<string> {
  return new SignJWT({ role: "authenticated", sub: "u1", ...claims }).setProtectedHeader({ alg: "HS256", ...header })
    .setExpirationTime("1h").sign(encoder.encode(key));
}

const POINTERS: readonly Partial<JWTHeaderParameters>[] = [
  { kid: "../../../../dev/null" },
  { kid: "https://attacker.example/key" },
  { kid: "x' UNION SELECT 'attacker" },
  { jku: "https://attacker.example/jwks.json" },
  { x5u: "https://attacker.example/cert.pem" },
  { jwk: { kty: "oct", x: encoder.encode("attacker").toBase64() } },
];

for (const header of POINTERS) {
  Deno.test(`${JSON.stringify(header)} in a token names no other key`, async () => {
    const forged = await mint(header, { key: "attacker" });
    await assert.rejects(tokens.verify(forged), { code: "INVALID_CREDENTIAL", message: /signature does not match/ });
    assert.equal((await tokens.verify(await mint(header))).caller.userId, "u1");
  });
}

Deno.test("HS256 signed with a public RSA key is refused", async () => {
  const { publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const forged = await mint({}, { key: publicKey.export({ type: "spki", format: "pem" }).toString() });
  await assert.rejects(tokens.verify(forged), { code: "INVALID_CREDENTIAL" });
});

Deno.test("a token of another issuer is refused, though its signature is right", async () => {
  const foreign = await mint({}, { claims: { iss: "https://attacker.example" } });
  await assert.rejects(tokens.verify(foreign), { code: "INVALID_CREDENTIAL", message: /issuer is not accepted/ });
});
