/**
 * What a function's code may look like: the forms of a handler, what it is handed, what it may return, what it finds in
 * its global scope, and what its console keeps.
 *
 * @module
 */
import assert from "node:assert/strict";
import { eventually, platformTest } from "./support/platform.ts";

platformTest("every form of a handler answers", async (platform, step) => {
  const guide: [string, string][] = [
    ["declared", `async function handler(req) { return req.body + "!"; }`],
    ["exported", `export async function handler(req) { return req.body + "!"; }`],
    ["constant", `const handler = (req) => req.body + "!";`],
    ["default-function", `export default async function handler(req) { return req.body + "!"; }`],
    ["default-arrow", `export default async (req) => req.body + "!";`],
    ["default-by-name", `const answer = (req) => req.body + "!"; export { answer as default };`],
    ["fallback", `function main(req) { return req.body + "!"; }`],
    [
      "typed",
      `type T = string; async function handler(req: Request): Promise<T> { return req.body as unknown as T + "!"; }`,
    ],
    [
      "with-import",
      `import { Buffer } from "node:buffer"; const handler = (req) => Buffer.from(req.body).toString() + "!";`,
    ],
  ];
  const web: [string, string][] = [
    ["fetch", `export default { async fetch(req) { return Response.json(await req.text() + "!"); } }`],
    [
      "fetch-this",
      `export default { mark: "!", async fetch(req) { return Response.json(await req.text() + this.mark); } }`,
    ],
    [
      "fetch-of-a-class",
      `class App { mark = "!"; async fetch(req) { return Response.json(await req.text() + this.mark); } } export default new App();`,
    ],
    ["serve", `Deno.serve(async (req) => Response.json(await req.text() + "!"));`],
    [
      "serve-options",
      `Deno.serve({ port: 8000, hostname: "0.0.0.0" }, async (req) => Response.json(await req.text() + "!"));`,
    ],
    ["serve-one-object", `Deno.serve({ port: 8000, handler: async (req) => Response.json(await req.text() + "!") });`],
    ["serve-after-await", `await Promise.resolve(); Deno.serve(async (req) => Response.json(await req.text() + "!"));`],
    [
      "serve-on-listen",
      `let mark = ""; Deno.serve({ onListen: () => { mark = "!"; } }, async (req) => Response.json(await req.text() + mark));`,
    ],
  ];
  for (const [name, code] of [...guide, ...web]) {
    await step(name, async () => {
      await platform.deploy(name, code);
      for (const body of ["hi", "x".repeat(100_000)]) {
        const response = await platform.call(name, { method: "POST", body });
        assert.deepEqual([response.status, await response.json()], [200, body + "!"]);
      }
    });
  }
  await step("no handler: a sentence that says what to write", async () => {
    const { status, body } = await platform.api("POST", "/functions?strict=true", {
      name: "none",
      code: `export const x = 1;`,
    });
    assert.deepEqual([status, body.code], [422, "BUNDLE_REJECTED"]);
    assert.match(body.error, /Cannot find a handler: declare `async function handler\(req\)/);
  });
});

platformTest("a request has the guide's face and the web's", async (platform, step) => {
  await step("guide: text body, headers by name, params", async () => {
    await platform.deploy(
      "guide",
      `async function handler(req, context) {
        return { body: req.body, key: req.headers["x-api-key"], get: req.headers.get("X-Api-Key"), missing: req.headers["x-none"] ?? null,
          params: req.params, method: req.method, url: req.url, isRequest: req instanceof Request,
          user: [req.user_id, req.user_email, req.user_role, req.session_id].map((value) => value ?? null),
          json: await req.json(), names: [...req.headers.keys()].includes("x-api-key") };
      }`,
    );
    const response = await platform.call("guide/invoke/deep/path?a=1&b=%20&a=2", {
      method: "POST",
      body: `{"n": 1}`,
      headers: { "X-API-Key": "k", "user_id": "forged", "x-user-id": "forged" },
    });
    const { url, ...seen } = await response.json();
    assert.equal(url, `${platform.url}/deep/path?a=1&b=%20&a=2`);
    assert.deepEqual(seen, {
      body: `{"n": 1}`,
      key: "k",
      get: "k",
      missing: null,
      params: { a: "2", b: " " },
      method: "POST",
      isRequest: true,
      user: [null, null, null, null],
      json: { n: 1 },
      names: true,
    });
  });

  await step("web: every way to read a body, once each", async () => {
    await platform.deploy(
      "web",
      `const ways = {
        text: (req) => req.text(),
        json: async (req) => JSON.stringify(await req.json()),
        bytes: async (req) => new TextDecoder().decode(await req.bytes()),
        arrayBuffer: async (req) => new TextDecoder().decode(await req.arrayBuffer()),
        blob: async (req) => (await req.blob()).type + " " + await (await req.blob().catch(() => new Blob(["used"]))).text(),
        formData: async (req) => { const form = await req.formData(); return [...form].map(([name, value]) => name + "=" + (value.name ?? value)).join("&"); },
        stream: async (req) => { let text = ""; for await (const chunk of req.body.pipeThrough(new TextDecoderStream())) text += chunk; return text; },
        clone: async (req) => { const copy = req.clone(); return await req.text() + await copy.text(); },
        copy: async (req) => { const copy = new Request(req, { headers: { "x-more": "1" } }); return copy.headers.get("x-more") + copy.method + await copy.text(); },
        twice: async (req) => { await req.text(); return [req.bodyUsed, await req.text().catch((error) => error.name)].join(); },
        signal: (req) => [req.signal instanceof AbortSignal, req.signal.aborted].join(),
      };
      export default { async fetch(req) { return new Response(await ways[new URL(req.url).searchParams.get("way")](req)); } };`,
    );
    const expected: Record<string, string> = {
      text: `{"a":1}`,
      json: `{"a":1}`,
      bytes: `{"a":1}`,
      arrayBuffer: `{"a":1}`,
      blob: `application/json used`,
      stream: `{"a":1}`,
      clone: `{"a":1}{"a":1}`,
      copy: `1POST{"a":1}`,
      twice: `true,TypeError`,
      signal: `true,false`,
    };
    const headers = { "content-type": "application/json" };
    for (const [way, text] of Object.entries(expected)) {
      const response = await platform.call(`web/invoke?way=${way}`, { method: "POST", body: `{"a":1}`, headers });
      assert.deepEqual([response.status, await response.text()], [200, text], way);
    }
    const form = new FormData();
    form.set("name", "Zoë");
    form.set("file", new File(["content"], "a.txt"));
    const response = await platform.call("web/invoke?way=formData", { method: "POST", body: form });
    assert.equal(await response.text(), "name=Zoë&file=a.txt");
  });

  await step("the request can be sent on as it is", async () => {
    await platform.deploy(
      "inner",
      `async function handler(req) { return req.method + req.headers["x-mark"] + req.body; }`,
    );
    await platform.deploy(
      "outer",
      `export default { fetch: (req) => fetch(new Request(Deno.env.get("FLUXBASE_URL") + "/functions/v1/inner", req)) };`,
    );
    for (const body of ["small", "x".repeat(300_000)]) {
      const response = await platform.call("outer/invoke", { method: "POST", body, headers: { "x-mark": "m" } });
      assert.equal(await response.json(), `POSTm${body}`);
    }
  });
});

platformTest("the context and the globals know the invocation", async (platform, step) => {
  await platform.deploy(
    "context",
    `export default async (req, context) => {
      const { user, waitUntil, executionId, functionName, namespace, version, env, log, signal } = context;
      log.info("by the context's log");
      Fluxbase.reportProgress(50, "half");
      waitUntil(new Promise((resolve) => setTimeout(resolve, 50)).then(() => console.log("afterwards")));
      EdgeRuntime.waitUntil(new Promise((resolve) => setTimeout(resolve, 60)).then(() => console.log("after that")));
      return { user, executionId, functionName, namespace, version, env: env.MINE, aborted: signal.aborted,
        global: Fluxbase.getExecutionContext(), payload: Fluxbase.getPayload(), cancelled: Fluxbase.isCancelled() };
    };`,
    { namespace: "team-a", env: { MINE: "yes" } },
  );
  await step("what a handler is handed", async () => {
    const headers = { "x-request-id": "the-id" };
    const response = await platform.call("team-a/context", { method: "POST", body: `{"n":1}`, headers });
    const executionId = response.headers.get("x-execution-id") ?? "";
    assert.match(executionId, /^[0-9a-f-]{36}$/);
    const identity = { executionId, functionName: "context", namespace: "team-a", version: 1 };
    assert.deepEqual(await response.json(), {
      user: null,
      ...identity,
      env: "yes",
      aborted: false,
      global: identity,
      payload: { n: 1 },
      cancelled: false,
    });
  });
  await step("work of waitUntil is finished, and its lines belong to the execution", async () => {
    await eventually(async () => {
      const { body } = await platform.api("GET", "/functions/context/logs?namespace=team-a&execution_id=the-id");
      const messages: string[] = body.map(({ message }: { message: string }) => message);
      return ["by the context's log", "progress 50 % half", "afterwards", "after that"].every((line) =>
        messages.includes(line)
      );
    });
  });
  await step("outside a request, a sentence", async () => {
    await platform.deploy(
      "outside",
      `let said; try { Fluxbase.getPayload(); } catch (error) { said = error.message; } export default () => said;`,
    );
    assert.match(await (await platform.call("outside")).json(), /^Cannot use Fluxbase.getPayload outside a request/);
  });
});

platformTest("what a handler may return", async (platform) => {
  const bytes = `new Uint8Array([104, 105])`;
  const results: [string, string, number, string | null, string][] = [
    ["a number", `0`, 200, "application/json", "0"],
    ["false", `false`, 200, "application/json", "false"],
    ["a string", `"hi"`, 200, "application/json", `"hi"`],
    ["an array", `[1, 2]`, 200, "application/json", "[1,2]"],
    [
      "an object with a status of its own",
      `({ status: "open", id: 1 })`,
      200,
      "application/json",
      `{"status":"open","id":1}`,
    ],
    ["null", `null`, 204, null, ""],
    ["nothing", `undefined`, 204, null, ""],
    ["a Date", `new Date(0)`, 200, "application/json", `"1970-01-01T00:00:00.000Z"`],
    ["bytes", bytes, 200, null, "hi"],
    ["a Blob", `new Blob(["hi"], { type: "text/x" })`, 200, "text/x", "hi"],
    ["guide: text", `({ status: 201, body: "made" })`, 201, "text/plain;charset=UTF-8", "made"],
    ["guide: object", `({ status: 404, body: { a: 1 } })`, 404, "application/json", `{"a":1}`],
    ["guide: type given", `({ status: 200, headers: { "Content-Type": "a/b" }, body: "x" })`, 200, "a/b", "x"],
    ["guide: status only", `({ status: 202 })`, 202, null, ""],
    ["guide: bytes", `({ status: 200, body: ${bytes} })`, 200, null, "hi"],
    ["guide: ArrayBuffer", `({ status: 200, body: ${bytes}.buffer })`, 200, null, "hi"],
    ["guide: stream", `({ status: 200, body: new Blob(["hi"]).stream() })`, 200, null, "hi"],
    ["guide: Blob", `({ status: 200, body: new Blob(["hi"], { type: "text/x" }) })`, 200, "text/x", "hi"],
    [
      "guide: URLSearchParams",
      `({ status: 200, body: new URLSearchParams({ a: "ü" }) })`,
      200,
      "application/x-www-form-urlencoded;charset=UTF-8",
      "a=%C3%BC",
    ],
    ["Response", `new Response("x", { status: 418, headers: { "content-type": "a/b" } })`, 418, "a/b", "x"],
    ["Response.json", `Response.json({ a: 1 })`, 200, "application/json", `{"a":1}`],
    ["redirect", `Response.redirect("https://example.com/", 302)`, 302, null, ""],
    ["a promise", `Promise.resolve(Response.json(1))`, 200, "application/json", "1"],
    ["204 with Response", `new Response(null, { status: 204 })`, 204, null, ""],
    ["304", `new Response(null, { status: 304 })`, 304, null, ""],
  ];
  const refused: [string, string, RegExp][] = [
    ["a function", `() => () => 1`, /it has no JSON form/],
    ["a circle", `() => { const a = {}; a.a = a; return a; }`, /circular/],
    ["status 99", `() => ({ status: 99, body: "" })`, /integer from 200 to 599/],
    ["a header that is none", `() => ({ status: 200, headers: { "a b": "c" }, body: "" })`, /header/i],
    ["Response.error()", `() => Response.error()`, /has no status/],
    ["a used Response", `async () => { const r = new Response("x"); await r.text(); return r; }`, /already read/],
    ["a thrown string", `() => { throw "just text"; }`, /^just text$/],
    ["a thrown object", `() => { throw { code: 7 }; }`, /^\{"code":7\}$/],
    ["a thrown nothing", `() => { throw undefined; }`, /./],
    ["a rejected promise", `() => Promise.reject(new RangeError("too far"))`, /^too far$/],
  ];
  await platform.deploy(
    "results",
    `const results = { ${results.map(([name, code]) => `${JSON.stringify(name)}: () => ${code}`).join(",\n")},
      ${refused.map(([name, code]) => `${JSON.stringify(name)}: ${code}`).join(",\n")} };
    export default (req) => results[req.body]();`,
  );
  for (const [name, _code, status, type, text] of results) {
    const response = await platform.call("results", { method: "POST", body: name, redirect: "manual" });
    assert.deepEqual(
      [response.status, response.headers.get("content-type"), await response.text()],
      [status, type, text],
      name,
    );
  }
  for (const [name, _code, message] of refused) {
    const response = await platform.call("results", { method: "POST", body: name });
    const { code, error } = await response.json();
    assert.ok(["FUNCTION_ERROR", "INVALID_RESPONSE"].includes(code), `${name}: ${code}`);
    assert.match(error, message, name);
    assert.equal(response.status, code === "FUNCTION_ERROR" ? 500 : 502);
  }
});

platformTest("the console keeps what it was told", async (platform) => {
  await platform.deploy(
    "console",
    `export default () => {
      console.log("text", 1, true, null, undefined, Symbol("s"), 10n);
      console.info("%s is %d years and %o", "Zoë", 42, { deep: { er: [1] } });
      console.debug({ user: "u1", nested: { a: 1 } }, "with fields");
      console.warn(new Map([["k", new Set([1])]]));
      console.group("outer"); console.log("inside"); console.groupEnd();
      console.table([{ a: 1, b: 2 }]);
      console.count("hits"); console.count("hits");
      console.assert(1 === 2, "one is not two");
      console.time("t"); console.timeEnd("t");
      console.trace("here");
      console.dir({ dir: true });
      console.error(new Error("outer", { cause: new TypeError("inner") }));
      console.log("line one\\nline two");
      console.log();
      const { log } = console; log("detached");
    };`,
  );
  assert.equal((await platform.call("console")).status, 204);
  await platform.executions("console");
  const { body } = await platform.api("GET", "/functions/console/logs?limit=100");
  const lines: [string, string, unknown][] = body.reverse().map((
    { level, message, fields }: { level: string; message: string; fields: unknown },
  ) => [level, message, fields]);
  const find = (part: string) => lines.find(([, message]) => message.includes(part)) ?? assert.fail(`no line: ${part}`);

  assert.deepEqual(lines[0], ["info", `text 1 true null undefined Symbol(s) 10n`, null]);
  assert.deepEqual(lines[1], ["info", `Zoë is 42 years and { deep: { er: [ 1 ] } }`, { deep: { er: [1] } }]);
  assert.deepEqual(find("with fields"), ["debug", `{ user: "u1", nested: { a: 1 } } with fields`, {
    user: "u1",
    nested: { a: 1 },
  }]);
  assert.equal(find("Map(1)")[0], "warn");
  assert.equal(find("inside")[1], "  inside");
  assert.match(find("(idx)")[1], /│ +0 │ 1 │ 2 │/);
  assert.ok(find("hits: 2"));
  assert.deepEqual(find("one is not two").slice(0, 2), ["error", "Assertion failed: one is not two"]);
  assert.match(find("t: ")[1], /^t: \d+(\.\d+)?ms$/);
  assert.match(find("Trace: here")[1], /console\.ts:\d+/);
  assert.ok(find("dir: true"));
  assert.match(find("Error: outer")[1], /console\.ts:\d+:\d+[\s\S]*\[cause\]: TypeError: inner/);
  assert.ok(find("line one\nline two"));
  assert.ok(lines.some(([, message]) => message === ""));
  assert.ok(find("detached"));
});
