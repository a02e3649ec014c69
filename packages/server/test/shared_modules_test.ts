/**
 * Shared modules: the guide's chapter as written, what follows a change, namespaces, and what is refused.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { SharedModuleDetails } from "@fluxbase/contract";
import { sql } from "kysely";
import { eventually, platformTest } from "./support/platform.ts";

/** The guide's modules and functions, as written. */
const CORS = `
export function corsHeaders(origin?: string) {
return {
'Access-Control-Allow-Origin': origin || '*',
'Access-Control-Allow-Headers': 'authorization, x-client-info, apikey, content-type',
'Access-Control-Allow-Methods': 'POST, GET, OPTIONS, PUT, DELETE'
}
}
`;
const CORS_WITH_HANDLER = `
export function corsHeaders(origin?: string) {
return {
"Access-Control-Allow-Origin": origin || "*",
"Access-Control-Allow-Headers":
"authorization, x-client-info, apikey, content-type",
"Access-Control-Allow-Methods": "POST, GET, OPTIONS, PUT, DELETE",
};
}
export function handleCors(req: Request) {
if (req.method === "OPTIONS") {
return {
status: 200,
headers: corsHeaders(),
};
}
return null;
}
`;
const VALIDATION = `
export function validateEmail(email: string): boolean {
const regex = /^[^\\s@]+@[^\\s@]+\\.[^\\s@]+$/;
return regex.test(email);
}
export function validateRequired(data: any, fields: string[]): string[] {
const missing = [];
for (const field of fields) {
if (!data[field]) {
missing.push(field);
}
}
return missing;
}
export function sanitizeString(str: string): string {
return str.trim().replace(/[<>]/g, "");
}
`;
const ERRORS = `
export function errorResponse(message: string, status = 400) {
return {
status,
headers: { "Content-Type": "application/json" },
body: JSON.stringify({ error: message }),
};
}
export function successResponse(data: any, status = 200) {
return {
status,
headers: { "Content-Type": "application/json" },
body: JSON.stringify(data),
};
}
`;
const MY_API = `
import { corsHeaders, handleCors } from "_shared/cors.ts";
import { validateEmail } from "_shared/validation.ts";
async function handler(req) {
// Handle preflight requests
const corsResponse = handleCors(req);
if (corsResponse) return corsResponse;
const data = JSON.parse(req.body || "{}");
// Use shared validation
if (!validateEmail(data.email)) {
return {
status: 400,
headers: corsHeaders(),
body: JSON.stringify({ error: "Invalid email" }),
};
}
return {
status: 200,
headers: corsHeaders(),
body: JSON.stringify({ success: true }),
};
}
`;
const NESTED = `
import { corsHeaders } from "_shared/cors.ts";
import { formatDate } from "_shared/utils/date.ts";
import { query } from "_shared/database/queries.ts";
async function handler(req) {
const users = await query("SELECT * FROM users");
const timestamp = formatDate(new Date());
return {
status: 200,
headers: corsHeaders(),
body: JSON.stringify({ users, timestamp }),
};
}
`;

platformTest("the guide's shared modules", async (platform, step) => {
  const create = (module_path: string, content: string, more = {}) =>
    platform.api("POST", "/functions/shared", { module_path, content, ...more });

  await step("created, listed, read", async () => {
    const { status, body } = await create("_shared/cors.ts", CORS, { description: "CORS headers helper" });
    assert.equal(status, 201, JSON.stringify(body));
    assert.deepEqual([body.module_path, body.version, body.description, body.content], [
      "_shared/cors.ts",
      1,
      "CORS headers helper",
      CORS,
    ]);
    assert.equal((await create("_shared/validation.ts", VALIDATION)).status, 201);
    assert.equal((await create("_shared/errors.ts", ERRORS)).status, 201);
    const { body: list } = await platform.api("GET", "/functions/shared");
    assert.deepEqual(list.map((one: { module_path: string }) => one.module_path), [
      "_shared/cors.ts",
      "_shared/errors.ts",
      "_shared/validation.ts",
    ]);
    for (const path of ["_shared/cors.ts", "cors.ts", "_shared%2Fcors.ts"]) {
      assert.equal((await platform.api("GET", `/functions/shared/${path}`)).body.content, CORS, path);
    }
  });

  await step("updated: a new version, the old one can still be read", async () => {
    const { status, body } = await platform.api("PUT", "/functions/shared/_shared/cors.ts", {
      content: CORS_WITH_HANDLER,
      description: "Updated CORS helper",
    });
    assert.deepEqual([status, body.version, body.description], [200, 2, "Updated CORS helper"]);
    assert.equal((await platform.api("GET", "/functions/shared/_shared/cors.ts?version=1")).body.content, CORS);
    // The same content is no new version.
    const same = await platform.api("PUT", "/functions/shared/cors.ts", { content: CORS_WITH_HANDLER });
    assert.equal(same.body.version, 2);
  });

  await step("imported by a function", async () => {
    const { body } = await platform.deploy("my-api", MY_API);
    assert.deepEqual(body.shared_modules, ["_shared/cors.ts", "_shared/validation.ts"]);
    const valid = await platform.call("my-api", { method: "POST", body: `{"email": "a@example.com"}` });
    assert.deepEqual([valid.status, await valid.json()], [200, { success: true }]);
    const invalid = await platform.call("my-api", { method: "POST", body: `{"email": "a"}` });
    assert.deepEqual([invalid.status, await invalid.json()], [400, { error: "Invalid email" }]);
  });

  await step("in subdirectories", async () => {
    await create("_shared/utils/date.ts", `export const formatDate = (date: Date) => date.toISOString().slice(0, 4);`);
    await create("_shared/database/connection.ts", `export const rows = [{ id: 1 }];`);
    await create(
      "_shared/database/queries.ts",
      `import { rows } from "./connection.ts"; export async function query(text: string) { return rows; }`,
    );
    await platform.deploy("my-function", NESTED);
    const { users, timestamp } = await (await platform.call("my-function")).json();
    assert.deepEqual(users, [{ id: 1 }]);
    assert.match(timestamp, /^\d{4}$/);
  });

  await step("a change reaches the functions that import it, directly or through others", async () => {
    const { body } = await platform.api("PUT", "/functions/shared/_shared/database/connection.ts", {
      content: `export const rows = [{ id: 2 }];`,
    });
    assert.deepEqual(body.rebuilding, ["default/my-function"]);
    await eventually(async () => (await (await platform.call("my-function")).json()).users[0].id === 2);
    const { body: fn } = await platform.api("GET", "/functions/my-function");
    assert.deepEqual([fn.version, fn.live_version, fn.code], [2, 2, NESTED]);
  });

  await step("a change that breaks them leaves what works, and says so", async () => {
    await platform.api("PUT", "/functions/shared/_shared/database/connection.ts", { content: `export const = 1;` });
    await eventually(async () => (await platform.api("GET", "/functions/my-function")).body.bundle_error !== null);
    const { body } = await platform.api("GET", "/functions/my-function");
    assert.match(body.bundle_error, /^_shared\/database\/connection\.ts:1:14: Unexpected token/);
    assert.equal((await (await platform.call("my-function")).json()).users[0].id, 2);
    const around = async () =>
      (await platform.api("GET", "/functions/shared/_shared/database/connection.ts")).body as SharedModuleDetails;
    const broken = await around();
    assert.deepEqual(broken.versions.map(({ version }) => version), [3, 2, 1]);
    assert.deepEqual(broken.used_by.map(({ function: path, state }) => [path, state]), [[
      "default/my-function",
      "failed",
    ]]);
    assert.match(broken.used_by[0]?.problem ?? "", /Unexpected token/);
    const elsewhere = await platform.mintKey(["functions:read"], ["other"]);
    const hidden = await platform.api("GET", "/functions/shared/_shared/database/connection.ts", undefined, elsewhere);
    assert.ok(hidden.status >= 400 || hidden.body.used_by.length === 0, JSON.stringify(hidden.body));
    // Mended: it builds again by itself.
    await platform.api("PUT", "/functions/shared/_shared/database/connection.ts", {
      content: `export const rows = [{ id: 3 }];`,
    });
    await eventually(async () => (await (await platform.call("my-function")).json()).users[0].id === 3);
    assert.equal((await platform.api("GET", "/functions/my-function")).body.bundle_error, null);
    await eventually(async () => (await around()).used_by[0]?.state === "current");
    await platform.api("POST", "/functions/my-function/rollback", { version: 2 });
    assert.equal((await around()).used_by[0]?.state, "pinned");
    await platform.api("POST", "/functions/my-function/rollback", { version: 4 });
  });

  await step("an export that is missing is told of the module, not of another text of the same length", async () => {
    const { body } = await platform.api("POST", "/functions", {
      name: "misses",
      code: `import { nothing } from "_shared/cors.ts"; export default () => nothing("Adama");`,
    });
    assert.match(body.bundle_error, /Cannot import "_shared\/cors\.ts": _shared\/cors\.ts has no export "nothing"/);
    await platform.api("DELETE", "/functions/misses");
  });

  await step("deleting one that is used needs force; its functions go on and say what is missing", async () => {
    const refused = await platform.api("DELETE", "/functions/shared/_shared/database/connection.ts");
    assert.deepEqual([refused.status, refused.body.code, refused.body.used_by], [409, "MODULE_IN_USE", [
      "default/my-function",
    ]]);
    const { status, body } = await platform.api(
      "DELETE",
      "/functions/shared/_shared/database/connection.ts?force=true",
    );
    assert.equal(status, 200);
    assert.match(body.message, /Deleted/);
    await eventually(async () => (await platform.api("GET", "/functions/my-function")).body.bundle_error !== null);
    assert.match(
      (await platform.api("GET", "/functions/my-function")).body.bundle_error,
      /^_shared\/database\/queries\.ts:1:22: Cannot import "\.\/connection\.ts": there is no shared module/,
    );
    assert.equal((await platform.call("my-function")).status, 200);
    assert.equal((await platform.api("DELETE", "/functions/shared/_shared/errors.ts")).status, 200);
    assert.equal((await platform.api("GET", "/functions/shared/_shared/errors.ts")).status, 404);
  });
});

platformTest(
  "namespaces have shared modules of their own, which come before those of the default one",
  async (platform) => {
    const create = (namespace: string, content: string) =>
      platform.api("POST", "/functions/shared", { module_path: "_shared/name.ts", content, namespace });
    await create("default", `export const name = "default";`);
    const code = `import { name } from "_shared/name.ts"; export default () => name;`;
    for (const namespace of ["default", "team-a", "team-b"]) await platform.deploy("who", code, { namespace });
    const say = async (namespace: string) => await (await platform.call(`${namespace}/who`)).json();
    assert.deepEqual([await say("default"), await say("team-a"), await say("team-b")], [
      "default",
      "default",
      "default",
    ]);

    const { body } = await create("team-a", `export const name = "team-a";`);
    assert.deepEqual(body.rebuilding, ["team-a/who"]);
    await eventually(async () => await say("team-a") === "team-a");
    assert.deepEqual([await say("default"), await say("team-b")], ["default", "default"]);

    // Modules of the default namespace are code of every namespace: a key of the default one alone may not change them.
    const keeper = await platform.mintKey(["functions:*"], ["default"]);
    for (
      const [method, path, body] of [
        ["DELETE", "/functions/shared/name.ts"],
        ["PUT", "/functions/shared/name.ts", { content: `export const name = "taken";` }],
        ["POST", "/functions/shared", { module_path: "_shared/other.ts", content: "" }],
      ] as const
    ) {
      const refused = await platform.api(method, path, body, keeper);
      assert.deepEqual([refused.status, refused.body.code], [403, "FORBIDDEN"], method);
    }
    assert.equal((await platform.api("GET", "/functions/shared/name.ts", undefined, keeper)).status, 200);
    const changed = await platform.api(
      "PUT",
      "/functions/shared/name.ts",
      { content: `export const name = "new";` },
    );
    assert.deepEqual(changed.body.rebuilding.sort(), ["default/who", "team-b/who"]);
    await eventually(async () => await say("default") === "new" && await say("team-b") === "new");
    assert.equal(await say("team-a"), "team-a");

    // A key of one namespace sees and changes that one only.
    const key = await platform.mintKey(["functions:read", "functions:write"], ["team-b"]);
    const list = await platform.api("GET", "/functions/shared", undefined, key);
    assert.deepEqual(list.body, []);
    for (const namespace of ["default", "team-a"]) {
      const change = { content: `export const name = "taken over";` };
      const answer = await platform.api("PUT", `/functions/shared/name.ts?namespace=${namespace}`, change, key);
      assert.equal(answer.status, 404);
      assert.equal(
        (await platform.api("GET", `/functions/shared/name.ts?namespace=${namespace}`, undefined, key)).status,
        404,
      );
    }
    const own = await platform.api("POST", "/functions/shared", {
      module_path: "_shared/name.ts",
      content: `export const name = "team-b";`,
      namespace: "team-b",
    }, key);
    assert.equal(own.status, 201);
    await eventually(async () => await say("team-b") === "team-b");
    assert.equal(await say("default"), "new");
  },
);

platformTest("bad input about shared modules is named", async (platform) => {
  const paths = [
    "cors.ts/../x.ts",
    "_shared/../x.ts",
    "_shared/a b.ts",
    "_shared/x.exe",
    "_shared/.ts",
    "_shared//x.ts",
    "_shared/x.ts.sh",
    "/etc/passwd",
    "_shared/ü.ts",
    "deno.json",
    "",
  ];
  for (const module_path of paths) {
    const { status, body } = await platform.api("POST", "/functions/shared", { module_path, content: "" });
    assert.equal(status, 400, module_path);
    assert.match(body.error, /is no path of a shared module/);
  }
  const bodies: [unknown, RegExp][] = [
    [{}, /"module_path" must be a string/],
    [{ module_path: "_shared/x.ts" }, /"content" must be a string/],
    [{ module_path: "_shared/x.ts", content: 1 }, /"content" must be a string/],
    [{ module_path: "_shared/x.ts", content: "\0" }, /NUL/],
    [{ module_path: "_shared/x.ts", content: "", extra: 1 }, /unknown field "extra"/],
    [{ module_path: "_shared/x.ts", content: "", namespace: "a b" }, /is no namespace/],
    [[], /must be a JSON object/],
  ];
  for (const [body, says] of bodies) {
    const answer = await platform.api("POST", "/functions/shared", body);
    assert.equal(answer.status, 400);
    assert.match(answer.body.error, says);
  }
  const large = await platform.api("POST", "/functions/shared", {
    module_path: "_shared/x.ts",
    content: "x".repeat(1_100_000),
  });
  assert.deepEqual([large.status, large.body.code], [413, "BODY_TOO_LARGE"]);
  assert.equal((await platform.api("PUT", "/functions/shared/gone.ts", { content: "" })).status, 404);
  assert.equal((await platform.api("DELETE", "/functions/shared/gone.ts")).status, 404);
  assert.equal(
    (await platform.api("POST", "/functions/shared", { module_path: "_shared/twice.ts", content: "" })).status,
    201,
  );
  const twice = await platform.api("POST", "/functions/shared", { module_path: "_shared/twice.ts", content: "1" });
  assert.deepEqual([twice.status, twice.body.content, twice.body.version], [200, "1", 2]);
});

platformTest("a function that could not be built again with a new module is tried again", async (platform) => {
  const module = (content: string) =>
    platform.api("PUT", "/functions/shared/late.ts", { content: `export const name = "${content}";` });
  await platform.api("POST", "/functions/shared", {
    module_path: "_shared/late.ts",
    content: `export const name = "old";`,
  });
  await platform.deploy("late", `import { name } from "_shared/late.ts"; export default () => name;`);
  const say = async () => await (await platform.call("late")).json();
  assert.equal(await say(), "old");

  // The database refuses versions for a while.
  await sql`create function public.refuse() returns trigger language plpgsql as
    $$ begin raise exception 'no versions today'; end $$`.execute(platform.db);
  await sql`create trigger refuse before insert on fluxbase.versions
    for each row execute function public.refuse()`.execute(platform.db);
  assert.equal((await module("new")).status, 200);
  await eventually(() => platform.logLines.some((line) => line.includes("Cannot build a function again")));
  assert.equal(await say(), "old");
  await sql`drop trigger refuse on fluxbase.versions`.execute(platform.db);
  await eventually(async () => await say() === "new");
});
