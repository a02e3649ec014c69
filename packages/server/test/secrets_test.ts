/**
 * Secrets: the guide's chapter, who sees which, how soon a change arrives, and that no value is found anywhere else.
 *
 * @module
 */
import assert from "node:assert/strict";
import { sql } from "kysely";
import { eventually, platformTest, type TestPlatform, withTestPlatform } from "./support/platform.ts";

/** The guide's example; what it reads is the answer. */
const GUIDE = `
// The 'secrets' object is automatically available - no import needed
export default async function handler(req: Request): Promise<Response> {
  // Get with automatic fallback: user secret -> system secret
  const openaiKey = secrets.getRequired("openai_api_key");
  const stripeKey = secrets.get("stripe_api_key");
  // Explicit access to user vs system secrets
  const userKey = secrets.getUser("openai_api_key");
  const systemKey = secrets.getSystem("stripe_api_key");
  return Response.json([openaiKey, stripeKey, userKey ?? null, systemKey]);
}`;

const SYSTEM = "/admin/settings/custom/secret";
const USER = "/settings/secret";

async function signUp({ api }: TestPlatform, name: string): Promise<{ token: string; id: string }> {
  const { status, body } = await api("POST", "/auth/signup", {
    email: `${name}@example.com`,
    password: "a long password",
  }, null);
  assert.equal(status, 201, JSON.stringify(body));
  return { token: body.access_token, id: body.user.id };
}

async function read(platform: TestPlatform, name: string, token: string) {
  const response = await platform.call(name, { headers: { authorization: `Bearer ${token}` } });
  const text = await response.text();
  return text === "" ? undefined : JSON.parse(text);
}

/** What `name` sees of each key. */
const SEES = `export default (req) => JSON.parse(req.body).map((key) => secrets.getSystem(key) ?? null);`;

platformTest("secrets of namespaces", async (platform, step) => {
  const { api } = platform;
  for (const namespace of ["evil", "victims", "third"]) await platform.deploy("sees", SEES, { namespace });
  const evil = await platform.mintKey(["secrets:*"], ["evil"]);
  const both = await platform.mintKey(["secrets:*"], ["victims", "evil"]);
  const none = await platform.mintKey(["secrets:*"], []);
  const sees = async (namespace: string, ...keys: string[]) =>
    await (await platform.call(`${namespace}/sees`, { method: "POST", body: JSON.stringify(keys) })).json();
  const keysOf = async (key?: string) =>
    (await api("GET", `${SYSTEM}s`, undefined, key)).body.map(({ key, namespaces }: Record<string, unknown>) => [
      key,
      namespaces,
    ]);

  await step("a limited key learns nothing of secrets for all or for others, and overwrites none", async () => {
    await api("POST", SYSTEM, { key: "card", value: "of all" });
    await api("POST", SYSTEM, { key: "token", value: "of victims", namespaces: ["victims"] });
    assert.deepEqual(await keysOf(evil), []);
    for (const place of ["", "?namespaces=victims", "?namespaces=evil,victims"]) {
      for (const [method, body] of [["GET"], ["PUT", { value: "taken" }], ["DELETE"]] as const) {
        const answers = [];
        for (const key of ["card", "token", "nothing"]) {
          const answer = await api(method, `${SYSTEM}/${key}${place}`, body, evil);
          answers.push([answer.status, answer.body.error.replace(key, "…")]);
        }
        assert.deepEqual(answers, Array(3).fill([404, 'Secret "…" not found']), `${method} ${place}`);
      }
    }
    for (const key of ["card", "token", "nothing"]) {
      for (const namespaces of [["victims"], ["evil", "victims"], null]) {
        const refused = await api("POST", SYSTEM, { key, value: "taken", namespaces }, evil);
        assert.deepEqual([refused.status, refused.body.code], [403, "FORBIDDEN"], `${key} ${namespaces}`);
      }
    }
    assert.equal((await api("POST", SYSTEM, { key: "card", value: "x" }, none)).status, 403);
    assert.equal((await api("GET", `${SYSTEM}/card`, undefined, none)).status, 404);
    assert.deepEqual(await keysOf(none), []);
    assert.deepEqual(await sees("victims", "card", "token"), ["of all", "of victims"]);
    assert.deepEqual(await sees("evil", "card", "token"), ["of all", null]);
  });

  await step("the same name in another namespace is another secret; the nearest counts", async () => {
    const made = await api("POST", SYSTEM, { key: "card", value: "of evil" }, evil);
    assert.deepEqual([made.status, made.body.namespaces], [201, ["evil"]]);
    assert.equal((await api("POST", SYSTEM, { key: "card", value: "again" }, evil)).status, 409);
    assert.equal((await api("POST", SYSTEM, { key: "token", value: "of both" }, both)).status, 201);
    assert.deepEqual(await sees("evil", "card", "token"), ["of evil", "of both"]);
    assert.deepEqual(await sees("victims", "card", "token"), ["of all", "of victims"]);
    assert.deepEqual(await sees("third", "card", "token"), ["of all", null]);
    assert.deepEqual(await keysOf(evil), [["card", ["evil"]]]);
    assert.deepEqual(await keysOf(both), [["card", ["evil"]], ["token", ["evil", "victims"]], ["token", ["victims"]]]);
    assert.equal((await api("PUT", `${SYSTEM}/card`, { value: "of evil, again" }, evil)).status, 200);
    assert.equal((await api("GET", `${SYSTEM}/card`)).body.namespaces, null);
    assert.equal((await api("PUT", `${SYSTEM}/card`, { value: "by an admin", namespaces: ["evil"] })).status, 200);
    assert.deepEqual(await sees("evil", "card"), ["by an admin"]);
    assert.equal((await api("DELETE", `${SYSTEM}/card`, undefined, evil)).status, 204);
    assert.deepEqual([await sees("evil", "card"), await sees("third", "card")], [["of all"], ["of all"]]);
  });

  await step("a change leaves the sandboxes of other namespaces as they are", async () => {
    await platform.deploy("pid", "export default () => Deno.pid;", { namespace: "victims" });
    const pid = async () => await (await platform.call("victims/pid")).json();
    const before = await pid();
    await api("POST", SYSTEM, { key: "loud", value: "x" }, evil);
    assert.deepEqual(await sees("evil", "loud"), ["x"]);
    assert.equal(await pid(), before);
  });

  await step("one namespace cannot use up what another may keep", async () => {
    let status = 201;
    for (let index = 0; status === 201; index += 1) {
      assert.ok(index < 40, "there is no bound");
      status = (await api("POST", SYSTEM, { key: `large-${index}`, value: "x".repeat(16_000) }, evil)).status;
    }
    assert.equal(status, 400);
    const victims = await platform.mintKey(["secrets:*"], ["victims"]);
    assert.equal((await api("POST", SYSTEM, { key: "large", value: "x".repeat(16_000) }, victims)).status, 201);
  });

  await step("a value that is moved in the database opens no more", async () => {
    await sql`update fluxbase.secrets set namespaces = '{evil}' where key = 'token' and namespaces = '{victims}'`
      .execute(platform.db);
    await eventually(async () => (await sees("victims", "token"))[0] === "of both");
    assert.deepEqual(await sees("evil", "token"), ["of both"]);
  });

  await step("bad input is named; users have no secrets of namespaces", async () => {
    for (
      const [path, body, says] of [
        [SYSTEM, { key: "k", value: "v", namespaces: [] }, /"namespaces" must not be empty/],
        [SYSTEM, { key: "k", value: "v", namespaces: ["a b"] }, /"namespaces.0" must be a namespace/],
        [`${SYSTEM}?namespaces=a`, { key: "k", value: "v", namespaces: ["b"] }, /one thing in the body and another/],
        [`${SYSTEM}?namespaces=,`, { key: "k", value: "v" }, /it is no namespace/],
      ] as const
    ) {
      const answer = await api("POST", path, body);
      assert.equal(answer.status, 400, JSON.stringify(answer.body));
      assert.match(answer.body.error, says);
    }
    const ada = await signUp(platform, "ada");
    assert.equal((await api("POST", USER, { key: "k", value: "v", namespaces: ["evil"] }, ada.token)).status, 400);
    const limited = await api("POST", "/client-keys", {
      name: "limited",
      scopes: ["secrets:*"],
      namespaces: ["evil"],
      user_id: ada.id,
    });
    assert.equal((await api("POST", USER, { key: "k", value: "v" }, limited.body.key)).status, 403);
  });

  await step("the audit log says which", async () => {
    const { body } = await api("GET", "/admin/audit-log?limit=1000");
    const targets = body.map(({ target }: { target: string }) => target);
    assert.ok(targets.includes("secret card of evil") && targets.includes("secret token of victims"));
    assert.ok(
      body.some(({ code, target }: Record<string, string>) => code === "FORBIDDEN" && target === "secret token"),
    );
  });
});

platformTest("secrets", async (platform, step) => {
  const { api } = platform;
  const [ada, bob] = [await signUp(platform, "ada"), await signUp(platform, "bob")];
  await platform.deploy("guide", GUIDE);

  await step("the guide's chapter: user first, then system, and a clear error where there is none", async () => {
    const missing = await read(platform, "guide", ada.token);
    assert.match(missing.error, /Secret "openai_api_key" is missing/);
    for (const [key, value] of [["stripe_api_key", "sk_live_xxx"], ["openai_api_key", "sk-proj-xxx"]]) {
      const { status, body } = await api("POST", SYSTEM, { key, value, description: "of the guide" });
      assert.equal(status, 201);
      assert.deepEqual(Object.keys(body).sort(), [
        "created_at",
        "created_by",
        "description",
        "expires_at",
        "id",
        "is_expired",
        "key",
        "name",
        "namespace",
        "namespaces",
        "scope",
        "updated_at",
        "updated_by",
        "user_id",
        "version",
      ]);
      assert.deepEqual([body.key, body.user_id, body.created_by], [key, null, "service_role"]);
    }
    assert.equal(
      (await api("POST", USER, { key: "openai_api_key", value: "sk-proj-user-key" }, ada.token)).status,
      201,
    );
    assert.deepEqual(await read(platform, "guide", ada.token), [
      "sk-proj-user-key",
      "sk_live_xxx",
      "sk-proj-user-key",
      "sk_live_xxx",
    ]);
    const others = ["sk-proj-xxx", "sk_live_xxx", null, "sk_live_xxx"];
    assert.deepEqual(await read(platform, "guide", bob.token), others);
    assert.deepEqual(await read(platform, "guide", platform.anonKey), others);
  });

  await step("a change or deletion reaches warm sandboxes at once", async () => {
    await api("PUT", `${SYSTEM}/stripe_api_key`, { value: "sk_live_yyy" });
    assert.equal((await read(platform, "guide", bob.token))[1], "sk_live_yyy");
    await api("PUT", `${USER}/openai_api_key`, { value: "sk-proj-user-two" }, ada.token);
    assert.equal((await read(platform, "guide", ada.token))[0], "sk-proj-user-two");
    assert.equal((await api("DELETE", `${USER}/openai_api_key`, undefined, ada.token)).status, 204);
    assert.equal((await read(platform, "guide", ada.token))[0], "sk-proj-xxx");
    await api("DELETE", `${SYSTEM}/stripe_api_key`);
    assert.equal((await read(platform, "guide", ada.token))[1], null);
  });

  await step("nobody gets a value back, and what clients rely on holds", async () => {
    assert.equal((await api("PUT", `${SYSTEM}/nothing`, { value: "x" })).status, 404);
    assert.match((await api("GET", `${SYSTEM}/nothing`)).body.error, /not found/);
    assert.equal((await api("POST", SYSTEM, { key: "openai_api_key", value: "again" })).status, 409);
    const described = await api("PUT", `${SYSTEM}/openai_api_key`, { description: "other words" });
    assert.deepEqual([described.status, described.body.description], [200, "other words"]);
    assert.equal((await read(platform, "guide", bob.token))[0], "sk-proj-xxx");
    const list = await api("GET", "/admin/settings/custom/secrets");
    assert.deepEqual(list.body.map(({ key }: { key: string }) => key), ["openai_api_key"]);
    assert.ok(!JSON.stringify(list.body).includes("sk-proj"));
    for (const path of [USER, "/settings/secrets"]) {
      assert.deepEqual((await api("GET", path, undefined, bob.token)).body, []);
    }
  });

  await step("who may: admins and keys with the scope for the server's, each user for their own", async () => {
    await api("POST", USER, { key: "mine", value: "of ada alone" }, ada.token);
    assert.equal((await api("GET", `${USER}/mine`, undefined, bob.token)).status, 404);
    assert.equal((await api("DELETE", `${USER}/mine`, undefined, bob.token)).status, 404);
    assert.equal((await api("GET", USER, undefined, platform.serviceKey)).status, 401);
    assert.equal((await api("GET", "/admin/settings/custom/secrets", undefined, ada.token)).status, 403);
    const reader = await platform.mintKey(["secrets:read"]);
    assert.equal((await api("GET", "/admin/settings/custom/secrets", undefined, reader)).status, 200);
    assert.equal((await api("POST", SYSTEM, { key: "x", value: "y" }, reader)).status, 403);
    const writer = await platform.mintKey(["secrets:*"]);
    assert.equal((await api("POST", SYSTEM, { key: "x", value: "y" }, writer)).status, 201);
    assert.equal(
      (await api("GET", "/admin/settings/custom/secrets", undefined, await platform.mintKey(["functions:*"]))).status,
      403,
    );
  });

  await step("bad input is named without the value", async () => {
    const cases: readonly [body: unknown, says: RegExp][] = [
      [{ key: "a b", value: "hidden value" }, /"key" must be 1 to 128 letters/],
      [{ key: "__proto__", value: "hidden value" }, /"key" must be/],
      [{ key: "k", value: "" }, /"value" must not be empty/],
      [{ key: "k", value: 5 }, /"value" must be a string/],
      [{ key: "k", value: "x".repeat(16_385) }, /at most 16384 characters/],
      [{ key: "k", value: "hidden value\0" }, /must not contain NUL/],
      [{ key: "k", value: "hidden value", scope: "x" }, /unknown field "scope"/],
      [[], /must be a JSON object/],
    ];
    for (const [body, says] of cases) {
      const answer = await api("POST", SYSTEM, body);
      assert.equal(answer.status, 400, JSON.stringify(body).slice(0, 80));
      assert.match(answer.body.error, says);
      assert.ok(!answer.body.error.includes("hidden value"));
    }
    let last = 201;
    for (let index = 0; index < 6 && last === 201; index += 1) {
      last = (await api("POST", USER, { key: `large-${index}`, value: "x".repeat(16_000) }, bob.token)).status;
    }
    assert.equal(last, 400);
    assert.equal((await read(platform, "guide", bob.token))[0], "sk-proj-xxx");
  });

  await step("two users in one sandbox never see each other's, whatever the code keeps", async () => {
    await api("POST", USER, { key: "mine", value: "of bob alone" }, bob.token);
    await platform.deploy(
      "kept",
      `const kept = secrets; const { getUser } = secrets; let readers = [];
      export default async (req, context) => {
        readers.push(() => kept.getUser("mine"));
        const mine = getUser("mine");
        for (let turn = 0; turn < 5; turn += 1) {
          await new Promise((resolve) => setTimeout(resolve, 5));
          const seen = [kept.getUser("mine"), getUser("mine"), context.secrets.getUser("mine"), secrets.get("mine"),
            ...readers.map((read) => read()), await Promise.resolve().then(() => kept.getUser("mine"))];
          if (seen.some((one) => one !== mine)) return { mine, seen };
        }
        return [mine ?? null, Deno.pid, Object.keys(Fluxbase.getExecutionContext())];
      };`,
    );
    const tokens = [ada.token, bob.token, platform.anonKey];
    const expected = ["of ada alone", "of bob alone", null];
    const answers = await Promise.all(
      Array.from({ length: 30 }, (_, index) => read(platform, "kept", tokens[index % 3] ?? "")),
    );
    assert.deepEqual(answers.map(([mine]) => mine), answers.map((_, index) => expected[index % 3]));
    assert.ok(answers.every(([, , keys]) => !keys.includes("user_secrets")));
  });

  await step("code cannot replace the object or reach the server's values of another kind", async () => {
    await platform.deploy(
      "hostile",
      `const tries = [];
      for (const attempt of [() => { secrets = {}; }, () => { secrets.get = () => "forged"; }, () => { delete globalThis.secrets; },
        () => Object.defineProperty(globalThis, "secrets", { value: {} })]) { try { attempt(); tries.push("done"); } catch (error) { tries.push(error.name); } }
      Object.prototype.polluted = "no secret";
      export default () => [tries, secrets.get("polluted") ?? null, secrets.get("__proto__") ?? null, secrets.get("constructor") ?? null, secrets.getSystem("openai_api_key")];`,
    );
    const [tries, ...values] = await read(platform, "hostile", ada.token);
    assert.deepEqual(tries, ["TypeError", "TypeError", "TypeError", "TypeError"]);
    assert.deepEqual(values, [null, null, null, "sk-proj-xxx"]);
  });

  await step("what a function writes of its secrets is masked in logs, errors and stacks", async () => {
    await platform.deploy(
      "leaky",
      `console.log("outside", secrets.getSystem("openai_api_key"));
      export default () => {
        console.log("user", secrets.getUser("mine"), { deep: [secrets.getSystem("openai_api_key")], env: Deno.env.get("OWN") });
        throw new Error("failed with " + secrets.getUser("mine") + " and " + Deno.env.get("OWN"));
      };`,
      { env: { OWN: "the function's own value" } },
    );
    const answer = await read(platform, "leaky", ada.token);
    assert.equal(answer.error.includes("of ada alone"), false);
    assert.match(answer.error, /failed with \[secret\] and \[secret\]/);
    const [execution] = await platform.executions("leaky");
    assert.match(execution.logs, /user \[secret\]/);
    assert.match(execution.error_message, /failed with \[secret\]/);
    await eventually(async () => {
      const lines = (await api("GET", "/functions/leaky/logs")).body;
      return lines.some(({ message }: { message: string }) => message === "outside [secret]");
    });
  });

  await step("no value is in the database, the log of the server, or an answer of any route", async () => {
    let all = platform.logLines.join("\n");
    const { rows: tables } = await sql<{ name: string }>`
      select tablename as name from pg_tables where schemaname = 'fluxbase'`.execute(platform.db);
    assert.ok(tables.length > 10);
    for (const { name } of tables) {
      const { rows } = await sql<{ text: string }>`select t::text as text from ${sql.table(`fluxbase.${name}`)} t`
        .execute(platform.db);
      all += rows.map(({ text }) => text).join("\n");
    }
    all += JSON.stringify((await api("GET", "/admin/audit-log?limit=1000")).body);
    const { paths } = (await api("GET", "/openapi.json")).body;
    for (const path of Object.keys(paths).filter((one) => !one.includes("/invoke"))) {
      const target = path.replace("/api/v1", "").replace("{name}", "leaky").replace("{namespace}", "default")
        .replace("{key}", "openai_api_key").replace("{version}", "1").replace("{id}", crypto.randomUUID());
      const { status, body } = await api("GET", target);
      assert.notEqual(status, 500, target);
      all += JSON.stringify(body);
    }
    const values = [
      "sk_live_xxx",
      "sk_live_yyy",
      "sk-proj-xxx",
      "sk-proj-user",
      "of ada alone",
      "of bob alone",
      "the function's own value",
      "hidden value",
    ];
    for (const value of values) {
      assert.ok(!all.includes(value), value);
      assert.ok(!all.includes(new TextEncoder().encode(value).toHex()), `${value} as hex`);
    }
    assert.ok(all.includes("secret openai_api_key"), "the audit log names what was changed");
  });
});

platformTest("secrets by name and id, as the published SDK and command line ask for them", async (platform, step) => {
  const { api } = platform;
  for (const namespace of ["default", "team"]) await platform.deploy("sees", SEES, { namespace });
  const sees = async (path: string, key: string) =>
    (await (await platform.call(path, { method: "POST", body: JSON.stringify([key]) })).json())[0];
  const named = (name: string, rest = "") => `/secrets/by-name/${name}${rest}`;

  await step("a secret for all and one of the same name for a namespace", async () => {
    const { status, body } = await api("POST", "/secrets", { name: "API_KEY", value: "one", description: "of all" });
    assert.equal(status, 201);
    const { id, name, scope, namespace, version, expires_at, is_expired, description } = body;
    assert.deepEqual([name, scope, namespace, version, expires_at, is_expired, description], [
      "API_KEY",
      "global",
      null,
      1,
      null,
      false,
      "of all",
    ]);
    const team = { name: "API_KEY", value: "of the team", scope: "namespace", namespace: "team" };
    assert.equal((await api("POST", "/secrets", team)).body.namespace, "team");
    assert.equal((await api("POST", "/secrets", team)).body.code, "ALREADY_EXISTS");
    assert.deepEqual([await sees("sees", "API_KEY"), await sees("team/sees", "API_KEY")], ["one", "of the team"]);
    await platform.deploy("variable", `export default () => Response.json(Deno.env.get("FLUXBASE_SECRET_API_KEY"));`);
    assert.equal(await (await platform.call("variable")).json(), "one");
    assert.equal((await api("GET", named("API_KEY"))).body.id, id);
    assert.equal((await api("GET", `/secrets/${id}`)).body.name, "API_KEY");
    assert.equal((await api("GET", named("API_KEY", "?namespace=team"))).body.scope, "namespace");
    const listed = async (query: string) =>
      (await api("GET", `/secrets${query}`)).body.map((one: Record<string, unknown>) => one["namespace"]);
    assert.deepEqual(await listed(""), [null, "team"]);
    assert.deepEqual(await listed("?scope=global"), [null]);
    assert.deepEqual(await listed("?namespace=team"), ["team"]);
    assert.equal((await api("GET", `${SYSTEM}/API_KEY`)).body.id, id, "it is one secret, whatever the path");
  });

  await step("each value is a version, and an earlier one comes back as a new one", async () => {
    await api("PUT", named("API_KEY"), { value: "two" });
    assert.equal(await (await platform.call("variable")).json(), "two");
    await api("PUT", named("API_KEY"), { description: "no new value" });
    await api("PUT", `${SYSTEM}/API_KEY`, { value: "three" });
    const { body } = await api("GET", named("API_KEY", "/versions"));
    assert.deepEqual(body.map(({ version }: { version: number }) => version), [3, 2, 1]);
    assert.ok(body.every(({ created_by }: { created_by: string }) => created_by === "service_role"));
    const back = await api("POST", named("API_KEY", "/rollback/1"));
    assert.deepEqual([back.status, back.body.version, await sees("sees", "API_KEY")], [200, 4, "one"]);
    assert.equal((await api("POST", `/secrets/${back.body.id}/rollback/2`, {})).body.version, 5);
    assert.equal(await sees("sees", "API_KEY"), "two");
    const gone = await api("POST", named("API_KEY", "/rollback/77"));
    assert.deepEqual([gone.status, /not found/.test(gone.body.error)], [404, true]);
    assert.equal((await api("POST", named("API_KEY", "/rollback/x"))).status, 400);
    for (let index = 0; index < 20; index += 1) await api("PUT", named("API_KEY"), { value: `value ${index}` });
    const kept = (await api("GET", named("API_KEY", "/versions"))).body;
    assert.deepEqual([kept.length, kept[0].version, kept[19].version], [20, 25, 6]);
    assert.equal((await api("GET", named("API_KEY", "/versions?namespace=team"))).body.length, 1);
  });

  await step("from its end on no function sees it", async () => {
    const expires_at = new Date(Date.now() + 1_500).toISOString();
    await api("POST", "/secrets", { name: "SHORT", value: "for a moment", expires_at });
    assert.equal(await sees("sees", "SHORT"), "for a moment");
    assert.deepEqual((await api("GET", "/secrets/stats")).body, { total: 3, expiring_soon: 1, expired: 0 });
    await eventually(async () => await sees("sees", "SHORT") === null);
    assert.deepEqual((await api("GET", "/secrets/stats")).body, { total: 3, expiring_soon: 0, expired: 1 });
    assert.equal((await api("GET", named("SHORT"))).body.is_expired, true);
    await api("PUT", named("SHORT"), { expires_at: null });
    assert.equal(await sees("sees", "SHORT"), "for a moment");
    assert.equal((await api("PUT", named("SHORT"), { expires_at: "2001-01-01T00:00:00Z" })).status, 400);
  });

  await step("who may, where, and what is refused", async () => {
    const limited = await platform.mintKey(["secrets:*"], ["team"]);
    assert.equal((await api("GET", "/secrets", undefined, limited)).body.length, 1);
    assert.equal((await api("GET", named("API_KEY"), undefined, limited)).body.namespace, "team");
    const { id } = (await api("GET", named("API_KEY"))).body;
    for (const path of [`/secrets/${id}`, named("SHORT"), named("API_KEY", "?namespace=other")]) {
      const answer = await api("GET", path, undefined, limited);
      assert.deepEqual([answer.status, /not found/.test(answer.body.error)], [404, true], path);
    }
    assert.equal((await api("POST", `/secrets/${id}/rollback/6`, {}, limited)).status, 404);
    assert.equal((await api("POST", "/secrets", { name: "X", value: "y", scope: "global" }, limited)).status, 403);
    assert.equal((await api("GET", "/secrets", undefined, platform.anonKey)).status, 403);
    const reader = await platform.mintKey(["secrets:read"]);
    assert.equal((await api("PUT", named("API_KEY"), { value: "z" }, reader)).status, 403);
    for (
      const [body, says] of [
        [{ name: "X", value: "hidden value", scope: "namespace" }, /"namespace" is missing/],
        [{ name: "X", value: "hidden value", scope: "global", namespace: "team" }, /beside the scope/],
        [{ name: "X", value: "hidden value", colour: "red" }, /unknown field "colour"/],
        [{ name: "a b", value: "hidden value" }, /"name" must be 1 to 128/],
      ] as const
    ) {
      const answer = await api("POST", "/secrets", body);
      assert.match(answer.body.error, says);
      assert.ok(answer.status === 400 && !answer.body.error.includes("hidden value"));
    }
  });

  await step("deleted with all its versions", async () => {
    const { id } = (await api("GET", named("API_KEY"))).body;
    assert.equal((await api("DELETE", named("API_KEY"))).status, 204);
    assert.equal((await api("GET", `/secrets/${id}/versions`)).status, 404);
    const { rows } = await sql`select from fluxbase.secret_versions`.execute(platform.db);
    assert.equal(rows.length, 0);
    assert.equal(await sees("team/sees", "API_KEY"), "of the team");
  });
});

platformTest("a secret that changes on one server reaches the others", async (platform) => {
  await withTestPlatform(async (other) => {
    const { token } = await signUp(platform, "ada");
    await platform.deploy("fn", `export default () => [secrets.getSystem("k") ?? null, secrets.getUser("k") ?? null];`);
    await eventually(async () => (await other.call("fn", { method: "OPTIONS" })).status === 204);
    const seen = async () => (await read(other, "fn", token)).join();
    await platform.api("POST", SYSTEM, { key: "k", value: "first" });
    await eventually(async () => await seen() === "first,");
    await platform.api("POST", USER, { key: "k", value: "mine" }, token);
    await eventually(async () => await seen() === "first,mine");
    await platform.api("PUT", `${SYSTEM}/k`, { value: "second" });
    await platform.api("DELETE", `${USER}/k`, undefined, token);
    await eventually(async () => await seen() === "second,");
  }, { DATABASE_URL: platform.databaseUrl.reveal() });
});

Deno.test("another encryption key: the old one reads, every value moves to the new one, the old one may go", async () => {
  const [first, second] = ["1".repeat(64), "2".repeat(64)];
  const code =
    `export default () => [secrets.getSystem("k") ?? null, secrets.getUser("k") ?? null, Deno.env.get("K")];`;
  await withTestPlatform(async (before) => {
    const { token } = await signUp(before, "ada");
    await before.deploy("fn", code, { env: { K: "env" } });
    await before.api("POST", SYSTEM, { key: "k", value: "system" });
    await before.api("PUT", `${SYSTEM}/k`, { value: "another" });
    await before.api("PUT", `${SYSTEM}/k`, { value: "system" });
    await before.api("POST", USER, { key: "k", value: "user" }, token);
    const sealedNow = async () =>
      (await sql<{ sealed: Uint8Array }>`
        select sealed from fluxbase.secrets union all select env_sealed from fluxbase.versions where env_sealed is not null
        union all select sealed from fluxbase.secret_versions
      `.execute(before.db)).rows.map(({ sealed }) => Uint8Array.from(sealed).toHex());
    const old = await sealedNow();
    assert.equal(old.length, 5);
    const database = { DATABASE_URL: before.databaseUrl.reveal() };
    const both = { ...database, FLUXBASE_ENCRYPTION_KEY: second, FLUXBASE_ENCRYPTION_PREVIOUS_KEYS: first };
    await withTestPlatform(async (during) => {
      assert.deepEqual(await read(during, "fn", token), ["system", "user", "env"]);
      const told = during.logLines.find((line) => line.includes("encrypted_again"));
      assert.match(told ?? "", /encrypted_again=9 failed=0/);
      const fresh = await sealedNow();
      assert.equal(fresh.length, 5);
      assert.ok(fresh.every((value) => !old.includes(value)));
    }, both);
    await withTestPlatform(async (after) => {
      assert.deepEqual(await read(after, "fn", token), ["system", "user", "env"]);
      const versions = (await after.api("GET", "/secrets/by-name/k/versions")).body;
      assert.deepEqual(versions.map(({ version }: { version: number }) => version), [3, 2, 1]);
      await after.api("POST", "/secrets/by-name/k/rollback/2");
      assert.equal((await read(after, "fn", token))[0], "another");
    }, { ...database, FLUXBASE_ENCRYPTION_KEY: second });
    await withTestPlatform((again) => {
      assert.ok(again.logLines.some((line) => line.includes("encrypted_again=0")));
      return Promise.resolve();
    }, both);
  }, { FLUXBASE_ENCRYPTION_KEY: first });
});
