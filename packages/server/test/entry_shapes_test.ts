/**
 * Functions in the shapes that other platforms have given them: each is deployed as it is and called.
 *
 * @module
 */
import assert from "node:assert/strict";
import { eventually, platformTest, type TestPlatform } from "./support/platform.ts";

type Source = string | Readonly<Record<string, string>>;

/** Each answers "ok" and what it was sent. */
const DENO: Readonly<Record<string, Source>> = {
  "serve in a function":
    `function start() { Deno.serve(async (req) => new Response("ok " + await req.text())); } start();`,
  "serve in a class": `class App { static { new App().run(); } run() { Deno.serve((req) => this.answer(req)); }
    async answer(req) { return new Response("ok " + await req.text()); } }`,
  "serve taken out of Deno":
    `const { serve } = Deno; serve({ port: 1 }, async (req) => new Response("ok " + await req.text()));`,
  "globalThis.Deno.serve":
    `globalThis["Deno"]["serve"]({ handler: async (req) => new Response("ok " + await req.text()) });`,
  "serve behind a promise":
    `Promise.resolve().then(() => Deno.serve(async (req) => new Response("ok " + await req.text())));`,
  "serve behind a timer": `setTimeout(() => Deno.serve(async (req) => new Response("ok " + await req.text())), 50);`,
  "serve in another file": {
    "index.ts": `import "./server.ts";`,
    "server.ts": `Deno.serve(async (req) => new Response("ok " + await req.text()));`,
  },
  "await server.finished":
    `const server = Deno.serve(async (req) => new Response("ok " + await req.text())); await server.finished;`,
  "serve, then more work": `let word = "early"; Deno.serve(async (req) => new Response(word + " " + await req.text()));
    await Promise.resolve(); word = "ok";`,
  "a handler of that name is served":
    `async function handler(req) { return new Response("ok " + await req.text()); } Deno.serve(handler);`,
  "what is served is the default export too":
    `const app = { fetch: async (req) => new Response("ok " + await req.text()) }; Deno.serve(app.fetch); export default app;`,
  "serve of old std": `
    class Server {
      constructor(handler) { this.handler = handler; }
      async serve(listener) {
        for (;;) {
          const conn = await listener.accept();
          this.serveHttp(Deno.serveHttp(conn), { localAddr: conn.localAddr, remoteAddr: conn.remoteAddr });
        }
      }
      async serveHttp(httpConn, connInfo) {
        for (;;) {
          const requestEvent = await httpConn.nextRequest();
          if (requestEvent === null) break;
          this.respond(requestEvent, connInfo);
        }
      }
      async respond(requestEvent, connInfo) {
        const response = await this.handler(requestEvent.request, connInfo);
        await requestEvent.respondWith(response);
      }
    }
    async function serve(handler, options = {}) {
      const listener = Deno.listen({ port: options.port ?? 8000, hostname: "0.0.0.0", transport: "tcp" });
      return await new Server(handler).serve(listener);
    }
    serve(async (req) => { const text = await req.text(); console.log("got", text.length); return new Response("ok " + text); });`,
  "a queue of requests": `
    const requests = new ReadableStream({ start(controller) {
      Deno.serve((request) => new Promise((resolve) => controller.enqueue({ request, resolve })));
    } });
    for await (const { request, resolve } of requests) void answer(request, resolve);
    async function answer(request, resolve) { const text = await request.text(); console.log("got", text.length); resolve(new Response("ok " + text)); }`,
  "for await over a listener": `for await (const conn of Deno.listen({ port: 80 })) {
      (async () => { for await (const { request, respondWith } of { [Symbol.asyncIterator]: () => Deno.serveHttp(conn)[Symbol.asyncIterator]() })
        respondWith(new Response("ok " + await request.text())); })(); }`,
  "EdgeRuntime.waitUntil at top level": `const word = await EdgeRuntime.waitUntil(Promise.resolve("ok"));
    Deno.serve(async (req) => new Response(word + " " + await req.text()));`,
};

const OTHERS: Readonly<Record<string, Source>> = {
  "an export named then":
    `export function then() {} export default async (req) => new Response("ok " + await req.text());`,
  "exports by method":
    `export async function POST(req) { return new Response("ok " + await req.text()); } export const GET = () => new Response("got");`,
  "exports by method of another file": {
    "index.ts": `export { POST } from "./routes.ts";`,
    "routes.ts": `export const POST = async (req: Request) => new Response("ok " + await req.text());`,
  },
  "a worker": `export default { async fetch(request, env, ctx) {
      ctx.waitUntil(Promise.resolve()); ctx.passThroughOnException();
      return new Response([env.WORD, await request.text()].join(" "), { headers: { "x-cf": String(request.cf.country), "x-keys": String(Object.keys(env).includes("WORD")), "x-in": String("WORD" in env && !("NOPE" in env)) } }); } };`,
  "a worker's class":
    `class Api { constructor() { this.word = "ok"; } async fetch(request) { return new Response(this.word + " " + await request.text()); } } export default new Api();`,
  "a service worker":
    `addEventListener("fetch", (event) => { event.waitUntil(Promise.resolve()); event.respondWith(answer(event.request)); });
     async function answer(request) { return new Response("ok " + await request.text()); }`,
  "a service worker by self":
    `self.addEventListener("fetch", { handleEvent(event) { event.respondWith((async () => new Response("ok " + await event.request.text()))()); } });`,
  "module.exports": { "index.js": `module.exports = async (req) => ({ status: 200, body: "ok " + req.body });` },
  "exports.handler": { "index.js": `exports.handler = async (req) => ({ statusCode: 200, body: "ok " + req.body });` },
  "a callback of Lambda": {
    "index.js":
      `exports.handler = (event, context, callback) => { setTimeout(() => callback(null, { statusCode: 200, body: "ok " + event.body }), 1); };`,
  },
  "middleware of Lambda changes the event":
    `const wrapped = (inner) => async (event) => { event.body = "ok " + event.body; return await inner({ ...event }); };
     export const handler = wrapped((event) => ({ statusCode: 200, body: event.body }));`,
  "four parts":
    `async function handler(req, fluxbase, fluxbaseService, utils) { return { status: 200, body: "ok " + req.body }; }`,
  "a router that is told the whole path": `const router = { basePath(path) { this.base = path; return this; } };
     const app = router.basePath("/functions/v1/a-router-that-is-told-the-whole-path");
     Deno.serve(async (req) => new Response(new URL(req.url).pathname === app.base ? "ok " + await req.text() : req.url));`,
  "exports by method in CommonJS": {
    "index.js": `const { answer } = require("./lib/answer"); exports.POST = async (req) => answer(await req.text());`,
    "lib/answer.js": `module.exports.answer = (text) => new Response("ok " + text);`,
  },
  "Node's names of files beside a package.json": {
    "index.ts":
      `import { answer } from "./lib"; import { Word } from "./word.js"; export const POST = answer; export type { Word };`,
    "lib/index.ts":
      `import { word } from "../word"; export const answer = async (req: Request) => new Response(word + await req.text());`,
    "word.ts": `export type Word = string; export const word: Word = "ok ";`,
    "package.json": `{ "name": "mine", "type": "module" }`,
  },
  "an entry of CommonJS by its ending": {
    "index.cjs": `module.exports = async (req) => ({ status: 200, body: "ok " + req.body });`,
  },
  "what TypeScript makes of a default export": {
    "index.js": `"use strict"; Object.defineProperty(exports, "__esModule", { value: true });
      exports.default = async function (req) { return { status: 200, body: "ok " + req.body }; };`,
  },
  "a server in CommonJS": {
    "index.js":
      `const { word } = require("./word.cjs"); Deno.serve(async (req) => new Response(word + " " + await req.text()));`,
    "word.cjs": `exports.word = "ok";`,
  },
};

async function deploy(platform: TestPlatform, name: string, source: Source, more = {}): Promise<void> {
  const { status, body } = await platform.api("POST", "/functions?strict=true", {
    name,
    ...(typeof source === "string" ? { code: source } : { files: source }),
    ...more,
  });
  assert.equal(status, 201, JSON.stringify(body));
}

const nameOf = (shape: string) => shape.replaceAll(/[^A-Za-z]+/g, "-").replace(/-$/, "").toLowerCase().slice(0, 60);

platformTest(
  "shapes of Deno, Workers and CommonJS",
  async (platform, step) => {
    for (const [shape, source] of Object.entries({ ...DENO, ...OTHERS })) {
      await step(shape, async () => {
        await deploy(platform, nameOf(shape), source, { env: { WORD: "ok" } });
        const bodies = ["a", "b".repeat(100_000)];
        const answers = await Promise.all(
          bodies.map(async (body) => {
            const response = await platform.call(nameOf(shape), { method: "POST", body });
            return [response.status, await response.text()];
          }),
        );
        assert.deepEqual(answers, bodies.map((body) => [200, `ok ${body}`]));
      });
    }

    for (const name of ["serve-of-old-std", "a-queue-of-requests"]) {
      await step(`each request has its own log: ${name}`, async () => {
        const lengths = [3, 4, 5, 6];
        await Promise.all(lengths.map((length) =>
          platform.call(name, {
            method: "POST",
            body: "x".repeat(length),
            headers: { "x-request-id": `${name}-${length}` },
          }).then((response) => response.text())
        ));
        for (const length of lengths) {
          await eventually(async () => {
            const { body } = await platform.api("GET", `/functions/${name}/logs?execution_id=${name}-${length}`);
            return body.length === 1 && body[0].message === `got ${length}`;
          });
        }
      });
    }

    await step("methods without an export", async () => {
      const call = async (method: string) => {
        const response = await platform.call("exports-by-method", { method });
        return [response.status, response.headers.get("allow"), await response.text()];
      };
      assert.deepEqual(await call("GET"), [200, null, "got"]);
      assert.deepEqual(await call("HEAD"), [200, null, ""]);
      assert.deepEqual(await call("DELETE"), [405, "GET, POST, OPTIONS, HEAD", ""]);
    });

    await step("what a worker sees", async () => {
      const { headers } = await platform.call("a-worker", { method: "POST", body: "" });
      assert.deepEqual([headers.get("x-cf"), headers.get("x-keys"), headers.get("x-in")], [
        "undefined",
        "true",
        "true",
      ]);
    });

    await step("an event of Lambda: what was asked, and bytes as base64", async () => {
      await deploy(
        platform,
        "lambda-event",
        `export const handler = async (event, context) => ({ statusCode: 201, body: JSON.stringify({ ...event, asked: [event.headers["X-Api-Key"], event.headers.get("x-api-key")], id: context.awsRequestId }) });`,
      );
      const call = async (init: RequestInit) => {
        const headers = { authorization: `Bearer ${platform.anonKey}`, ...init.headers };
        const url = `${platform.url}/api/v1/functions/lambda-event/invoke/a/b?x=1&x=2`;
        const response = await fetch(url, { ...init, headers });
        assert.equal(response.status, 201);
        return await response.json();
      };
      const event = await call({ method: "PUT", body: "text", headers: { "x-api-key": "k", cookie: "a=1; b=2" } });
      assert.deepEqual(
        [event.httpMethod, event.requestContext.http.method, event.rawQueryString, event.queryStringParameters],
        ["PUT", "PUT", "x=1&x=2", { x: "2" }],
      );
      assert.deepEqual(
        [event.rawPath, event.path, event.body, event.isBase64Encoded, event.asked, event.headers["x-api-key"]],
        ["/a/b", "/a/b", "text", false, ["k", "k"], "k"],
      );
      assert.deepEqual([event.cookies, event.multiValueQueryStringParameters], [["a=1", "b=2"], { x: ["1", "2"] }]);
      assert.equal(event.id, event.requestContext.requestId);
      const bytes = await call({ method: "POST", body: new Uint8Array([255, 0, 254]) });
      assert.deepEqual([bytes.body, bytes.isBase64Encoded], ["/wD+", true]);
      assert.equal((await call({ method: "GET" })).body, null);
    });

    await step("clients as the caller and as the function, and what belongs to one request", async () => {
      await deploy(
        platform,
        "four",
        `import { createClient } from "@nimbleflux/fluxbase-sdk";
        async function handler(req, fluxbase, fluxbaseService, utils) {
          await new Promise((resolve) => setTimeout(resolve, 20));
          const { data } = await fluxbaseService.from("nothing_of_that_name").select("*");
          const me = await fluxbase.auth.getUser().then((user) => user.email, () => null);
          return { status: 200, body: JSON.stringify({ data, me, payload: utils.getPayload(), user: req.user ?? null, own: typeof createClient,
            sameId: Deno.env.get("FLUXBASE_EXECUTION_ID") === utils.executionId, id: utils.executionId,
            token: Deno.env.get("FLUXBASE_USER_TOKEN") ?? null, service: Deno.env.get("FLUXBASE_SERVICE_TOKEN") === Deno.env.get("FLUXBASE_SERVICE_ROLE_KEY") }) };
        }`,
      );
      const { body: account } = await platform.api("POST", "/auth/signup", {
        email: "four@example.com",
        password: "a long password",
      });
      const tokens = [account.access_token, platform.anonKey];
      const [user, anonymous] = await Promise.all(tokens.map(async (token) => {
        const headers = { authorization: `Bearer ${token}` };
        const response = await fetch(`${platform.url}/functions/v1/four`, { method: "POST", body: `{"a":1}`, headers });
        return await response.json();
      }));
      assert.deepEqual([user.me, user.user.email, user.token], [
        "four@example.com",
        "four@example.com",
        account.access_token,
      ]);
      assert.deepEqual([anonymous.me, anonymous.user, anonymous.token], [null, null, null]);
      for (const one of [user, anonymous]) {
        assert.deepEqual([one.data, one.payload, one.own, one.sameId, one.service], [
          null,
          { a: 1 },
          "function",
          true,
          true,
        ]);
      }
      assert.notEqual(user.id, anonymous.id);
    });

    await step("info of Deno.serve: the caller's address, and when the answer has left", async () => {
      await deploy(
        platform,
        "info",
        `Deno.serve((req, info) => { info.completed.then(() => console.log("it has left")); return Response.json(info.remoteAddr); });`,
      );
      const { transport, hostname } = await (await platform.call("info")).json();
      assert.equal(transport, "tcp");
      assert.match(hostname, /^[\da-f.:]+$/);
      await eventually(async () => {
        const { body } = await platform.api("GET", "/functions/info/logs");
        return body.some(({ message }: { message: string }) => message === "it has left");
      });
    });

    await step("onError answers for what was thrown", async () => {
      await deploy(
        platform,
        "on-error",
        `Deno.serve({ onError: (error) => new Response(error.message, { status: 418 }) }, () => { throw new Error("I am a teapot"); });`,
      );
      const response = await platform.call("on-error");
      assert.deepEqual([response.status, await response.text()], [418, "I am a teapot"]);
    });

    await step("a server that is shut down answers no more, and its finished settles", async () => {
      await deploy(
        platform,
        "shutdown",
        `const stop = new AbortController();
       const server = Deno.serve({ signal: stop.signal }, () => { stop.abort(); return new Response("last"); });
       server.finished.then(() => console.log("finished"));`,
      );
      assert.equal(await (await platform.call("shutdown")).text(), "last");
      const response = await platform.call("shutdown");
      assert.equal(response.status, 500);
      assert.match((await response.json()).error, /has closed its server \(Deno.serve\)/);
    });

    const steps: [shape: string, source: Source, answer: unknown][] = [
      [
        "import.meta of the entry and of others",
        {
          "index.ts": `import { other } from "./lib/other.ts"; const { main, url, dirname, filename } = import.meta;
          const there = new URL("./x.txt", import.meta.url).pathname;
          if (import.meta.main) Deno.serve(() => Response.json([main, typeof url, dirname, filename?.startsWith("/"), import.meta.resolve("./x.ts"), import.meta.resolve("npm:a"), there, other]));`,
          "lib/other.ts":
            `export const other = import.meta.main; if (import.meta.main) Deno.serve(() => new Response("wrong"));`,
        },
        [true, "string", "/", true, "file:///x.ts", "npm:a", "/x.txt", false],
      ],
      [
        "a file of CommonJS that asks whether it was started",
        {
          "index.js":
            `const other = require("./other.js"); if (require.main === module) Deno.serve(() => Response.json(["started", other]));`,
          "other.js": `module.exports = require.main === module;`,
        },
        ["started", false],
      ],
      [
        "decorators of TypeScript with metadata",
        {
          "index.ts": `import "npm:reflect-metadata@0.2.2";
          function typed(target: object, key: string) { Reflect.defineMetadata("seen", Reflect.getMetadata("design:type", target, key)?.name, target, key); }
          class User { @typed name!: string; @typed age!: number; @typed born!: Date; }
          export default () => ["name", "age", "born"].map((key) => Reflect.getMetadata("seen", User.prototype, key));`,
          "deno.json": `{ "compilerOptions": { "experimentalDecorators": true, "emitDecoratorMetadata": true } }`,
        },
        ["String", "Number", "Date"],
      ],
      [
        "a cache",
        `const all = [];
       export default { async fetch(request, env, ctx) {
         const cache = caches.default, named = await caches.open("v1"), key = new Request("https://a.invalid/x?y=1#z");
         const before = await cache.match(key);
         await cache.put(key, new Response("kept", { headers: { "x-a": "b", "cache-control": "max-age=60" } }));
         await cache.put("https://a.invalid/gone", new Response("no", { headers: { "cache-control": "max-age=0" } }));
         await named.put("https://a.invalid/v", new Response("de", { headers: { vary: "accept-language" } }));
         const found = await cache.match("https://a.invalid/x?y=1");
         const big = await named.put("https://a.invalid/big", new Response(new Uint8Array(9_000_000))).catch((error) => error.message);
         for (let n = 0; n < 20; n += 1) await named.put("https://a.invalid/" + n, new Response(new Uint8Array(1_000_000)));
         return Response.json([before ?? null, await found.text(), found.headers.get("x-a"), (await cache.match("https://a.invalid/gone")) ?? null,
           await caches.has("v1"), (await named.match("https://a.invalid/0")) ?? null, (await (await named.match("https://a.invalid/19")).bytes()).length, big,
           (await named.keys()).length, await named.delete("https://a.invalid/19"), await caches.delete("v1"), await cache.put(new Request(key, { method: "POST" }), new Response()).catch((error) => error.message)]); } };`,
        [
          null,
          "kept",
          "b",
          null,
          true,
          null,
          1_000_000,
          "Cannot cache an answer of 9000000 bytes: all together may have 8388608",
          8,
          true,
          true,
          "Cannot cache a request of method POST: only GET can be",
        ],
      ],
    ];
    for (const [shape, source, answer] of steps) {
      await step(shape, async () => {
        await deploy(platform, nameOf(shape), source);
        assert.deepEqual(await (await platform.call(nameOf(shape))).json(), answer);
      });
    }

    await step("/tmp is the scratch folder, for Deno and for packages of Node", async () => {
      const code = `import fs from "npm:graceful-fs@4.2.11"; import { writeFileSync } from "npm:graceful-fs@4.2.11";
      export default async () => {
        await Deno.writeTextFile("/tmp/a.txt", "one"); Deno.mkdirSync("/tmp/sub/deep", { recursive: true });
        await Deno.rename("/tmp/a.txt", "/tmp/sub/b.txt"); writeFileSync("/tmp/c.txt", "/tmp/is data");
        await fs.promises.appendFile("/tmp/c.txt", "!"); fs.copyFileSync("/tmp/c.txt", "/tmp/d.txt");
        const made = [await Deno.makeTempDir(), await Deno.makeTempDir({ dir: "/tmp/sub" }), Deno.makeTempFileSync()];
        const streamed = await new Promise((resolve) => { let text = ""; fs.createReadStream("/tmp/d.txt", "utf8").on("data", (part) => text += part).on("end", () => resolve(text)); });
        const outside = await Deno.readTextFile("/tmp/../etc/passwd").catch((error) => error.message.slice(0, 11));
        return [await Deno.readTextFile(new URL("file:///tmp/sub/b.txt")), streamed, fs.existsSync("/tmp/sub/deep"), fs.existsSync("/tmp/none"),
          made.every((path) => path.startsWith(Deno.env.get("TMPDIR"))), [...Deno.readDirSync("/tmp")].map(({ name }) => name).filter((name) => name.length < 6).sort().join(), outside];
      };`;
      await deploy(platform, "tmp", code, { allow_read: true, allow_write: true });
      assert.deepEqual(await (await platform.call("tmp")).json(), [
        "one",
        "/tmp/is data!",
        true,
        false,
        true,
        "c.txt,d.txt,sub",
        "Cannot read",
      ]);
      await deploy(platform, "no-tmp", `export default () => Deno.writeTextFile("/tmp/a.txt", "x");`);
      assert.match((await (await platform.call("no-tmp")).json()).error, /Cannot write .*permissions\.write/);
    });

    const wrong: [shape: string, source: Source, error: RegExp][] = [
      [
        "two servers",
        `Deno.serve(() => new Response("a"));\nfunction more() { Deno.serve(() => new Response("b")); }\nmore();`,
        /second server with Deno\.serve at two-servers\.ts:2:\d+: the function has one, by Deno\.serve at two-servers\.ts:1:\d+/,
      ],
      [
        "a server of each kind",
        `addEventListener("fetch", (event) => event.respondWith(new Response("a"))); try { Deno.serve(() => new Response("b")); } catch {}`,
        /second server with Deno\.serve .*addEventListener/,
      ],
      [
        "a server beside a default export",
        `Deno.serve(() => new Response("a")); export default () => "b";`,
        /Cannot use the default export beside the server that Deno\.serve at .*:1:\d+ starts/,
      ],
      [
        "nothing that answers",
        `export const x = [1].map((one) => one);`,
        /Cannot find a handler: there is none of a default export .*Deno\.serve.*; it exports x/,
      ],
      [
        "a start that fails",
        `async function start() { await Promise.resolve(); throw new Error("no key is set"); } start();`,
        /Cannot find a handler: .*; it exports nothing; while it loaded, this went wrong: no key is set/,
      ],
      [
        "a server that is closed again",
        `await using _ = Deno.serve(() => new Response("x"));`,
        /it has closed the server that Deno\.serve at .*:1:\d+ had started/,
      ],
      [
        "a listener that is silent",
        `addEventListener("fetch", () => {});`,
        /no listener of fetch has called event\.respondWith/,
      ],
      [
        "a top level that fails after its server",
        `Deno.serve(() => new Response("a")); await new Promise((resolve) => setTimeout(resolve, 20)); throw new Error("too late");`,
        /too late/,
      ],
      ["serve without a handler", `Deno.serve({ port: 1 });`, /Cannot serve without a handler/],
      ["a server while a request runs", `export default () => { Deno.serve(() => {}); };`, /start it at top level/],
    ];
    for (const [shape, source, error] of wrong) {
      await step(shape, async () => {
        await deploy(platform, nameOf(shape), source);
        let said = "";
        for (let attempt = 0; attempt < 100 && !error.test(said); attempt += 1) {
          const response = await platform.call(nameOf(shape));
          said = await response.text();
        }
        assert.match(JSON.parse(said).error, error);
      });
    }
  },
  Object.fromEntries(
    Object.entries(Deno.env.toObject()).filter(([name]) => /proxy|npm_config_registry|cert/i.test(name)),
  ),
);
