/**
 * A function calls the platform by its own URL, although it may reach no address of this machine.
 *
 * @module
 */
import assert from "node:assert/strict";
import { platformTest } from "./support/platform.ts";

const BASE = `const base = Deno.env.get("FLUXBASE_BASE_URL"); const key = Deno.env.get("KEY");
const headers = { authorization: "Bearer " + key };
const invoke = (name, init = {}) => fetch(base + "/api/v1/functions/" + name, { headers, ...init });`;

platformTest("calls of a function to the platform", async (platform, step) => {
  const env = { KEY: platform.anonKey };
  await platform.deploy(
    "inner",
    `export default { async fetch(req) {
    const body = req.body === null ? null : await req.bytes();
    return new Response(JSON.stringify({ method: req.method, path: new URL(req.url).pathname, size: body?.length ?? null, own: req.headers.get("x-own") }),
      { status: 201, headers: { "x-answer": "yes" } });
  } }`,
  );

  await step("by its base URL, by localhost and by 127.0.0.1, with method, path, headers and body", async () => {
    await platform.deploy(
      "outer",
      `${BASE}
      async function handler(req) {
        const port = new URL(base).port;
        const answers = [];
        for (const origin of [base, "http://localhost:" + port, "http://127.0.0.1:" + port]) {
          const response = await fetch(origin + "/functions/v1/inner/some/path", { method: "POST", headers: { ...headers, "x-own": "1" }, body: "12345" });
          answers.push([response.status, response.headers.get("x-answer"), response.url.startsWith(origin), await response.json()]);
        }
        return answers;
      }`,
      { env },
    );
    const answers = await (await platform.call("outer")).json();
    assert.equal(answers.length, 3);
    for (const [status, header, url, body] of answers) {
      assert.deepEqual([status, header, url], [201, "yes", true]);
      assert.deepEqual(body, { method: "POST", path: "/inner/some/path", size: 5, own: "1" });
    }
  });

  await step("without a credential the platform refuses as it refuses anybody", async () => {
    await platform.deploy(
      "rude",
      `${BASE} const handler = async () => (await invoke("inner/invoke", { headers: {} })).status;`,
    );
    assert.equal(await (await platform.call("rude")).text(), "401");
    await platform.deploy(
      "manages",
      `${BASE} const handler = async () => (await invoke("inner", { method: "DELETE" })).status;`,
      {
        env,
      },
    );
    assert.equal(await (await platform.call("manages")).text(), "403");
  });

  await step("megabytes go both ways, byte by byte", async () => {
    await platform.deploy("mirror", `export default { fetch: (req) => new Response(req.body) }`, {
      max_response_bytes: 10_000_000,
    });
    await platform.deploy(
      "sends",
      `${BASE}
      async function handler() {
        const bytes = new Uint8Array(5_000_000).map((_, index) => index * 31);
        const back = await (await invoke("mirror/invoke", { method: "POST", body: bytes })).bytes();
        return back.length === bytes.length && back.every((byte, index) => byte === bytes[index]);
      }`,
      { env },
    );
    assert.equal(await (await platform.call("sends")).text(), "true");
  });

  await step("what another function has coded is decoded, as by any fetch", async () => {
    await platform.deploy(
      "coded",
      `import { gzipSync } from "node:zlib";
      export default { fetch: (req) => new Response(gzipSync("x".repeat(Number(new URL(req.url).searchParams.get("size")))), { headers: { "content-encoding": "gzip" } }) };`,
      { max_response_bytes: 10_000_000 },
    );
    await platform.deploy(
      "decodes",
      `${BASE}
      async function handler() {
        const answers = [];
        for (const size of [10, 100_000]) {
          const response = await invoke("coded/invoke?size=" + size);
          answers.push(response.headers.get("content-encoding"), (await response.text()).length);
        }
        return answers;
      }`,
      { env },
    );
    assert.deepEqual(await (await platform.call("decodes")).json(), [null, 10, null, 100_000]);
  });

  await step("a stream arrives as it is made, and giving it up ends it", async () => {
    await platform.deploy(
      "ticks",
      `export default { fetch(req) {
        req.signal.addEventListener("abort", () => console.log("nobody listens"));
        return new Response(new ReadableStream({
          async pull(controller) {
            await new Promise((resolve) => setTimeout(resolve, 10));
            controller.enqueue(new TextEncoder().encode("tick"));
          },
        }));
      } }`,
    );
    await platform.deploy(
      "listens",
      `${BASE}
      async function handler() {
        const leaving = new AbortController();
        const response = await invoke("ticks/invoke", { signal: leaving.signal });
        let count = 0;
        try {
          for await (const chunk of response.body) if (++count === 3) leaving.abort();
        } catch (error) { return count + error.name; }
      }`,
      { env },
    );
    assert.equal(await (await platform.call("listens")).json(), "3AbortError");
    const [execution] = await platform.executions("ticks");
    assert.equal(execution.logs, "nobody listens");
  });

  await step("redirects inside are followed", async () => {
    await platform.deploy(
      "moved",
      `export default { fetch: (req) => Response.redirect(new URL("/functions/v1/inner/there", req.url), 303) }`,
    );
    await platform.deploy(
      "follows",
      `${BASE}
      async function handler() {
        const followed = await invoke("moved/invoke", { method: "POST", body: "x" });
        const manual = await invoke("moved/invoke", { redirect: "manual" });
        const refused = await invoke("moved/invoke", { redirect: "error" }).catch((error) => error.name);
        return [(await followed.json()).method, followed.url.endsWith("/there"), manual.status, refused];
      }`,
      { env },
    );
    assert.deepEqual(await (await platform.call("follows")).json(), ["GET", true, 303, "TypeError"]);
  });

  await step("a hundred at once, and functions that call themselves a few deep", async () => {
    await platform.deploy(
      "fan",
      `${BASE}
      async function handler(req) {
        const depth = Number(req.params.depth ?? 0);
        if (depth > 0) return 1 + Number(await (await invoke("fan/invoke?depth=" + (depth - 1))).text());
        const all = await Promise.all(Array.from({ length: 100 }, async (_, index) =>
          (await (await invoke("inner/invoke/" + index)).json()).path.endsWith("/" + index)));
        return all.every(Boolean) ? 0 : NaN;
      }`,
      { env },
    );
    assert.equal(await (await platform.call("fan/invoke?depth=5")).text(), "5");
  });

  await step("functions that call themselves without end, waiting for it or not: 508 at a depth of 16", async () => {
    await platform.deploy(
      "drops",
      `${BASE} function handler() { setTimeout(() => void invoke("drops/invoke")); return "gone on"; }`,
      { env },
    );
    assert.equal((await platform.call("drops")).status, 200);
    assert.equal((await platform.executions("drops", 16)).length, 16);
    await platform.deploy(
      "loops",
      `${BASE}
      async function handler() {
        const answer = await invoke("loops/invoke");
        const body = await answer.json();
        return answer.status === 200 ? body : [answer.status, body.code, body.limit];
      }`,
      { env },
    );
    assert.deepEqual(await (await platform.call("loops")).json(), [508, "CALL_LOOP", 15]);
    for (const name of ["loops", "drops"]) assert.equal((await platform.executions(name, 16)).length, 16, name);
  });

  await step("fetch goes its usual way to everybody else", async () => {
    await platform.deploy(
      "usual",
      `async function handler() { return await fetch("data:text/plain,hello").then((r) => r.text()); }`,
    );
    assert.equal(await (await platform.call("usual")).json(), "hello");
  });
});
