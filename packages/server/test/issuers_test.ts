/**
 * Tokens of another issuer: good ones of each algorithm, and every way to pretend.
 *
 * @module
 */
import assert from "node:assert/strict";
import { exportJWK, exportSPKI, generateKeyPair, type JWTPayload, SignJWT } from "jose";
import { eventually, platformTest, type TestPlatform, withTestPlatform } from "./support/platform.ts";

const ISSUER = "https://login.example.com/";
const WHO = `export default (req) => [req.user_id, req.user_email, req.user_role];`;
const ALGORITHMS = ["RS256", "ES256", "EdDSA"] as const;

/** What an issuer publishes; it may be away, and others may be asked for by nobody. */
function startIssuerServer() {
  const state = { keys: [] as unknown[], isAway: false, askedPaths: [] as string[] };
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, (request) => {
    state.askedPaths.push(new URL(request.url).pathname);
    return state.isAway ? new Response(null, { status: 503 }) : Response.json({ keys: state.keys });
  });
  return { state, url: `http://127.0.0.1:${server.addr.port}`, [Symbol.asyncDispose]: () => server.shutdown() };
}

async function makeKey(alg: string, kid: string) {
  const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true });
  return { alg, kid, privateKey, publicKey, jwk: { ...await exportJWK(publicKey), kid, alg, use: "sig" } };
}

const inAnHour = () => Math.floor(Date.now() / 1000) + 3_600;

function claims(more: JWTPayload = {}): JWTPayload {
  return { iss: ISSUER, aud: "our-api", sub: "user-7", email: "u@example.com", exp: inAnHour(), ...more };
}

const call = async (platform: TestPlatform, token: string) => {
  const response = await platform.call("who", { headers: { authorization: `Bearer ${token}` } });
  const text = await response.text();
  return { status: response.status, body: text === "" ? undefined : JSON.parse(text) };
};

Deno.test("tokens of another issuer", async (test) => {
  await using issuer = startIssuerServer();
  const keys = await Promise.all(ALGORITHMS.map((alg) => makeKey(alg, `key-${alg}`)));
  issuer.state.keys = keys.map(({ jwk }) => jwk);
  const [rsa] = keys;
  assert.ok(rsa !== undefined);
  const sign = (payload: JWTPayload, { alg, kid, privateKey } = rsa, header: Record<string, unknown> = {}) =>
    new SignJWT(payload).setProtectedHeader({ alg, kid, ...header }).sign(privateKey);
  const env = {
    FLUXBASE_AUTH_ISSUER: ISSUER,
    FLUXBASE_AUTH_ISSUER_JWKS_URL: `${issuer.url}/keys`,
    FLUXBASE_AUTH_ISSUER_AUDIENCE: "our-api",
    FLUXBASE_RATE_LIMIT_FAILURES_PER_MINUTE: "100000",
  };
  await withTestPlatform(async (platform) => {
    const step = (name: string, fn: () => Promise<void>) =>
      test.step({ name, fn, sanitizeOps: false, sanitizeResources: false });
    await platform.deploy("who", WHO, { allow_unauthenticated: true });

    await step("each algorithm is accepted, and functions know the user", async () => {
      for (const key of keys) {
        const answer = await call(platform, await sign(claims(), key));
        assert.deepEqual(answer, { status: 200, body: ["user-7", "u@example.com", "authenticated"] }, key.alg);
      }
    });

    await step("it makes users only, whatever role it names", async () => {
      for (const role of ["admin", "service_role", "anon"]) {
        const token = await sign(claims({ role, sub: `sly-${role}` }));
        assert.deepEqual((await call(platform, token)).body, [`sly-${role}`, "u@example.com", "authenticated"]);
        assert.equal((await platform.api("GET", "/client-keys", undefined, token)).status, 403);
      }
    });

    await step("what is wrong is refused, even where no credential is needed", async () => {
      const stranger = await makeKey("RS256", rsa.kid);
      const own = new TextEncoder().encode(platform.jwtSecret.reveal());
      const pem = new TextEncoder().encode(await exportSPKI(rsa.publicKey));
      const part = (value: unknown) =>
        new TextEncoder().encode(JSON.stringify(value)).toBase64({ alphabet: "base64url", omitPadding: true });
      const { exp: _exp, ...withoutExp } = claims();
      const { sub: _sub, ...withoutSub } = claims();
      const bad: Record<string, string> = {
        "a stranger's key under the right name": await sign(claims(), stranger),
        "HS256 with the public key as its secret": await new SignJWT(claims())
          .setProtectedHeader({ alg: "HS256", kid: rsa.kid }).sign(pem),
        "HS256 with our own secret in the other's name": await new SignJWT(claims())
          .setProtectedHeader({ alg: "HS256" }).sign(own),
        "alg none": `${part({ alg: "none" })}.${part(claims())}.`,
        "another algorithm with the key": `${part({ alg: "RS512", kid: rsa.kid })}.${part(claims())}.AAAA`,
        "another audience": await sign(claims({ aud: "their-api" })),
        "no audience": await sign(claims({ aud: [] })),
        "another issuer": await sign(claims({ iss: "https://evil.example.com/" })),
        "our own issuer": await sign(claims({ iss: "fluxbase" })),
        "no expiry": await sign(withoutExp),
        "expired": await sign(claims({ exp: 1_000 })),
        "not yet": await sign(claims({ nbf: inAnHour() })),
        "no subject": await sign(withoutSub),
        "empty subject": await sign(claims({ sub: "" })),
        "1 MB": await sign(claims({ more: "x".repeat(1_000_000) })),
      };
      for (const kid of ["../../etc/passwd", `${issuer.url}/evil`, "' or '1'='1"]) {
        bad[`kid ${kid}`] = await sign(claims(), { ...stranger, kid });
      }
      for (const header of [{ jku: `${issuer.url}/evil` }, { x5u: `${issuer.url}/evil` }, { jwk: stranger.jwk }]) {
        bad[`header ${Object.keys(header)[0]}`] = await sign(claims(), stranger, header);
      }
      for (const [name, token] of Object.entries(bad)) {
        const answer = await call(platform, token);
        // A header of 1 MB does not get as far as the platform.
        const expected = name === "1 MB" ? [400, 401, 431] : [401];
        assert.ok(expected.includes(answer.status), `${name}: ${answer.status}`);
        if (answer.status === 401) assert.equal(answer.body.code, "INVALID_CREDENTIAL", name);
      }
      assert.deepEqual([...new Set(issuer.state.askedPaths)], ["/keys"]);
      assert.ok(issuer.state.askedPaths.length <= 2, "invented names of keys make nobody ask again and again");
    });

    await step("while the issuer is away, known keys go on working", async () => {
      issuer.state.isAway = true;
      assert.equal((await call(platform, await sign(claims({ sub: "later" })))).status, 200);
      assert.equal((await call(platform, await sign(claims(), await makeKey("RS256", "new")))).status, 401);
    });
  }, env);

  await test.step({
    name: "a key that comes later is found, and a server that starts without the issuer finds it too",
    sanitizeOps: false,
    sanitizeResources: false,
    async fn() {
      await withTestPlatform(async (platform) => {
        await platform.deploy("who", WHO);
        assert.equal((await call(platform, await sign(claims()))).status, 401);
        issuer.state.isAway = false;
        const fresh = await makeKey("ES256", "fresh");
        issuer.state.keys = [fresh.jwk];
        await eventually(async () => (await call(platform, await sign(claims(), fresh))).status === 200);
        assert.equal((await call(platform, await sign(claims()))).status, 401);
      }, env);
    },
  });
});

platformTest("tokens that are signed with a shared secret", async (platform) => {
  await platform.deploy("who", WHO);
  const shared = new TextEncoder().encode("a secret that is shared with the issuer");
  const sign = (payload: JWTPayload, key: Uint8Array) =>
    new SignJWT(payload).setProtectedHeader({ alg: "HS256" }).sign(key);
  assert.equal((await call(platform, await sign(claims(), shared))).status, 200);
  const own = new TextEncoder().encode(platform.jwtSecret.reveal());
  assert.equal((await call(platform, await sign(claims(), own))).status, 401);
  // Nor does the other secret make tokens of this server.
  assert.equal((await call(platform, await sign({ role: "service_role" }, shared))).status, 401);
}, { FLUXBASE_AUTH_ISSUER: ISSUER, FLUXBASE_AUTH_ISSUER_SECRET: "a secret that is shared with the issuer" });
