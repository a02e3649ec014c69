/**
 * Webhooks that are verified before any code runs, with requests that the senders' own packages sign.
 *
 * @module
 */
import assert from "node:assert/strict";
import { createHmac, randomUUID } from "node:crypto";
import { sign as signGitHub } from "@octokit/webhooks-methods";
import { sql } from "kysely";
import { Webhook } from "standardwebhooks";
import Stripe from "stripe";
import { platformTest } from "./support/platform.ts";

/** Counts its runs in a variable of the module, and answers what it is told to. */
const RECEIVER = `
let runs = 0;
export default async function handler(req) {
  runs += 1;
  const text = await req.text();
  const { status = 200, waitMs = 0 } = text.startsWith("{") ? JSON.parse(text) : {};
  if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
  return Response.json({ runs, bytes: new TextEncoder().encode(text).length }, { status });
}`;

const SECRETS = {
  STRIPE: "whsec_stripe_of_the_tests",
  GITHUB: "github of the tests",
  STANDARD: `whsec_${btoa("standard of the tests")}`,
  SLACK: "slack of the tests",
  OLD: "old of the tests",
  BROKEN: "whsec_no base64!",
};

const stripe = new Stripe("sk_test_none");
const nowSec = () => Math.floor(Date.now() / 1_000);
const hex = (secret: string, text: string) => createHmac("sha256", secret).update(text).digest("hex");

const stripeHeaders = async (body: string, timestamp = nowSec(), secret = SECRETS.STRIPE) => ({
  "stripe-signature": await stripe.webhooks.generateTestHeaderStringAsync({ payload: body, secret, timestamp }),
});
const event = (fields: Record<string, unknown> = {}) => JSON.stringify({ id: `evt_${randomUUID()}`, ...fields });

platformTest("webhooks that are verified", async (platform, step) => {
  const { api, url, logLines } = platform;
  for (const [key, value] of Object.entries(SECRETS)) {
    await api("POST", "/admin/settings/custom/secret", { key, value });
  }
  const receive = async (name: string, verify: string, fields: Record<string, unknown> = {}) => {
    await platform.deploy(name, `// @fluxbase:verify ${verify}\n${RECEIVER}`, fields);
    return async (body: BodyInit, headers: Record<string, string> = {}, method = "POST") => {
      const response = await fetch(`${url}/api/v1/functions/${name}/invoke`, { method, headers, body });
      return { status: response.status, body: await response.json() };
    };
  };
  const executionsOf = async (name: string) => (await api("GET", `/functions/${name}/executions`)).body.length;

  await step("Stripe: what its package signs runs without any key, and nothing else does", async () => {
    const send = await receive("pay", "stripe STRIPE");
    const body = event({ text: "żółć" });
    const right = await send(body, await stripeHeaders(body));
    assert.deepEqual(right, { status: 200, body: { runs: 1, bytes: new TextEncoder().encode(body).length } });
    const refused: [string, Record<string, string>][] = [
      [event(), {}],
      [event(), await stripeHeaders(body)],
      [JSON.stringify(JSON.parse(body), null, 2), await stripeHeaders(body)],
      [body, await stripeHeaders(body, nowSec() - 301)],
      [body, await stripeHeaders(body, nowSec() + 400)],
      [body, await stripeHeaders(body, nowSec(), "whsec_another")],
      [event(), { authorization: `Bearer ${platform.serviceKey}` }],
    ];
    for (const [text, headers] of refused) {
      const { status, body: answer } = await send(text, headers);
      assert.deepEqual([status, answer.code], [401, "INVALID_CREDENTIAL"], JSON.stringify(headers));
    }
    const foreign = event();
    const { status, body: { runs } } = await send(foreign, {
      ...await stripeHeaders(foreign),
      authorization: "Basic c2VuZGVyOnNlbmRlcg==",
    });
    assert.deepEqual([status, runs], [200, 2], "a credential that is not ours is the sender's business");
  });

  await step("what is refused costs no sandbox and makes no execution", async () => {
    const send = await receive("cold", "stripe STRIPE");
    for (let index = 0; index < 5; index += 1) assert.equal((await send(event())).status, 401);
    const ready = await (await fetch(`${url}/ready`)).json();
    const body = event();
    const { body: first } = await send(body, await stripeHeaders(body));
    assert.equal(first.runs, 1, JSON.stringify(ready));
    const { body: executions } = await api("GET", "/functions/cold/executions");
    assert.equal(executions.length, 1);
    assert.equal(executions[0].cold_start, true);
  });

  await step("a repeated delivery answers 200 without running; one that failed runs again", async () => {
    const send = await receive("once", "stripe STRIPE");
    const body = event();
    assert.equal((await send(body, await stripeHeaders(body))).body.runs, 1);
    const again = await send(body, await stripeHeaders(body, nowSec() - 2));
    assert.equal(again.status, 200);
    assert.match(again.body.message, /handled before/);
    const failing = event({ status: 500 });
    for (const runs of [2, 3]) {
      assert.deepEqual(
        await send(failing, await stripeHeaders(failing)).then(({ status, body }) => [status, body.runs]),
        [
          500,
          runs,
        ],
      );
    }
    assert.equal(await executionsOf("once"), 3);
  });

  await step("of two at once one runs, and the other is told to come later", async () => {
    const send = await receive("twice", "stripe STRIPE");
    const warm = event();
    await send(warm, await stripeHeaders(warm));
    const body = event({ waitMs: 500 });
    const answers = await Promise.all([1, 2, 3].map(async () => send(body, await stripeHeaders(body))));
    assert.deepEqual(answers.map(({ status }) => status).sort(), [200, 409, 409]);
    const refused = answers.find(({ status }) => status === 409);
    assert.equal(refused?.body.code, "ALREADY_RUNNING");
  });

  await step("a delivery whose server died is run by the next one", async () => {
    const send = await receive("died", "stripe STRIPE");
    const body = event();
    await send(body, await stripeHeaders(body));
    await sql`update fluxbase.webhook_deliveries set is_handled = false, until = now() - interval '1 second'`.execute(
      platform.db,
    );
    assert.equal((await send(body, await stripeHeaders(body))).body.runs, 2);
  });

  await step("GitHub: its package's signature passes; the same bytes with another id do not run again", async () => {
    const send = await receive("hub", "github GITHUB");
    const body = JSON.stringify({ zen: "Speak like a human." });
    const headers = (id: string) => ({ "x-hub-signature-256": signature, "x-github-delivery": id });
    const signature = await signGitHub(SECRETS.GITHUB, body);
    assert.equal((await send(body, headers("a"))).body.runs, 1);
    for (const id of ["a", "b"]) assert.match((await send(body, headers(id))).body.message, /handled before/);
    assert.equal((await send(body, { "x-hub-signature-256": await signGitHub("another", body) })).status, 401);
  });

  await step("Standard Webhooks: its package's signature passes, also as one of two", async () => {
    const send = await receive("standard", "standard STANDARD");
    const webhook = new Webhook(SECRETS.STANDARD);
    const headersOf = (body: string, id: string, signatures = [webhook.sign(id, new Date(), body)]) => ({
      "webhook-id": id,
      "webhook-timestamp": String(nowSec()),
      "webhook-signature": signatures.join(" "),
    });
    const body = '{"type":"user.created"}';
    assert.equal((await send(body, headersOf(body, "msg_1"))).body.runs, 1);
    const other = new Webhook(btoa("of nobody")).sign("msg_2", new Date(), body);
    const two = [other, webhook.sign("msg_2", new Date(), body)];
    assert.equal((await send(body, headersOf(body, "msg_2", two))).body.runs, 2);
    assert.equal((await send(body, headersOf(body, "msg_3", [other]))).status, 401);
    assert.match((await send(body, headersOf(body, "msg_1"))).body.message, /handled before/);
  });

  await step("any other sender by hmac, with one of two secrets, and bytes that are no text", async () => {
    const send = await receive("any", "hmac NEW,OLD header=X-Signature prefix=sha256= id=X-Id");
    const bytes = Uint8Array.from({ length: 300 }, (_, index) => index * 7);
    const signature = createHmac("sha256", SECRETS.OLD).update(bytes).digest("hex");
    const headers = { "x-signature": `sha256=${signature}`, "x-id": "1" };
    assert.equal((await send(bytes, headers)).status, 200);
    assert.match((await send(bytes, headers)).body.message, /handled before/);
    assert.equal((await send(bytes, { ...headers, "x-signature": signature })).status, 401, "without its prefix");
  });

  await step("bodies that are streamed are read whole, up to a bound", async () => {
    const send = await receive("large", "hmac OLD header=x-signature");
    const signed = (text: string) => ({ "x-signature": hex(SECRETS.OLD, text) });
    for (const length of [0, 1, 65_536, 65_537, 1_000_000]) {
      const text = "ä".repeat(length / 2);
      const bytes = new TextEncoder().encode(text);
      const stream = ReadableStream.from([bytes.slice(0, 10), bytes.slice(10)]);
      const answer = await send(length > 65_536 ? stream : bytes, signed(text));
      assert.deepEqual([answer.status, answer.body.bytes], [200, bytes.length]);
    }
    const text = "x".repeat(1024 * 1024 + 1);
    for (const body of [text, ReadableStream.from([new TextEncoder().encode(text)])]) {
      const { status, body: answer } = await send(body, signed(text));
      assert.deepEqual([status, answer.code], [413, "BODY_TOO_LARGE"]);
    }
    const longer = "x".repeat(200_000);
    assert.equal((await send(longer, signed(`${longer}y`))).status, 401);
    const query = await fetch(`${url}/api/v1/functions/large/invoke`, { headers: signed("") });
    assert.deepEqual([query.status, (await query.json()).bytes], [200, 0]);
  });

  await step("a secret that is missing or makes no sense: 401 to the world, a sentence to the operator", async () => {
    for (
      const [name, rule, says] of [
        ["lost", "stripe NOT_THERE", /there is no secret "NOT_THERE" for namespace "default"/],
        ["broken", "standard BROKEN", /secret "BROKEN" is no key of "standard"/],
      ] as const
    ) {
      const send = await receive(name, rule);
      const body = event();
      assert.equal((await send(body, await stripeHeaders(body))).status, 401);
      assert.equal((await send(body, { authorization: `Bearer ${platform.anonKey}` })).status, 401);
      const told = await send(body, { authorization: `Bearer ${platform.serviceKey}` });
      assert.deepEqual([told.status, told.body.code], [503, "SECRET_MISSING"]);
      assert.match(told.body.error, says);
      assert.equal(logLines.filter((line) => says.test(line)).length, 1, "said once, not with each request");
    }
    const lost = event();
    await api("POST", "/admin/settings/custom/secret", { key: "NOT_THERE", value: SECRETS.STRIPE });
    const answer = await fetch(`${url}/api/v1/functions/lost/invoke`, {
      method: "POST",
      body: lost,
      headers: await stripeHeaders(lost),
    });
    assert.equal(answer.status, 200, await answer.text());
  });

  await step("a secret of another namespace is none", async () => {
    const value = "of others only";
    await api("POST", "/admin/settings/custom/secret", { key: "PRIVATE", value, namespaces: ["others"] });
    const send = await receive("foreign", "hmac PRIVATE header=x-signature");
    assert.equal((await send("{}", { "x-signature": hex(value, "{}") })).status, 401);
  });

  await step("the example runs as it is", async () => {
    const code = await Deno.readTextFile(new URL("../../../examples/functions/payments.ts", import.meta.url));
    await platform.deploy("payments", code);
    await api("POST", "/admin/settings/custom/secret", { key: "STRIPE_WEBHOOK_SECRET", value: SECRETS.STRIPE });
    const body = event({ type: "payment_intent.succeeded", data: { object: { id: "pi_1", amount: 100 } } });
    const answer = await platform.call("payments", { method: "POST", body, headers: await stripeHeaders(body) });
    assert.deepEqual(await answer.json(), { received: JSON.parse(body).id });
  });

  await step("the setting is shown, set by the API, and refused when it makes no sense", async () => {
    const { body: shown } = await api("GET", "/functions/pay");
    assert.deepEqual([shown.verify, shown.settings_origins.verify], ["stripe STRIPE", "annotation"]);
    const { body: set } = await api("PUT", "/functions/pay", { verify: "  stripe   STRIPE,OLD " });
    assert.deepEqual([set.verify, set.settings_origins.verify], ["stripe STRIPE,OLD", "api"]);
    const { body: back } = await api("PUT", "/functions/pay", { verify: null });
    assert.equal(back.verify, "stripe STRIPE");
    const wrong = await api("PUT", "/functions/pay", { verify: "paypal KEY" });
    assert.equal(wrong.status, 400);
    assert.match(wrong.body.error, /"paypal" is no way to verify: it must be one of stripe, github/);
    const built = await api("POST", "/functions?strict=true", {
      name: "wrong",
      code: `// @fluxbase:verify hmac KEY\n${RECEIVER}`,
    });
    assert.equal(built.status, 422);
    assert.match(built.body.error, /wrong\.ts:1.*hmac needs the header of the signature/);
  });
}, { FLUXBASE_RATE_LIMIT_FAILURES_PER_MINUTE: "1000" });
