/**
 * Functions that are asked before somebody gets an account, a session or a token.
 *
 * @module
 */
import assert from "node:assert/strict";
import { decodeJwt } from "jose";
import { sql } from "kysely";
import { Webhook } from "standardwebhooks";
import { eventually, platformTest } from "./support/platform.ts";

/** Answers what it was told to, and logs what it was asked. */
const asking = (hooks: string, answer: string) => `
// @fluxbase:hook ${hooks}
export default async function handler(req, context) {
  const question = await req.json();
  console.log("asked", JSON.stringify({ question, role: req.user_role, user: context.user }));
  ${answer}
}`;

platformTest("hooks of the authentication", async (platform, step) => {
  const { api, url, logLines } = platform;
  const password = "a long password";
  const signUp = (name: string, metadata = {}) =>
    api("POST", "/auth/signup", { email: `${name}@example.com`, password, user_metadata: metadata }, null);
  const signIn = (name: string) => api("POST", "/auth/signin", { email: `${name}@example.com`, password }, null);
  const set = async (name: string, hooks: string, answer: string) => {
    await api("DELETE", `/functions/${name}`);
    await platform.deploy(name, asking(hooks, answer));
  };
  const remove = (name: string) => api("DELETE", `/functions/${name}`);
  // deno-lint-ignore no-explicit-any -- tests look into claims freely
  const claimsIn: (token: string) => any = decodeJwt;
  const lastQuestion = async (name: string) => {
    const { body: [{ logs, trigger_type }] } = await api("GET", `/functions/${name}/executions`);
    return { ...JSON.parse(logs.slice(logs.indexOf("{"), logs.lastIndexOf("}") + 1)), trigger: trigger_type };
  };

  await step("before_user_created sees who comes, refuses with its own words, or sets metadata", async () => {
    await set(
      "gate",
      "before_user_created",
      `
      if (question.user.email.startsWith("bad")) {
        return Response.json({ error: { http_code: 400, message: "No\\nroom for bad" } }, { status: 400 });
      }
      return { user: { user_metadata: { ...question.user.user_metadata, greeted: true }, app_metadata: { plan: "free" } } };`,
    );
    const refused = await signUp("bad");
    assert.deepEqual([refused.status, refused.body.code, refused.body.error], [403, "HOOK_REFUSED", "No room for bad"]);
    const made = await signUp("ada", { name: "Ada" });
    assert.equal(made.status, 201, JSON.stringify(made.body));
    const { user } = made.body;
    assert.deepEqual([user.user_metadata, user.app_metadata], [{ name: "Ada", greeted: true }, { plan: "free" }]);
    const { question, role, user: caller, trigger } = await lastQuestion("gate");
    assert.deepEqual([question.metadata.name, question.user.id, question.user.email], [
      "before-user-created",
      user.id,
      "ada@example.com",
    ]);
    assert.deepEqual([typeof question.metadata.ip_address, role, caller, trigger], [
      "string",
      "service_role",
      null,
      "hook",
    ]);
    const again = await signUp("ada");
    assert.equal(again.status, 201, "an account that exists is a sign-in, and no question");
    assert.equal((await api("GET", "/functions/gate/executions")).body.length, 2);
    const { body: rows } = await api("GET", "/admin/hooks/auth");
    assert.deepEqual(rows.find((row: { event: string }) => row.event === "before_user_created"), {
      event: "before_user_created",
      functions: ["default/gate"],
      enabled: true,
      waiting: 0,
      dead: 0,
      last_error: null,
    });
    await remove("gate");
  });

  await step("before_sign_in refuses, after the password only", async () => {
    await set(
      "door",
      "before_sign_in",
      `return { decision: "reject", message: "Come tomorrow, " + question.user.user_metadata.name };`,
    );
    const { status, body } = await signIn("ada");
    assert.deepEqual([status, body.code, body.error], [403, "HOOK_REFUSED", "Come tomorrow, Ada"]);
    const wrong = await api("POST", "/auth/signin", { email: "ada@example.com", password: "another one" }, null);
    assert.deepEqual([wrong.status, wrong.body.code], [401, "INVALID_CREDENTIAL"]);
    assert.equal((await api("GET", "/functions/door/executions")).body.length, 1);
    await remove("door");
    assert.equal((await signIn("ada")).status, 200);
  });

  await step("claims of custom_access_token reach the token, functions and row level security", async () => {
    await set(
      "claims",
      "custom_access_token",
      `
      return { claims: { ...question.claims, team: "research", nested: { a: [1, "ü"] }, app_metadata: { plan: "pro" } } };`,
    );
    const { body: session } = await signIn("ada");
    const claims = claimsIn(session.access_token);
    const more = { team: "research", nested: { a: [1, "ü"] }, app_metadata: { plan: "pro" } };
    assert.deepEqual({ team: claims.team, nested: claims.nested, app_metadata: claims.app_metadata }, more);
    const { user_metadata } = claims;
    assert.deepEqual(user_metadata, session.user.user_metadata);
    const all = { user_metadata, ...more };
    assert.deepEqual([claims.sub, claims.role, claims.email], [session.user.id, "authenticated", "ada@example.com"]);
    await platform.deploy("who", `export default (req, context) => Response.json([req.user_claims, context.user]);`);
    const headers = { authorization: `Bearer ${session.access_token}` };
    const seen = await (await platform.call("who", { headers })).json();
    assert.deepEqual(seen, [all, {
      id: session.user.id,
      email: "ada@example.com",
      role: "authenticated",
      claims: all,
    }]);
    await sql`create table public.papers (team text, title text)`.execute(platform.appDb);
    await sql`grant select on public.papers to authenticated`.execute(platform.appDb);
    await sql`alter table public.papers enable row level security`.execute(platform.appDb);
    await sql`create policy own on public.papers to authenticated
      using (team = current_setting('request.jwt.claims', true)::json ->> 'team')`.execute(platform.appDb);
    await sql`insert into public.papers values ('research', 'mine'), ('sales', 'theirs')`.execute(platform.appDb);
    const rows = await (await fetch(`${url}/api/v1/tables/papers`, { headers })).json();
    assert.deepEqual(rows, [{ team: "research", title: "mine" }]);
    const refreshed = await api("POST", "/auth/refresh", { refresh_token: session.refresh_token }, null);
    assert.equal(claimsIn(refreshed.body.access_token).team, "research");
  });

  await step("reserved claims cannot be touched, and what is added has 4 KB", async () => {
    for (
      const [answer, says] of [
        [`{ ...question.claims, role: "service_role" }`, /changed claim .+role/],
        [`{ sub: "00000000-0000-0000-0000-000000000000" }`, /changed claim .+sub/],
        [`{ function_id: "x", version: 1, function: "default/who" }`, /changed claim .+function_id/],
        [`{ exp: 9999999999 }`, /changed claim .+exp/],
        [`{ long: "x".repeat(5000) }`, /5\d{3} bytes, and at most 4096/],
        [`{ nul: "\\u0000" }`, /NUL/],
        [`"text"`, /wrong shape/],
      ] as const
    ) {
      await set("claims", "custom_access_token", `return Response.json({ claims: ${answer} });`);
      const { status, body } = await signIn("ada");
      assert.deepEqual([status, body.code], [503, "HOOK_FAILED"], answer);
      assert.match(logLines.findLast((line) => line.includes("Hook custom_access_token failed")) ?? "", says);
      assert.doesNotMatch(JSON.stringify(body), /claims"|default\/claims/, "nobody outside learns of the function");
    }
    await set("claims", "custom_access_token", `return { claims: { long: "x".repeat(4000) } };`);
    const large = await signUp("large", { text: "y".repeat(2000) });
    const headers = { authorization: `Bearer ${large.body.access_token}` };
    assert.equal(
      (await fetch(`${url}/api/v1/auth/user`, { headers })).status,
      200,
      "a token is never too long to be used",
    );
    assert.equal(claimsIn(large.body.access_token).long.length, 4000);
    await set("claims", "custom_access_token", `return Response.json({ claims: { role: "authenticated" } });`);
    assert.equal((await signIn("ada")).status, 200, "the same value is no change");
  });

  await step("what fails closes the door, and a refresh token outlives it", async () => {
    await set("claims", "custom_access_token", `return {};`);
    const { body: session } = await signIn("ada");
    for (
      const answer of [
        `throw new Error("broken");`,
        `return new Response("no json");`,
        `return new Response("{}", { status: 500 });`,
        `return new Response("{}", { status: 302 });`,
        `return new Response("x".repeat(100_000));`,
        `Deno.exit(1);`,
        `await new Promise(() => setInterval(() => {}, 1000));`,
      ]
    ) {
      await set("claims", "custom_access_token", answer);
      const refreshed = await api("POST", "/auth/refresh", { refresh_token: session.refresh_token }, null);
      assert.deepEqual([refreshed.status, refreshed.body.code], [503, "HOOK_FAILED"], answer);
    }
    await api("PUT", "/functions/claims", { enabled: false });
    assert.equal((await signIn("ada")).status, 503, "disabled is not absent");
    await remove("claims");
    const refreshed = await api("POST", "/auth/refresh", { refresh_token: session.refresh_token }, null);
    assert.equal(refreshed.status, 200);
    const { rows } = await sql<{ count: string }>`select count(*) from fluxbase.users where email like 'bad%'`.execute(
      platform.db,
    );
    assert.equal(rows[0]?.count, "0");
  });

  await step("functions are told of accounts after the fact, and try again what failed", async () => {
    await platform.deploy(
      "told",
      `// @fluxbase:hook user_created,user_signed_in,user_deleted
      export default async (req) => {
        const text = await req.text();
        console.log("told", JSON.stringify({ question: JSON.parse(text), role: req.user_role }));
        return new Response(null, { status: text.includes("failing@") ? 500 : 204 });
      };`,
    );
    const { body: { user } } = await signUp("told", { a: 1 });
    const toldOf = async (count: number) =>
      (await platform.executions("told", count)).map(({ logs }: { logs: string }) =>
        JSON.parse(logs.slice(logs.indexOf("{"), logs.lastIndexOf("}") + 1))
      );
    const created = (await toldOf(2)).find(({ question }: { question: { type: string } }) =>
      question.type === "user_created"
    );
    const { type, table, schema, record, old_record } = created.question;
    assert.deepEqual([type, table, schema, old_record, created.role], [
      "user_created",
      "users",
      "auth",
      null,
      "service_role",
    ]);
    assert.deepEqual([record.id, record.email, record.user_metadata], [user.id, "told@example.com", { a: 1 }]);
    assert.doesNotMatch(JSON.stringify(record), /argon2|password/);
    await signIn("told");
    assert.equal(
      (await toldOf(3)).filter(({ question }: { question: { type: string } }) => question.type === "user_signed_in")
        .length,
      2,
    );
    await sql`delete from fluxbase.users where email = 'told@example.com'`.execute(platform.db);
    assert.ok(
      (await toldOf(4)).some(({ question }: { question: { type: string } }) => question.type === "user_deleted"),
    );
    await api("PATCH", "/admin/hooks/auth/user_created", { enabled: false });
    assert.equal((await signUp("failing")).status, 201, "nobody waits for who is told");
    const viewOf = async (event: string) =>
      (await api("GET", "/admin/hooks/auth")).body.find((row: { event: string }) => row.event === event);
    assert.equal((await viewOf("user_created")).waiting, 1, "what is switched off waits");
    await api("PATCH", "/admin/hooks/auth/user_created", { enabled: true });
    await eventually(async () => /answered 500/.test((await viewOf("user_created")).last_error ?? ""));
    await sql`update fluxbase.outbox set died_at = now()`.execute(platform.db);
    assert.equal((await viewOf("user_created")).dead, 1);
    assert.deepEqual((await api("POST", "/admin/hooks/auth/user_created/retry")).body, { retried: 1 });
    assert.equal((await api("POST", "/admin/hooks/auth/before_sign_in/retry")).status, 400);
    await remove("told");
    assert.equal((await signUp("untold")).status, 201);
    const { rows } = await sql<{ count: number }>`select count(*)::int as count from fluxbase.outbox
      where record ->> 'email' = 'untold@example.com'`.execute(platform.db);
    assert.equal(rows[0]?.count, 0, "nothing is written for nobody");
  });

  await step("an admin switches an event off and on, and the audit log has it", async () => {
    await set("broken", "before_sign_in,before_user_created", `throw new Error("broken");`);
    assert.equal((await signIn("ada")).status, 503);
    const off = await api("PATCH", "/admin/hooks/auth/before_sign_in", { enabled: false });
    assert.deepEqual([off.status, off.body.enabled, off.body.functions], [200, false, ["default/broken"]]);
    assert.equal((await signIn("ada")).status, 200);
    assert.equal((await signUp("late")).status, 503, "the other event is still asked about");
    const { body: entries } = await api("GET", "/admin/audit-log?target=hook+before_sign_in");
    assert.deepEqual(entries[0].changes, { enabled: { before: true, after: false } });
    await api("PATCH", "/admin/hooks/auth/before_sign_in", { enabled: true });
    assert.equal((await signIn("ada")).status, 503);
    for (const [path, body] of [["nothing", { enabled: true }], ["before_sign_in", { enabled: 1 }]] as const) {
      assert.ok([400, 404].includes((await api("PATCH", `/admin/hooks/auth/${path}`, body)).status));
    }
    await remove("broken");
  });

  await step("several functions are asked in the order of their names, each told what the others said", async () => {
    await set("a-first", "custom_access_token", `return { claims: { one: 1 } };`);
    await set("b-second", "custom_access_token", `return { claims: { two: question.claims.one + 1 } };`);
    const { body: session } = await signIn("ada");
    const { one, two } = claimsIn(session.access_token);
    assert.deepEqual([one, two], [1, 2]);
    await remove("a-first");
    await remove("b-second");
  });

  await step("only admins make, change, call, delete or bring back a hook", async () => {
    const key = await platform.mintKey(["functions:*"]);
    const code = asking("before_sign_in", "return {};");
    const asKey = (method: string, path: string, body?: unknown) => api(method, path, body, key);
    assert.equal((await asKey("POST", "/functions", { name: "mine", code })).body.code, "FORBIDDEN");
    assert.equal((await asKey("POST", "/functions", { name: "mine", code: "export default () => 1" })).status, 201);
    assert.equal((await asKey("PUT", "/functions/mine", { code })).status, 403);
    assert.equal((await asKey("PUT", "/functions/mine", { hooks: ["before_sign_in"] })).status, 403);
    assert.deepEqual((await api("GET", "/admin/hooks/auth", undefined, key)).status, 403);
    const set = await api("PUT", "/functions/mine", { hooks: ["custom_access_token", "before-sign-in"] });
    assert.deepEqual([set.status, set.body.hooks], [200, ["before_sign_in", "custom_access_token"]]);
    for (
      const [method, body] of [["PUT", { code }], ["PUT", { enabled: false }], ["PUT", { hooks: null }], [
        "DELETE",
      ]] as const
    ) {
      const { status, body: answer } = await asKey(method, "/functions/mine", body);
      assert.deepEqual([status, answer?.code], [403, "FORBIDDEN"], `${method} ${JSON.stringify(body)}`);
    }
    assert.equal((await platform.call("mine")).status, 403);
    assert.equal((await platform.call("mine", { headers: { authorization: `Bearer ${key}` } })).status, 403);
    assert.equal(
      (await platform.call("mine", { headers: { authorization: `Bearer ${platform.serviceKey}` } })).status,
      200,
    );
    assert.equal((await api("DELETE", "/functions/mine")).status, 204);
    assert.equal((await asKey("POST", "/functions/mine/restore")).status, 403);
    assert.equal((await api("PUT", "/functions/who", { hooks: ["no_such"] })).status, 400);
  });

  await step("questions are signed as Standard Webhooks has it, with the function's own secret", async () => {
    await platform.deploy(
      "signed",
      `// @fluxbase:hook before_sign_in
      export default async (req) => {
        console.log("asked", JSON.stringify({ text: await req.text(), headers: Object.fromEntries(req.headers),
          secret: Deno.env.get("FLUXBASE_HOOK_SECRET").split("").join(" ") }));
        return {};
      };`,
    );
    assert.equal((await signIn("ada")).status, 200);
    const { text, headers, secret } = await lastQuestion("signed");
    const webhook = new Webhook(secret.replaceAll(" ", "").replace("v1,", ""));
    assert.deepEqual((webhook.verify(text, headers) as { metadata: { name: string } }).metadata.name, "before-sign-in");
    assert.throws(() => webhook.verify(`${text} `, headers));
    await remove("signed");
  });

  await step("the example does what it says", async () => {
    await platform.deploy(
      "members_only",
      await Deno.readTextFile(
        new URL("../../../examples/functions/members_only.ts", import.meta.url),
      ),
    );
    const stranger = await api("POST", "/auth/signup", { email: "eve@else.invalid", password }, null);
    assert.deepEqual([stranger.status, stranger.body.error], [403, "Sign up with the address of your company"]);
    assert.equal(claimsIn((await signIn("ada")).body.access_token).team, "research");
    assert.equal(claimsIn((await signUp("new")).body.access_token).team, "guests");
  });
}, {
  FLUXBASE_AUTH_ATTEMPTS_PER_ADDRESS: "1000",
  FLUXBASE_AUTH_ATTEMPTS_PER_ACCOUNT: "1000",
});
