/**
 * Servers that were written for Node, and frameworks from npm as they are: deployed and called.
 *
 * @module
 */
import assert from "node:assert/strict";
import { eventually, platformTest } from "./support/platform.ts";

/** Each says what it got of a request, streams, fails, and lets a request hang until it is aborted. */
const PLAIN = `
import http from "node:http";
let state = "";
const server = http.createServer(async (req, res) => {
  const { pathname, searchParams } = new URL(req.url, "http://localhost");
  const path = pathname.split("/").at(-1);
  if (path === "throw") throw new Error("thrown in the listener");
  if (path === "throw-later") setTimeout(() => Promise.reject(new Error("rejected later")), 1);
  else if (path === "hang-up") req.socket.destroy();
  else if (path === "break") { res.writeHead(200); res.write("half"); setTimeout(() => res.destroy(new Error("broken")), 20); }
  else if (path === "stream") { res.setHeader("content-type", "text/event-stream"); res.write("data: 1\\n\\n"); setTimeout(() => res.end("data: 2\\n\\n"), 20); }
  else if (path === "pump") { for (let n = 0; n < 64; n += 1) if (!res.write(Buffer.alloc(65536, 97))) await new Promise((resolve) => res.once("drain", resolve)); res.end(); }
  else if (path === "echo") { res.writeHead(200, { "content-type": req.headers["content-type"] ?? "none" }); req.pipe(res); }
  else if (path === "wait") { state = "waiting"; res.on("close", () => state = "closed " + res.writableFinished); }
  else if (path === "state") res.end(state);
  else if (path === "early") { res.statusCode = 413; res.end("enough"); }
  else if (path === "heads") { res.setHeader("x-long", "l".repeat(40000)); res.end(String(req.headers["x-long"]?.length) + " " + req.headers.connection); }
  else if (path === "connections") res.end(String(open));
  else if (path === "fail-behind") { res.end("fine"); await new Promise((resolve) => setTimeout(resolve, 5)); throw new Error("failed behind the answer"); }
  else if (path === "cookies") { res.setHeader("set-cookie", ["a=1", "b=2"]); res.statusCode = 204; res.end(); }
  else {
    const chunks = []; for await (const chunk of req) chunks.push(chunk);
    console.log("saw", searchParams.get("n"));
    res.setHeader("x-address", req.socket.remoteAddress);
    res.end(JSON.stringify({ method: req.method, n: searchParams.get("n"), type: req.headers["x-type"], length: Buffer.concat(chunks).length, version: req.httpVersion }));
  }
});
let open = 0;
server.on("connection", (socket) => { open += 1; socket.on("close", () => open -= 1); });
server.listen(3000, "0.0.0.0", () => console.log("listening on", JSON.stringify(server.address()), server.listening));
`;

platformTest("a server of node:http", async (platform, step) => {
  const call = (path: string, init: RequestInit = {}) => platform.call(`plain/invoke/${path}`, init);
  await platform.deploy("plain", PLAIN, { timeout_seconds: 5 });

  await step("methods, headers and bodies arrive", async () => {
    for (const method of ["GET", "POST", "PUT", "DELETE", "PATCH"]) {
      const body = method === "GET" ? null : "x".repeat(10);
      const response = await call("?n=1", { method, body, headers: { "x-type": "ä".normalize("NFC") } });
      const { type, ...seen } = await response.json();
      assert.deepEqual(seen, { method, n: "1", length: body?.length ?? 0, version: "1.1" });
      assert.equal(Buffer.from(type, "latin1").toString("latin1").length, type.length);
      assert.match(response.headers.get("x-address") ?? "", /^[\d.:a-f]+$/);
    }
    const head = await call("?n=1", { method: "HEAD" });
    assert.deepEqual([head.status, await head.text()], [200, ""]);
  });

  await step("large bodies go through, both ways", async () => {
    const bytes = crypto.getRandomValues(new Uint8Array(65_536));
    const body = new Blob(Array.from({ length: 32 }, () => bytes));
    const echo = await call("echo", { method: "POST", body, headers: { "content-type": "a/b" } });
    assert.equal(echo.headers.get("content-type"), "a/b");
    assert.deepEqual(await echo.bytes(), await body.bytes());
    const stream = ReadableStream.from((async function* () {
      for (let n = 0; n < 10; n += 1) yield new Uint8Array(50_000).fill(n);
    })());
    const counted = await call("?n=2", { method: "POST", body: stream });
    assert.equal((await counted.json()).length, 500_000);
    assert.equal((await (await call("pump")).bytes()).length, 64 * 65_536);
  });

  await step("an answer is streamed while it is written", async () => {
    const response = await call("stream");
    const chunks: string[] = [];
    for await (const chunk of response.body?.pipeThrough(new TextDecoderStream()) ?? []) chunks.push(chunk);
    assert.deepEqual(chunks, ["data: 1\n\n", "data: 2\n\n"]);
  });

  await step("cookies and a status without a body", async () => {
    const response = await call("cookies");
    assert.deepEqual([response.status, response.headers.getSetCookie()], [204, ["a=1", "b=2"]]);
  });

  await step("heads as long as the platform lets through", async () => {
    const response = await call("heads", { headers: { "x-long": "h".repeat(40_000) } });
    assert.deepEqual([response.headers.get("x-long")?.length, await response.text()], [40_000, "40000 close"]);
  });

  await step("connections do not outlive their requests", async () => {
    for (let n = 0; n < 10; n += 1) await (await call(`?n=${n}`, { method: "POST", body: "x" })).text();
    await eventually(async () => await (await call("connections")).text() === "1");
  });

  await step("what fails behind an answer is in the log", async () => {
    assert.equal(await (await call("fail-behind")).text(), "fine");
    await eventually(async () => {
      const { body } = await platform.api("GET", "/functions/plain/logs");
      return JSON.stringify(body).includes("failed behind the answer");
    });
  });

  await step("an answer before the end of the body", async () => {
    const response = await call("early", { method: "POST", body: new Uint8Array(1_000_000) });
    assert.deepEqual([response.status, await response.text()], [413, "enough"]);
  });

  await step("what a listener throws fails its request and no other", async () => {
    const error = async (path: string) => {
      const response = await call(path);
      return [response.status, (await response.json()).error];
    };
    const [fine, ...failed] = await Promise.all([
      call("?n=3"),
      error("throw"),
      error("throw-later"),
      error("hang-up"),
    ]);
    assert.equal((await fine.json()).n, "3");
    assert.deepEqual(failed, [
      [500, "thrown in the listener"],
      [500, "rejected later"],
      [500, "The function has closed the connection without an answer"],
    ]);
    await assert.rejects(call("break").then((response) => response.text()));
  });

  await step("requests run side by side, and each has its log", async () => {
    const answers = await Promise.all(Array.from({ length: 20 }, async (_, n) => {
      const response = await call(`?n=1${n}`, {
        method: "POST",
        body: "b".repeat(n),
        headers: { "x-request-id": `r${n}` },
      });
      return await response.json();
    }));
    assert.deepEqual(answers.map(({ n, length }) => [n, length]), answers.map((_, n) => [`1${n}`, n]));
    await eventually(async () => {
      const { body } = await platform.api("GET", "/functions/plain/logs?execution_id=r7");
      return JSON.stringify(body.map(({ message }: { message: string }) => message)) === `["saw 17"]`;
    });
  });

  await step("a client that goes away is told to the server", async () => {
    const stop = new AbortController();
    const waiting = call("wait", { signal: stop.signal });
    waiting.catch(() => {});
    const becomes = (state: string) => eventually(async () => await (await call("state")).text() === state);
    await becomes("waiting");
    stop.abort();
    await becomes("closed false");
    await assert.rejects(waiting);
  });

  await step("address() and the callback of listen", async () => {
    await platform.deploy(
      "address",
      `const http = require("node:http");
       let said = []; const server = http.createServer((req, res) => res.end(JSON.stringify(said)));
       server.on("listening", () => said.push(server.address())); server.listen({ port: 0, host: "localhost" }, function () { said.push(this === server, server.listening); });`,
    );
    const [address, ...rest] = await (await platform.call("address")).json();
    assert.equal(address.address, "127.0.0.1");
    assert.ok(address.port > 0);
    assert.deepEqual(rest, [true, true]);
  });

  await step("servers that are none of HTTP, and a second one", async () => {
    const errors: [name: string, code: string, error: RegExp][] = [
      ["tcp", `import net from "node:net"; net.createServer(() => {}).listen(25);`, /Cannot listen with this server/],
      [
        "two",
        `import { createServer } from "node:http"; createServer(() => {}).listen(1);\ncreateServer(() => {}).listen(2);`,
        /second server with listen of node:http at two\.ts:2:\d+.*by listen of node:http at two\.ts:1:\d+/,
      ],
    ];
    for (const [name, code, error] of errors) {
      await platform.deploy(name, code);
      assert.match((await (await platform.call(name)).json()).error, error);
    }
  });
});
