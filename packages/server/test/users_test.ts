/**
 * Users over HTTP: signing up, in and out, refreshing, the first admin, and what must not work.
 *
 * @module
 */
import assert from "node:assert/strict";
import { SignJWT } from "jose";
import { sql } from "kysely";
import { type Answer, eventually, platformTest, type TestPlatform, withTestPlatform } from "./support/platform.ts";

const PASSWORD = "correct horse battery";
const WHO =
  `export default (req) => ({ id: req.user_id, email: req.user_email, role: req.user_role, session: req.session_id });`;

async function signUp({ api }: TestPlatform, email: string): Promise<Answer["body"]> {
  const { status, body } = await api("POST", "/auth/signup", { email, password: PASSWORD }, null);
  assert.equal(status, 201, JSON.stringify(body));
  return body;
}

platformTest("users", async (platform, step) => {
  const { api } = platform;
  await platform.deploy("who", WHO);
  const who = async (token: string) =>
    await (await platform.call("who", { headers: { authorization: `Bearer ${token}` } })).json();
  const readUser = async (token: string) => (await api("GET", "/auth/user", undefined, token)).status;

  await step("sign-up answers with user and tokens, and functions know who calls", async () => {
    const { status, body } = await api("POST", "/auth/signup", {
      email: "Ada@Example.com",
      password: PASSWORD,
      user_metadata: { name: "Ada" },
    }, platform.anonKey);
    assert.equal(status, 201);
    const { user, access_token, refresh_token, ...rest } = body;
    assert.deepEqual(rest, { expires_in: 900, token_type: "bearer" });
    assert.deepEqual([user.email, user.role, user.email_verified, user.user_metadata, user.app_metadata], [
      "ada@example.com",
      "authenticated",
      false,
      { name: "Ada" },
      {},
    ]);
    assert.match(refresh_token, /^fbr_/);
    const claims = JSON.parse(atob(access_token.split(".")[1]));
    assert.deepEqual(Object.keys(claims).sort(), [
      "aud",
      "email",
      "exp",
      "iat",
      "is_anonymous",
      "iss",
      "role",
      "session_id",
      "sub",
      "user_metadata",
    ]);
    assert.equal(claims.exp - claims.iat, 900);
    assert.deepEqual(await who(access_token), {
      id: user.id,
      email: "ada@example.com",
      role: "authenticated",
      session: claims.session_id,
    });
    assert.deepEqual((await api("GET", "/auth/user", undefined, access_token)).body, user);
  });

  await step("signing up again is signing in; with another password it gets the answer of a sign-in", async () => {
    const again = (password: string, metadata = {}) =>
      api("POST", "/auth/signup", { email: "ADA@example.com", password, user_metadata: metadata }, null);
    const { status, body } = await again(PASSWORD, { name: "another" });
    assert.deepEqual([status, body.user.email, body.user.user_metadata], [201, "ada@example.com", { name: "Ada" }]);
    assert.equal(await readUser(body.access_token), 200);
    const wrong = await again("another long password");
    const { body: signIn } = await api("POST", "/auth/signin", { email: "ada@example.com", password: "wrong" }, null);
    assert.deepEqual([wrong.status, wrong.body.error, wrong.body.code], [401, signIn.error, signIn.code]);
    // Two at once for one address: one account, and nobody is told more.
    const both = await Promise.all(
      ["one long password", "two long password"].map((password) =>
        api("POST", "/auth/signup", { email: "twins@example.com", password }, null)
      ),
    );
    assert.deepEqual(both.map(({ status }) => status).sort(), [201, 401]);
  });

  await step("a wrong password and an unknown e-mail get the same answer", async () => {
    const refused = async (email: string, password: string) => {
      const { status, body: { request_id: _, ...body } } = await api("POST", "/auth/signin", { email, password }, null);
      return { status, body };
    };
    const wrong = await refused("ada@example.com", "not the password");
    assert.deepEqual(wrong, {
      status: 401,
      body: { error: "Cannot sign in: e-mail or password is wrong", code: "INVALID_CREDENTIAL" },
    });
    assert.deepEqual(await refused("nobody@example.com", PASSWORD), wrong);
    assert.deepEqual(await refused("' or 1=1 --", PASSWORD), wrong);
    const right = await api("POST", "/auth/signin", { email: "ADA@Example.COM", password: PASSWORD }, null);
    assert.equal(right.status, 200);
  });

  await step("refreshing rotates; whoever shows an old one ends the session for everybody", async () => {
    const first = await signUp(platform, "rotating@example.com");
    const refresh = (refresh_token: string) => api("POST", "/auth/refresh", { refresh_token }, null);
    const second = await refresh(first.refresh_token);
    assert.equal(second.status, 200);
    assert.notEqual(second.body.refresh_token, first.refresh_token);
    assert.equal(second.body.user.id, first.user.id);
    assert.equal(await readUser(second.body.access_token), 200);
    const reused = await refresh(first.refresh_token);
    assert.deepEqual([reused.status, reused.body.code], [401, "INVALID_CREDENTIAL"]);
    assert.equal((await refresh(second.body.refresh_token)).status, 401);
    await eventually(async () => await readUser(second.body.access_token) === 401);
    await eventually(async () => await readUser(first.access_token) === 401);
    assert.equal((await refresh("fbr_unknown")).status, 401);
    // Of many at once one wins, and the others have shown an old one.
    const third = await signUp(platform, "racing@example.com");
    const answers = await Promise.all(Array.from({ length: 8 }, () => refresh(third.refresh_token)));
    assert.ok(answers.filter(({ status }) => status === 200).length <= 1);
  });

  await step("signing out ends one session, a new password all others", async () => {
    const one = await signUp(platform, "leaving@example.com");
    const signIn = async (password = PASSWORD) =>
      (await api("POST", "/auth/signin", { email: "leaving@example.com", password }, null)).body;
    const two = await signIn();
    assert.equal((await api("POST", "/auth/signout", {}, one.access_token)).status, 204);
    assert.deepEqual([await readUser(one.access_token), await readUser(two.access_token)], [401, 200]);
    const refused = await platform.call("who", { headers: { authorization: `Bearer ${one.access_token}` } });
    assert.match((await refused.json()).error, /its session has ended/);
    assert.equal((await api("POST", "/auth/refresh", { refresh_token: one.refresh_token }, null)).status, 401);
    const three = await signIn();
    const changed = await api(
      "PATCH",
      "/auth/user",
      { password: "another password", user_metadata: { a: 1 } },
      two.access_token,
    );
    assert.deepEqual([changed.status, changed.body.user_metadata], [200, { a: 1 }]);
    await eventually(async () => await readUser(three.access_token) === 401);
    assert.equal(await readUser(two.access_token), 200);
    assert.equal((await signIn()).code, "INVALID_CREDENTIAL");
    assert.equal(typeof (await signIn("another password")).access_token, "string");
    const taken = await api("PATCH", "/auth/user", { email: "ada@example.com" }, two.access_token);
    assert.equal(taken.status, 409);
  });

  await step("a user is no admin, and a refresh token is no access token", async () => {
    const { access_token, refresh_token } = await signUp(platform, "plain@example.com");
    for (const path of ["/admin/service-keys", "/admin/me", "/admin/audit-log", "/admin/functions/namespaces"]) {
      assert.equal((await api("GET", path, undefined, access_token)).status, 403, path);
    }
    assert.equal((await api("POST", "/functions", { name: "x", code: WHO }, access_token)).status, 403);
    assert.equal(await readUser(refresh_token), 401);
    assert.equal(await readUser(platform.anonKey), 401);
    assert.equal((await api("GET", "/auth/user", undefined, null)).status, 401);
    // A role in the metadata is only a word.
    const sly = await api("PATCH", "/auth/user", { user_metadata: { role: "admin" } }, access_token);
    assert.equal(sly.body.role, "authenticated");
    assert.equal((await api("PATCH", "/auth/user", { role: "admin" }, access_token)).status, 400);
    const foreign = await new SignJWT({ role: "authenticated", sub: "elsewhere" }).setProtectedHeader({ alg: "HS256" })
      .setExpirationTime("1h").sign(new TextEncoder().encode(platform.jwtSecret.reveal()));
    assert.equal(await readUser(foreign), 404);
  });

  await step("the first admin is made once, with the right token, and signs in everywhere admins do", async () => {
    const status = async () => (await api("GET", "/admin/setup/status", undefined, null)).body;
    const setUp = (setup_token: string, email = "root@example.com") =>
      api("POST", "/admin/setup", { email, password: PASSWORD, name: "Root", setup_token }, null);
    assert.deepEqual(await status(), { needs_setup: true, has_admin: false });
    assert.equal((await setUp("a wrong setup token")).status, 401);
    const answers = await Promise.all(
      Array.from({ length: 4 }, (_, index) => setUp(SETUP_TOKEN, `root${index}@example.com`)),
    );
    assert.deepEqual(answers.map(({ status }) => status).sort(), [201, 409, 409, 409]);
    assert.deepEqual(await status(), { needs_setup: false, has_admin: true });
    const admin = answers.find(({ status }) => status === 201)?.body;
    assert.deepEqual([admin.user.role, admin.user.user_metadata], ["admin", { name: "Root" }]);
    const credentials = JSON.stringify({ email: admin.user.email, password: PASSWORD });
    for (const path of ["/api/v1/admin/login", "/dashboard/auth/login"]) {
      const response = await fetch(platform.url + path, { method: "POST", body: credentials });
      const { access_token, refresh_token } = await response.json();
      assert.equal(response.status, 200, path);
      assert.equal((await api("GET", "/admin/me", undefined, access_token)).body.role, "admin");
      assert.equal((await api("GET", "/client-keys", undefined, access_token)).status, 200);
      const refreshed = await fetch(platform.url + path.replace("login", "refresh"), {
        method: "POST",
        body: JSON.stringify({ refresh_token }),
      });
      assert.equal(refreshed.status, 200);
      const fresh = (await refreshed.json()).access_token;
      assert.equal((await api("POST", "/admin/logout", {}, fresh)).status, 204);
      assert.equal((await api("GET", "/admin/me", undefined, fresh)).status, 401);
    }
    // Who is no admin is not told whether the password was right.
    const plain = await api("POST", "/admin/login", { email: "plain@example.com", password: PASSWORD }, null);
    assert.deepEqual([plain.status, plain.body.error], [401, "Cannot sign in: e-mail or password is wrong"]);
    const providers = await fetch(`${platform.url}/dashboard/auth/sso/providers`);
    assert.deepEqual(await providers.json(), { providers: [], password_login_disabled: false });
    const [entry] = (await api("GET", "/admin/audit-log?action=POST /admin/setup&target=first admin")).body
      .filter(({ status }: { status: number }) => status === 201);
    assert.equal(entry.changes.user.after.email, admin.user.email);
  });

  await step("a sign-in link that nobody made signs nobody in", async () => {
    for (const token of ["", "x".repeat(43)]) {
      assert.equal((await api("POST", "/admin/login/link", { token }, null)).body.code, "INVALID_CREDENTIAL");
    }
  });

  await step("bad input is named without what was sent", async () => {
    const cases: readonly [path: string, body: unknown, says: RegExp][] = [
      ["/auth/signup", { email: "no address", password: PASSWORD }, /"email" must be an e-mail address/],
      ["/auth/signup", { email: "x@example.com", password: "secret7" }, /"password" must have at least 8 characters/],
      ["/auth/signup", { email: "x@example.com", password: "x".repeat(257) }, /at most 256 characters/],
      ["/auth/signup", { email: "x@example.com", password: PASSWORD, role: "admin" }, /unknown field "role"/],
      ["/auth/signup", { email: "x@example.com", password: PASSWORD, user_metadata: { a: "\0" } }, /without NUL/],
      ["/auth/signin", { email: 5 }, /"email" must be a string; "password" must be a string/],
      ["/auth/refresh", {}, /"refresh_token" must be a string/],
      ["/admin/setup", [], /must be a JSON object/],
    ];
    for (const [path, body, says] of cases) {
      const answer = await api("POST", path, body, null);
      assert.equal(answer.status, 400, JSON.stringify(body));
      assert.match(answer.body.error, says);
      assert.ok(!answer.body.error.includes("secret7"));
    }
  });

  await step("admins manage users, find them page by page, and see what one of them gets", async () => {
    const grace = (await api("POST", "/admin/users", { email: "Grace@Example.com", password: PASSWORD })).body;
    assert.equal(grace.email, "grace@example.com");
    const twice = await api("POST", "/admin/users", { email: "grace@example.com" });
    assert.equal(twice.body.code, "ALREADY_EXISTS");

    const all: string[] = [];
    for (let cursor = ""; all.length < 100;) {
      const { body } = await api("GET", `/admin/users?limit=1&cursor=${cursor}`);
      if (body.users.length === 0) break;
      all.push(body.users[0].email);
      cursor = body.users[0].cursor;
    }
    assert.equal(all[0], "grace@example.com");
    assert.equal(new Set(all).size, all.length);
    const found = (await api("GET", "/admin/users?search=RACE%40")).body;
    assert.deepEqual([found.total, found.users.map(({ email }: { email: string }) => email)], [1, [
      "grace@example.com",
    ]]);
    assert.equal((await api("GET", "/admin/users?search=%25_")).body.total, 0);

    const { status, body } = await api("POST", `/admin/users/${grace.id}/token`, { seconds: 60 });
    assert.equal(status, 201);
    const claims = JSON.parse(atob(body.access_token.split(".")[1]));
    assert.deepEqual([claims.exp - claims.iat, claims.act], [60, { sub: "service_role" }]);
    assert.equal((await who(body.access_token)).id, grace.id);
    const [entry] = (await api("GET", `/admin/audit-log?target=${grace.id}&limit=1`)).body;
    assert.equal(entry.action, "POST /admin/users/{id}/token");
    assert.doesNotMatch(JSON.stringify(entry), new RegExp(body.access_token.slice(-20)));
    await api("POST", `/admin/users/${grace.id}/sign-out`);
    await eventually(async () => await readUser(body.access_token) === 401);

    const promoted = await api("PATCH", `/admin/users/${grace.id}`, { role: "admin" });
    assert.equal(promoted.body.role, "admin");
    assert.equal((await api("POST", `/admin/users/${grace.id}/token`, {})).body.code, "FORBIDDEN");
    await api("PATCH", `/admin/users/${grace.id}`, { role: "authenticated" });
    const { users: [admin] } = (await api("GET", "/admin/users?role=admin")).body;
    for (const send of [["DELETE", undefined], ["PATCH", { role: "authenticated" }]] as const) {
      const refused = await api(send[0], `/admin/users/${admin.id}`, send[1]);
      assert.match(refused.body.error, /the last admin/);
    }
    assert.equal((await api("DELETE", `/admin/users/${grace.id}`)).status, 204);
    assert.equal((await api("GET", `/admin/users/${grace.id}`)).status, 404);
    assert.equal((await api("POST", "/admin/users", { email: "no", role: "service_role" })).status, 400);
  });

  await step(
    "a disabled user is signed out everywhere, and can neither sign in nor use a key until enabled",
    async () => {
      const { user, access_token, refresh_token } = await signUp(platform, "banned@example.com");
      const key =
        (await api("POST", "/client-keys", { name: "theirs", scopes: ["functions:invoke"] }, access_token)).body;
      const signIn = () => api("POST", "/auth/signin", { email: "banned@example.com", password: PASSWORD }, null);
      const call = async (token: string) =>
        (await platform.call("who", { headers: { authorization: `Bearer ${token}` } })).status;
      assert.deepEqual([await call(access_token), await call(key.key)], [200, 200]);

      const disabled = (await api("PATCH", `/admin/users/${user.id}`, { disabled: true })).body;
      assert.match(disabled.disabled_at, /^20/);
      await eventually(async () => await call(access_token) === 401 && await call(key.key) === 401);
      assert.equal((await api("POST", "/auth/refresh", { refresh_token }, null)).body.code, "INVALID_CREDENTIAL");
      assert.equal((await api("POST", `/admin/users/${user.id}/token`, {})).body.code, "FORBIDDEN");
      const refused = await signIn();
      assert.deepEqual([refused.status, refused.body.code], [403, "FORBIDDEN"]);
      assert.match(refused.body.error, /disabled/);
      const again = await api("POST", "/auth/signup", { email: "banned@example.com", password: PASSWORD }, null);
      assert.equal(again.body.code, "FORBIDDEN");
      const wrong = await api(
        "POST",
        "/auth/signin",
        { email: "banned@example.com", password: "not the password" },
        null,
      );
      assert.equal(wrong.body.code, "INVALID_CREDENTIAL", "only who knows the password is told");
      const twice = (await api("PATCH", `/admin/users/${user.id}`, { disabled: true })).body;
      assert.equal(twice.disabled_at, disabled.disabled_at);

      assert.equal((await api("PATCH", `/admin/users/${user.id}`, { disabled: false })).body.disabled_at, null);
      await eventually(async () => await call(key.key) === 200);
      assert.equal((await signIn()).status, 200);
      const { users: [admin] } = (await api("GET", "/admin/users?role=admin")).body;
      assert.match((await api("PATCH", `/admin/users/${admin.id}`, { disabled: true })).body.error, /the last admin/);
      assert.equal((await api("PATCH", `/admin/users/${user.id}`, { disabled: "yes" }, access_token)).status, 401);
      assert.equal((await api("PATCH", `/admin/users/${user.id}`, { disabled: "yes" })).status, 400);
    },
  );

  await step("neither passwords nor tokens are in the database or the log", async () => {
    const { access_token, refresh_token } = await signUp(platform, "searched@example.com");
    const tables = ["users", "sessions", "refresh_tokens", "audit_log", "executions"];
    let all = platform.logLines.join("\n");
    for (const table of tables) {
      const { rows } = await sql<{ text: string }>`select t::text as text from ${sql.table(`fluxbase.${table}`)} t`
        .execute(platform.db);
      all += rows.map(({ text }) => text).join("\n");
    }
    for (const secret of [PASSWORD, "another password", access_token, refresh_token, SETUP_TOKEN]) {
      assert.ok(!all.includes(secret), secret.slice(0, 12));
    }
  });
}, { FLUXBASE_SECURITY_SETUP_TOKEN: "the setup token of a test", FLUXBASE_AUTH_ATTEMPTS_PER_ADDRESS: "1000" });

const SETUP_TOKEN = "the setup token of a test";

platformTest("a session that ends on one server has ended on the others", async (platform) => {
  await withTestPlatform(async (other) => {
    const { access_token } = await signUp(platform, "two@example.com");
    const status = async (server: TestPlatform) =>
      (await server.api("GET", "/auth/user", undefined, access_token)).status;
    assert.deepEqual([await status(platform), await status(other)], [200, 200]);
    await platform.api("POST", "/auth/signout", {}, access_token);
    await eventually(async () => await status(other) === 401);
  }, { DATABASE_URL: platform.databaseUrl.reveal() });
});

platformTest("attempts are limited by address and by account; sign-up can be switched off", async (platform, step) => {
  const { api } = platform;
  const attempt = async (email: string) =>
    (await api("POST", "/auth/signin", { email, password: "wrong password" }, null)).status;

  await step(
    "an account that is tried too often refuses the right password too, and so does one that does not exist",
    async () => {
      const inOne = async (
        email: string,
      ) => [await attempt(email), await attempt(email), await attempt(email), await attempt(email)];
      assert.deepEqual(await inOne("a@example.com"), [401, 401, 401, 429]);
      assert.deepEqual(await inOne("b@example.com"), [401, 401, 401, 429]);
      const refused = await api("POST", "/auth/signin", { email: "A@EXAMPLE.com", password: PASSWORD }, null);
      assert.equal(refused.status, 429);
      assert.ok(Number(refused.headers.get("retry-after")) > 0);
    },
  );
  await step("signing up is no way around it", async () => {
    const signUp = { email: "a@example.com", password: PASSWORD };
    assert.equal((await api("POST", "/auth/signup", signUp, null)).status, 429);
  });
  await step("and so is an address, whatever account it tries", async () => {
    let last = 0;
    for (let index = 0; index < 25 && last !== 429; index += 1) last = await attempt(`c${index}@example.com`);
    assert.equal(last, 429);
  });
  await step("sign-up that is switched off, and a set-up without token", async () => {
    const from = { email: "new@example.com", password: PASSWORD };
    // The limit of the address is over; a function's call has none.
    await platform.deploy(
      "from-inside",
      `export default async (req) => {
        const { path, body } = JSON.parse(req.body);
        const response = await fetch(Deno.env.get("FLUXBASE_BASE_URL") + path, { method: "POST", body: JSON.stringify(body) });
        return { status: response.status, body: await response.text() };
      };`,
    );
    const inside = async (path: string, body: unknown) =>
      await (await platform.call("from-inside", { method: "POST", body: JSON.stringify({ path, body }) })).json();
    assert.match((await inside("/api/v1/auth/signup", from)).error, /switched off on this server/);
    const setUp = { ...from, name: "x", setup_token: "guessed" };
    assert.match((await inside("/api/v1/admin/setup", setUp)).error, /has no FLUXBASE_SECURITY_SETUP_TOKEN/);
  });
}, {
  FLUXBASE_AUTH_SIGNUP_ENABLED: "false",
  FLUXBASE_AUTH_ATTEMPTS_PER_ACCOUNT: "3",
  FLUXBASE_AUTH_ATTEMPTS_PER_ADDRESS: "20",
});
