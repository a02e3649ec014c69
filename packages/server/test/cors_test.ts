/**
 * CORS over HTTP: preflights are answered for the function, and every answer carries the headers.
 *
 * @module
 */
import assert from "node:assert/strict";
import { platformTest } from "./support/platform.ts";

const APP = "https://app.example.com";

platformTest("CORS", async (platform, step) => {
  await platform.deploy("wide", `function handler(req) { if (req.body) throw new Error("x"); return 1; }`);
  await platform.deploy("narrow", `function handler() { return 1; }`, {
    cors_origins: `${APP}, https://admin.example.com`,
    cors_methods: "GET,OPTIONS",
    cors_headers: ["Content-Type", "X-API-Key"],
    cors_credentials: true,
    cors_max_age: 3600,
  });
  const preflight = (name: string, origin: string) =>
    fetch(`${platform.url}/api/v1/functions/${name}/invoke`, {
      method: "OPTIONS",
      headers: { origin, "access-control-request-method": "GET" },
    });
  const allowed = (response: Response) => response.headers.get("access-control-allow-origin");

  await step("a preflight needs no credential and never reaches the function", async () => {
    const response = await preflight("wide", APP);
    assert.equal(response.status, 204);
    assert.equal(allowed(response), "*");
    assert.match(response.headers.get("access-control-allow-methods") ?? "", /POST/);
    assert.match(response.headers.get("access-control-allow-headers") ?? "", /Authorization/);
    assert.equal(response.headers.get("access-control-allow-credentials"), null);
    assert.equal((await platform.api("GET", "/functions/wide/executions")).body.length, 0);
  });

  await step("a function's own policy is what its preflight says", async () => {
    const { headers } = await preflight("narrow", APP);
    assert.equal(headers.get("access-control-allow-origin"), APP);
    assert.equal(headers.get("access-control-allow-methods"), "GET, OPTIONS");
    assert.equal(headers.get("access-control-allow-headers"), "Content-Type, X-API-Key");
    assert.equal(headers.get("access-control-allow-credentials"), "true");
    assert.equal(headers.get("access-control-max-age"), "3600");
    assert.equal(headers.get("vary"), "Origin");
  });

  await step(
    "headers that clients of Supabase and ours send are allowed, and what else a browser asks for",
    async () => {
      const ask = async (name: string, asked: string) => {
        const response = await fetch(`${platform.url}/functions/v1/${name}`, {
          method: "OPTIONS",
          headers: { origin: APP, "access-control-request-method": "POST", "access-control-request-headers": asked },
        });
        return (response.headers.get("access-control-allow-headers") ?? "").toLowerCase().split(", ");
      };
      const sent =
        "apikey authorization x-client-info x-retry-count x-supabase-api-version traceparent prefer accept-profile content-profile range x-region clientkey x-service-key x-fb-tenant";
      const names = await ask("wide", "x-session-id,content-type,x-own");
      for (const name of [...sent.split(" "), "x-session-id", "x-own"]) assert.ok(names.includes(name), name);
      assert.equal(new Set(names).size, names.length);
      assert.ok(!(await ask("narrow", "x-session-id")).includes("x-session-id"));
    },
  );

  await step("what a browser asks for is repeated only as far as it is names", async () => {
    const ask = async (asked: string) => {
      const headers = { origin: APP, "access-control-request-headers": asked };
      const response = await fetch(`${platform.url}/functions/v1/wide`, { method: "OPTIONS", headers });
      return response.headers.get("access-control-allow-headers") ?? "";
    };
    assert.doesNotMatch(await ask('x-a, b c, d;e, <f>, "g"'), /b c|d;e|<|"/);
    assert.ok((await ask(Array.from({ length: 2_000 }, (_, index) => `x-${index}`).join())).length < 6_000);
  });

  await step("pages and rate limits are exposed", async () => {
    const response = await platform.call("wide", { headers: { origin: APP } });
    const exposed = response.headers.get("access-control-expose-headers") ?? "";
    for (const name of ["Content-Range", "X-Request-ID", "X-RateLimit-Remaining"]) {
      assert.ok(exposed.includes(name), name);
    }
    await response.body?.cancel();
  });

  await step("an origin that is not listed is never reflected", async () => {
    for (const origin of ["https://evil.example.com", `${APP}.evil.com`, "null", APP.toUpperCase()]) {
      assert.equal(allowed(await preflight("narrow", origin)), null);
      const response = await platform.call("narrow", { headers: { origin } });
      assert.equal(allowed(response), null);
      assert.equal(response.headers.get("access-control-allow-credentials"), null);
      await response.body?.cancel();
    }
  });

  await step("errors carry the headers too", async () => {
    const answers = [
      await platform.call("wide", { method: "POST", body: "fail", headers: { origin: APP } }),
      await platform.call("wide", { headers: { origin: APP, authorization: "Bearer nonsense" } }),
      await platform.call("nowhere", { headers: { origin: APP } }),
      await fetch(`${platform.url}/api/v1/nowhere`, { headers: { origin: APP } }),
    ];
    assert.deepEqual(answers.map(({ status }) => status), [500, 401, 404, 404]);
    for (const answer of answers) {
      assert.equal(allowed(answer), "*");
      await answer.body?.cancel();
    }
  });

  await step("a function that sets the header itself is taken at its word, once", async () => {
    await platform.deploy(
      "own",
      `function handler() { return { status: 200, headers: { "Access-Control-Allow-Origin": "${APP}" }, body: "x" }; }`,
    );
    const response = await platform.call("own", { headers: { origin: APP } });
    assert.equal(allowed(response), APP);
    await response.body?.cancel();
  });
});
