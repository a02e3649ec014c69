/**
 * What the published SDK and command line of the system send, and what they must get for it.
 *
 * @module
 */
import assert from "node:assert/strict";
import { SignJWT } from "jose";
import { sql } from "kysely";
import { eventually, platformTest } from "./support/platform.ts";

const PASSWORD = "correct horse battery";

platformTest("clients in the field", async (platform, step) => {
  const { api } = platform;

  await step("who comes back with an expired token can sign in, sign up and refresh", async () => {
    const { body: session } = await api("POST", "/auth/signup", { email: "ada@example.invalid", password: PASSWORD });
    const nowSec = Math.floor(Date.now() / 1_000);
    const claims = { role: "authenticated", sub: session.user.id, iat: nowSec - 1_000, exp: nowSec - 100 };
    const sign = (key: string) =>
      new SignJWT(claims).setProtectedHeader({ alg: "HS256" }).sign(new TextEncoder().encode(key));
    const expired = await sign(platform.jwtSecret.reveal());
    const forged = await sign("somebody else's secret, long enough");
    const credentials = { email: "ada@example.invalid", password: PASSWORD };
    for (const key of [expired, session.access_token]) {
      assert.equal((await api("GET", "/health", undefined, key)).status, 200);
      assert.equal((await api("POST", "/auth/signin", credentials, key)).status, 200);
      assert.equal((await api("POST", "/auth/signup", credentials, key)).status, 201);
    }
    const refreshed = await api("POST", "/auth/refresh", { refresh_token: session.refresh_token }, expired);
    assert.equal(refreshed.status, 200);
    await api("POST", "/auth/signout", undefined, refreshed.body.access_token);
    assert.equal((await api("POST", "/auth/signin", credentials, refreshed.body.access_token)).status, 200);
    assert.equal((await api("GET", "/auth/user", undefined, expired)).status, 401);
    assert.equal((await api("POST", "/auth/signin", credentials, forged)).status, 401);
    assert.equal((await api("GET", "/health", undefined, "no token at all")).status, 401);
  });

  await step("zero and nothing mean the default", async () => {
    const { status, body } = await api("POST", "/functions", {
      name: "zero",
      code: "export default () => 1",
      timeout_seconds: 0,
      memory_limit_mb: 0,
      cron_schedule: "",
      rate_limit_per_minute: 0,
    });
    assert.deepEqual([status, body.timeout, body.memory, body.cron_schedule, body.rate_limit], [
      201,
      30,
      128,
      null,
      null,
    ]);
    const limited = await api("PUT", "/functions/zero", { timeout: 5 });
    assert.equal(limited.body.timeout, 5);
    assert.equal((await api("PUT", "/functions/zero", { timeout_seconds: 0 })).body.timeout, 30);
  });

  await step("a PUT of what GET gave is accepted, and changes what was changed in it only", async () => {
    await platform.deploy("whole", "// @fluxbase:timeout 7\nexport default () => 1", { env: { A: "1" } });
    const { body: shown } = await api("GET", "/functions/whole");
    const same = await api("PUT", "/functions/whole", shown);
    assert.deepEqual([same.status, same.body.version, same.body.env], [200, shown.version, ["A"]]);
    const changed = await api("PUT", "/functions/whole", { ...shown, memory: 256, updated_at: "long ago" });
    assert.deepEqual([changed.status, changed.body.memory, changed.body.timeout], [200, 256, 7]);
    // The annotation is in charge still: what was only shown is not set.
    const code = "// @fluxbase:timeout 9\nexport default () => 1";
    assert.equal((await api("PUT", "/functions/whole", { code })).body.timeout, 9);
    assert.equal((await api("PUT", "/functions/whole", { ...shown, colour: "red" })).status, 400);
  });

  await step("a sync as the command line sends it", async () => {
    const module = { module_path: "_shared/one.ts", content: "export const one = 1;" };
    assert.equal((await api("POST", "/functions/shared", module)).status, 201);
    assert.equal((await api("POST", "/functions/shared", module)).status, 200);
    const { status, body } = await api("POST", "/admin/functions/sync", {
      namespace: "default",
      functions: [{
        name: "synced",
        code: "",
        original_code:
          '// @fluxbase:namespace elsewhere\nimport { one } from "_shared/one.ts";\nexport default () => one;',
        is_bundled: false,
        sourceDir: "/home/ada/functions",
        timeout_seconds: 0,
      }],
      options: { delete_missing: false, dry_run: false },
    });
    assert.deepEqual([status, body.errors, body.details.created], [200, [], ["synced"]]);
    assert.match(body.warnings.join(), /elsewhere/);
    assert.equal(await (await platform.call("synced")).text(), "1");
  });

  await step("service keys are disabled, enabled, deprecated, rotated with a grace period, and revoked", async () => {
    const base = "/admin/service-keys";
    const { status, body: made } = await api("POST", base, { name: "ci", key_type: "service", scopes: ["*"] });
    assert.deepEqual([status, made.enabled, made.key_type], [201, true, "service"]);
    const works = async (key: string) => (await api("GET", "/functions", undefined, key)).status;
    assert.equal((await api("POST", `${base}/${made.id}/disable`, {})).body.enabled, false);
    assert.equal(await works(made.key), 401);
    assert.equal((await api("POST", `${base}/${made.id}/enable`, {})).body.enabled, true);
    assert.equal(await works(made.key), 200);
    assert.equal((await api("PUT", `${base}/${made.id}`, { enabled: false, name: "build" })).body.name, "build");
    assert.equal(await works(made.key), 401);
    await api("PATCH", `${base}/${made.id}`, { enabled: true });

    const rotated = await api("POST", `${base}/${made.id}/rotate`, { grace_period: "1h" });
    const leftMs = Date.parse(rotated.body.grace_period_ends_at) - Date.now();
    assert.ok(leftMs > 3_500_000 && leftMs <= 3_600_000, rotated.body.grace_period_ends_at);
    assert.deepEqual([await works(made.key), await works(rotated.body.key)], [200, 200]);
    await platform.db.updateTable("fluxbase.keys").set({ previous_until: new Date(Date.now() - 1_000) })
      .where("id", "=", made.id).execute();
    await eventually(async () => await works(made.key) === 401);
    assert.equal(await works(rotated.body.key), 200);
    assert.equal((await api("POST", `${base}/${made.id}/rotate`, { grace_period: "soon" })).status, 400);
    const again = await api("POST", `${base}/${made.id}/rotate`);
    assert.deepEqual([await works(rotated.body.key), await works(again.body.key)], [401, 200]);

    const deprecated = await api("POST", `${base}/${made.id}/deprecate`, { grace_period_hours: "48", reason: "old" });
    assert.ok(Date.parse(deprecated.body.grace_period_ends_at) > Date.now() + 47 * 3_600_000);
    assert.equal(await works(again.body.key), 200);
    const revoked = await api("POST", `${base}/${made.id}/revoke`, { reason: "it leaked" });
    assert.deepEqual([revoked.body.enabled, await works(again.body.key)], [false, 401]);
    const { body: history } = await api("GET", `${base}/${made.id}/revocations`);
    assert.deepEqual([history.name, history.revocation_reason, history.revoked_by], [
      "build",
      "it leaked",
      "service_role",
    ]);
    assert.equal((await api("POST", `${base}/${made.id}/enable`, {})).status, 400);
  });

  await step("how often a key may be used in a minute, an hour and a day", async () => {
    for (const base of ["/admin/service-keys", "/client-keys"]) {
      const scopes = base === "/client-keys" ? ["functions:read"] : ["*"];
      const limits = { rate_limit_per_minute: 50, rate_limit_per_hour: 3, rate_limit_per_day: 100 };
      const { body } = await api("POST", base, { name: "counted", scopes, ...limits });
      assert.deepEqual([body.rate_limit_per_minute, body.rate_limit_per_hour, body.rate_limit_per_day], [50, 3, 100]);
      const call = async () => await api("GET", "/functions", undefined, body.key);
      for (const left of ["2", "1", "0"]) assert.equal((await call()).headers.get("x-ratelimit-remaining"), left);
      const refused = await call();
      assert.deepEqual([refused.status, refused.body.code], [429, "RATE_LIMITED"]);
      assert.ok(Number(refused.headers.get("retry-after")) > 60);
      assert.equal(
        (await api("PATCH", `${base}/${body.id}`, { rate_limit_per_hour: 0 })).body.rate_limit_per_hour,
        null,
      );
      assert.equal((await call()).status, 200);
      assert.equal((await api("PATCH", `${base}/${body.id}`, { rate_limit_per_day: -1 })).status, 400);
    }
  });

  await step("service keys at the root, where the published SDK looks for them", async () => {
    const response = await fetch(`${platform.url}/service-keys`, {
      headers: { authorization: `Bearer ${platform.serviceKey}`, "content-type": "application/json" },
    });
    const listed = await response.json();
    assert.ok(listed.some(({ name }: { name: string }) => name === "counted"));
    assert.equal((await fetch(`${platform.url}/service-keys`)).status, 401);
  });

  await step("settings: the server's, those that are public, and a user's own before them", async () => {
    const custom = "/admin/settings/custom";
    const put = (key: string, value: unknown, more = {}) =>
      api("PUT", `${custom}/${key}`, { value: { value }, value_type: "json", ...more });
    assert.equal((await put("features.beta", true)).status, 404, "the SDK then makes it");
    const made = await api("POST", custom, {
      key: "features.beta",
      value: { enabled: true },
      value_type: "json",
      is_public: true,
      is_secret: false,
    });
    assert.deepEqual([made.status, made.body.value, made.body.is_public], [201, { enabled: true }, true]);
    assert.equal((await api("POST", custom, { key: "features.beta", value: 1 })).body.code, "ALREADY_EXISTS");
    await api("POST", custom, { key: "billing.tiers", value: { free: 1_000 } });
    const get = async (path: string, key: string | null) => {
      const { status, body } = await api("GET", path, undefined, key);
      return status === 200 ? body.value : status;
    };
    assert.deepEqual(await get("/settings/features.beta", null), { enabled: true });
    assert.deepEqual(await get("/settings/features.beta", platform.anonKey), { enabled: true });
    assert.equal(await get("/settings/billing.tiers", platform.anonKey), 404);
    assert.deepEqual(await get("/settings/billing.tiers", platform.serviceKey), { free: 1_000 });
    const keys = ["features.beta", "billing.tiers", "nothing"];
    const batch = await api("POST", "/settings/batch", { keys }, platform.anonKey);
    assert.deepEqual(batch.body, [{ key: "features.beta", value: { enabled: true } }]);

    const { access_token } = (await api("POST", "/auth/signin", {
      email: "ada@example.invalid",
      password: PASSWORD,
    })).body;
    const own = async (method: string, path: string, body?: unknown) =>
      (await api(method, `/settings/user/${path}`, body, access_token)).body;
    assert.equal((await own("GET", "features.beta")).source, "system");
    assert.equal((await own("PUT", "features.beta", { value: { enabled: false } })).value.enabled, false);
    assert.deepEqual(await own("GET", "features.beta"), {
      key: "features.beta",
      value: { enabled: false },
      source: "user",
    });
    assert.deepEqual((await own("GET", "system/features.beta")).value, { enabled: true });
    assert.equal((await own("GET", "own/features.beta")).value.enabled, false);
    assert.match((await own("GET", "billing.tiers")).error, /not found/);
    assert.equal((await own("GET", "list")).length, 1);
    await own("DELETE", "features.beta");
    assert.equal((await own("GET", "features.beta")).source, "system");
    assert.equal((await api("PUT", "/settings/user/x", { value: 1 }, platform.anonKey)).status, 401);
    assert.equal((await api("GET", custom, undefined, access_token)).status, 403);

    assert.deepEqual((await put("features.beta", 7, { is_public: false })).body.value, { value: 7 });
    assert.equal(await get("/settings/features.beta", null), 404);
    assert.match((await api("POST", custom, { key: "k", value: 1, is_secret: true })).body.error, /custom\/secret/);
    assert.equal((await api("POST", custom, { key: "secret", value: 1 })).status, 400);
    assert.equal((await api("POST", custom, { key: "k", value: "x".repeat(70_000) })).status, 400);
    assert.equal((await api("GET", `${custom}/secrets`)).body.length, 0, "secrets are as they were");
    assert.equal((await api("DELETE", `${custom}/features.beta`)).status, 204);
    assert.equal((await api("GET", custom)).body.length, 1);
  });

  await step("client keys in the words of other clients", async () => {
    const { status, body } = await api("POST", "/client-keys", {
      name: "site",
      scopes: ["functions:execute"],
      rate_limit: 60,
      expires_in: "24h",
    });
    assert.deepEqual([status, body.scopes, body.rate_limit_per_minute], [201, ["functions:invoke"], 60]);
    assert.ok(Math.abs(Date.parse(body.expires_at) - Date.now() - 86_400_000) < 60_000, body.expires_at);
    const never = await api("POST", "/client-keys", { name: "x", scopes: ["functions:read"], expires_in: "never" });
    assert.equal(never.status, 400);
  });

  await step("a change with an Idempotency-Key is made once", async () => {
    const send = async (body: unknown, { key = platform.serviceKey, path = "/client-keys", id = "one" } = {}) => {
      const response = await fetch(`${platform.url}/api/v1${path}`, {
        method: "POST",
        headers: { authorization: `Bearer ${key}`, "idempotency-key": id },
        body: JSON.stringify(body),
      });
      return { status: response.status, headers: response.headers, body: await response.json() };
    };
    const first = await send({ name: "once", scopes: [] });
    const second = await send({ name: "once", scopes: [] });
    assert.deepEqual([first.status, second.status, second.body], [201, 201, first.body]);
    assert.deepEqual([first.headers.get("idempotent-replayed"), second.headers.get("idempotent-replayed")], [
      null,
      "true",
    ]);
    const named = (await api("GET", "/client-keys")).body.filter(({ name }: { name: string }) => name === "once");
    assert.equal(named.length, 1);
    const other = await send({ name: "another", scopes: [] });
    assert.deepEqual([other.status, other.body.code], [422, "IDEMPOTENCY_MISMATCH"]);
    // Another caller, path or key is another request.
    const { body: key } = await api("POST", "/admin/service-keys", { name: "second" });
    const theirs = await send({ name: "once", scopes: [] }, { key: key.key });
    assert.notEqual(theirs.body.id, first.body.id);
    assert.notEqual((await send({ name: "once", scopes: [] }, { id: "two" })).body.id, first.body.id);
    // What failed may be tried again, and of two at once one is made.
    assert.equal((await send({ name: "" }, { id: "three" })).status, 400);
    assert.equal((await send({ name: "" }, { id: "three" })).headers.get("idempotent-replayed"), null);
    const both = await Promise.all([1, 2, 3].map(() => send({ name: "race", scopes: [] }, { id: "four" })));
    assert.ok(both.every(({ status }) => status === 201 || status === 409), both.map(({ status }) => status).join());
    assert.equal(new Set(both.flatMap(({ status, body }) => status === 201 ? [body.id] : [])).size, 1);
    assert.equal((await send({ name: "x" }, { id: "a b" })).status, 400);
    const { rows } = await sql<{ answer: Uint8Array }>`select answer from fluxbase.idempotent_requests`.execute(
      platform.db,
    );
    const kept = rows.map(({ answer }) => new TextDecoder().decode(answer)).join();
    assert.ok(!kept.includes(first.body.key), "the key in an answer is not kept in plain text");
  });

  await step("functions of SQL with their arguments as params, and texts in part", async () => {
    await sql.raw(`
      create table public.posts (id int primary key, title varchar(99), body text, data jsonb);
      insert into public.posts values (1, 'a long title', 'a long body', '{"text": "not cut"}');
      grant all on public.posts to service_role;
      create function public.greet(name text) returns text language sql stable as $$ select 'Hello ' || name $$;
      create function public.all_posts() returns setof public.posts language sql stable as 'select * from public.posts';
    `).execute(platform.appDb);
    await eventually(async () => (await api("POST", "/rpc/default/greet", { params: { name: "Ada" } })).status === 200);
    const { body } = await api("POST", "/rpc/default/greet", { params: { name: "Ada" } });
    assert.deepEqual([body.status, body.result, body.rows_returned], ["completed", "Hello Ada", 1]);
    assert.equal((await api("POST", "/rpc/public/all_posts", {})).body.result[0].title, "a long title");
    const missing = await api("POST", "/rpc/default/no_such", { params: { a: 1 } });
    assert.deepEqual([missing.status, /not found/.test(missing.body.error)], [404, true]);
    assert.equal((await api("POST", "/rpc/elsewhere/greet", {})).status, 406);
    assert.equal((await api("POST", "/rpc/default/greet", { async: true })).status, 501);
    assert.equal((await api("POST", "/rpc/default/greet", { params: [] })).status, 400);
    const [post] = (await api("GET", "/tables/posts?truncate=6")).body;
    assert.deepEqual(post, { id: 1, title: "a long", body: "a long", data: { text: "not cut" } });
    const [chosen] = (await api("GET", "/tables/posts?select=body,id&truncate=1")).body;
    assert.deepEqual(chosen, { body: "a", id: 1 });
  });

  await step("what is not there says so, and what nobody knows is not found", async () => {
    for (const path of ["/storage/buckets", "/jobs/submit", "/admin/system/settings", "/tenants", "/auth/otp/signin"]) {
      const { status, body } = await api("POST", path, {});
      assert.deepEqual([path, status, body.code], [path, 501, "NOT_AVAILABLE"]);
      assert.match(body.error, /not available|not over HTTP/);
    }
    assert.deepEqual((await api("GET", "/storages")).body.error, "Not Found");
  });

  await step("secrets as the command line asks for them, with the question mark in the path", async () => {
    for (const namespace of ["one", "two"]) {
      await api("POST", "/secrets", { name: "FROM_CLI", value: "x", scope: "namespace", namespace });
    }
    assert.equal((await api("GET", "/secrets%3Fnamespace=one")).body.length, 1);
    const found = await api("GET", "/secrets/by-name/FROM_CLI%3Fnamespace=two");
    assert.deepEqual([found.status, found.body.namespace], [200, "two"]);
    const changed = await api("PUT", "/secrets/by-name/FROM_CLI%3Fnamespace=two", { value: "y" });
    assert.equal(changed.body.version, 2);
    assert.equal((await api("DELETE", "/secrets/by-name/FROM_CLI%3Fnamespace=one")).status, 204);
    assert.equal((await api("GET", "/secrets/by-name/nothing%3F")).status, 404);
  });

  await step("accounts: what clients send along, deleting one's own, and users as admins see them", async () => {
    const along = { captcha_token: "t", challenge_id: "c", device_fingerprint: "f" };
    const credentials = { email: "along@example.invalid", password: PASSWORD };
    const signedUp = await api("POST", "/auth/signup", { ...credentials, ...along }, platform.anonKey);
    assert.equal(signedUp.status, 201);
    const { access_token, user } = (await api("POST", "/auth/signin", { ...credentials, ...along })).body;
    const change = { user_metadata: { a: 1 }, nonce: "n" };
    assert.equal((await api("PATCH", "/auth/user", change, access_token)).status, 200);
    assert.deepEqual((await api("POST", "/auth/captcha/check", { endpoint: "login" }, platform.anonKey)).body, {
      captcha_required: false,
    });
    assert.deepEqual((await api("GET", "/auth/oauth/providers", undefined, null)).body, { providers: [] });
    const listed = (await api("GET", "/admin/users?search=ALONG@&limit=5")).body;
    assert.deepEqual([listed.total, listed.users[0].id], [1, user.id]);
    assert.equal((await api("GET", `/admin/users/${user.id}?type=app`)).body.email, credentials.email);
    assert.equal((await api("GET", "/admin/users", undefined, access_token)).status, 403);
    assert.equal((await api("PATCH", `/admin/users/${user.id}/role`, { role: "admin" })).status, 501);

    assert.equal((await api("DELETE", "/auth/account", undefined, access_token)).status, 401);
    assert.equal((await api("DELETE", "/auth/account", { password: "wrong one" }, access_token)).status, 401);
    assert.equal((await api("DELETE", "/auth/account", { password: PASSWORD }, access_token)).status, 204);
    assert.equal((await api("POST", "/auth/signin", credentials)).status, 401);
    assert.equal((await api("GET", `/admin/users/${user.id}`)).status, 404);
    assert.equal((await api("DELETE", "/auth/account", {}, platform.anonKey)).status, 401);
  });

  await step("one row by its id is JSON, and one that is not there is not found", async () => {
    const one = await api("GET", "/tables/posts/1");
    assert.deepEqual([one.status, one.body.id, one.headers.get("content-type")], [
      200,
      1,
      "application/json; charset=utf-8",
    ]);
    assert.equal((await api("GET", "/tables/posts/99")).status, 404);
  });

  await step("which ways of signing in there are", async () => {
    const { body } = await api("GET", "/auth/config", undefined, null);
    assert.deepEqual(
      [body.signup_enabled, body.password_login_enabled, body.password_min_length, body.oauth_providers],
      [
        true,
        true,
        8,
        [],
      ],
    );
    assert.deepEqual((await api("GET", "/auth/captcha/config", undefined, null)).body, { enabled: false });
  });

  await step("the admin who asks is shown as user, too", async () => {
    const nowSec = Math.floor(Date.now() / 1_000);
    const { user } = (await api("POST", "/auth/signin", { email: "ada@example.invalid", password: PASSWORD })).body;
    const token = await new SignJWT({ role: "admin", sub: user.id, exp: nowSec + 60 }).setProtectedHeader({
      alg: "HS256",
    }).sign(new TextEncoder().encode(platform.jwtSecret.reveal()));
    const { body } = await api("GET", "/admin/me", undefined, token);
    assert.deepEqual([body.user.email, body.email], ["ada@example.invalid", "ada@example.invalid"]);
  });
});
