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

  await step("native code is refused in one sentence, at the import, with what to use instead", async () => {
    const refused = async (code: string, files: Record<string, string> = {}) => {
      const { body } = await platform.api("POST", "/functions", {
        name: `native-${crypto.randomUUID().slice(0, 8)}`,
        files: { "index.ts": code, ...files },
      });
      assert.doesNotMatch(body.bundle_error, /\/builds\/|\.\.\/|file:/);
      return body.bundle_error.split("\n").filter((line: string) => line.startsWith("index.ts"));
    };
    assert.deepEqual(await refused(`\nimport bcrypt from "npm:bcrypt@5"; export default () => bcrypt;`), [
      `index.ts:2:20: Cannot import "npm:bcrypt@5": bcrypt is native code, and a function is JavaScript and WebAssembly; use npm:bcryptjs instead`,
    ]);
    assert.deepEqual(
      await refused(`import x from "vm2"; export default () => x;`, {
        "deno.json": `{"imports": {"vm2": "npm:isolated-vm@6.0.1"}}`,
      }),
      [`index.ts:1:15: Cannot import "vm2": isolated-vm is native code, and a function is JavaScript and WebAssembly; look for a package that is written in those`],
    );
  });

  await step("modules know their place, and find files beside them", async () => {
    await platform.deploy("placed", "", {
      files: {
        "index.ts": `import { read, here } from "./mails/read.ts"; import { common } from "./lib/common.cjs";
          class Mail {} ; import { name } from "./mails/mail.ts";
          export default async () => ({ text: await read(), here, common, names: [Mail.name, name], url: import.meta.url });`,
        "mails/read.ts":
          `export const read = () => Deno.readTextFile(new URL("./hello.txt", import.meta.url)); const { filename, dirname } = import.meta;
          export const here = { filename, dirname, x: import.meta.resolve("./x.ts"), says: "import.meta stays text" };`,
        "mails/mail.ts": `export class Mail {} ; export const name = Mail.name;`,
        "mails/hello.txt": "hello",
        "lib/x.cjs": "",
        "lib/common.cjs": `exports.common = [__dirname, __filename, require.resolve("./x.cjs")];`,
      },
      code: undefined,
    });
    const { text, here, common, names, url } = await (await platform.call("placed")).json();
    assert.equal(text, "hello");
    assert.deepEqual([here.filename, here.dirname, here.x], ["/mails/read.ts", "/mails", "file:///mails/x.ts"]);
    assert.deepEqual(common, ["/lib", "/lib/common.cjs", "/lib/x.cjs"]);
    assert.deepEqual(names, ["Mail", "Mail"]);
    assert.match(url, /^file:\/\/\/[\w.]+$/);
  });

  await step("questions about the machine have harmless answers", async () => {
    await platform.deploy(
      "machine",
      `import os from "node:os"; import { hostname } from "node:os";
       export default () => ({ names: [os.hostname(), hostname()], cpus: os.cpus().length, release: os.release(), home: os.homedir(),
         user: os.userInfo().username, net: os.networkInterfaces(), uid: process.geteuid(), load: os.loadavg(), mem: os.totalmem() > 0 });`,
    );
    assert.deepEqual(await (await platform.call("machine")).json(), {
      names: ["function", "function"],
      cpus: 1,
      release: "0.0.0",
      home: "/",
      user: "function",
      net: {},
      uid: 65_534,
      load: [0, 0, 0],
      mem: true,
    });
  });

  await step("a missing export is told at the import", async () => {
    const { body } = await platform.api("POST", "/functions", {
      name: "no-default",
      code: `import x from "npm:date-fns@4.1.0/locale"; export default () => x;`,
    });
    assert.match(
      body.bundle_error,
      /^no-default\.ts:1:15: Cannot import "npm:date-fns.*: npm:date-fns@4\.1\.0\/locale\.js has no export "default"/,
    );
  });

  await step("of a bundle that is too large it is said which packages make it so", async () => {
    const { body } = await platform.api("POST", "/functions", {
      name: "large-package",
      code: `import x from "npm:lodash@4.17.21"; import m from "npm:moment@2.30.1"; import z from "npm:zod@3.22.4";
             import * as _ from "npm:date-fns@4.1.0/locale"; export default () => [x, m, z, _];`,
    });
    assert.match(body.bundle_error, /mostly npm:date-fns@4\.1\.0 \d+ KB, npm:lodash@4\.17\.21 \d+ KB/);
    assert.match(body.bundle_error, /FLUXBASE_LIMITS_BUNDLE_BYTES/);
  });
}, {
  FLUXBASE_FUNCTIONS_IMPORT_HOSTS: `esm.sh,127.0.0.1:${host.port}`,
  FLUXBASE_LIMITS_BUNDLE_BYTES: "800000",
  ...Object.fromEntries(
    Object.entries(Deno.env.toObject()).filter(([name]) => /proxy|npm_config_registry|cert/i.test(name)),
  ),
});
