/**
 * The functions of `examples/`, as they are there, against fakes of the services that they call.
 *
 * @module
 */
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { sql } from "kysely";
import { eventually, platformTest } from "./support/platform.ts";

const EXAMPLES = new URL("../../../examples/", import.meta.url);
const read = (name: string) => Deno.readTextFile(new URL(`${name}/index.ts`, EXAMPLES));

/** What the third parties got, and an answer that looks like theirs. */
function startServices() {
  const got: { path: string; authorization: string | null; key: string | null; body: string }[] = [];
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, async (request) => {
    const { pathname } = new URL(request.url);
    const { headers } = request;
    const [authorization, key] = [headers.get("authorization"), headers.get("idempotency-key")];
    got.push({ path: pathname, authorization, key, body: await request.text() });
    if (pathname === "/deliveries" && got.filter(({ path }) => path === pathname).length === 1) {
      return new Response("later", { status: 503, headers: { "retry-after": "1" } });
    }
    if (pathname === "/emails") return Response.json({ id: "mail-1" });
    if (pathname.endsWith("/comments")) return Response.json({ id: 1 }, { status: 201 });
    const words = ["Good", " morning"].map((content) =>
      `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content } }] })}\n\n`
    );
    return new Response(`${words.join("")}data: [DONE]\n\n`, { headers: { "content-type": "text/event-stream" } });
  });
  return { got, url: `http://127.0.0.1:${server.addr.port}`, [Symbol.asyncDispose]: () => server.shutdown() };
}

const SCHEMA = `
  create table public.payments (id text primary key, amount int, currency text);
  create table public.posts (slug text primary key, title text, published_at timestamptz);
  insert into public.posts values ('a', 'First & best', '2026-01-01T00:00:00Z'), ('b', 'Second', '2026-02-01T00:00:00Z');
  create table public.notes (
    id bigint generated always as identity primary key,
    user_id uuid not null default (current_setting('request.jwt.claims', true)::json->>'sub')::uuid,
    text text not null
  );
  alter table public.notes enable row level security;
  create policy own on public.notes to authenticated
    using (user_id = (current_setting('request.jwt.claims', true)::json->>'sub')::uuid)
    with check (user_id = (current_setting('request.jwt.claims', true)::json->>'sub')::uuid);
  grant select on public.posts to anon;
  grant all on public.payments to service_role;
  grant select, insert, delete on public.notes to authenticated;`;

platformTest("examples", async (platform, step) => {
  await using services = startServices();
  await sql.raw(SCHEMA).execute(platform.appDb);
  const { body: session } = await platform.api("POST", "/auth/signup", {
    email: "ada@example.com",
    password: "a password of ada",
  }, null);
  const user = { authorization: `Bearer ${session.access_token}` };
  const deploy = async (name: string, env: Record<string, string> = {}) =>
    void await platform.deploy(name, await read(name), { env });
  const call = (name: string, init: RequestInit = {}, query = "") =>
    fetch(`${platform.url}/api/v1/functions/${name}/invoke${query}`, init);
  const post = (body: BodyInit, headers: HeadersInit = {}) => ({ method: "POST", body, headers });

  await step("every example is tried here, and has its line", async () => {
    const names = [];
    for await (const { name } of Deno.readDir(EXAMPLES)) {
      if (await read(name).then(() => true, () => false)) names.push(name);
    }
    assert.equal(names.length, 15);
    const test = await Deno.readTextFile(new URL(import.meta.url));
    const lines = await Deno.readTextFile(new URL("README.md", EXAMPLES));
    for (const name of names) {
      assert.ok(test.includes(`deploy("${name}"`), `${name} has no test`);
      assert.ok(lines.includes(`[${name}](${name}/index.ts)`), `${name} has no line in README.md`);
    }
  });

  await step("Stripe webhook: what Stripe signed is noted once, anything else is refused", async () => {
    await deploy("stripe-webhook", { STRIPE_WEBHOOK_SECRET: "whsec_test" });
    const payload = JSON.stringify({
      id: "evt_1",
      object: "event",
      type: "checkout.session.completed",
      data: { object: { id: "cs_1", amount_total: 1200, currency: "eur" } },
    });
    const seconds = Math.floor(Date.now() / 1000);
    const hmac = createHmac("sha256", "whsec_test").update(`${seconds}.${payload}`).digest("hex");
    const signature = `t=${seconds},v1=${hmac}`;
    for (let time = 0; time < 2; time += 1) {
      const response = await call("stripe-webhook", post(payload, { "stripe-signature": signature }));
      assert.deepEqual([response.status, await response.json()], [200, { received: true }]);
    }
    const { rows } = await sql.raw("select id, amount, currency from public.payments").execute(platform.appDb);
    assert.deepEqual(rows, [{ id: "cs_1", amount: 1200, currency: "eur" }]);
    const forged = await call("stripe-webhook", post(payload.replace("1200", "1"), { "stripe-signature": signature }));
    assert.deepEqual([forged.status, (await forged.json()).error], [400, "The signature does not fit"]);
  });

  await step("Slack command", async () => {
    await deploy("slack-command", { SLACK_SIGNING_SECRET: "slack" });
    const roll = (text: string, secret = "slack", seconds = Math.floor(Date.now() / 1000)) => {
      const body = new URLSearchParams({ text, user_id: "U1" }).toString();
      const signature = createHmac("sha256", secret).update(`v0:${seconds}:${body}`).digest("hex");
      return call(
        "slack-command",
        post(body, {
          "content-type": "application/x-www-form-urlencoded",
          "x-slack-request-timestamp": String(seconds),
          "x-slack-signature": `v0=${signature}`,
        }),
      );
    };
    assert.match((await (await roll("20")).json()).text, /^<@U1> rolled \d+ of 20$/);
    assert.match((await (await roll("much")).json()).text, /^Usage/);
    for (const refused of [roll("20", "other"), roll("20", "slack", 1)]) {
      const response = await refused;
      assert.deepEqual([response.status, await response.text()], [401, "Not from Slack"]);
    }
  });

  await step("GitHub hook", async () => {
    await deploy("github-hook", {
      GITHUB_WEBHOOK_SECRET: "github",
      GITHUB_TOKEN: "the-token",
      GITHUB_API_URL: services.url,
    });
    const body = JSON.stringify({
      action: "opened",
      issue: { number: 7, user: { login: "ada" } },
      repository: { full_name: "us/it" },
    });
    const send = (secret: string) =>
      call(
        "github-hook",
        post(body, {
          "x-github-event": "issues",
          "x-hub-signature-256": `sha256=${createHmac("sha256", secret).update(body).digest("hex")}`,
        }),
      );
    assert.deepEqual(await (await send("github")).json(), { commented: 7 });
    const last = services.got.at(-1);
    assert.deepEqual([last?.path, last?.authorization], ["/repos/us/it/issues/7/comments", "Bearer the-token"]);
    const refused = await send("other");
    assert.deepEqual([refused.status, await refused.text()], [401, "Not from GitHub"]);
  });

  await step("OpenAI proxy: the words come as events", async () => {
    await deploy("openai-proxy", { OPENAI_API_KEY: "sk-x", OPENAI_BASE_URL: `${services.url}/v1` });
    const anon = { authorization: `Bearer ${platform.anonKey}` };
    const response = await call("openai-proxy", post(`{"prompt":"hi"}`, anon));
    assert.equal(response.headers.get("content-type"), "text/event-stream");
    assert.equal(await response.text(), `data: {"text":"Good"}\n\ndata: {"text":" morning"}\n\ndata: [DONE]\n\n`);
    assert.equal(services.got.at(-1)?.authorization, "Bearer sk-x");
    const empty = await call("openai-proxy", post(`{}`, anon));
    assert.deepEqual([empty.status, /prompt must be/.test(await empty.text())], [400, true]);
  });

  await step("pictures: resized by WebAssembly, drawn for a link", async () => {
    await deploy("og-image");
    await deploy("image-resize");
    const card = await call("og-image", {}, "?title=Hello");
    const png = await card.bytes();
    assert.deepEqual(
      [card.status, card.headers.get("content-type")],
      [200, "image/png"],
      new TextDecoder().decode(png),
    );
    const sizeOf = (bytes: Uint8Array) => {
      const view = new DataView(bytes.buffer, bytes.byteOffset);
      return [view.getUint32(16), view.getUint32(20)];
    };
    assert.deepEqual(sizeOf(png), [1200, 630]);
    const anon = { authorization: `Bearer ${platform.anonKey}` };
    const small = await call("image-resize", post(png as Uint8Array<ArrayBuffer>, anon), "?width=120");
    const bytes = await small.bytes();
    assert.equal(small.status, 200, new TextDecoder().decode(bytes));
    assert.deepEqual(sizeOf(bytes), [120, 63]);
    const text = await call("image-resize", post("no picture", anon));
    assert.deepEqual([text.status, (await text.json()).error], [415, "The body must be a PNG"]);
  });

  await step("PDF", async () => {
    await deploy("invoice-pdf");
    const body = JSON.stringify({ number: "2026-1", items: [{ text: "Work", cents: 12_300 }] });
    const response = await call("invoice-pdf", post(body, user));
    assert.equal(response.headers.get("content-type"), "application/pdf");
    assert.match(new TextDecoder("latin1").decode(await response.bytes()), /^%PDF-.*%%EOF\s*$/s);
  });

  await step("e-mail goes to the signed-in user alone", async () => {
    await deploy("send-email", { RESEND_API_KEY: "re_x", MAIL_FROM: "us@example.com", RESEND_BASE_URL: services.url });
    const sent = await call("send-email", post("{}", user));
    assert.deepEqual([sent.status, await sent.json()], [202, { sent: "mail-1" }]);
    assert.equal(JSON.parse(services.got.at(-1)?.body ?? "").to, "ada@example.com");
    const anon = await call("send-email", post("{}", { authorization: `Bearer ${platform.anonKey}` }));
    assert.deepEqual([anon.status, (await anon.json()).error], [401, "Sign in first"]);
  });

  await step("RSS of a table", async () => {
    await deploy("rss-feed", { SITE_URL: "https://us.example" });
    const response = await call("rss-feed");
    assert.equal(response.headers.get("content-type"), "application/rss+xml; charset=utf-8");
    const titles = [...(await response.text()).matchAll(/<item><title>(.*?)<\/title>/g)].map(([, title]) => title);
    assert.deepEqual(titles, ["Second", "First &amp; best"]);
  });

  await step("REST over a table with row level security", async () => {
    await deploy("notes-api");
    const made = await call("notes-api", post(`{"text":"mine"}`, { ...user, "content-type": "application/json" }));
    const note = await made.json();
    assert.deepEqual([made.status, note.text], [201, "mine"]);
    assert.deepEqual(await (await call("notes-api", { headers: user })).json(), [note]);
    const bob = await platform.api(
      "POST",
      "/auth/signup",
      { email: "bob@example.com", password: "a password of bob" },
      null,
    );
    const other = { authorization: `Bearer ${bob.body.access_token}` };
    assert.deepEqual(await (await call("notes-api", { headers: other })).json(), []);
    const wrong = await call("notes-api", post(`{"text":""}`, user));
    assert.equal(wrong.status, 400);
    await wrong.body?.cancel();
    assert.equal((await call("notes-api", { method: "DELETE", headers: user }, `?id=${note.id}`)).status, 204);
    assert.deepEqual(await (await call("notes-api", { headers: user })).json(), []);
  });

  await step("a public API answers so often and no more, to any page", async () => {
    await deploy("public-api");
    const statuses = [];
    for (let time = 0; time < 4; time += 1) {
      const response = await call(
        "public-api",
        { headers: { origin: "https://any.example" } },
        "?value=1&from=mi&to=km",
      );
      statuses.push(response.status);
      if (time === 0) {
        assert.equal(response.headers.get("access-control-allow-origin"), "*");
        assert.deepEqual(await response.json(), { value: 1.609344 });
      } else await response.body?.cancel();
    }
    assert.deepEqual(statuses, [200, 200, 200, 429]);
  });

  await step("chat", async () => {
    await deploy("chat");
    const join = async (name: string) => {
      const socket = new WebSocket(`${platform.url.replace("http", "ws")}/api/v1/functions/chat/invoke?name=${name}`);
      const heard: string[] = [];
      const hears = (text: string) =>
        new Promise<void>((resolve) => {
          const look = () => heard.includes(text) && resolve();
          socket.addEventListener("message", look);
          look();
        });
      socket.onmessage = ({ data }) => heard.push(data);
      await new Promise((resolve, reject) => Object.assign(socket, { onopen: resolve, onerror: reject }));
      return { socket, hears };
    };
    const ada = await join("Ada");
    const bob = await join("Bob");
    await ada.hears("Bob came in");
    bob.socket.send("hello");
    await ada.hears("Bob: hello");
    bob.socket.close();
    await ada.hears("Bob left");
    const closed = new Promise((resolve) => ada.socket.onclose = resolve);
    ada.socket.close();
    await closed;
  });

  await step("MCP server: its tool is listed and called", async () => {
    await deploy("mcp-server");
    const ask = async (method: string, params: Record<string, unknown>) => {
      const response = await call(
        "mcp-server",
        post(JSON.stringify({ jsonrpc: "2.0", id: 1, method, params }), {
          ...user,
          "content-type": "application/json",
          accept: "application/json, text/event-stream",
          "mcp-protocol-version": "2025-06-18",
        }),
      );
      const text = await response.text();
      assert.equal(response.status, 200, text);
      return JSON.parse(text).result;
    };
    const begun = await ask("initialize", {
      protocolVersion: "2025-06-18",
      capabilities: {},
      clientInfo: { name: "test", version: "1" },
    });
    assert.equal(begun.serverInfo.name, "calculator");
    assert.deepEqual((await ask("tools/list", {})).tools.map(({ name }: { name: string }) => name), ["add"]);
    const { content } = await ask("tools/call", { name: "add", arguments: { a: 2, b: 40 } });
    assert.deepEqual(content, [{ type: "text", text: "42" }]);
  });

  await step("report by schedule: what was paid, and nobody else has it sent", async () => {
    await deploy("cron-report", { REPORT_URL: `${services.url}/report` });
    const { body: listed } = await platform.api("GET", "/functions/cron-report/schedules");
    assert.deepEqual(
      listed.map(({ name, next_runs }: { name: string; next_runs: string[] }) => [name, next_runs.length]),
      [
        ["weekly", 5],
      ],
    );
    const { status, body } = await platform.api("POST", "/functions/cron-report/schedules/weekly/run");
    assert.equal(status, 202);
    await eventually(async () => (await platform.api("GET", `/tasks/${body.task_id}`)).body.state === "done");
    const sent = services.got.filter(({ path }) => path === "/report").map(({ body }) => JSON.parse(body).text);
    assert.match(sent.join(), /^Report of \d{4}-\d\d-\d\d\nEUR 12\.00 in 1 payments$/);
    const refused = await call("cron-report", post("{}", user));
    assert.equal(refused.status, 403);
    await refused.body?.cancel();
  });

  await step("queue worker: a service that is away gets it later, once told apart", async () => {
    await deploy("queue-worker", { DELIVERY_URL: `${services.url}/deliveries` });
    const stored = await call("queue-worker", post(`{"id":7}`, user));
    assert.equal(stored.status, 202);
    const { task_id } = await stored.json();
    await eventually(async () => (await platform.api("GET", `/tasks/${task_id}`)).body.state === "done");
    const deliveries = services.got.filter(({ path }) => path === "/deliveries");
    assert.deepEqual(deliveries.map(({ key, body }) => [key, body]), [[task_id, `{"id":7}`], [task_id, `{"id":7}`]]);
  });
}, {
  FLUXBASE_FUNCTIONS_EGRESS_ALLOW: "127.0.0.1/32",
  ...Object.fromEntries(
    Object.entries(Deno.env.toObject()).filter(([name]) => /proxy|npm_config_registry|cert/i.test(name)),
  ),
});
