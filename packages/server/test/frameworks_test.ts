/**
 * Frameworks from npm as people use them, in the versions that they have: built, loaded, and called side by side.
 *
 * @module
 */
import assert from "node:assert/strict";
import { platformTest } from "./support/platform.ts";

/** Each answers `POST …/hello/:name?n=` with what it was sent, streams `…/stream`, and throws at `…/throw`. */
const FRAMEWORKS: Record<string, string> = {};

const express = (version: string) =>
  `import express from "npm:express@${version}";
   const app = express(); app.use(express.json());
   app.use((req, res, next) => { res.set("x-middleware", "yes"); next(); });
   const router = express.Router();
   router.post("/hello/:name", (req, res) => res.json({ name: req.params.name, n: req.query.n, sent: req.body.sent, host: typeof req.hostname, ip: typeof req.ip, secure: req.secure }));
   router.get("/stream", async (req, res) => { for (const part of ["a", "b", "c"]) { res.write(part); await new Promise((resolve) => setTimeout(resolve, 2)); } res.end(); });
   router.get("/throw", (req, res) => { throw new Error("thrown in a route"); });
   app.use(router);
   app.use((error, req, res, next) => { console.error(error.message); res.status(500).json({ failed: error.message }); });
   app.listen(process.env.PORT || 3000, () => console.log("up"));`;

const fastify = (version: string) =>
  `import Fastify from "npm:fastify@${version}";
   const app = Fastify({ logger: false });
   app.addHook("onRequest", async (req, reply) => { reply.header("x-middleware", "yes"); });
   const routes = async (part) => {
     part.post("/hello/:name", async (req) => ({ name: req.params.name, n: req.query.n, sent: req.body.sent, host: typeof req.hostname, ip: typeof req.ip, secure: req.protocol === "https" }));
     part.get("/stream", (req, reply) => { reply.hijack(); const { raw } = reply; raw.setHeader("x-middleware", "yes"); raw.write("a"); setTimeout(() => { raw.write("b"); raw.end("c"); }, 2); });
     part.get("/throw", async () => { throw new Error("thrown in a route"); });
   };
   app.register(routes);
   app.setErrorHandler((error, req, reply) => reply.status(500).send({ failed: error.message }));
   await app.listen({ port: 3000 });`;

FRAMEWORKS["express-exported"] = express("5").replace(/app\.listen.*$/m, "export default app;");
FRAMEWORKS["fastify-exported"] = fastify("5").replace(
  /await app\.listen.*$/m,
  "export default app;",
);

for (const version of ["4", "5"]) {
  FRAMEWORKS[`express-${version}`] = express(version);
  FRAMEWORKS[`fastify-${version}`] = fastify(version);
}

FRAMEWORKS["koa"] = `import Koa from "npm:koa@2";
  const app = new Koa(); app.silent = true;
  app.use(async (ctx, next) => { ctx.set("x-middleware", "yes"); try { await next(); } catch (error) { ctx.status = 500; ctx.body = { failed: error.message }; } });
  app.use(async (ctx) => {
    const { path } = ctx;
    if (path.startsWith("/hello/")) { const chunks = []; for await (const chunk of ctx.req) chunks.push(chunk);
      ctx.body = { name: path.slice(7), n: ctx.query.n, sent: JSON.parse(Buffer.concat(chunks)).sent, host: typeof ctx.hostname, ip: typeof ctx.ip, secure: ctx.secure }; }
    else if (path === "/stream") { const { PassThrough } = await import("node:stream"); const body = new PassThrough(); ctx.body = body; body.write("a"); setTimeout(() => { body.write("b"); body.end("c"); }, 2); }
    else throw new Error("thrown in a route");
  });
  app.listen(3000);`;

const HONO_ROUTES = `
  app.use("*", async (c, next) => { await next(); c.res.headers.set("x-middleware", "yes"); });
  app.onError((error, c) => c.json({ failed: error.message }, 500, { "x-middleware": "yes" }));
  app.post("/hello/:name", async (c) => c.json({ name: c.req.param("name"), n: c.req.query("n"), sent: (await c.req.json()).sent, host: "string", ip: "string", secure: false }));
  app.get("/stream", (c) => streamText(c, async (out) => { for (const part of ["a", "b", "c"]) { await out.write(part); await out.sleep(2); } }));
  app.get("/throw", () => { throw new Error("thrown in a route"); });`;
const HONO =
  `import { Hono } from "npm:hono@4"; import { streamText } from "npm:hono@4/streaming"; const app = new Hono(); ${HONO_ROUTES}`;
FRAMEWORKS["hono"] = `${HONO} export default app;`;
FRAMEWORKS["hono-serve"] = `${HONO} Deno.serve(app.fetch);`;
FRAMEWORKS["hono-fire"] = `${HONO} import { fire } from "npm:hono@4/service-worker"; fire(app);`;
FRAMEWORKS["hono-node"] =
  `${HONO} import { serve } from "npm:@hono/node-server@1"; serve({ fetch: app.fetch, port: 3000 }, (info) => console.log(info.port));`;

const itty = (setup: string, router: string, end: string) =>
  `${setup}
   const router = ${router};
   router.all("*", withParams);
   router.post("/hello/:name", async (req) => answer({ name: req.params.name, n: req.query.n, sent: (await req.json()).sent, host: "string", ip: "string", secure: false }));
   router.get("/stream", () => new Response(ReadableStream.from(["a", "b", "c"]).pipeThrough(new TextEncoderStream()), { headers: { "x-middleware": "yes" } }));
   router.get("/throw", () => { throw new Error("thrown in a route"); });
   function answer(value, status = 200) { return Response.json(value, { status, headers: { "x-middleware": "yes" } }); }
   ${end}`;
FRAMEWORKS["itty-5"] = itty(
  `import { Router, withParams } from "npm:itty-router@5";`,
  `Router({ catch: (error) => answer({ failed: error.message }, 500) })`,
  `export default router;`,
);
FRAMEWORKS["itty-4"] = itty(
  `import { Router, withParams } from "npm:itty-router@4";`,
  `Router()`,
  `export default { fetch: (...args) => router.handle(...args).catch((error) => answer({ failed: error.message }, 500)) };`,
);

FRAMEWORKS["oak"] = `import { Application, Router } from "npm:@oakserver/oak@14";
  const router = new Router();
  router.post("/hello/:name", async (ctx) => { ctx.response.body = { name: ctx.params.name, n: ctx.request.url.searchParams.get("n"), sent: (await ctx.request.body.json()).sent, host: "string", ip: typeof ctx.request.ip, secure: ctx.request.secure }; });
  router.get("/stream", (ctx) => { ctx.response.body = ReadableStream.from(["a", "b", "c"]).pipeThrough(new TextEncoderStream()); });
  router.get("/throw", () => { throw new Error("thrown in a route"); });
  const app = new Application({ logErrors: false });
  app.use(async (ctx, next) => { ctx.response.headers.set("x-middleware", "yes"); try { await next(); } catch (error) { ctx.response.status = 500; ctx.response.body = { failed: error.message }; } });
  app.use(router.routes());
  await app.listen({ port: 8000 });`;

platformTest("frameworks from npm", async (platform, step) => {
  for (const [name, code] of Object.entries(FRAMEWORKS)) {
    await step(name, async () => {
      await platform.deploy(name, code);
      const hello = async (n: number) => {
        const response = await platform.call(`${name}/invoke/hello/ann%20${n}?n=${n}`, {
          method: "POST",
          headers: { "content-type": "application/json" },
          body: JSON.stringify({ sent: "x".repeat(n * 4_000) }),
        });
        const text = await response.text();
        assert.deepEqual([response.status, response.headers.get("x-middleware")], [200, "yes"], text);
        const { name: to, sent, ...rest } = JSON.parse(text);
        assert.deepEqual(rest, { n: String(n), host: "string", ip: "string", secure: false });
        assert.equal(decodeURIComponent(to), `ann ${n}`);
        assert.equal(sent.length, n * 4_000);
      };
      await hello(0);
      const others = async () => {
        const stream = await platform.call(`${name}/invoke/stream`);
        assert.deepEqual([stream.status, await stream.text()], [200, "abc"]);
        const thrown = await platform.call(`${name}/invoke/throw`);
        assert.deepEqual([thrown.status, await thrown.json()], [500, { failed: "thrown in a route" }]);
      };
      await Promise.all([others(), ...Array.from({ length: 20 }, (_, n) => hello(n))]);
    });
  }
}, {
  ...Object.fromEntries(
    Object.entries(Deno.env.toObject()).filter(([name]) => /proxy|npm_config_registry|cert/i.test(name)),
  ),
});
