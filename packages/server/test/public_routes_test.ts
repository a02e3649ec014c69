/**
 * Functions at public paths of their own.
 *
 * @module
 */
import assert from "node:assert/strict";
import { eventually, platformTest } from "./support/platform.ts";

const says = (text: string, annotations = "") =>
  `/** ${annotations} */ export default (req) => new Response("${text} " + req.method + " " + new URL(req.url).pathname + new URL(req.url).search);`;

platformTest("public routes", async (platform, step) => {
  const open = { allow_unauthenticated: true };
  const at = async (path: string, init: RequestInit = {}) => {
    const response = await fetch(platform.url + path, init);
    return { status: response.status, text: await response.text(), headers: response.headers };
  };
  const answers = async (path: string, text: string, init: RequestInit = {}) => {
    const seen = await at(path, init);
    assert.deepEqual([seen.status, seen.text], [200, text], path);
  };

  await step("the path is what the client asked for; what does not fit is not found", async () => {
    await platform.deploy("shop", says("shop", "@fluxbase:route GET /shop/*\n * @fluxbase:route POST /orders"), open);
    await answers("/shop", "shop GET /shop");
    await answers("/shop/items/7?a=%20", "shop GET /shop/items/7?a=%20");
    await answers("/orders", "shop POST /orders", { method: "POST" });
    await answers("/orders/", "shop POST /orders/", { method: "POST" });
    assert.equal((await at("/shop", { method: "HEAD" })).status, 200);
    for (const [path, method] of [["/shop", "POST"], ["/orders", "GET"], ["/orders/1", "POST"], ["/shopping", "GET"]]) {
      assert.equal((await at(path ?? "", { method: method ?? "" })).status, 404, `${method} ${path}`);
    }
    const { body } = await platform.api("GET", "/functions/shop");
    assert.deepEqual([body.routes, body.settings_origins.routes], [["GET /shop/*", "POST /orders"], "annotation"]);
    const [execution] = await platform.executions("shop");
    assert.match(execution.path, /^\/(shop|orders)/);
  });

  await step("the longest wins, and of one path the one that names the method", async () => {
    await platform.deploy("sale", says("sale"), { ...open, routes: ["/shop/sale/*", "/shop/one"] });
    await platform.deploy("posts", says("posts"), { ...open, routes: "POST /shop/*, POST /shop/sale/*" });
    await answers("/shop/sale/now", "sale GET /shop/sale/now");
    await answers("/shop/one", "sale GET /shop/one");
    await answers("/shop/one/more", "shop GET /shop/one/more");
    await answers("/shop/sale", "posts POST /shop/sale", { method: "POST" });
    await answers("/shop/x", "posts POST /shop/x", { method: "POST" });
    await answers("/shop/sale", "sale PUT /shop/sale", { method: "PUT" });
  });

  await step("each has one owner", async () => {
    const { status, body } = await platform.api("POST", "/functions", {
      name: "thief",
      code: says("thief"),
      routes: ["GET /free", "GET /shop/*"],
    });
    assert.deepEqual([status, body.code], [409, "ALREADY_EXISTS"]);
    assert.match(body.error, /GET \/shop\/\*.*function "shop" in namespace "default" has it/);
    assert.equal((await platform.api("GET", "/functions/thief")).status, 404);
    await platform.deploy("late", says("late"), open);
    const changed = await platform.api("PUT", "/functions/late", { routes: ["GET /shop/*"] });
    assert.equal(changed.status, 409);
    await answers("/shop", "shop GET /shop");
    assert.deepEqual((await platform.api("GET", "/functions/late")).body.routes, []);
  });

  await step("two at once: one gets it", async () => {
    const results = await Promise.all(
      ["a", "b", "c", "d"].map((name) =>
        platform.api("POST", "/functions", { name: `race-${name}`, code: says(name), ...open, routes: ["/race"] })
      ),
    );
    assert.deepEqual(results.map(({ status }) => status).sort(), [201, 409, 409, 409]);
    assert.equal((await at("/race")).status, 200);
  });

  await step(
    "what goes away leaves its path: another version, a deletion; it comes back where it is free",
    async () => {
      await platform.api("PUT", "/functions/sale", { routes: ["/sale"] });
      await answers("/sale", "sale GET /sale");
      await answers("/shop/one", "shop GET /shop/one");
      assert.equal((await platform.api("DELETE", "/functions/sale")).status, 204);
      assert.equal((await at("/sale")).status, 404);
      await platform.deploy("next", says("next"), { ...open, routes: ["/sale"] });
      await answers("/sale", "next GET /sale");
      const restored = await platform.api("POST", "/functions/sale/restore");
      assert.equal(restored.status, 409, JSON.stringify(restored.body));
      await platform.api("DELETE", "/functions/next");
      assert.equal((await platform.api("POST", "/functions/sale/restore")).status, 200);
      await answers("/sale", "sale GET /sale");
      assert.equal((await platform.api("POST", "/functions/sale/rollback", { version: 1 })).status, 200);
      await answers("/shop/one", "sale GET /shop/one");
    },
  );

  await step("a version that does not build leaves the routes of the one that serves", async () => {
    await platform.api("PUT", "/functions/late", { routes: ["/late"] });
    const { body } = await platform.api("PUT", "/functions/late", { code: "export default (", routes: ["/later"] });
    assert.ok(body.bundle_error !== null);
    await answers("/late", "late GET /late");
    assert.equal((await at("/later")).status, 404);
  });

  await step("everything that is nobody else's can be had, and nothing of the server's", async () => {
    await platform.deploy("rest", says("rest"), { ...open, routes: ["/*"] });
    await answers("/", "rest GET /");
    await answers("/robots.txt", "rest GET /robots.txt");
    await answers(`/${"x/".repeat(200)}`, `rest GET /${"x/".repeat(200)}`);
    for (const path of ["/api/v1/nowhere", "/API/v1/nowhere", "/functions/v1", "/rest/v1", "/metrics", "/health"]) {
      assert.doesNotMatch((await at(path)).text, /^rest /, path);
    }
    await platform.api("DELETE", "/functions/rest");
    assert.equal((await at("/robots.txt")).status, 404);
  });

  await step("credentials and CORS are those of the function", async () => {
    await platform.deploy("closed", says("closed"), { routes: ["/closed"], cors_origins: "https://app.invalid" });
    assert.equal((await at("/closed")).status, 401);
    await answers("/closed", "closed GET /closed", { headers: { apikey: platform.anonKey } });
    const preflight = await at("/closed", {
      method: "OPTIONS",
      headers: { origin: "https://app.invalid", "access-control-request-method": "GET" },
    });
    assert.equal(preflight.headers.get("access-control-allow-origin"), "https://app.invalid");
  });

  await step("who is limited to namespaces takes none, keeps what was given, and learns of nobody's", async () => {
    const key = await platform.mintKey(["functions:write", "functions:read"], ["team-a"]);
    const refusals = [
      { name: "own", namespace: "team-a", code: says("own"), routes: ["/team"] },
      { name: "own", namespace: "team-a", code: says("own", "@fluxbase:route GET /shop/*") },
    ];
    for (const sent of refusals) {
      const { status, body } = await platform.api("POST", "/functions", sent, key);
      assert.deepEqual([status, body.code], [403, "FORBIDDEN"]);
      assert.doesNotMatch(body.error, /"shop"/);
    }
    await platform.deploy("own", says("own"), { ...open, namespace: "team-a", routes: ["/team"] });
    const { status } = await platform.api("PUT", "/functions/team-a/own", { code: says("changed") }, key);
    assert.equal(status, 200);
    await answers("/team", "changed GET /team");
    await platform.api("PUT", "/functions/team-a/own", { routes: null });
    const back = await platform.api("POST", "/functions/team-a/own/rollback", { version: 1 }, key);
    assert.equal(back.status, 403, JSON.stringify(back.body));
    assert.equal((await at("/team")).status, 404);
  });

  await step("what is wrong with a route is said, of a field and of an annotation", async () => {
    const { status, body } = await platform.api("POST", "/functions", {
      name: "x",
      code: says("x"),
      routes: ["/api/x"],
    });
    assert.equal(status, 400);
    assert.match(body.error, /"routes" has "\/api\/x": paths below \/api are the server's own/);
    const annotated = await platform.api("POST", "/functions?strict=true", {
      name: "x",
      code: says("x", "@fluxbase:route FETCH /x"),
    });
    assert.equal(annotated.status, 422);
    assert.match(annotated.body.error, /method must be one of/);
    const many = Array.from({ length: 1_000 }, (_, index) => `@fluxbase:route /many/${index}`).join("\n * ");
    const { body: refused } = await platform.api("POST", "/functions", { name: "x", code: says("x", many) });
    assert.match(refused.bundle_error, /at most 20 are possible/);
  });

  await step("other servers follow", async () => {
    // By the database alone, as another server would have changed it.
    await platform.db.updateTable("fluxbase.functions").set({ enabled: false }).where("name", "=", "shop").execute();
    await eventually(async () => (await at("/shop")).status === 403);
  });
});
