/**
 * The guide's first page, as written, over HTTP. The SDK's calls stand for the requests they send.
 *
 * @module
 */
import assert from "node:assert/strict";
import { createClient } from "@fluxbase/sdk";
import { createClient as createSupabase } from "@supabase/supabase-js";
import { platformTest } from "./support/platform.ts";

/** Both blocks of the guide's last chapter, character for character but for the line that makes a result. */
const RESULT = "const result = { hello: data.name };";
const OF_SUPABASE = `
// Supabase
import { serve } from "https://deno.land/std@0.168.0/http/server.ts";
serve(async (req) => {
const data = await req.json();
${RESULT}
return new Response(JSON.stringify(result), {
headers: { "Content-Type": "application/json" },
});
});
`;
const EQUIVALENT = `
// Fluxbase equivalent
async function handler(req) {
const data = JSON.parse(req.body || "{}");
${RESULT}
return {
status: 200,
headers: { "Content-Type": "application/json" },
body: JSON.stringify(result),
};
}
`;

/** The handler of the guide's first example, character for character. */
const HELLO = `
async function handler(req) {
const data = JSON.parse(req.body || '{}')
return {
status: 200,
headers: { "Content-Type": "application/json" },
body: JSON.stringify({
message: \`Hello \${data.name || 'World'}!\`
})
}
}
`;

platformTest("the guide's first page", async (platform, step) => {
  await step("creates hello-world", async () => {
    const { status, body } = await platform.api("POST", "/functions", {
      name: "hello-world",
      description: "My first edge function",
      code: HELLO,
      enabled: true,
    });
    assert.equal(status, 201);
    assert.equal(body.code, HELLO);
    assert.equal(body.description, "My first edge function");
    assert.equal(body.is_bundled, true);
    assert.equal(body.bundle_error, null);
    assert.equal(body.live_version, 1);
  });

  await step("answers Hello Alice!", async () => {
    const response = await platform.call("hello-world", { method: "POST", body: JSON.stringify({ name: "Alice" }) });
    assert.equal(response.status, 200);
    assert.equal(response.headers.get("content-type"), "application/json");
    assert.deepEqual(await response.json(), { message: "Hello Alice!" });
  });

  await step("lists it, reads it, shows its executions", async () => {
    const list = await platform.api("GET", "/functions");
    assert.deepEqual(list.body.map(({ name }: { name: string }) => name), ["hello-world"]);
    assert.equal((await platform.api("GET", "/functions/hello-world")).body.name, "hello-world");
    const [execution] = await platform.executions("hello-world");
    assert.equal(execution.status, "success");
    assert.equal(execution.status_code, 200);
    assert.equal(execution.trigger_type, "http");
    assert.equal(execution.error, null);
    assert.ok(execution.duration_ms > 0);
  });

  await step("validates an e-mail address", async () => {
    await platform.deploy(
      "validate",
      `async function handler(req) {
const { email } = JSON.parse(req.body || "{}");
// Validate email
if (!email || !email.includes("@")) {
return {
status: 400,
body: JSON.stringify({ error: "Invalid email" }),
};
}
return {
status: 200,
body: JSON.stringify({ valid: true }),
};
}`,
    );
    const good = await platform.call("validate", { method: "POST", body: `{"email": "a@example.com"}` });
    assert.deepEqual([good.status, await good.json()], [200, { valid: true }]);
    const bad = await platform.call("validate", { method: "POST", body: `{"email": "a"}` });
    assert.deepEqual([bad.status, await bad.json()], [400, { error: "Invalid email" }]);
  });

  await step("catches what fails inside, as the guide's error example does", async () => {
    await platform.deploy(
      "careful",
      `async function handler(req) {
try {
const data = JSON.parse(req.body || "{}");
// Process data
const result = await processData(data);
return {
status: 200,
body: JSON.stringify({ result }),
};
} catch (error) {
return {
status: 500,
body: JSON.stringify({
error: "Processing failed",
message: error.message,
}),
};
}
}`,
    );
    const response = await platform.call("careful", { method: "POST", body: "{}" });
    assert.equal(response.status, 500);
    assert.deepEqual(await response.json(), { error: "Processing failed", message: "processData is not defined" });
  });

  await step("migrating from Supabase, and back: both forms answer the same, to every client", async () => {
    const supabase = createSupabase(platform.url, platform.anonKey, { auth: { persistSession: false } });
    const fluxbase = createClient(platform.url, platform.anonKey);
    for (const [index, code] of [OF_SUPABASE, EQUIVALENT, OF_SUPABASE].entries()) {
      const { body } = index === 0
        ? await platform.deploy("migrated", code)
        : await platform.api("PUT", "/functions/migrated", { code });
      assert.deepEqual([body.bundle_error, body.live_version], [null, index + 1]);
      const response = await platform.call("migrated", { method: "POST", body: `{"name": "Ada"}` });
      assert.deepEqual([response.status, response.headers.get("content-type")], [200, "application/json"]);
      assert.deepEqual(await response.json(), { hello: "Ada" });
      const { data, error } = await supabase.functions.invoke("migrated", { body: { name: "Bo" } });
      assert.deepEqual([data, error], [{ hello: "Bo" }, null]);
      assert.deepEqual(await fluxbase.functions.invoke("migrated", { name: "Cy" }), { hello: "Cy" });
    }
  });
});
