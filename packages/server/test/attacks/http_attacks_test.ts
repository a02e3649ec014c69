/**
 * Attacks by what a function answers, on the server and on the requests beside it.
 *
 * @module
 */
import { type Attack, attackTest, type FunctionAttack, recordOf, shown } from "./corpus.ts";

const header = (name: string, source: string, gets: RegExp): FunctionAttack => ({ name, source, gets, status: 500 });
const plain = (name: string, headers: string, gets: RegExp) =>
  header(name, `export default () => ({ status: 200, headers: ${headers}, body: "x" });`, gets);

const HEADERS: readonly FunctionAttack[] = [
  plain("a header line inside a value", `{ "x-a": "b\\nset-cookie\\nevil=1" }`, /header \\?"x-a.*U\+000A/),
  plain("a header line inside a name", `{ "x-a\\n1\\nset-cookie": "evil=1" }`, /header /),
  plain("a header line inside a list", `{ "x-a": ["b", "c\\r\\nset-cookie: evil=1"] }`, /header \\?"x-a/),
  plain("a status line inside a value", `{ "x-a": "b\\r\\n\\r\\nHTTP/1.1 200 OK" }`, /header \\?"x-a/),
  plain(
    "a character beyond Latin-1 that ends in a line feed",
    `{ "x-a": "\\u010d\\u010aset-cookie: evil=1" }`,
    /header /,
  ),
  header(
    "a control character that Headers lets through",
    `export default () => new Response("x", { headers: { "x-a": "a\\x7fb" } });`,
    /header \\?"x-a/,
  ),
  header(
    "the same in a streamed answer",
    `export default () => new Response(new ReadableStream({ pull(c) { c.enqueue(new Uint8Array(1)); c.close(); } }), { headers: { "x-a": "a\\x01b" } });`,
    /header \\?"x-a/,
  ),
  plain("300 kB in one header", `{ "x-a": "x".repeat(300_000) }`, /header \\?"x-a.*bytes/),
  plain("24,000 headers", `{ "x-a": Array.from({ length: 24_000 }, (_, i) => String(i)) }`, /24001? headers|at most/),
];

const STORED: readonly Attack[] = ["x\u0001y", "x\ny", "x\u007f", "x".repeat(300_000)].map((value) => ({
  name: `a stored CORS header: ${JSON.stringify(value).slice(0, 20)}`,
  gets: /^400 .*cors_headers/,
  async run({ api }) {
    const { status, body } = await api("POST", "/functions", {
      name: "cors",
      code: `export default () => 1`,
      cors_headers: [value],
    });
    return `${status} ${body.error}`;
  },
}));

const ID: Attack = {
  name: "a request id with a line feed, of a client",
  gets: /^200, another id$/,
  says: /^success 200$/,
  async run(platform) {
    await platform.deploy("plain", `export default () => 1`);
    const response = await platform.call("plain", { headers: { "x-request-id": "a\tb\u0085c" } });
    await response.body?.cancel();
    const id = response.headers.get("x-request-id") ?? "";
    return {
      got: `${response.status}, ${id.includes("a\tb") ? `the same id` : "another id"}`,
      record: shown(await recordOf(platform, "plain")),
    };
  },
};

const NEIGHBOUR: Attack = {
  name: "the end of the process, beside another request",
  gets: /^500 beside 200$/,
  async run(platform) {
    await platform.deploy(
      "exits",
      `export default async (req) => { await new Promise((done) => setTimeout(done, 300)); if (req.params.way === "exit") Deno.exit(3); return "done"; }`,
    );
    await (await platform.call("exits")).body?.cancel();
    const answers = await Promise.all(["exit", "stay"].map((way) => platform.call(`exits/invoke?way=${way}`)));
    for (const answer of answers) await answer.body?.cancel();
    return answers.map(({ status }) => status).join(" beside ");
  },
};

/** Behind a proxy on the same machine, whose word about addresses counts. */
const OWN_ADDRESS: Attack = {
  name: "its own address, as X-Forwarded-For says",
  gets: /^401, not in the audit log$/,
  says: /^success 200$/,
  async run(platform) {
    await platform.deploy(
      "forwards",
      `export default async () => { const response = await fetch(Deno.env.get("FLUXBASE_BASE_URL") + "/api/v1/admin/service-keys", { method: "POST", body: "{}",
        headers: { "content-type": "application/json", authorization: "Bearer nobody", "x-forwarded-for": "7.7.7.7" } }); return response.status; };`,
    );
    const status = await (await platform.call("forwards")).text();
    await platform.api("POST", "/client-keys", { name: "a later entry", scopes: ["*"] });
    const log = JSON.stringify((await platform.api("GET", "/admin/audit-log?limit=200")).body);
    return {
      got: `${status}, ${log.includes("7.7.7.7") ? "in" : "not in"} the audit log`,
      record: shown(await recordOf(platform, "forwards")),
    };
  },
};

/** What a function logs is text in the logs that are followed, never an event of its own. */
const LOGGED: Attack = {
  name: "an event inside a line of the log",
  gets: /^data only$/,
  async run(platform) {
    await platform.deploy(
      "logs",
      `export default () => { console.log("a\\r\\nevent: forged\\r\\ndata: 1\\n\\nid: 7\\revent: forged"); return 1; }`,
    );
    const leaving = new AbortController();
    const response = await fetch(`${platform.url}/api/v1/functions/logs/logs?follow=true`, {
      headers: { authorization: `Bearer ${platform.serviceKey}` },
      signal: leaving.signal,
    });
    await (await platform.call("logs")).body?.cancel();
    let text = "";
    try {
      for await (const chunk of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
        text += chunk;
        if (text.includes("id: 7") || text.includes("forged")) break;
      }
    } finally {
      leaving.abort();
    }
    return /(^|[\r\n])event: forged/.test(text) ? text : "data only";
  },
};

attackTest("http", () => [...HEADERS, ...STORED, ID, NEIGHBOUR, OWN_ADDRESS, LOGGED], {
  settings: { FLUXBASE_SERVER_TRUSTED_PROXIES: "127.0.0.1" },
});
