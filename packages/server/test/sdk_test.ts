/**
 * The SDK against a whole server: the guide's blocks as written, and what it promises beyond them.
 *
 * @module
 */
import assert from "node:assert/strict";
import { createClient, FluxbaseError, type Session, type SessionStorage } from "@fluxbase/sdk";
import { guideSteps } from "./support/guide_sdk.ts";
import { platformTest } from "./support/platform.ts";

platformTest("the guide's SDK blocks", async (platform, step) => {
  const clientKey = await platform.mintKey(["functions:*"]);
  const { url, serviceKey, anonKey } = platform;
  for (const [name, run] of guideSteps({ url, clientKey, serviceKey, anonKey })) await step(name, run);
});

platformTest("calls by the SDK", async (platform, step) => {
  const admin = createClient(platform.url, platform.serviceKey);
  await admin.functions.create({
    name: "echo",
    code: `export default { async fetch(req) {
      const body = await req.text();
      const { pathname, search } = new URL(req.url);
      return Response.json({ method: req.method, path: pathname, search, type: req.headers.get("content-type"), own: req.headers.get("x-own"), body });
    } }`,
  });
  const invoke = (...args: [unknown?, object?]) => admin.functions.invoke("echo", ...args);

  await step("payloads and options are told apart", async () => {
    assert.deepEqual((await invoke({ name: "Alice" })).body, `{"name":"Alice"}`);
    assert.deepEqual((await invoke({ body: { a: 1 } })).body, `{"a":1}`);
    assert.deepEqual((await invoke({ body: "text" })).body, "text");
    assert.deepEqual((await invoke({ body: "text", other: 1 })).body, `{"body":"text","other":1}`);
    assert.deepEqual((await invoke({ method: "GET" }, {})).body, `{"method":"GET"}`);
    assert.deepEqual((await invoke([1, 2])).body, "[1,2]");
    assert.deepEqual((await invoke({})).body, "{}");
    assert.deepEqual((await invoke()).body, "");
    assert.deepEqual(
      await invoke(undefined, { path: "/a/b", query: { q: "ü" }, method: "put", headers: { "x-own": "1" } }),
      {
        method: "PUT",
        path: "/a/b",
        search: "?q=%C3%BC",
        type: null,
        own: "1",
        body: "",
      },
    );
    assert.equal((await invoke({ method: "GET" })).method, "GET");
    assert.equal((await admin.functions.invoke("echo", { namespace: "default" })).method, "POST");
    await assert.rejects(invoke.bind(null, { namespace: "other" })(), { status: 404, code: "FUNCTION_NOT_FOUND" });
    await assert.rejects(admin.functions.invoke("a/b/c"), {
      code: "INVALID_ARGUMENT",
      message: /no name of a function/,
    });
  });

  await step("answers are JSON, text, bytes or nothing; fetch gives them as they are", async () => {
    await admin.functions.create({
      name: "answers",
      code: `export default { fetch(req) {
        const kind = new URL(req.url).searchParams.get("kind");
        if (kind === "text") return new Response("plain");
        if (kind === "bytes") return new Response(new Uint8Array([1, 2, 3]), { headers: { "content-type": "image/png" } });
        if (kind === "broken") return new Response("{oops", { headers: { "content-type": "application/json" } });
        if (kind === "none") return new Response(null, { status: 204 });
        if (kind === "stream") return new Response(new ReadableStream({ async start(c) { for (const part of ["a", "b"]) { c.enqueue(new TextEncoder().encode(part)); await new Promise((r) => setTimeout(r, 20)); } c.close(); } }));
        return Response.json({ error: "no such kind", code: "MINE", hint: "text" }, { status: 418 });
      } }`,
    });
    const get = (kind: string) => admin.functions.invoke("answers", { query: { kind } });
    assert.equal(await get("text"), "plain");
    assert.deepEqual(await get("bytes"), new Uint8Array([1, 2, 3]));
    assert.equal(await get("none"), undefined);
    await assert.rejects(get("broken"), { name: "FluxbaseError", status: 200, code: "INVALID_JSON", message: /{oops/ });
    await assert.rejects(get("else"), (error: FluxbaseError) => {
      assert.ok(error instanceof FluxbaseError);
      assert.deepEqual([error.status, error.code, error.message, error.details["hint"]], [
        418,
        "MINE",
        "no such kind",
        "text",
      ]);
      assert.match(error.requestId ?? "", /^[\w-]{10,}/);
      return true;
    });
    const response = await admin.functions.fetch("answers", { query: { kind: "stream" } });
    assert.equal(response.status, 200);
    assert.equal(await response.text(), "ab");
  });

  await step("time limits, aborting, and a server that is not there", async () => {
    await admin.functions.create({
      name: "slow",
      code: `export default async () => { await new Promise((r) => setTimeout(r, 3000)); return 1; };`,
    });
    const hasty = createClient(platform.url, platform.serviceKey, { timeoutMs: 200 });
    await assert.rejects(hasty.functions.invoke("slow"), { code: "TIMEOUT", status: 0 });
    const abort = new AbortController();
    setTimeout(() => abort.abort(), 100);
    await assert.rejects(admin.functions.invoke("slow", undefined, { signal: abort.signal }), { code: "ABORTED" });
    const nobody = createClient("http://127.0.0.1:9", "x", { retries: 0 });
    await assert.rejects(nobody.functions.list(), { code: "NETWORK_ERROR" });
    assert.throws(() => createClient("localhost:8080", "x"), /no URL of a server/);
  });

  await step("what may be repeated is, and nothing else", async () => {
    const seen: string[] = [];
    const answers = [new Response(null, { status: 503, headers: { "retry-after": "0" } }), Response.json([])];
    const flaky: typeof fetch = (_, init) => {
      seen.push(init?.method ?? "");
      return Promise.resolve(answers[Math.min(seen.length, answers.length) - 1]?.clone() ?? Response.error());
    };
    const client = createClient(platform.url, "x", { fetch: flaky });
    assert.deepEqual(await client.functions.list(), []);
    assert.deepEqual(seen, ["GET", "GET"]);
    seen.length = 0;
    await assert.rejects(client.functions.invoke("fn"), { status: 503 });
    assert.deepEqual(seen, ["POST"]);
  });

  await step("management: versions, rollback, keys", async () => {
    await admin.functions.update("echo", { code: "export default () => 2;" });
    assert.equal(await admin.functions.invoke("echo"), 2);
    assert.deepEqual((await admin.functions.getVersions("echo")).map(({ version }) => version), [2, 1]);
    assert.match((await admin.functions.getVersion("echo", 1)).code, /Response.json/);
    assert.equal((await admin.functions.rollback("echo", 1)).version, 1);
    await admin.functions.delete("echo");
    assert.equal((await admin.functions.restore("echo")).name, "echo");
    const made = await admin.keys.create({ name: "ci", scopes: ["functions:invoke"] });
    assert.equal((await createClient(platform.url, made.key).functions.invoke("echo")).method, "POST");
    const { key: rotated } = await admin.keys.rotate(made.id);
    assert.notEqual(rotated, made.key);
    assert.equal((await admin.keys.update(made.id, { name: "cd" })).name, "cd");
    assert.equal(typeof (await admin.keys.revoke(made.id)).revoked_at, "string");
    assert.equal((await admin.keys.list()).length, 1);
    await admin.keys.delete(made.id);
    await assert.rejects(admin.keys.get(made.id), { code: "KEY_NOT_FOUND" });
    const service = await admin.admin.serviceKeys.create({ name: "all" });
    assert.equal((await createClient(platform.url, service.key).keys.list()).length, 0);
    await assert.rejects(
      admin.functions.create({ name: "bad", code: "export default 1 +" }, { strict: true }),
      { status: 422, code: "BUNDLE_REJECTED" },
    );
  });

  await step("log lines are followed as they come", async () => {
    await admin.functions.create({
      name: "talks",
      code: `export default (req) => { console.log("said " + req.params.n); };`,
    });
    await admin.functions.invoke("talks", { query: { n: 0 } });
    const stop = new AbortController();
    const seen: string[] = [];
    const following = (async () => {
      for await (const { message } of admin.functions.followLogs("talks", { tail: 0, signal: stop.signal })) {
        seen.push(message);
        if (seen.length === 3) stop.abort();
      }
    })();
    for (let n = 1; seen.length < 3; n += 1) {
      await admin.functions.invoke("talks", { query: { n } });
      await new Promise((resolve) => setTimeout(resolve, 300));
    }
    await following;
    assert.deepEqual(seen.slice(0, 3).map((line) => line.slice(0, 5)), ["said ", "said ", "said "]);
    assert.ok(!seen.includes("said 0"));
    assert.equal(new Set(seen).size, seen.length);
    const key = await admin.keys.create({ name: "follows", scopes: ["functions:read"] });
    const lines = createClient(platform.url, key.key).functions.followLogs("talks", {
      since: new Date(0).toISOString(),
    });
    assert.match((await lines.next()).value?.message ?? "", /^said /);
    await admin.keys.revoke(key.id);
    await assert.rejects(async () => {
      for await (const _ of lines);
    }, { code: "INVALID_CREDENTIAL" });
    await admin.keys.delete(key.id);
    await admin.functions.delete("talks");
  });

  await step("inside a function, with its own key and as the caller", async () => {
    await admin.functions.create({
      name: "inside",
      code: `import { createClient, FluxbaseError } from "@fluxbase/sdk";
async function handler(req) {
  // Create a service client with elevated permissions
  const client = createClient(
    Deno.env.get("FLUXBASE_BASE_URL")!,
    Deno.env.get("FLUXBASE_SERVICE_ROLE_KEY")!,
  );
  const asCaller = createClient(Deno.env.get("FLUXBASE_URL")!, req.headers["authorization"].slice(7));
  const refused = await asCaller.keys.list().catch((error) => error instanceof FluxbaseError && error.code);
  return { names: (await client.functions.list()).map((fn) => fn.name), keys: (await client.keys.list()).length, refused };
}`,
      permissions: { service: "admin" },
    }, { strict: true });
    const anybody = createClient(platform.url, platform.anonKey);
    assert.deepEqual(await anybody.functions.invoke("inside"), {
      names: ["answers", "echo", "inside", "slow"],
      keys: 0,
      refused: "UNAUTHENTICATED",
    });
  });
});

platformTest("sessions of the SDK", async (platform, step) => {
  const items = new Map<string, string>();
  const storage: SessionStorage = {
    getItem: (key) => items.get(key) ?? null,
    setItem: (key, value) => void items.set(key, value),
    removeItem: (key) => void items.delete(key),
  };
  const client = createClient(platform.url, platform.anonKey, { storage });
  const events: [string, string | null][] = [];
  const { unsubscribe } = client.auth.onAuthStateChange((event, session) =>
    events.push([event, session?.user.email ?? null])
  );

  await step("sign-up, user, sign-out, sign-in", async () => {
    const session: Session = await client.auth.signUp({
      email: "Ada@example.com",
      password: "a long password",
      user_metadata: { name: "Ada" },
    });
    assert.ok(session.expires_at > Date.now() / 1_000);
    assert.equal((await client.auth.getUser()).email, "ada@example.com");
    assert.deepEqual((await client.auth.updateUser({ user_metadata: { name: "A." } })).user_metadata, { name: "A." });
    await client.auth.signOut();
    assert.equal(await client.auth.getSession(), null);
    assert.equal(items.size, 0);
    await assert.rejects(client.auth.getUser(), { status: 401 });
    await assert.rejects(client.auth.signIn({ email: "ada@example.com", password: "wrong password" }), {
      code: "INVALID_CREDENTIAL",
    });
    await client.auth.signIn({ email: "ada@example.com", password: "a long password" });
    assert.deepEqual(events.map(([event]) => event), ["SIGNED_IN", "USER_UPDATED", "SIGNED_OUT", "SIGNED_IN"]);
    unsubscribe();
  });

  await step("a session that was kept goes on in another client", async () => {
    const again = createClient(platform.url, platform.anonKey, { storage });
    assert.equal((await again.auth.getUser()).email, "ada@example.com");
  });

  await step("many requests with a token that is over make one refresh", async () => {
    let refreshCount = 0;
    const counting: typeof fetch = (input, init) => {
      if (String(input).endsWith("/auth/refresh")) refreshCount += 1;
      return fetch(input, init);
    };
    const [stored = ""] = items.values();
    const over = { ...JSON.parse(stored), expires_at: 0 };
    const [name = ""] = items.keys();
    items.set(name, JSON.stringify(over));
    const other = createClient(platform.url, platform.anonKey, { storage, fetch: counting });
    const users = await Promise.all(Array.from({ length: 8 }, () => other.auth.getUser()));
    assert.deepEqual([users.length, refreshCount], [8, 1]);
    assert.notEqual(JSON.parse(items.get(name) ?? "").refresh_token, over.refresh_token);

    // A token that the server refuses before its time: renewed once, and the request sent again.
    items.set(name, JSON.stringify({ ...JSON.parse(items.get(name) ?? ""), access_token: "a.b.c" }));
    refreshCount = 0;
    const third = createClient(platform.url, platform.anonKey, { storage, fetch: counting });
    assert.equal((await third.auth.getUser()).email, "ada@example.com");
    assert.equal(refreshCount, 1);

    // A refresh token that was used elsewhere ends the session here.
    items.set(name, JSON.stringify(over));
    const fourth = createClient(platform.url, platform.anonKey, { storage });
    await assert.rejects(fourth.auth.refresh(), { status: 401 });
    assert.equal(await fourth.auth.getSession(), null);
  });
});
