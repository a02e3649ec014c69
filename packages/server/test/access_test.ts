/**
 * Who may do what: every route of the table with every kind of caller, and credentials that must not work.
 *
 * @module
 */
import assert from "node:assert/strict";
import { SignJWT } from "jose";
import { platformTest } from "./support/platform.ts";

const encoder = new TextEncoder();
const CODE =
  `function handler(req) { return { user: req.user_id ?? null, role: req.user_role ?? null, email: req.user_email ?? null }; }`;

/** The whole answer to a request as its bytes go over the wire. */
async function sendRaw(url: string, head: string): Promise<string> {
  const { hostname, port } = new URL(url);
  using connection = await Deno.connect({
    hostname: hostname === "localhost" ? "127.0.0.1" : hostname,
    port: Number(port),
  });
  await connection.write(encoder.encode(`${head}Connection: close\r\n\r\n`));
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  for await (const chunk of connection.readable) chunks.push(chunk);
  return await new Blob(chunks).text();
}

platformTest("access", async (platform, step) => {
  const { api } = platform;
  const secret = encoder.encode(platform.jwtSecret.reveal());
  const mint = (claims: Record<string, unknown>, header = { alg: "HS256" }, key: Uint8Array = secret) =>
    new SignJWT(claims).setProtectedHeader(header).sign(key);
  const inAnHour = Math.floor(Date.now() / 1000) + 3_600;

  await platform.deploy("private", CODE, { is_public: false });
  await platform.deploy("open", CODE, { allow_unauthenticated: true });
  await platform.deploy("elsewhere", CODE, { namespace: "team-b" });

  await step("every route of the document refuses callers it is not for", async () => {
    const document = (await api("GET", "/openapi.json")).body;
    const reader = await platform.mintKey(["functions:read"]);
    const user = await mint({ role: "authenticated", sub: crypto.randomUUID(), exp: inAnHour });
    let checkedCount = 0;
    for (const [path, methods] of Object.entries<Record<string, { description: string }>>(document.paths)) {
      if (path.includes("/invoke")) continue;
      for (const [method, { description }] of Object.entries(methods)) {
        const target = path.replace("{name}", "private").replace("{namespace}", "default")
          .replace("{id}", "x").replace("{path}", "x.ts").replace("{version}", "1");
        const status = async (key: string | null) => {
          const isBodiless = method === "get" || method === "delete";
          const response = await fetch(platform.url + target, {
            method: method.toUpperCase(),
            headers: key === null ? {} : { authorization: `Bearer ${key}` },
            body: isBodiless ? null : "{}",
          });
          await response.body?.cancel();
          return response.status;
        };
        const isPublic = description === "Public";
        assert.equal(await status(null) === 401, !isPublic, `${method} ${path} without a credential`);
        assert.equal(await status("nonsense"), 401, `${method} ${path} with nonsense`);
        if (isPublic) continue;
        const isForCredential = description === "Requires any valid credential";
        for (const key of [platform.anonKey, user]) {
          assert.equal(await status(key) === 403, !isForCredential, `${method} ${path} as anon or user`);
        }
        if (description.includes("functions:write")) {
          assert.equal(await status(reader), 403, `${method} ${path} as reader`);
        }
        checkedCount += 1;
      }
    }
    assert.ok(checkedCount >= 15, `only ${checkedCount} routes were checked`);
    assert.equal((await api("GET", "/functions/private")).status, 200);
  });

  await step("who may not see a function is not told that it exists", async () => {
    const listed = await api("GET", "/functions", undefined, platform.anonKey);
    assert.deepEqual(listed.body.map(({ name }: { name: string }) => name).sort(), ["elsewhere", "open"]);
    assert.equal((await api("GET", "/functions/private", undefined, platform.anonKey)).status, 404);
    const seen = await api("GET", "/functions/open", undefined, platform.anonKey);
    assert.equal(seen.body.name, "open");
    assert.equal("code" in seen.body, false);
  });

  await step("a key limited to a namespace has no business elsewhere", async () => {
    const key = await platform.mintKey(["functions:*"], ["team-b"]);
    assert.deepEqual((await api("GET", "/functions", undefined, key)).body.map(({ name }: { name: string }) => name), [
      "elsewhere",
    ]);
    assert.equal((await api("GET", "/functions/open", undefined, key)).status, 404);
    assert.equal((await api("PATCH", "/functions/open", { timeout: 1 }, key)).status, 404);
    assert.equal((await api("POST", "/functions", { name: "x", code: CODE }, key)).status, 403);
    assert.equal((await api("GET", "/functions/open/logs", undefined, key)).status, 404);
    assert.equal((await api("PATCH", "/functions/team-b/elsewhere", { timeout: 1 }, key)).status, 200);
    const call = await platform.call("private", { headers: { authorization: `Bearer ${key}` } });
    assert.equal(call.status, 404);
    await call.body?.cancel();
  });

  await step("calls need a credential, unless the function says otherwise", async () => {
    const bare = await fetch(`${platform.url}/api/v1/functions/private/invoke`);
    assert.equal(bare.status, 401);
    assert.equal((await bare.json()).code, "UNAUTHENTICATED");
    const open = await fetch(`${platform.url}/api/v1/functions/open/invoke`);
    assert.deepEqual(await open.json(), { user: null, role: null, email: null });
  });

  await step("a user is known to the function; headers cannot make one", async () => {
    const token = await mint({ role: "authenticated", sub: "user-1", email: "a@example.com", exp: inAnHour });
    const call = await platform.call("private", { headers: { authorization: `Bearer ${token}` } });
    assert.deepEqual(await call.json(), { user: "user-1", role: "authenticated", email: "a@example.com" });
    const forged = await platform.call("private", { headers: { "x-user-id": "root", "user_id": "root" } });
    assert.deepEqual(await forged.json(), { user: null, role: null, email: null });
  });

  await step("a credential is accepted in each of its headers, and a bad one refused in each", async () => {
    const key = await platform.mintKey(["functions:invoke"]);
    for (const header of ["apikey", "x-client-key", "x-service-key", "clientkey"]) {
      for (const [value, status] of [[key, 200], [platform.anonKey, 200], ["fbk_wrong", 401]] as const) {
        const response = await fetch(`${platform.url}/api/v1/functions/private/invoke`, {
          headers: { [header]: value },
        });
        await response.body?.cancel();
        assert.equal(response.status, status, `${header} ${value.slice(0, 8)}`);
      }
    }
    const both = await fetch(`${platform.url}/api/v1/functions/open/invoke`, {
      headers: { apikey: platform.anonKey, authorization: "Bearer nonsense" },
    });
    assert.equal(both.status, 401);
    await both.body?.cancel();
  });

  await step("two headers of one name are no credential", async () => {
    const key = await platform.mintKey(["functions:invoke"]);
    for (const line of ["Authorization: Bearer ", "apikey: ", "X-Client-Key: "]) {
      for (const values of [[key, key], [key, "nonsense"], [platform.anonKey, platform.serviceKey]]) {
        const head = values.map((value) => `${line}${value}\r\n`).join("");
        const answer = await sendRaw(platform.url, `GET /api/v1/functions/open/invoke HTTP/1.1\r\nHost: x\r\n${head}`);
        assert.match(answer, /^HTTP\/1.1 401 /, `${line} ${values.map((value) => value.slice(0, 6))}`);
      }
    }
  });

  await step("tokens that must not work do not, even where none is needed", async () => {
    const encode = (value: unknown) =>
      encoder.encode(JSON.stringify(value)).toBase64({ alphabet: "base64url", omitPadding: true });
    const good = await mint({ role: "service_role", exp: inAnHour });
    const [header, payload, signature] = good.split(".");
    const bad: Record<string, string> = {
      "alg none": `${encode({ alg: "none" })}.${payload}.`,
      "other secret": await mint(
        { role: "service_role" },
        { alg: "HS256" },
        encoder.encode("another secret of 32 characters!"),
      ),
      "HS512": await mint({ role: "service_role" }, { alg: "HS512" }),
      expired: await mint({ role: "service_role", exp: 1_000 }),
      "not yet": await mint({ role: "service_role", nbf: inAnHour }),
      "other issuer": await mint({ role: "service_role", iss: "https://evil.example.com" }),
      "unknown role": await mint({ role: "root" }),
      "user without subject": await mint({ role: "authenticated" }),
      "changed payload": `${header}.${encode({ role: "service_role", exp: inAnHour + 1 })}.${signature}`,
      "two parts": `${header}.${payload}`,
      "too long": `${header}.${"a".repeat(20_000)}.${signature}`,
    };
    for (const [name, token] of Object.entries(bad)) {
      for (const fn of ["private", "open"]) {
        const response = await platform.call(fn, { headers: { authorization: `Bearer ${token}` } });
        assert.equal(response.status, 401, `${name} on ${fn}`);
        assert.equal((await response.json()).code, "INVALID_CREDENTIAL", name);
      }
    }
    const accepted = ["fluxbase", "supabase", "supabase-demo"];
    for (const iss of accepted) {
      assert.equal(
        (await api("GET", "/functions/private", undefined, await mint({ role: "service_role", iss }))).status,
        200,
      );
    }
  });
}, { FLUXBASE_RATE_LIMIT_FAILURES_PER_MINUTE: "10000" });

platformTest("functions switched off", async (platform) => {
  for (const path of ["/api/v1/functions", "/api/v1/functions/x/invoke", "/functions/v1/x"]) {
    const response = await fetch(platform.url + path);
    assert.equal(response.status, 503);
    assert.equal((await response.json()).code, "FEATURE_DISABLED");
  }
  assert.equal((await platform.api("GET", "/health", undefined, null)).body.status, "ok");
}, { FLUXBASE_FUNCTIONS_ENABLED: "false" });
