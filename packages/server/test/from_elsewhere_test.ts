/**
 * What code from other platforms looks for: its own path, names of the environment, the caller's address, credentials and
 * preflights of its own.
 *
 * @module
 */
import assert from "node:assert/strict";
import { platformTest } from "./support/platform.ts";

const ROUTER = `
const app = (req) => {
  const { pathname } = new URL(req.url);
  const id = /^\\/shop\\/(\\d+)$/.exec(pathname)?.[1];
  if (id === undefined) return Response.json({ all: true, pathname });
  return Response.json({ [req.method === "DELETE" ? "deleted" : "shown"]: id });
};
Deno.serve(app);`;

platformTest("a function sees its own path", async (platform, step) => {
  const seen = async (path: string, method = "GET") => {
    const headers = { authorization: `Bearer ${platform.anonKey}` };
    return await (await fetch(platform.url + path, { method, headers })).json();
  };
  await platform.deploy("shop", ROUTER);
  await platform.deploy("shop", ROUTER, { namespace: "team-a" });
  await platform.deploy("rooted", `/** @fluxbase:base-path strip */ ${ROUTER}`);
  await platform.deploy("by-api", ROUTER, { base_path: "strip" });

  await step("the name is part of it on the path of Supabase's clients", async () => {
    assert.deepEqual(await seen("/functions/v1/shop/7", "DELETE"), { deleted: "7" });
    assert.deepEqual(await seen("/functions/v1/shop/7?namespace=team-a"), { shown: "7" });
    assert.deepEqual(await seen("/functions/v1/shop"), { all: true, pathname: "/shop" });
    assert.deepEqual(await seen("/functions/v1/shop/"), { all: true, pathname: "/shop/" });
  });
  await step("behind /invoke it is what follows", async () => {
    assert.deepEqual(await seen("/api/v1/functions/shop/invoke/shop/7"), { shown: "7" });
    assert.deepEqual(await seen("/api/v1/functions/team-a/shop/invoke"), { all: true, pathname: "/" });
  });
  await step("base-path strip takes the name away", async () => {
    for (const name of ["rooted", "by-api"]) {
      assert.deepEqual(await seen(`/functions/v1/${name}`), { all: true, pathname: "/" });
      assert.deepEqual(await seen(`/functions/v1/${name}/a/b`), { all: true, pathname: "/a/b" });
      const { body } = await platform.api("GET", `/functions/${name}`);
      assert.equal(body.base_path, "strip");
    }
    const { body } = await platform.api("GET", "/functions/rooted");
    assert.equal(body.settings_origins.base_path, "annotation");
  });
  await step("full: the public path, whichever way it was called", async () => {
    await platform.deploy("whole", `/** @fluxbase:base-path full */ ${ROUTER}`);
    assert.equal((await seen("/functions/v1/whole")).pathname, "/functions/v1/whole");
    assert.equal((await seen("/api/v1/functions/whole/invoke")).pathname, "/functions/v1/whole");
  });
  await step("it can be taken back", async () => {
    assert.equal((await platform.api("PUT", "/functions/by-api", { base_path: null })).body.base_path, "keep");
    assert.deepEqual(await seen("/functions/v1/by-api/a"), { all: true, pathname: "/by-api/a" });
    const { status, body } = await platform.api("PUT", "/functions/by-api", { base_path: "remove" });
    assert.equal(status, 400);
    assert.match(body.error, /"base_path"/);
  });
  await step("a URL of the server that has a path shows nothing of it", async () => {
    await platform.deploy("host", `export default (req) => new URL(req.url).host;`);
    assert.equal(await seen("/functions/v1/host"), new URL(platform.url).host);
  });
});

platformTest("names of the environment that migrated code reads", async (platform, step) => {
  const NAMES = [
    "SUPABASE_URL",
    "SUPABASE_ANON_KEY",
    "SUPABASE_SERVICE_ROLE_KEY",
    "SUPABASE_DB_URL",
    "SUPABASE_PUBLISHABLE_KEYS",
    "SUPABASE_SECRET_KEYS",
    "SB_EXECUTION_ID",
    "DENO_DEPLOYMENT_ID",
    "DENO_REGION",
    "FLUXBASE_ANON_KEY",
    "FLUXBASE_SERVICE_ROLE_KEY",
    "DATABASE_URL",
  ];
  const code = `export default () => Object.fromEntries(${
    JSON.stringify(NAMES)
  }.map((name) => [name, Deno.env.get(name)]));`;
  const envOf = async (path: string) => await (await platform.call(path)).json();

  await step("they are there, and say what ours say", async () => {
    await platform.deploy("env", code);
    const env = await envOf("env");
    assert.equal(env.SUPABASE_URL, platform.url);
    assert.equal(env.SUPABASE_ANON_KEY, env.FLUXBASE_ANON_KEY);
    assert.equal(env.SUPABASE_SERVICE_ROLE_KEY, env.FLUXBASE_SERVICE_ROLE_KEY);
    assert.deepEqual(JSON.parse(env.SUPABASE_PUBLISHABLE_KEYS), { default: env.FLUXBASE_ANON_KEY });
    assert.deepEqual(JSON.parse(env.SUPABASE_SECRET_KEYS), { default: env.FLUXBASE_SERVICE_ROLE_KEY });
    assert.match(env.SUPABASE_DB_URL, /^postgres:/);
    assert.equal(env.SUPABASE_DB_URL, env.DATABASE_URL);
    assert.match(env.SB_EXECUTION_ID, /^[0-9a-f-]{36}$/);
    assert.match(env.DENO_DEPLOYMENT_ID, /_1$/);
    assert.equal(env.DENO_REGION, "local");
  });
  await step("the service-role key is the function's own, for its namespace alone", async () => {
    await platform.deploy("env", code, { namespace: "team-a" });
    const { SUPABASE_SERVICE_ROLE_KEY: key, SUPABASE_SECRET_KEYS: keys } = await envOf("team-a/env");
    assert.notEqual(key, platform.serviceKey);
    assert.equal(JSON.parse(keys).default, key);
    assert.equal((await platform.api("GET", "/functions/env?namespace=default", undefined, key)).status, 404);
    assert.equal((await platform.api("POST", "/functions", { name: "more", code }, key)).status, 403);
  });
  await step("the function's own value wins", async () => {
    await platform.deploy("own", code, { env: { SUPABASE_URL: "https://old.invalid", DENO_REGION: "mars" } });
    const env = await envOf("own");
    assert.deepEqual([env.SUPABASE_URL, env.DENO_REGION], ["https://old.invalid", "mars"]);
  });
  await step("without permission for the environment there is none of them", async () => {
    await platform.deploy("none", code, { allow_env: false });
    const response = await platform.call("none");
    const seen = await response.text();
    for (const name of NAMES) assert.doesNotMatch(seen, new RegExp(`${name}":"`));
  });
  await step("their values are masked in the log", async () => {
    await platform.deploy("log", `export default () => { console.log(Deno.env.get("SUPABASE_SECRET_KEYS")); };`);
    await platform.call("log");
    await platform.executions("log");
    const { body: [line] } = await platform.api("GET", "/functions/log/logs");
    assert.doesNotMatch(line.message, /eyJ/);
  });
});

platformTest("the caller's address is the one that is believed", async (platform, step) => {
  await platform.deploy("address", `export default (req) => ({ forwarded: req.headers.get("x-forwarded-for") });`);
  const forwarded = async (claim?: string) => {
    const response = await platform.call(
      "address",
      claim === undefined ? {} : { headers: { "x-forwarded-for": claim } },
    );
    return (await response.json()).forwarded;
  };
  await step("through a trusted proxy, the last one that it did not trust", async () => {
    assert.equal(await forwarded("6.6.6.6, 203.0.113.7, 10.0.0.3"), "203.0.113.7");
    assert.equal(await forwarded("2001:db8::1"), "2001:db8::1");
  });
  await step("what is no address is not believed", async () => {
    assert.equal(await forwarded("203.0.113.7, nonsense"), "127.0.0.1");
    assert.equal(await forwarded(), "127.0.0.1");
  });
}, { FLUXBASE_SERVER_TRUSTED_PROXIES: "127.0.0.0/8,10.0.0.0/8" });

platformTest("credentials and preflights of its own", async (platform, step) => {
  const code =
    `(req, context) => ({ got: req.headers.get("authorization"), user: context.user?.id ?? null, method: req.method });`;
  await platform.deploy("open", `/** @fluxbase:auth none */ export default ${code}`);
  await platform.deploy("usual", `export default ${code}`, { allow_unauthenticated: true });
  const credentials = [
    "Bearer cron-secret",
    "Basic dXNlcjpwYXNz",
    "token with spaces",
    "Bearer eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJodHRwczovL290aGVyLmludmFsaWQifQ.c2ln",
    `Bearer ${platform.anonKey.slice(0, -4)}AAAA`,
    `Bearer ${"x".repeat(10_000)}`,
  ];
  const call = (name: string, headers: Record<string, string>, init: RequestInit = {}) =>
    fetch(`${platform.url}/functions/v1/${name}`, { ...init, headers });

  await step("auth none: whatever it is, it reaches the function", async () => {
    for (const authorization of credentials) {
      const response = await call("open", { authorization });
      assert.deepEqual(await response.json(), { got: authorization, user: null, method: "GET" });
    }
    assert.equal((await call("open", { apikey: "sb_publishable_x", "x-service-key": "?" })).status, 200);
    assert.equal((await call("open", {})).status, 200);
    const { body } = await platform.api("GET", "/functions/open");
    assert.deepEqual([body.auth, body.allow_unauthenticated], ["none", true]);
  });
  await step("without it, a credential that is wrong is refused where none is needed too", async () => {
    for (const authorization of credentials) {
      const response = await call("usual", { authorization });
      assert.equal(response.status, 401, authorization);
      await response.body?.cancel();
    }
  });
  await step("ours is known on both", async () => {
    const { body: account } = await platform.api("POST", "/auth/signup", {
      email: "a@example.com",
      password: "a long password",
    });
    const token = account.access_token ?? account.session?.access_token;
    for (const name of ["open", "usual"]) {
      const seen = await (await call(name, { authorization: `Bearer ${token}` })).json();
      assert.equal(seen.user, account.user.id, name);
    }
  });
  await step("it contradicts a closed door", async () => {
    const { status, body } = await platform.api("PUT", "/functions/open", {
      auth: "none",
      allow_unauthenticated: false,
    });
    assert.equal(status, 400);
    assert.match(body.error, /"auth" is "none" and "allow_unauthenticated" is false/);
    await platform.api("PUT", "/functions/open", { allow_unauthenticated: false });
    const response = await call("open", { authorization: "Bearer cron-secret" });
    assert.equal(response.status, 401);
    await response.body?.cancel();
  });
  await step("cors off: OPTIONS is the function's, and its answers get nothing added", async () => {
    await platform.deploy(
      "own-cors",
      `/** @fluxbase:cors off */
      Deno.serve((req) => req.method === "OPTIONS"
        ? new Response("ok", { headers: { "access-control-allow-origin": "https://app.invalid", "access-control-allow-headers": "x-own" } })
        : new Response("plain"));`,
    );
    const asked = { origin: "https://app.invalid", "access-control-request-method": "POST" };
    const preflight = await call("own-cors", asked, { method: "OPTIONS" });
    assert.deepEqual([preflight.status, await preflight.text()], [200, "ok"]);
    assert.equal(preflight.headers.get("access-control-allow-headers"), "x-own");
    assert.equal(preflight.headers.get("access-control-allow-methods"), null);
    const refused = await call("own-cors", { origin: "https://app.invalid" });
    assert.equal(refused.status, 401);
    assert.equal(refused.headers.get("access-control-allow-origin"), "*");
    await refused.body?.cancel();
    const answer = await call("own-cors", { origin: "https://app.invalid", apikey: platform.anonKey });
    assert.deepEqual([answer.status, await answer.text()], [200, "plain"]);
    assert.equal(answer.headers.get("access-control-allow-origin"), null);
    const { status } = await call("own-cors", { ...asked, apikey: "wrong" }, { method: "OPTIONS" });
    assert.equal(status, 401);
  });
});
