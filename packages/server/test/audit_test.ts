/**
 * The audit log: every change and every refusal, who, from where, before and after, and never a secret.
 *
 * @module
 */
import assert from "node:assert/strict";
import { SignJWT } from "jose";
import { sql } from "kysely";
import { dropOldAuditEntries } from "../src/storage/audit_log.ts";
import { eventually, platformTest } from "./support/platform.ts";

const CODE = `export default () => "unusual text of the source";`;
const SECRET = "the value of an environment variable";

platformTest("the audit log", async (platform, step) => {
  const { api } = platform;
  const log = async (query = "") => (await api("GET", `/admin/audit-log?limit=1000&${query}`)).body;
  const key = await platform.mintKey(["functions:*"]);

  await step("a change says who, what, from where, before and after", async () => {
    await fetch(`${platform.url}/api/v1/functions`, {
      method: "POST",
      headers: { authorization: `Bearer ${key}`, "x-request-id": "first", "user-agent": "a test" },
      body: JSON.stringify({ name: "fn", code: CODE, timeout: 5, env: { TOKEN: SECRET } }),
    }).then((response) => response.body?.cancel());
    const [created] = await log("action=POST /functions");
    assert.deepEqual(
      [created.request_id, created.actor_kind, created.address, created.user_agent, created.target, created.status],
      ["first", "key", "127.0.0.1", "a test", "default/fn", 201],
    );
    assert.match(created.actor_id, /^[0-9a-f-]{36}$/);
    assert.equal(created.code, null);
    assert.deepEqual(created.changes.timeout, { after: 5 });
    assert.deepEqual(created.changes.env, { after: ["TOKEN"] });
    assert.match(created.changes.code.after.sha256, /^[0-9a-f]{64}$/);

    await api("PATCH", "/functions/default/fn", { timeout: 7 });
    const [changed] = await log("target=default/fn");
    assert.deepEqual([changed.action, changed.actor_kind, changed.actor_role, changed.changes.timeout], [
      "PATCH /functions/{namespace}/{name}",
      "service",
      "service_role",
      { before: 5, after: 7 },
    ]);
    assert.equal("code" in changed.changes, false);
    await api("POST", "/functions/fn/rollback", { version: 1 });
    await api("DELETE", "/functions/fn");
    const [deleted, rolledBack] = await log("target=default/fn");
    assert.deepEqual([rolledBack.changes.timeout, deleted.action, deleted.status], [
      { before: 7, after: 5 },
      "DELETE /functions/{name}",
      204,
    ]);
    assert.deepEqual(deleted.changes.timeout, { before: 5 });
  });

  await step("every route that changes something for those who may leaves an entry, also when it fails", async () => {
    const document = (await api("GET", "/openapi.json")).body;
    let walkedCount = 0;
    for (const [path, methods] of Object.entries<Record<string, { description: string }>>(document.paths)) {
      for (const [method, { description }] of Object.entries(methods)) {
        if (method === "get" || path.includes("/invoke") || /^Public$|any valid credential/.test(description)) continue;
        const requestId = `walk-${walkedCount}`;
        const target = path.replaceAll(/\{\w+\}/g, "x");
        const response = await fetch(platform.url + target, {
          method: method.toUpperCase(),
          headers: { authorization: `Bearer ${platform.serviceKey}`, "x-request-id": requestId },
          body: method === "delete" ? null : "{}",
        });
        await response.body?.cancel();
        const entries = (await log()).filter((one: { request_id: string }) => one.request_id === requestId);
        assert.equal(entries.length, 1, `${method} ${path}`);
        assert.deepEqual([entries[0].status, entries[0].action], [
          response.status,
          `${method.toUpperCase()} ${path.replace("/api/v1", "")}`,
        ]);
        walkedCount += 1;
      }
    }
    assert.ok(walkedCount >= 20, `only ${walkedCount}`);
  });

  await step("who is refused is kept with the reason, on both planes", async () => {
    await platform.deploy("guarded", CODE);
    const limited = await platform.mintKey(["functions:*"], ["team-b"]);
    const user = await new SignJWT({ role: "authenticated", sub: "u1" }).setProtectedHeader({ alg: "HS256" })
      .setExpirationTime("1h").sign(new TextEncoder().encode(platform.jwtSecret.reveal()));
    const attempts: readonly [id: string, path: string, credential: string][] = [
      ["bad-key", "/functions", "fbk_nonsense"],
      ["bad-token-call", "/functions/guarded/invoke", "a.b.c"],
      ["user-on-admin", "/client-keys", user],
      ["other-namespace-call", "/functions/guarded/invoke", limited],
    ];
    for (const [id, path, credential] of attempts) {
      await fetch(`${platform.url}/api/v1${path}`, {
        headers: { authorization: `Bearer ${credential}`, "x-request-id": id, "x-forwarded-for": "6.6.6.6" },
      }).then((response) => response.body?.cancel());
    }
    const entries = await log();
    const of = (id: string) => entries.find((one: { request_id: string }) => one.request_id === id);
    assert.deepEqual(attempts.map(([id]) => [of(id)?.code, of(id)?.action, of(id)?.address]), [
      ["INVALID_CREDENTIAL", "GET /functions", "127.0.0.1"],
      ["INVALID_CREDENTIAL", "invoke", "127.0.0.1"],
      ["FORBIDDEN", "GET /client-keys", "127.0.0.1"],
      ["FORBIDDEN", "invoke", "127.0.0.1"],
    ]);
    assert.deepEqual([of("user-on-admin").actor_id, of("bad-key").reason], [
      "u1",
      "Cannot accept the credential: no such key exists",
    ]);
  });

  await step("a flood of guesses is counted, not kept one by one", async () => {
    const before = (await log("code=INVALID_CREDENTIAL")).length;
    for (let round = 0; round < 10; round += 1) {
      await Promise.all(Array.from({ length: 60 }, async () => {
        const response = await fetch(`${platform.url}/api/v1/functions`, { headers: { apikey: "fbk_guess" } });
        await response.body?.cancel();
      }));
    }
    await eventually(async () => {
      const entries = await log("code=INVALID_CREDENTIAL");
      const added = entries.slice(0, entries.length - before);
      const counted = added.reduce(
        (sum: number, { reason }: { reason: string }) => sum + Number(/^(\d+) refusals/.exec(reason)?.[1] ?? 1),
        0,
      );
      return counted === 600 && added.length < 400;
    });
  });

  await step("it is read in pages, by admins only", async () => {
    const first = (await api("GET", "/admin/audit-log?limit=3")).body;
    const second = (await api("GET", `/admin/audit-log?limit=3&before=${first[2].id}`)).body;
    assert.equal(new Set([...first, ...second].map(({ id }) => id)).size, 6);
    assert.deepEqual(await log("since=2030-01-01T00:00:00Z"), []);
    assert.equal((await api("GET", "/admin/audit-log?before=x")).status, 400);
    assert.equal((await api("GET", "/admin/audit-log", undefined, key)).status, 403);
  });

  await step("neither secrets nor sources nor keys are in it, and nobody changes it", async () => {
    const made = await api("POST", "/client-keys", { name: "shown once", scopes: ["functions:read"] });
    const { rows } = await sql<{ text: string }>`select t::text as text from fluxbase.audit_log t`.execute(platform.db);
    const all = rows.map(({ text }) => text).join("\n");
    assert.ok(all.includes(made.body.id));
    for (const secret of [SECRET, "unusual text", made.body.key, key, platform.serviceKey, "fbk_nonsense"]) {
      assert.ok(!all.includes(secret), secret);
    }
    await assert.rejects(
      sql`update fluxbase.audit_log set actor_id = 'somebody else'`.execute(platform.db),
      /never changed/,
    );
    assert.equal(await dropOldAuditEntries(platform.db, 1), 0);
  });
});
