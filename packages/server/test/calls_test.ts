/**
 * What travels through a call: methods, paths, queries, headers, bodies, both faces of a handler, and the record of it.
 *
 * @module
 */
import assert from "node:assert/strict";
import { eventually, platformTest } from "./support/platform.ts";

const ECHO = `
async function handler(req) {
  return {
    status: 200,
    headers: { "x-handler": "echo" },
    body: { method: req.method, url: req.url, body: req.body, params: req.params, apiKey: req.headers["x-api-key"] ?? null },
  };
}`;

platformTest("calls", async (platform, step) => {
  await platform.deploy("echo", ECHO);

  await step("every method, with its body where it may have one", async () => {
    for (const method of ["GET", "POST", "PUT", "PATCH", "DELETE", "PROPFIND"]) {
      const body = method === "GET" ? null : `from ${method}`;
      const response = await platform.call("echo", { method, body });
      const seen = await response.json();
      assert.equal(seen.method, method);
      assert.equal(seen.body, body ?? "");
    }
  });

  await step("HEAD has the headers and no body", async () => {
    const response = await platform.call("echo", { method: "HEAD" });
    assert.equal(response.status, 200);
    assert.equal(response.headers.get("x-handler"), "echo");
    assert.equal(await response.text(), "");
  });

  await step("further path and query reach the function; namespace and Supabase paths lead to it", async () => {
    const paths = [
      "/api/v1/functions/echo/invoke/a/b%20c?x=1&y=%C3%BC&x=2",
      "/api/v1/functions/default/echo/invoke/a/b%20c?x=1&y=%C3%BC&x=2",
      "/functions/v1/echo/a/b%20c?x=1&y=%C3%BC&x=2",
    ];
    for (const path of paths) {
      const response = await fetch(platform.url + path, { headers: { apikey: platform.anonKey } });
      const seen = await response.json();
      assert.equal(seen.url, platform.url + path);
      assert.equal(seen.params.y, "ü");
    }
  });

  await step("headers are read by lower-case name, unicode bodies arrive whole", async () => {
    const response = await platform.call("echo", {
      method: "POST",
      headers: { "X-API-Key": "k" },
      body: "héllo \u{1F600}",
    });
    const seen = await response.json();
    assert.equal(seen.apiKey, "k");
    assert.equal(seen.body, "héllo \u{1F600}");
  });

  await step("binary bodies, small and large, come back byte by byte", async () => {
    await platform.deploy("mirror", `export default { async fetch(req) { return new Response(await req.bytes()); } }`);
    await platform.deploy("pipe", `export default { fetch: (req) => new Response(req.body) }`);
    for (const size of [1, 255, 65_536, 65_537, 3_000_000]) {
      const bytes = new Uint8Array(size).map((_, index) => (index * 31) % 256);
      for (const name of ["mirror", "pipe"]) {
        const response = await platform.call(name, { method: "POST", body: bytes });
        assert.deepEqual(await response.bytes(), bytes, `${name} ${size}`);
      }
    }
  });

  await step("repeated headers stay repeated", async () => {
    await platform.deploy(
      "cookies",
      `export default () => {
        const response = new Response("ok");
        response.headers.append("set-cookie", "a=1; Path=/");
        response.headers.append("set-cookie", "b=2, x");
        return response;
      }`,
    );
    const response = await platform.call("cookies");
    assert.deepEqual(response.headers.getSetCookie(), ["a=1; Path=/", "b=2, x"]);
    await response.body?.cancel();
  });

  await step("results: value, nothing, text, object, Response", async () => {
    const results: [string, string, number, string | null, string][] = [
      ["value", `() => [1, 2]`, 200, "application/json", "[1,2]"],
      ["nothing", `() => undefined`, 204, null, ""],
      ["text", `() => ({ status: 201, body: "made" })`, 201, "text/plain;charset=UTF-8", "made"],
      ["object", `() => ({ status: 404, body: { a: 1 } })`, 404, "application/json", `{"a":1}`],
      ["answer", `() => new Response("x", { status: 418, headers: { "content-type": "a/b" } })`, 418, "a/b", "x"],
    ];
    for (const [name, handler, status, type, text] of results) {
      await platform.deploy(name, `const handler = ${handler};`);
      const response = await platform.call(name);
      assert.deepEqual([response.status, response.headers.get("content-type"), await response.text()], [
        status,
        type,
        text,
      ]);
    }
  });

  await step("handler forms: declared, exported, const, default, main", async () => {
    const forms: [string, string][] = [
      ["declared", `async function handler(req) { return req.body + "!"; }`],
      ["exported", `export async function handler(req) { return req.body + "!"; }`],
      ["constant", `const handler = (req) => req.body + "!";`],
      ["default-function", `export default async function (req) { return req.body + "!"; }`],
      ["fallback", `function main(req) { return req.body + "!"; }`],
      [
        "typed",
        `type T = string; async function handler(req: Request): Promise<T> { return req.body as unknown as T + "!"; }`,
      ],
    ];
    for (const [name, code] of forms) {
      await platform.deploy(name, code);
      const response = await platform.call(name, { method: "POST", body: "hi" });
      assert.equal(await response.text(), `"hi!"`, name);
    }
  });

  await step("a streamed answer arrives as it is made", async () => {
    await platform.deploy(
      "sse",
      `export default () => {
        let count = 0;
        return new Response(new ReadableStream({
          async pull(controller) {
            if (count === 3) return controller.close();
            controller.enqueue(new TextEncoder().encode("data: " + count++ + "\\n\\n"));
            await new Promise((resolve) => setTimeout(resolve, 20));
          },
        }), { headers: { "content-type": "text/event-stream" } });
      }`,
    );
    const response = await platform.call("sse");
    const chunks: string[] = [];
    for await (const chunk of response.body ?? []) chunks.push(new TextDecoder().decode(chunk));
    assert.equal(chunks.join(""), "data: 0\n\ndata: 1\n\ndata: 2\n\n");
    assert.ok(chunks.length > 1);
  });

  await step("a client that leaves aborts req.signal", async () => {
    await platform.deploy(
      "patient",
      `export default { fetch: (req) => new Promise((resolve) => {
        req.signal.addEventListener("abort", () => { console.log("client left"); resolve(new Response("late")); });
      }) }`,
    );
    const leaving = new AbortController();
    const call = platform.call("patient", { signal: leaving.signal });
    await new Promise((resolve) => setTimeout(resolve, 200));
    leaving.abort();
    await assert.rejects(call);
    const [execution] = await platform.executions("patient");
    assert.equal(execution.error_code, "CLIENT_CLOSED_REQUEST");
    assert.equal(execution.logs, "client left");
  });

  await step("the client's request id is kept when it is sane, on every answer", async () => {
    const given = await platform.call("echo", { headers: { "x-request-id": "abc-1.2:3_4" } });
    assert.equal(given.headers.get("x-request-id"), "abc-1.2:3_4");
    await given.body?.cancel();
    const odd = await platform.call("nowhere", { headers: { "x-request-id": "a b" } });
    const id = odd.headers.get("x-request-id") ?? "";
    assert.match(id, /^[0-9a-f-]{36}$/);
    assert.equal((await odd.json()).request_id, id);
    await eventually(async () =>
      (await platform.api("GET", "/admin/functions/executions/abc-1.2:3_4/logs")).status === 200
    );
  });

  await step("console lines belong to the request that wrote them", async () => {
    await platform.deploy(
      "chatty",
      `async function handler(req) {
        for (let i = 0; i < 5; i++) {
          console.log("line", req.body, i);
          await new Promise((resolve) => setTimeout(resolve, Math.random() * 10));
        }
        console.warn("warned", { who: req.body });
        console.error(new TypeError("shown"));
        return req.body;
      }`,
    );
    const names = Array.from({ length: 20 }, (_, index) => `r${index}`);
    await Promise.all(names.map(async (name) => {
      const response = await platform.call("chatty", { method: "POST", body: name, headers: { "x-request-id": name } });
      assert.equal(await response.text(), `"${name}"`);
    }));
    await platform.executions("chatty", names.length);
    for (const name of names) {
      const { body } = await platform.api("GET", `/functions/chatty/logs?execution_id=${name}&limit=100`);
      const messages = body.map(({ message }: { message: string }) => message).reverse();
      assert.deepEqual(
        messages.slice(0, 6),
        [0, 1, 2, 3, 4].map((i) => `line ${name} ${i}`).concat(
          `warned { who: "${name}" }`,
        ),
      );
      assert.match(messages[6], /^TypeError: shown\n {4}at .*chatty\.ts:7:\d+/);
    }
    const warnings = await platform.api("GET", "/functions/chatty/logs?level=warn&limit=1");
    assert.equal(warnings.body[0].level, "warn");
    assert.match(warnings.body[0].fields.who, /^r\d+$/);
  });

  await step("AsyncLocalStorage of a function works, and its lines still belong to their requests", async () => {
    await platform.deploy(
      "contexts",
      `import { AsyncLocalStorage } from "node:async_hooks";
      const outer = new AsyncLocalStorage(), inner = new AsyncLocalStorage();
      async function handler(req) {
        return await outer.run(req.body, async () => {
          await new Promise((resolve) => setTimeout(resolve, Math.random() * 10));
          return await inner.run("in", async () => {
            await new Promise((resolve) => setTimeout(resolve, Math.random() * 10));
            console.log(outer.getStore(), inner.getStore());
            return outer.getStore() + Fluxbase.getExecutionContext().executionId;
          });
        });
      }`,
    );
    const names = Array.from({ length: 20 }, (_, index) => `c${index}`);
    await Promise.all(names.map(async (name) => {
      const headers = { "x-request-id": name };
      const response = await platform.call("contexts", { method: "POST", body: name, headers });
      assert.equal(await response.json(), name + name);
    }));
    const executions = await platform.executions("contexts", names.length);
    for (const { id, logs } of executions) assert.equal(logs, `${id} in`);
  });

  await step("a function's environment is its own and write-only", async () => {
    const { body } = await platform.deploy("env", `function handler() { return Deno.env.toObject(); }`, {
      env: { API_KEY: "secret-key", API_URL: "https://api.example.com" },
    });
    assert.deepEqual(body.env, ["API_KEY", "API_URL"]);
    assert.ok(!JSON.stringify(body).includes("secret-key"));
    const seen = await (await platform.call("env")).json();
    assert.equal(seen.API_KEY, "secret-key");
    assert.equal(seen.FLUXBASE_FUNCTION_NAME, "env");
    assert.equal(seen.FLUXBASE_BASE_URL, platform.url);
    assert.deepEqual(Object.keys(seen).filter((key) => /SECRET|PASSWORD|DATABASE/.test(key)), []);
    await platform.deploy("no-env", `function handler() { return Deno.env.toObject(); }`, {
      env: { API_KEY: "x" },
      allow_env: false,
    });
    assert.deepEqual(await (await platform.call("no-env")).json(), {});
  });
});
