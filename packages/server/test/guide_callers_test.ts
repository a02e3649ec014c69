/**
 * The guide's chapters on callers, environment and permissions, as written, over HTTP.
 *
 * @module
 */
import assert from "node:assert/strict";
import { platformTest, type TestPlatform } from "./support/platform.ts";

const USER_CONTEXT = `
async function handler(req) {
// User info from JWT token (if authenticated)
const userId = req.user_id; // UUID string
const userEmail = req.user_email; // Email string
const userRole = req.user_role; // Role string (e.g., "authenticated", "admin")
if (!userId) {
return {
status: 401,
body: JSON.stringify({ error: "Unauthorized" }),
};
}
// Use user context for authorization
return {
status: 200,
body: JSON.stringify({ userId, userEmail, userRole }),
};
}`;

const OWN_ENV = `
async function handler(req) {
const apiKey = Deno.env.get("API_KEY");
// Use apiKey...
return { status: 200, body: JSON.stringify([apiKey, Deno.env.get("API_URL")]) };
}`;

const SERVER_ENV = `
// ✅ Allowed
const apiUrl = Deno.env.get("FLUXBASE_API_URL");
const customConfig = Deno.env.get("FLUXBASE_MY_CONFIG");
// ❌ Blocked (returns undefined)
const jwtSecret = Deno.env.get("FLUXBASE_AUTH_JWT_SECRET");
const dbPassword = Deno.env.get("FLUXBASE_DATABASE_PASSWORD");
const s3Secret = Deno.env.get("FLUXBASE_STORAGE_S3_SECRET_KEY");
const others = ["FLUXBASE_DATABASE_ADMIN_PASSWORD", "FLUXBASE_STORAGE_S3_ACCESS_KEY", "FLUXBASE_EMAIL_SMTP_PASSWORD",
  "FLUXBASE_SECURITY_SETUP_TOKEN", "FLUXBASE_ENCRYPTION_KEY", "PATH", "HOME"].map((name) => Deno.env.get(name) ?? null);
export default () => [apiUrl, customConfig, jwtSecret ?? null, dbPassword ?? null, s3Secret ?? null, ...others];`;

const PERMITTED = `
async function handler(req) {
  const outcome = async (work) => { try { return await work(); } catch (error) { return error.name; } };
  return {
    status: 200,
    body: JSON.stringify({
      net: await outcome(async () => (await fetch(req.params.base + "/health")).status),
      env: Deno.env.get("FLUXBASE_BASE_URL") !== undefined,
      read: await outcome(async () => (await Deno.readTextFile("/etc/hostname")) && "read"),
      write: await outcome(async () => (await Deno.writeTextFile("scratch.txt", "x")) ?? "written"),
    }),
  };
}`;

const INPUT = `
async function handler(req) {
const data = JSON.parse(req.body || "{}");
// Validate required fields
if (!data.email || typeof data.email !== "string") {
return { status: 400, body: JSON.stringify({ error: "Invalid email" }) };
}
// Sanitize inputs
const email = data.email.trim().toLowerCase();
// Continue processing...
return { status: 200, body: JSON.stringify({ email }) };
}`;

const json = async (platform: TestPlatform, name: string, init: RequestInit = {}) => {
  const response = await platform.call(name, init);
  return [response.status, await response.json()];
};

platformTest("the guide on callers, environment and permissions", async (platform, step) => {
  await step("user context: who has signed in is known, the anon key is nobody", async () => {
    await platform.deploy("my-function", USER_CONTEXT);
    const { body } = await platform.api("POST", "/auth/signup", { email: "a@example.com", password: "a long one" });
    const headers = { authorization: `Bearer ${body.access_token}` };
    assert.deepEqual(await json(platform, "my-function", { headers }), [
      200,
      { userId: body.user.id, userEmail: "a@example.com", userRole: "authenticated" },
    ]);
    assert.deepEqual(await json(platform, "my-function"), [401, { error: "Unauthorized" }]);
  });

  await step("function-level configuration, and reading it", async () => {
    const { body } = await platform.deploy("configured", OWN_ENV, {
      timeout: 30,
      memory: 256,
      env: { API_KEY: "secret-key", API_URL: "https://api.example.com" },
    });
    assert.deepEqual([body.timeout, body.memory, body.env], [30, 256, ["API_KEY", "API_URL"]]);
    assert.deepEqual(await json(platform, "configured"), [200, ["secret-key", "https://api.example.com"]]);
  });

  await step("only FLUXBASE_* of the server, and nothing that is a credential", async () => {
    await platform.deploy("environment", SERVER_ENV);
    const [, [apiUrl, customConfig, ...blocked]] = await json(platform, "environment");
    assert.deepEqual([apiUrl, customConfig], ["https://api.example.com", "mine"]);
    assert.deepEqual(blocked, Array(10).fill(null));
  });

  await step("permissions: each is really there, or really not", async () => {
    const base = encodeURIComponent(platform.url);
    const seen = async (permissions: Record<string, unknown>) => {
      await platform.api("DELETE", "/functions/permitted");
      await platform.deploy("permitted", PERMITTED, { permissions });
      return (await json(platform, `permitted/invoke?base=${base}`))[1];
    };
    const guide = await seen({ net: true, env: true, read: false, write: false });
    assert.deepEqual(guide, { net: 200, env: true, read: "NotCapable", write: "NotCapable" });
    const none = await seen({ net: false, env: false, read: false, write: false });
    assert.deepEqual(none, { net: "NotCapable", env: false, read: "NotCapable", write: "NotCapable" });
    // Reading and writing end at the function's own scratch folder.
    const all = await seen({ net: true, env: true, read: true, write: true });
    assert.deepEqual(all, { net: 200, env: true, read: "NotCapable", write: "written" });
  });

  await step("input validation", async () => {
    await platform.deploy("input", INPUT);
    const post = (body: string) => json(platform, "input", { method: "POST", body });
    assert.deepEqual(await post(`{"email": "  A@Example.com "}`), [200, { email: "a@example.com" }]);
    assert.deepEqual(await post(`{"email": 5}`), [400, { error: "Invalid email" }]);
    assert.deepEqual(await post(""), [400, { error: "Invalid email" }]);
  });
}, {
  FLUXBASE_API_URL: "https://api.example.com",
  FLUXBASE_MY_CONFIG: "mine",
  FLUXBASE_STORAGE_S3_SECRET_KEY: "s3",
  FLUXBASE_STORAGE_S3_ACCESS_KEY: "s3",
  FLUXBASE_DATABASE_ADMIN_PASSWORD: "admin",
  FLUXBASE_EMAIL_SMTP_PASSWORD: "smtp",
  FLUXBASE_SECURITY_SETUP_TOKEN: "setup-token-of-the-tests",
});
