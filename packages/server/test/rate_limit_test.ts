/**
 * Rate limits: the guide's chapter as written, who counts as whom, several servers, and a store that is away.
 *
 * @module
 */
import assert from "node:assert/strict";
import { SignJWT } from "jose";
import { sql } from "kysely";
import { redisProgram, startRedis } from "./support/redis.ts";
import { eventually, platformTest, type TestPlatform, withTestPlatform } from "./support/platform.ts";

const GUIDE = `/**
* API endpoint with rate limiting
*
* @fluxbase:rate-limit 100/min
*/
async function handler(req) {
// Each user/IP can make max 100 requests per minute
return {
status: 200,
body: JSON.stringify({ data: "result" }),
};
}`;
const HANDLER = `export default () => 1;`;
const WINDOW_MS = 60_000;
const LONG_ENOUGH_MS = 12_000;

/** Windows are whole minutes: a test that counts must not begin at the end of one. */
async function inOneWindow(): Promise<void> {
  const leftMs = WINDOW_MS - Date.now() % WINDOW_MS;
  if (leftMs < LONG_ENOUGH_MS) await new Promise((resolve) => setTimeout(resolve, leftMs + 50));
}

async function statusesOf(calls: readonly Promise<Response>[]): Promise<Record<number, number>> {
  const counts: Record<number, number> = {};
  for (const response of await Promise.all(calls)) {
    counts[response.status] = (counts[response.status] ?? 0) + 1;
    await response.body?.cancel();
  }
  return counts;
}

function times(count: number, work: () => Promise<Response>): Promise<Response>[] {
  return Array.from({ length: count }, work);
}

async function userToken({ jwtSecret }: TestPlatform, sub: string): Promise<string> {
  return await new SignJWT({ role: "authenticated", sub }).setProtectedHeader({ alg: "HS256" }).setExpirationTime("1h")
    .sign(new TextEncoder().encode(jwtSecret.reveal()));
}

platformTest("rate limits", async (platform, step) => {
  await step("the guide's example: 100 are let through, then 429 with everything the guide says", async () => {
    const { body } = await platform.deploy("guide", GUIDE);
    assert.deepEqual([body.rate_limit, body.rate_limit_per_minute, body.warnings], ["100/min", 100, []]);
    await inOneWindow();
    const first = await platform.call("guide");
    assert.deepEqual(
      ["limit", "remaining"].map((name) => first.headers.get(`x-ratelimit-${name}`)),
      ["100", "99"],
    );
    assert.deepEqual(await first.json(), { data: "result" });
    assert.deepEqual(await statusesOf(times(130, () => platform.call("guide"))), { 200: 99, 429: 31 });
    const refused = await platform.call("guide");
    const answer = await refused.json();
    assert.equal(answer.error, "Rate limit exceeded: 100 requests per minute");
    assert.ok(answer.retry_after >= 1 && answer.retry_after <= 60);
    assert.equal(answer.code, "RATE_LIMITED");
    const header = (name: string) => Number(refused.headers.get(name));
    assert.equal(header("retry-after"), answer.retry_after);
    assert.deepEqual([header("x-ratelimit-limit"), header("x-ratelimit-remaining")], [100, 0]);
    assert.ok(Math.abs(header("x-ratelimit-reset") - (Date.now() / 1_000 + answer.retry_after)) < 3);
    assert.equal((await platform.executions("guide", 100)).length, 100);
  });

  await step("each user counts alone, whatever token; without a user the address counts", async () => {
    await platform.deploy("per-user", HANDLER, { rate_limit: "2/min" });
    await inOneWindow();
    const as = async (sub: string) => {
      const authorization = `Bearer ${await userToken(platform, sub)}`;
      return () => platform.call("per-user", { headers: { authorization, "x-forwarded-for": crypto.randomUUID() } });
    };
    assert.deepEqual(await statusesOf(times(3, await as("alice"))), { 200: 2, 429: 1 });
    assert.deepEqual(await statusesOf(times(3, await as("bob"))), { 200: 2, 429: 1 });
    // The anon key is nobody: its address counts, and a header does not change it.
    const anonymous = (address: string) => () => platform.call("per-user", { headers: { "x-forwarded-for": address } });
    assert.deepEqual(await statusesOf([...times(2, anonymous("1.1.1.1")), ...times(2, anonymous("2.2.2.2"))]), {
      200: 2,
      429: 2,
    });
  });

  await step("several windows at once: the tightest answers, and a refused call costs none of them", async () => {
    await platform.deploy("several", `// @fluxbase:rate-limit 3/min\n// @fluxbase:rate-limit 5/hour\n${HANDLER}`);
    const { body } = await platform.api("GET", "/functions/several");
    assert.equal(body.rate_limit, "3/min,5/hour");
    await inOneWindow();
    assert.deepEqual(await statusesOf(times(10, () => platform.call("several"))), { 200: 3, 429: 7 });
    const { body: changed } = await platform.api("PATCH", "/functions/several", { rate_limit_per_minute: 1_000 });
    assert.deepEqual([changed.rate_limit, changed.settings_origins.rate_limit_per_minute], ["1000/min,5/hour", "api"]);
    await eventually(async () => (await platform.call("several", { method: "OPTIONS" })).status === 204);
    assert.deepEqual(await statusesOf(times(10, () => platform.call("several"))), { 200: 2, 429: 8 });
    const refused = await platform.call("several");
    assert.equal((await refused.json()).error, "Rate limit exceeded: 5 requests per hour");
  });

  await step("in the API: text, numbers, taking away, and what is no limit", async () => {
    const { body } = await platform.deploy("api", HANDLER, { rate_limit: "7/min, 8/hour,9/day" });
    assert.deepEqual([body.rate_limit_per_minute, body.rate_limit_per_hour, body.rate_limit_per_day], [7, 8, 9]);
    const fewer = await platform.api("PATCH", "/functions/api", { rate_limit_per_hour: null });
    assert.equal(fewer.body.rate_limit, "7/min,9/day");
    const one = await platform.api("PATCH", "/functions/api", { rate_limit: "5/day" });
    assert.equal(one.body.rate_limit, "5/day");
    const none = await platform.api("PATCH", "/functions/api", { rate_limit: null });
    assert.equal(none.body.rate_limit, null);
    assert.equal((await platform.call("api")).headers.get("x-ratelimit-limit"), null);
    for (const rate_limit of ["100", "100/week", "0/min", "-1/min", "1.5/min", "x/min"]) {
      const answer = await platform.api("PATCH", "/functions/api", { rate_limit });
      assert.equal(answer.status, 400, rate_limit);
      assert.match(answer.body.error, /rate_limit/);
    }
    // Older clients send these for what they do not set.
    for (const fields of [{ rate_limit: "" }, { rate_limit_per_day: 0 }]) {
      assert.equal((await platform.api("PATCH", "/functions/api", fields)).body.rate_limit, null);
    }
  });

  await step("who may not call is told so before anything is counted; CORS goes with the refusal", async () => {
    await platform.deploy("guarded", HANDLER, { rate_limit: "1/hour", cors_origins: "https://app.example.com" });
    const headers = { authorization: "Bearer nonsense" };
    assert.deepEqual(await statusesOf(times(3, () => platform.call("guarded", { headers }))), { 401: 3 });
    assert.equal((await platform.call("guarded")).status, 200);
    const refused = await platform.call("guarded", { headers: { origin: "https://app.example.com" } });
    assert.equal(refused.status, 429);
    assert.equal(refused.headers.get("access-control-allow-origin"), "https://app.example.com");
  });
}, { FLUXBASE_RATE_LIMIT_STORE: "memory" });

platformTest("limits of keys and of every caller", async (platform, step) => {
  const { api } = platform;
  await platform.deploy("fn", HANDLER);
  const make = async (rate_limit_per_minute: number | null) =>
    (await api("POST", "/client-keys", { name: "limited", scopes: ["functions:*"], rate_limit_per_minute })).body;

  await step("a key counts over calls and management together, and says how much is left", async () => {
    const { id, key, rate_limit_per_minute } = await make(5);
    assert.equal(rate_limit_per_minute, 5);
    await inOneWindow();
    const call = () => platform.call("fn", { headers: { authorization: `Bearer ${key}` } });
    assert.deepEqual(await statusesOf(times(3, call)), { 200: 3 });
    const listed = await api("GET", "/functions", undefined, key);
    assert.deepEqual([listed.status, listed.headers.get("x-ratelimit-remaining")], [200, "1"]);
    assert.deepEqual(await statusesOf(times(3, call)), { 200: 1, 429: 2 });
    const refused = await api("GET", "/functions", undefined, key);
    assert.equal(refused.body.error, "Rate limit exceeded: 5 requests per minute");
    assert.ok(Number(refused.headers.get("retry-after")) === refused.body.retry_after);
    // More at once with a higher limit; another key has its own count.
    assert.equal(
      (await api("PATCH", `/client-keys/${id}`, { rate_limit_per_minute: 6 })).body.rate_limit_per_minute,
      6,
    );
    assert.deepEqual(await statusesOf(times(2, call)), { 200: 1, 429: 1 });
    const other = await make(5);
    assert.equal((await api("GET", "/functions", undefined, other.key)).status, 200);
    await api("PATCH", `/client-keys/${id}`, { rate_limit_per_minute: null });
    assert.equal((await call()).headers.get("x-ratelimit-limit"), "20");
    for (const wrong of [-1, 1.5, "5", 2_000_000_000]) {
      assert.equal(
        (await api("PATCH", `/client-keys/${id}`, { rate_limit_per_minute: wrong })).status,
        400,
        `${wrong}`,
      );
    }
  });

  await step("with a limit of the function too, the tighter one is shown", async () => {
    await platform.deploy("both", HANDLER, { rate_limit: "2/min" });
    const { key } = await make(9);
    await inOneWindow();
    const call = () => platform.call("both", { headers: { authorization: `Bearer ${key}` } });
    assert.equal((await call()).headers.get("x-ratelimit-limit"), "2");
    assert.deepEqual(await statusesOf(times(2, call)), { 200: 1, 429: 1 });
  });

  await step("everybody else has the limit of every caller, except the service role", async () => {
    await inOneWindow();
    const as = async (sub: string) => {
      const authorization = `Bearer ${await userToken(platform, sub)}`;
      return () => platform.call("fn", { headers: { authorization } });
    };
    assert.deepEqual(await statusesOf(times(25, await as("carol"))), { 200: 20, 429: 5 });
    assert.deepEqual(await statusesOf(times(2, await as("dave"))), { 200: 2 });
    const service = { authorization: `Bearer ${platform.serviceKey}` };
    assert.deepEqual(await statusesOf(times(30, () => platform.call("fn", { headers: service }))), { 200: 30 });
  });

  await step("calls of a function without a user count for the function, not for the machine's address", async () => {
    await platform.deploy(
      "caller",
      `export default async () => {
        const url = Deno.env.get("FLUXBASE_BASE_URL") + "/api/v1/functions/open/invoke";
        const calls = await Promise.all(Array.from({ length: 40 }, () => fetch(url)));
        return calls.filter((response) => response.status === 429).length;
      };`,
    );
    await platform.deploy("open", HANDLER, { allow_unauthenticated: true });
    const headers = { authorization: `Bearer ${platform.serviceKey}` };
    const refusedCount: number = await (await platform.call("caller", { headers })).json();
    assert.ok(refusedCount > 0 && refusedCount < 40, String(refusedCount));
  });

  await step("guesses are answered with 429 after a while, and a right credential works all the same", async () => {
    await inOneWindow();
    const guess = (path: string) => () =>
      fetch(`${platform.url}/api/v1${path}`, { headers: { apikey: `fbk_${crypto.randomUUID()}` } });
    const before = await statusesOf(times(6, guess("/functions")));
    assert.deepEqual(before, { 401: 6 });
    assert.deepEqual(await statusesOf(times(6, guess("/functions/fn/invoke"))), { 401: 4, 429: 2 });
    assert.equal((await api("GET", "/functions")).status, 200);
  });
}, { FLUXBASE_RATE_LIMIT_PER_MINUTE: "20", FLUXBASE_RATE_LIMIT_FAILURES_PER_MINUTE: "10" });

platformTest("a trusted proxy says where a request comes from", async (platform) => {
  await platform.deploy("fn", HANDLER, { rate_limit: "2/hour" });
  const from = (address: string) => () =>
    platform.call("fn", { headers: { "x-forwarded-for": `9.9.9.9, ${address}` } });
  assert.deepEqual(await statusesOf(times(3, from("203.0.113.1"))), { 200: 2, 429: 1 });
  assert.deepEqual(await statusesOf(times(3, from("203.0.113.2"))), { 200: 2, 429: 1 });
  assert.deepEqual(await statusesOf([...times(2, from("2001:db8:1:2::1")), ...times(2, from("2001:db8:1:2::2"))]), {
    200: 2,
    429: 2,
  });
}, { FLUXBASE_SERVER_TRUSTED_PROXIES: "127.0.0.1" });

/** 16 connections that hammer both servers with 320 calls. */
async function hammer(platform: TestPlatform, other: TestPlatform): Promise<void> {
  await platform.deploy("fn", HANDLER, { rate_limit: "100/min" });
  await eventually(async () => (await other.call("fn", { method: "OPTIONS" })).status === 204);
  await inOneWindow();
  const lanes = Array.from({ length: 16 }, async (_, lane) => {
    const counts: Record<number, number> = {};
    for (let index = 0; index < 20; index += 1) {
      const response = await ((lane + index) % 2 === 0 ? platform : other).call("fn");
      counts[response.status] = (counts[response.status] ?? 0) + 1;
      await response.body?.cancel();
    }
    return counts;
  });
  const results = await Promise.all(lanes);
  const sum = (status: number) => results.reduce((total, counts) => total + (counts[status] ?? 0), 0);
  assert.deepEqual([sum(200), sum(429)], [100, 220]);
}

platformTest("two servers on one database count together: exactly as many as there are", async (platform) => {
  await withTestPlatform((other) => hammer(platform, other), { DATABASE_URL: platform.databaseUrl.reveal() });
});

Deno.test({
  name: "two servers on one Redis count together, and each for itself while it hangs or is gone",
  // It needs the program: `apt-get install redis-server`.
  ignore: await redisProgram() === undefined,
  async fn(test) {
    const steps = { sanitizeOps: false, sanitizeResources: false };
    await using redis = await startRedis();
    const env = { FLUXBASE_REDIS_URL: redis.url };
    await withTestPlatform(async (platform) => {
      const counts = async () => (await platform.api("GET", "/health/ready")).body.rate_limits;
      await eventually(() => platform.logLines.some((line) => line.includes("counted in Redis")));
      await withTestPlatform(async (other) => {
        await eventually(() => other.logLines.some((line) => line.includes("counted in Redis")));
        await test.step({ name: "exactly as many as there are", fn: () => hammer(platform, other), ...steps });
      }, { ...env, DATABASE_URL: platform.databaseUrl.reveal() });

      await platform.deploy("two", HANDLER, { rate_limit: "2/min,3/day" });
      await test.step({
        name: "a Redis that hangs holds nobody up, and is used again when it goes on",
        async fn() {
          await inOneWindow();
          redis.signal("SIGSTOP");
          const beganMs = performance.now();
          assert.deepEqual(await statusesOf(times(5, () => platform.call("two"))), { 200: 2, 429: 3 });
          assert.deepEqual(await statusesOf(times(5, () => platform.call("two"))), { 429: 5 });
          assert.ok(performance.now() - beganMs < 5_000);
          assert.equal(await counts(), "local");
          assert.ok(platform.logLines.some((line) => line.includes("this server counts for itself")));
          redis.signal("SIGCONT");
          await eventually(async () => {
            await (await platform.call("two")).body?.cancel();
            return await counts() === "shared";
          });
        },
        ...steps,
      });
      await test.step({
        name: "a Redis that was killed, and started again empty",
        async fn() {
          await platform.deploy("three", HANDLER, { rate_limit: "2/day" });
          await redis.end("SIGKILL");
          assert.deepEqual(await statusesOf(times(3, () => platform.call("three"))), { 200: 2, 429: 1 });
          assert.equal(await counts(), "local");
          await redis.start();
          await eventually(async () => {
            await (await platform.call("three")).body?.cancel();
            return await counts() === "shared";
          });
        },
        ...steps,
      });
    }, env);
  },
});

platformTest("while the store does not answer, a server counts for itself and says so", async (platform) => {
  await platform.deploy("fn", HANDLER, { rate_limit: "3/hour" });
  await sql`alter table fluxbase.rate_counters rename to gone`.execute(platform.db);
  assert.deepEqual(await statusesOf(times(5, () => platform.call("fn"))), { 200: 3, 429: 2 });
  assert.ok(platform.logLines.some((line) => line.includes("this server counts for itself")));
  await sql`alter table fluxbase.gone rename to rate_counters`.execute(platform.db);
});
