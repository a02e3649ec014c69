/**
 * The guide's chapter on packages, as written: from npm, from URLs, what is blocked, what a failed build says.
 *
 * @module
 */
import assert from "node:assert/strict";
import { platformTest } from "./support/platform.ts";

const GUIDE = `
// Import from npm
import { z } from "npm:zod@3.22.4";
import dayjs from "npm:dayjs@1.11.10";
// Import from URL
import { marked } from "https://esm.sh/marked@9.1.0";
async function handler(req) {
const data = JSON.parse(req.body || "{}");
// Use zod for validation
const schema = z.object({
name: z.string(),
email: z.email(),
});
const validated = schema.parse(data);
return {
status: 200,
body: JSON.stringify({ success: true, data: validated }),
};
}
`;

function startHost() {
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    (request) =>
      new URL(request.url).pathname === "/marked@9.1.0"
        ? new Response(`export const marked = (text) => "<p>" + text + "</p>";`, {
          headers: { "content-type": "text/javascript" },
        })
        : new Response(null, { status: 404 }),
  );
  return { port: server.addr.port, [Symbol.asyncDispose]: () => server.shutdown() };
}

const host = startHost();

platformTest("packages from npm and from URLs", async (platform, step) => {
  await using _ = host;

  await step("the guide's example builds as written; zod 3 has no z.email, and the call says so", async () => {
    const { body } = await platform.deploy("guide", GUIDE);
    assert.equal(body.is_bundled, true);
    const response = await platform.call("guide", { method: "POST", body: `{"name": "A", "email": "a@example.com"}` });
    assert.deepEqual([response.status, (await response.json()).error], [500, "z.email is not a function"]);
  });

  await step("it runs with the e-mail of zod 3, and with zod 4 as written", async () => {
    const call = async (name: string, code: string) => {
      await platform.deploy(name, code);
      const body = `{"name": "A", "email": "a@example.com"}`;
      const response = await platform.call(name, { method: "POST", body });
      assert.deepEqual(await response.json(), { success: true, data: JSON.parse(body) });
      const invalid = await platform.call(name, { method: "POST", body: `{"name": "A", "email": "no"}` });
      assert.deepEqual([invalid.status, (await invalid.json()).code], [500, "FUNCTION_ERROR"]);
    };
    await call("zod3", GUIDE.replace("z.email()", "z.string().email()"));
    await call("zod4", GUIDE.replace("zod@3.22.4", "zod@4"));
  });

  await step("a URL import becomes part of the bundle", async () => {
    const code = GUIDE.replace("https://esm.sh", `http://127.0.0.1:${host.port}`)
      .replace("z.email()", "z.string()").replace(
        "data: validated",
        "html: marked(validated.name), year: dayjs(0).year()",
      );
    await platform.deploy("from-url", code);
    const response = await platform.call("from-url", { method: "POST", body: `{"name": "A", "email": "b"}` });
    const { html, year } = await response.json();
    assert.equal(html, "<p>A</p>");
    assert.ok(year === 1970 || year === 1969);
  });

  await step("blocked packages are named, and the function is kept with the error", async () => {
    for (const name of ["child_process", "vm", "fs", "process"]) {
      for (const specifier of [name, `node:${name}`]) {
        const { status, body } = await platform.api("POST", "/functions", {
          name: `blocked-${specifier.replace(/\W/g, "-")}`,
          code: `import x from "${specifier}";\nexport default () => x;`,
        });
        assert.equal(status, 201);
        assert.deepEqual([body.is_bundled, body.live_version], [false, null]);
        assert.match(body.bundle_error, new RegExp(`:1:15: Cannot import "${specifier}": module ${name} is blocked`));
        const call = await platform.call(body.name);
        assert.deepEqual([call.status, (await call.json()).code], [500, "BUNDLE_FAILED"]);
      }
    }
  });

  await step("a package that is not there, a bundle that is too large", async () => {
    const missing = await platform.api("POST", "/functions", {
      name: "missing",
      code: `import x from "npm:fluxbase-no-such-package-0@1";\nexport default () => x;`,
    });
    assert.match(missing.body.bundle_error, /^missing\.ts:1:15: Cannot import .*there is no npm package/);
    const large = await platform.api("POST", "/functions", {
      name: "large",
      files: {
        "index.ts": `import a from "./a.json" with { type: "json" }; export default () => a;`,
        "a.json": JSON.stringify("x".repeat(900_000)),
      },
    });
    assert.match(large.body.bundle_error, /it has 9\d{5} bytes, and at most 800000 are allowed/);
  });

  await step("what packages import themselves is their own affair, and what it can do is the sandbox's", async () => {
    await platform.deploy(
      "reads",
      `import mime from "npm:mime-types@2.1.35"; import { readFileSync } from "npm:graceful-fs@4.2.11";
       export default () => { try { return readFileSync("/etc/passwd", "utf8"); } catch (error) { return mime.lookup("a.json") + " " + error.message; } };`,
    );
    assert.match(await (await platform.call("reads")).json(), /^application\/json .*Cannot read/);
  });
}, {
  FLUXBASE_FUNCTIONS_IMPORT_HOSTS: `esm.sh,127.0.0.1:${host.port}`,
  FLUXBASE_LIMITS_BUNDLE_BYTES: "800000",
  ...Object.fromEntries(
    Object.entries(Deno.env.toObject()).filter(([name]) => /proxy|npm_config_registry|cert/i.test(name)),
  ),
});
