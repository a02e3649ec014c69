/**
 * The published client of Supabase, as others have it in their programs: accounts, rows and functions.
 *
 * @module
 */
import assert from "node:assert/strict";
import { createClient, type SupabaseClient } from "@supabase/supabase-js";
import { createRemoteJWKSet, exportJWK, generateKeyPair, jwtVerify } from "jose";
import { sql } from "kysely";
import { eventually, platformTest, type TestPlatform, withTestPlatform } from "./support/platform.ts";

const PASSWORD = "correct horse battery";

/** Nothing is kept and nothing refreshes in the background: a test says when. */
const OPTIONS = { auth: { persistSession: false, autoRefreshToken: false, detectSessionInUrl: false } };

function clientOf({ url, anonKey }: TestPlatform): SupabaseClient {
  return createClient(url, anonKey, OPTIONS);
}

platformTest("the published client of Supabase", async (platform, step) => {
  const email = "ada@example.invalid";
  const client = clientOf(platform);
  const admin = createClient(platform.url, platform.serviceKey, OPTIONS);
  const rows = async (query: string) => (await sql.raw<Record<string, unknown>>(query).execute(platform.appDb)).rows;

  await platform.api("POST", "/admin/database/query", {
    sql: `
      create table public.profiles (
        id uuid primary key references auth.users (id) on delete cascade, name text not null, role text
      );
      create function public.make_profile() returns trigger language plpgsql security definer set search_path = '' as $$
      begin
        if new.raw_user_meta_data ->> 'name' = 'Mallory' then raise exception 'Mallory is not welcome'; end if;
        insert into public.profiles (id, name, role)
        values (new.id, coalesce(new.raw_user_meta_data ->> 'name', 'nobody'), current_user);
        return new;
      end $$;
      create trigger on_auth_user_created after insert on auth.users
        for each row execute function public.make_profile();
      alter table public.profiles enable row level security;
      create policy "own profile" on public.profiles for all to authenticated using (id = auth.uid());
      grant select, update on public.profiles to authenticated;
      create function public.who() returns json language sql stable as $$
        select json_build_object('uid', auth.uid(), 'role', auth.role(), 'email', auth.email(),
          'name', auth.jwt() -> 'user_metadata' ->> 'name', 'plan', auth.jwt() -> 'app_metadata' ->> 'plan')
      $$;
      create extension if not exists "uuid-ossp" with schema extensions;
      create extension if not exists pgcrypto;
      create extension if not exists citext;
      create extension if not exists pg_trgm;
      create table public.made_by_extensions (id uuid default extensions.uuid_generate_v4(), name extensions.citext);`,
  });

  await step("signing up makes a session, a row in auth.users, and what a trigger makes of it", async () => {
    const { data, error } = await client.auth.signUp({ email, password: PASSWORD, options: { data: { name: "Ada" } } });
    assert.equal(error, null);
    assert.deepEqual([data.user?.email, data.user?.aud, data.user?.user_metadata], [
      email,
      "authenticated",
      { name: "Ada" },
    ]);
    assert.ok(data.session?.access_token);
    assert.deepEqual(await rows("select email, raw_user_meta_data from auth.users"), [{
      email,
      raw_user_meta_data: { name: "Ada" },
    }]);
    await eventually(async () => (await client.from("profiles").select("name")).error === null);
    assert.deepEqual((await client.from("profiles").select("name")).data, [{ name: "Ada" }]);
    // Never with the rights of the database's owner.
    const [{ role } = {}] = await rows("select role from public.profiles");
    assert.match(String(role), /^fluxbase_ns_\d+_default$/);
    assert.deepEqual((await client.rpc("who")).data, {
      uid: data.user?.id,
      role: "authenticated",
      email,
      name: "Ada",
      plan: null,
    });
  });

  await step("nobody but the functions of default sees auth.users", async () => {
    const [seen] = await rows(`select has_table_privilege('anon', 'auth.users', 'select') as anon,
      has_table_privilege('authenticated', 'auth.users', 'select') as authenticated,
      has_schema_privilege('anon', 'auth', 'create') as makes`);
    assert.deepEqual(seen, { anon: false, authenticated: false, makes: false });
    assert.equal((await client.schema("auth").from("users").select()).error?.code, "PGRST106");
  });

  await step("a trigger that fails refuses the sign-up, and nothing stays behind", async () => {
    const mallory = { email: "mallory@example.invalid", password: PASSWORD };
    const refused = await clientOf(platform).auth.signUp({ ...mallory, options: { data: { name: "Mallory" } } });
    assert.equal(refused.error?.status, 500);
    assert.match(refused.error?.message ?? "", /Mallory is not welcome.*P0001.*auth\.users/);
    const { error } = await clientOf(platform).auth.signInWithPassword(mallory);
    assert.equal(error?.code, "invalid_credentials");
    assert.deepEqual(await rows("select from auth.users where email like 'mallory%'"), []);
    assert.equal((await clientOf(platform).auth.signUp(mallory)).error, null);
  });

  await step("what is wrong has the codes of GoTrue", async () => {
    const code = async (
      work: PromiseLike<{ error: { code?: string | undefined; status?: number | undefined } | null }>,
    ) => {
      const { error } = await work;
      return [error?.status, error?.code];
    };
    const { auth } = clientOf(platform);
    assert.deepEqual(await code(auth.signInWithPassword({ email, password: "wrong" })), [400, "invalid_credentials"]);
    assert.deepEqual(await code(auth.signUp({ email, password: "another password" })), [422, "user_already_exists"]);
    const weak = await auth.signUp({ email: "x@example.invalid", password: "short" });
    assert.deepEqual([weak.error?.name, weak.error?.status, Reflect.get(weak.error ?? {}, "reasons")], [
      "AuthWeakPasswordError",
      422,
      ["length"],
    ]);
    const byPhone = { phone: "+491234567", password: "a long password" };
    assert.deepEqual(await code(auth.signUp(byPhone)), [422, "phone_provider_disabled"]);
    assert.deepEqual(await code(auth.signInWithPassword(byPhone)), [422, "phone_provider_disabled"]);
    assert.deepEqual(await code(auth.refreshSession({ refresh_token: "none" })), [400, "refresh_token_not_found"]);
    assert.deepEqual(await code(auth.getUser("a.b.c")), [401, "bad_jwt"]);
    assert.deepEqual(await code(clientOf(platform).auth.admin.listUsers()), [403, "not_admin"]);
    assert.deepEqual(await code(admin.auth.admin.getUserById(crypto.randomUUID())), [404, "user_not_found"]);
  });

  await step("signing in, refreshing, changing, signing out", async () => {
    const { data } = await client.auth.signInWithPassword({ email, password: PASSWORD });
    const first = data.session?.access_token;
    const refreshed = await client.auth.refreshSession();
    assert.equal(refreshed.error, null);
    assert.equal(refreshed.data.user?.id, data.user?.id);
    const changed = await client.auth.updateUser({ data: { city: "London" } });
    assert.deepEqual(changed.data.user?.user_metadata, { name: "Ada", city: "London" });
    assert.deepEqual(
      await rows(`select raw_user_meta_data ->> 'city' as city from auth.users where email = '${email}'`),
      [
        { city: "London" },
      ],
    );
    assert.equal((await client.auth.getUser()).data.user?.email, email);
    const other = clientOf(platform);
    await other.auth.signInWithPassword({ email, password: PASSWORD });
    assert.equal((await client.auth.signOut({ scope: "others" })).error, null);
    assert.equal((await other.auth.refreshSession()).error?.code, "refresh_token_not_found");
    assert.equal((await client.auth.getUser()).error, null);
    assert.equal((await client.auth.signOut()).error, null);
    assert.ok((await client.auth.getUser(first)).error);
  });

  await step("anonymous users, who may become others", async () => {
    const guest = clientOf(platform);
    const { data, error } = await guest.auth.signInAnonymously({ options: { data: { name: "Guest" } } });
    assert.deepEqual([error, data.user?.is_anonymous, data.user?.email], [null, true, ""]);
    assert.deepEqual((await guest.from("profiles").select("name")).data, [{ name: "Guest" }]);
    const known = await guest.auth.updateUser({ email: "guest@example.invalid", password: PASSWORD });
    assert.deepEqual([known.data.user?.id, known.data.user?.is_anonymous], [data.user?.id, false]);
    const again = await clientOf(platform).auth.signInWithPassword({
      email: "guest@example.invalid",
      password: PASSWORD,
    });
    assert.equal(again.data.user?.id, data.user?.id);
    const taken = await guest.auth.updateUser({ email });
    assert.deepEqual([taken.error?.status, taken.error?.code], [422, "email_exists"]);
    assert.equal((await rows("select from auth.users where email = 'guest@example.invalid'")).length, 1);
  });

  await step("users as an admin manages them", async () => {
    const users = admin.auth.admin;
    const made = await users.createUser({
      email: "Bob@example.invalid",
      password: PASSWORD,
      email_confirm: true,
      user_metadata: { name: "Bob" },
      app_metadata: { plan: "free" },
    });
    const id = made.data.user?.id ?? "";
    assert.deepEqual([made.error, made.data.user?.email], [null, "bob@example.invalid"]);
    assert.ok(made.data.user?.email_confirmed_at);
    const changed = await users.updateUserById(id, { app_metadata: { plan: "pro" } });
    assert.equal(changed.data.user?.app_metadata["plan"], "pro");
    const bob = clientOf(platform);
    await bob.auth.signInWithPassword({ email: "bob@example.invalid", password: PASSWORD });
    assert.equal((await bob.rpc("who")).data.plan, "pro");
    const listed = await users.listUsers({ page: 1, perPage: 2 });
    assert.equal(listed.error, null);
    assert.deepEqual([listed.data.users.length, "total" in listed.data ? listed.data.total : 0], [2, 4]);
    assert.equal((await users.getUserById(id)).data.user?.email, "bob@example.invalid");
    assert.equal((await users.deleteUser(id)).error, null);
    assert.deepEqual(await rows(`select from public.profiles where id = '${id}'`), []);
    await eventually(async () => (await bob.auth.getUser()).error !== null);
    // A row that has to stay keeps its user.
    const { data: { user } } = await users.createUser({ email: "kept@example.invalid" });
    await rows(`create table public.bills (user_id uuid references auth.users (id));
      insert into public.bills values ('${user?.id}')`);
    const kept = await users.deleteUser(user?.id ?? "");
    assert.match(kept.error?.message ?? "", /bills.*23503/);
    assert.equal((await users.getUserById(user?.id ?? "")).error, null);
  });

  await step("what is not there says so", async () => {
    const { auth, storage } = clientOf(platform);
    const banned = await admin.auth.admin.updateUserById(crypto.randomUUID(), { ban_duration: "24h" });
    assert.deepEqual([banned.error?.status, /Banning/.test(banned.error?.message ?? "")], [501, true]);
    const plain = { email: "plain@example.invalid", password: PASSWORD, role: "authenticated", ban_duration: "none" };
    const { data: made, error } = await admin.auth.admin.createUser(plain);
    assert.equal(error, null, "what asks for nothing is no error");
    await admin.auth.admin.deleteUser(made.user?.id ?? "");
    const otp = await auth.signInWithOtp({ email });
    assert.deepEqual([otp.error?.status, /not available/.test(otp.error?.message ?? "")], [501, true]);
    assert.equal((await auth.resetPasswordForEmail(email)).error?.status, 501);
    assert.match((await storage.listBuckets()).error?.message ?? "", /Storage is not available/);
    for (const path of ["/auth/v1/authorize?provider=github", "/realtime/v1/websocket", "/auth/v1/factors/x/verify"]) {
      const response = await fetch(platform.url + path);
      assert.deepEqual([path, response.status], [path, 501]);
      assert.match((await response.json()).error, /not available/);
    }
    const settings = await (await fetch(`${platform.url}/auth/v1/settings`)).json();
    assert.deepEqual([settings.external.email, settings.disable_signup], [true, false]);
  });

  await step("functions know who calls", async () => {
    await platform.deploy(
      "greet",
      `export default async (req: Request) => {
      const { name } = await req.json();
      return Response.json({ hello: name, method: req.method });
    };`,
    );
    const { data, error } = await client.functions.invoke("greet", { body: { name: "Ada" } });
    assert.deepEqual([error, data], [null, { hello: "Ada", method: "POST" }]);
  });
});

platformTest("users who were there before auth.users was are put there at the next start", async (platform) => {
  const client = clientOf(platform);
  const { data } = await client.auth.signUp({ email: "ada@example.invalid", password: PASSWORD });
  await sql.raw("delete from auth.users").execute(platform.appDb);
  await withTestPlatform(async () => {
    await eventually(async () => {
      const { rows } = await sql.raw<{ id: string }>("select id from auth.users").execute(platform.appDb);
      return rows[0]?.id === data.user?.id;
    });
  }, { DATABASE_URL: platform.databaseUrl.reveal() });
});

Deno.test("tokens of users are signed with the first of the configured keys", async (test) => {
  const jwk = async (alg: string, kid: string) => {
    const { privateKey } = await generateKeyPair(alg, { extractable: true });
    return { ...await exportJWK(privateKey), kid, alg };
  };
  const [first, second] = [await jwk("ES256", "one"), await jwk("EdDSA", "two")];
  await test.step("and everybody can check them", async () => {
    await withTestPlatform(async (platform) => {
      const keys = createRemoteJWKSet(new URL(`${platform.url}/auth/v1/.well-known/jwks.json`));
      const client = clientOf(platform);
      const { data } = await client.auth.signUp({ email: "ada@example.invalid", password: PASSWORD });
      const token = data.session?.access_token ?? "";
      const { payload, protectedHeader } = await jwtVerify(token, keys, { audience: "authenticated" });
      assert.deepEqual([payload.sub, protectedHeader.kid, protectedHeader.alg], [data.user?.id, "one", "ES256"]);
      assert.equal((await client.auth.getClaims()).data?.claims.sub, data.user?.id);
      assert.equal((await client.auth.getUser()).error, null);
      const shown = await (await fetch(`${platform.url}/auth/v1/.well-known/jwks.json`)).json();
      assert.deepEqual(shown.keys.map(({ kid, d }: { kid: string; d?: string }) => [kid, d]), [
        ["one", undefined],
        ["two", undefined],
      ]);
    }, { FLUXBASE_AUTH_SIGNING_KEYS: JSON.stringify({ keys: [first, second] }) });
  });
});
