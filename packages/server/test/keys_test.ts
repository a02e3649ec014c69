/**
 * Client and service keys over HTTP: made, used, limited, changed, revoked, rotated, on every server at once.
 *
 * @module
 */
import assert from "node:assert/strict";
import { sql } from "kysely";
import { eventually, platformTest, withTestPlatform } from "./support/platform.ts";

const PASSWORD = "correct horse battery";

platformTest("keys", async (platform, step) => {
  const { api } = platform;
  await platform.deploy("fn", `export default () => 1;`);
  const lists = async (key: string) => (await api("GET", "/functions/fn/executions", undefined, key)).status;

  for (const base of ["/client-keys", "/admin/service-keys"]) {
    const isService = base !== "/client-keys";
    await step(`${base}: made once, shown once, works`, async () => {
      const { status, body } = await api("POST", base, {
        name: "ci",
        description: "of the tests",
        scopes: isService ? [] : ["functions:read"],
      });
      assert.equal(status, 201, JSON.stringify(body));
      const { key, ...shown } = body;
      assert.match(key, isService ? /^fbs_[A-Za-z0-9_-]{43}$/ : /^fbk_[A-Za-z0-9_-]{43}$/);
      assert.equal(shown.key_prefix, key.slice(0, 12));
      assert.equal(await lists(key), 200);
      assert.deepEqual((await api("GET", `${base}/${body.id}`)).body, shown);
      const list = await api("GET", base);
      assert.ok(list.body.some(({ id }: { id: string }) => id === body.id));
      assert.ok(!JSON.stringify(list.body).includes(key));
      for (const header of ["authorization", "apikey", "x-client-key", "x-service-key", "clientkey"]) {
        const value = header === "authorization" ? `Bearer ${key}` : key;
        const response = await fetch(`${platform.url}/api/v1/functions/fn/executions`, {
          headers: { [header]: value },
        });
        assert.equal(response.status, 200, header);
        await response.body?.cancel();
      }
    });
  }

  await step("scopes and namespaces are what a key may do, also after they change", async () => {
    const { body } = await api("POST", "/client-keys", {
      name: "limited",
      scopes: ["functions:write"],
      namespaces: ["team-a"],
    });
    const deploy = async (namespace: string) =>
      (await api("POST", "/functions", {
        name: `x-${crypto.randomUUID().slice(0, 8)}`,
        code: "export default () => 1;",
        namespace,
      }, body.key)).status;
    assert.deepEqual([await deploy("team-a"), await deploy("default"), await lists(body.key)], [201, 403, 403]);
    const { body: changed } = await api("PATCH", `/client-keys/${body.id}`, {
      scopes: ["functions:*"],
      namespaces: null,
      name: "wide",
    });
    assert.deepEqual([changed.name, changed.scopes, changed.namespaces], ["wide", ["functions:*"], null]);
    assert.deepEqual([await deploy("default"), await lists(body.key)], [201, 200]);
    // No client key manages keys.
    assert.equal((await api("POST", "/client-keys", { name: "more" }, body.key)).status, 403);
    assert.equal((await api("GET", "/client-keys", undefined, body.key)).status, 403);
  });

  await step("a service key is the service role: limits that it would not have are refused", async () => {
    const { body: made } = await api("POST", "/admin/service-keys", { name: "all", scopes: ["*"], namespaces: null });
    assert.deepEqual([made.scopes, made.namespaces], [["*"], null]);
    for (const limit of [{ namespaces: ["team-a"] }, { namespaces: [] }, { scopes: ["functions:read"] }]) {
      const [field] = Object.keys(limit);
      for (
        const refused of [
          await api("POST", "/admin/service-keys", { name: "limited", ...limit }),
          await api("PATCH", `/admin/service-keys/${made.id}`, limit),
        ]
      ) {
        assert.equal(refused.status, 400);
        assert.match(refused.body.error, new RegExp(`"${field}.*cannot limit a service key`));
      }
    }
    assert.deepEqual((await api("GET", `/admin/service-keys/${made.id}`)).body.scopes, ["*"]);
  });

  await step("revoked, expired, rotated, deleted: refused at once, and told why", async () => {
    const make = async () => (await api("POST", "/client-keys", { name: "short", scopes: ["functions:read"] })).body;
    const refusal = async (key: string) => (await api("GET", "/functions", undefined, key)).body.error;
    const revoked = await make();
    const answer = await api("POST", `/client-keys/${revoked.id}/revoke`);
    assert.deepEqual([answer.status, typeof answer.body.revoked_at], [200, "string"]);
    assert.match(await refusal(revoked.key), /the key was revoked at/);
    assert.equal((await api("POST", `/client-keys/${revoked.id}/rotate`)).status, 400);
    const expired = await make();
    await api("PATCH", `/client-keys/${expired.id}`, { expires_at: "2020-01-01T00:00:00Z" });
    assert.match(await refusal(expired.key), /the key expired at 2020-01-01/);
    const rotated = await make();
    const { body: fresh } = await api("POST", `/client-keys/${rotated.id}/rotate`);
    assert.match(await refusal(rotated.key), /no such key exists/);
    assert.equal(await lists(fresh.key), 200);
    assert.equal((await api("DELETE", `/client-keys/${rotated.id}`)).status, 204);
    assert.match(await refusal(fresh.key), /no such key exists/);
    assert.equal((await api("GET", `/client-keys/${rotated.id}`)).status, 404);
  });

  await step("another server follows", async () => {
    await withTestPlatform(async (other) => {
      const { body } = await api("POST", "/client-keys", { name: "everywhere", scopes: ["functions:read"] });
      const there = async () => (await other.api("GET", "/functions/fn/executions", undefined, body.key)).status;
      await eventually(async () => await there() === 200);
      await api("POST", `/client-keys/${body.id}/revoke`);
      await eventually(async () => await there() === 401);
    }, { DATABASE_URL: platform.databaseUrl.reveal() });
  });

  await step("a key of a user is that user, with the rights of its scopes", async () => {
    const { body: ada } = await api("POST", "/auth/signup", { email: "ada@example.com", password: PASSWORD }, null);
    const { body: bob } = await api("POST", "/auth/signup", { email: "bob@example.com", password: PASSWORD }, null);
    await platform.deploy(
      "who",
      `export default (req) => [req.user_id, req.user_email, req.user_role, req.session_id ?? null];`,
    );
    const who = async (key: string) =>
      await (await platform.call("who", { headers: { authorization: `Bearer ${key}` } })).json();
    const make = (fields: Record<string, unknown>, token: string) =>
      api("POST", "/client-keys", { name: "mine", scopes: ["functions:invoke"], ...fields }, token);

    const { status, body: own } = await make({}, ada.access_token);
    assert.equal(status, 201, JSON.stringify(own));
    assert.equal(own.user_id, ada.user.id);
    assert.deepEqual(await who(own.key), [ada.user.id, "ada@example.com", "authenticated", null]);
    const { body: given } = await make({ user_id: bob.user.id, scopes: ["functions:*"] }, platform.serviceKey);
    assert.deepEqual(await who(given.key), [bob.user.id, "bob@example.com", "authenticated", null]);

    // Their own, and nobody else's.
    const mine = await api("GET", "/client-keys", undefined, ada.access_token);
    assert.deepEqual(mine.body.map(({ id }: { id: string }) => id), [own.id]);
    for (
      const [method, path] of [["GET", ""], ["PATCH", ""], ["DELETE", ""], ["POST", "/revoke"], ["POST", "/rotate"]]
    ) {
      const refused = await api(
        method ?? "",
        `/client-keys/${given.id}${path}`,
        method === "GET" ? undefined : {},
        ada.access_token,
      );
      assert.equal(refused.status, 404, `${method} ${path}`);
    }
    // No more than the user may do.
    for (
      const fields of [{ scopes: ["functions:write"] }, { scopes: ["*"] }, { scopes: ["secrets:write"] }, {
        user_id: bob.user.id,
      }]
    ) {
      assert.equal((await make(fields, ada.access_token)).status, 403, JSON.stringify(fields));
    }
    assert.equal((await api("PATCH", `/client-keys/${own.id}`, { scopes: ["*"] }, ada.access_token)).status, 403);
    assert.equal((await api("GET", "/functions/fn/executions", undefined, own.key)).status, 403);
    // The key signs nobody in.
    assert.equal((await api("GET", "/auth/user", undefined, own.key)).status, 401);
    assert.equal((await api("PATCH", "/auth/user", { password: "another password" }, own.key)).status, 401);
    assert.equal((await make({}, own.key)).status, 403);
    assert.equal((await api("GET", "/settings/secrets", undefined, own.key)).status, 403);
    assert.equal((await make({ user_id: crypto.randomUUID() }, platform.serviceKey)).status, 404);

    // Follows the user: another e-mail, and gone with them.
    await api("PATCH", "/auth/user", { email: "ada@new.example.com" }, ada.access_token);
    await eventually(async () => (await who(own.key))[1] === "ada@new.example.com");
    await sql`delete from fluxbase.users where id = ${ada.user.id}`.execute(platform.db);
    await eventually(async () => (await who(own.key)).code === "INVALID_CREDENTIAL");
  });

  await step("it is written down when a key was used last", async () => {
    const { body: made } = await api("POST", "/client-keys", { name: "used", scopes: ["functions:read"] });
    assert.equal(made.last_used_at, null);
    const beforeMs = Date.now();
    assert.equal(await lists(made.key), 200);
    const lastUsedMs = async () => Date.parse((await api("GET", `/client-keys/${made.id}`)).body.last_used_at ?? 0);
    await eventually(async () => await lastUsedMs() >= beforeMs);
    const first = await lastUsedMs();
    assert.equal(await lists(made.key), 200);
    await eventually(async () => await lastUsedMs() > first);
  });

  await step("bad input is named", async () => {
    const cases: [unknown, RegExp][] = [
      [{}, /"name" is missing/],
      [{ name: "" }, /"name" must not be empty/],
      [{ name: "x", scopes: ["functions:fly"] }, /"scopes\.0" must be of \*, functions:read/],
      [{ name: "x", namespaces: ["a b"] }, /"namespaces\.0" must be names of namespaces/],
      [{ name: "x", expires_at: "tomorrow" }, /"expires_at" must be an instant/],
      [[], /must be a JSON object/],
    ];
    for (const [body, says] of cases) {
      const answer = await api("POST", "/client-keys", body);
      assert.equal(answer.status, 400, JSON.stringify(body));
      assert.match(answer.body.error, says);
    }
    for (const id of ["x", crypto.randomUUID(), "%00"]) {
      assert.equal((await api("GET", `/client-keys/${id}`)).status, 404, id);
      assert.equal((await api("DELETE", `/client-keys/${id}`)).status, 404, id);
      assert.equal((await api("POST", `/client-keys/${id}/revoke`)).status, 404, id);
    }
    // A client key is none of the service keys.
    const { body } = await api("POST", "/client-keys", { name: "client" });
    assert.equal((await api("GET", `/admin/service-keys/${body.id}`)).status, 404);
  });
});
