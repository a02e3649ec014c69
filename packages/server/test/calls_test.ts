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
    const further = "/a/b%20c?x=1&y=%C3%BC&x=2";
    const paths = {
      "/api/v1/functions/echo/invoke": "",
      "/api/v1/functions/default/echo/invoke": "",
      "/functions/v1/echo": "/echo",
    };
    for (const [path, seenBefore] of Object.entries(paths)) {
      const response = await fetch(platform.url + path + further, { headers: { apikey: platform.anonKey } });
      const seen = await response.json();
      assert.equal(seen.url, platform.url + seenBefore + further);
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
    assert.equal(response.headers.get("x-accel-buffering"), "no");
    const chunks: string[] = [];
    for await (const chunk of response.body ?? []) chunks.push(new TextDecoder().decode(chunk));
    assert.equal(chunks.join(""), "data: 0\n\ndata: 1\n\ndata: 2\n\n");
    assert.ok(chunks.length > 1);
  });

  await step("a client that leaves aborts req.signal", async () => {
    await platform.deploy(
      "patient",
      `export default { fetch: (req) => req.method === "PUT" ? new Response("ready") : new Promise((resolve) => {
        req.signal.addEventListener("abort", () => { console.log("client left"); resolve(new Response("late")); });
      }) }`,
    );
    await (await platform.call("patient", { method: "PUT" })).text();
    const leaving = new AbortController();
    const call = platform.call("patient", { signal: leaving.signal });
    await new Promise((resolve) => setTimeout(resolve, 200));
    leaving.abort();
    await assert.rejects(call);
    const [execution] = await platform.executions("patient", 2);
    assert.equal(execution.error_code, "CLIENT_CLOSED_REQUEST");
    assert.equal(execution.logs, "client left");
  });

  await step(
    "the client's request id is kept when it is sane, and finds its call, but is not the id of the record",
    async () => {
      const given = await platform.call("echo", { headers: { "x-request-id": "abc-1.2:3_4" } });
      assert.equal(given.headers.get("x-request-id"), "abc-1.2:3_4");
      await given.body?.cancel();
      const odd = await platform.call("nowhere", { headers: { "x-request-id": "a b" } });
      const id = odd.headers.get("x-request-id") ?? "";
      assert.match(id, /^[0-9a-f-]{36}$/);
      assert.equal((await odd.json()).request_id, id);
      const executionId = given.headers.get("x-execution-id") ?? "";
      assert.match(executionId, /^[0-9a-f-]{36}$/);
      assert.equal((await platform.call("echo")).headers.get("x-execution-id"), null);
      await eventually(async () => {
        const { body } = await platform.api("GET", "/functions/echo/executions?request_id=abc-1.2:3_4");
        return body.length === 1 && body[0].id === executionId && body[0].request_id === "abc-1.2:3_4";
      });
      assert.equal((await platform.api("GET", `/admin/functions/executions/${executionId}/logs`)).status, 200);
      assert.equal((await platform.api("GET", "/admin/functions/executions/abc-1.2:3_4/logs")).status, 404);
    },
  );

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
      assert.equal(await response.json(), name + response.headers.get("x-execution-id"));
    }));
    const executions = await platform.executions("contexts", names.length);
    for (const { request_id, logs } of executions) assert.equal(logs, `${request_id} in`);
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
    const telling = Object.keys(seen).filter((key) => /SECRET|PASSWORD|DATABASE|DB_URL/.test(key)).sort();
    assert.deepEqual(telling, ["DATABASE_URL", "SUPABASE_DB_URL", "SUPABASE_SECRET_KEYS"]);
    // A role of its own, at a place that exists only there.
    assert.match(seen.DATABASE_URL, /^postgres:\/\/fluxbase_ns_\d+_default@database\.fluxbase\.internal:5432\//);
    await platform.deploy("no-env", `function handler() { return Deno.env.toObject(); }`, {
      env: { API_KEY: "x" },
      allow_env: false,
    });
    assert.deepEqual(await (await platform.call("no-env")).json(), {});
  });
});

platformTest("a handler that answers early is done, whatever the client still sends", async (platform) => {
  await platform.deploy(
    "early",
    `export default { fetch: async (req) => {
      const { value } = await req.body.getReader().read();
      return new Response("enough after " + value.length, { status: 403 });
    } }`,
  );
  const sizeBytes = 100_000_000;
  const connection = await Deno.connect({ hostname: "127.0.0.1", port: Number(new URL(platform.url).port) });
  const send = (text: string) => connection.write(new TextEncoder().encode(text));
  const head = `POST /api/v1/functions/early/invoke HTTP/1.1\r\nhost: x\r\napikey: ${platform.anonKey}\r\n`;
  const read = async () => {
    const buffer = new Uint8Array(4_096);
    return new TextDecoder().decode(buffer.subarray(0, await connection.read(buffer) ?? 0));
  };
  await send(`${head}content-length: ${sizeBytes}\r\n\r\n`);
  const chunk = new Uint8Array(100_000);
  for (let sent = 0; sent < 1_000_000; sent += chunk.length) await writeAll(connection, chunk);
  // The answer and its record are there with most of the body still to come.
  assert.match(await read(), /^HTTP\/1.1 403 [\s\S]*enough after \d+/);
  const [execution] = await platform.executions("early");
  assert.deepEqual([execution.status_code, execution.error_code], [403, null]);

  // A client that first sends everything and then reads must not get stuck: what comes is taken and thrown away.
  for (let sent = 1_000_000; sent < sizeBytes; sent += chunk.length) await writeAll(connection, chunk);
  await send(`${head}content-length: 4\r\n\r\nnext`);
  assert.match(await read(), /^HTTP\/1.1 403 [\s\S]*enough after 4/);
  connection.close();
}, { FLUXBASE_LIMITS_REQUEST_BODY_BYTES: "1000000000" });

async function writeAll(connection: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let written = 0; written < bytes.length;) written += await connection.write(bytes.subarray(written));
}
