/**
 * The guide's blocks of the SDK as they are written, for every runtime of JavaScript: nothing here is of Deno or Node.
 *
 * @module
 */
import { createClient, FluxbaseClient } from "@fluxbase/sdk";

export interface GuidePlace {
  readonly url: string;
  /** May do everything with functions. */
  readonly clientKey: string;
  readonly serviceKey: string;
  readonly anonKey: string;
}

type Step = readonly [name: string, run: () => Promise<void>];

/** In this order; the first takes away what others have left. */
export function guideSteps({ url, clientKey, serviceKey, anonKey }: GuidePlace): Step[] {
  const client = new FluxbaseClient({
    url,
    apiKey: clientKey,
  });
  const admin = createClient(url, serviceKey);
  const steps: Step[] = [];

  steps.push(["an empty server", async () => {
    for (const { name, namespace } of await admin.functions.list()) await admin.functions.delete(name, { namespace });
  }]);

  steps.push(["the first page", async () => {
    // Create function
    await client.functions.create({
      name: "hello-world",
      description: "My first edge function",
      code: `
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
`,
      enabled: true,
    });
    // Invoke function
    const result = await client.functions.invoke("hello-world", {
      name: "Alice",
    });
    same(result, { message: "Hello Alice!" });
    // List functions
    const functions = await client.functions.list();
    same(functions.map(({ name }) => name), ["hello-world"]);
    // Get function details
    const details = await client.functions.get("hello-world");
    same(details.description, "My first edge function");
    // View execution history
    const executions = await client.functions.getExecutions("hello-world", {
      limit: 10,
    });
    same(executions.length, 1);
    executions.forEach((exec) => {
      same(exec.status, "success");
      isTrue((exec.duration_ms ?? 0) > 0);
      same(exec.error, null);
    });
  }]);

  steps.push(["what is wrong with a bundle", async () => {
    await client.functions.create({
      name: "my-function",
      code: `import x from "child_process"; export default () => x;`,
    });
    // Check bundling status
    const func = await client.functions.get("my-function");
    same(func.is_bundled, false);
    isTrue(/child_process is blocked/.test(func.bundle_error ?? ""));
    // Update existing function
    await client.functions.update("my-function", {
      code: `async function handler(req) { console.log("a line"); return { status: 200, body: "OK" }; }`,
    });
    same(await client.functions.invoke("my-function"), "OK");
    const logs = await client.functions.getLogs("my-function", {
      limit: 50,
    });
    same(logs.map((log) => `${typeof log.timestamp}: ${log.message}`), ["string: a line"]);
  }]);

  steps.push(["shared modules", async () => {
    await client.functions.createSharedModule({
      module_path: "_shared/cors.ts",
      description: "CORS headers helper",
      content: `
export function corsHeaders(origin?: string) {
return {
'Access-Control-Allow-Origin': origin || '*',
'Access-Control-Allow-Headers': 'authorization, x-client-info, apikey, content-type',
'Access-Control-Allow-Methods': 'POST, GET, OPTIONS, PUT, DELETE'
}
}
`,
    });
    const modules = await client.functions.listSharedModules();
    same(modules.map(({ module_path, version }) => [module_path, version]), [["_shared/cors.ts", 1]]);
    const module = await client.functions.getSharedModule("_shared/cors.ts");
    isTrue(/corsHeaders/.test(module.content));
    const updated = await client.functions.updateSharedModule("_shared/cors.ts", {
      content: `
export function corsHeaders() {
// Updated implementation
}
`,
      description: "Updated CORS helper",
    });
    same([updated.version, updated.description], [2, "Updated CORS helper"]);
    await client.functions.deleteSharedModule("_shared/cors.ts");
    same(await client.functions.listSharedModules(), []);
  }]);

  steps.push(["namespaces", async () => {
    // Create function in specific namespace
    await admin.admin.functions.create({
      name: "process-payment",
      namespace: "payment-service",
      code: `async function handler(req) { return { amount: JSON.parse(req.body).amount }; }`,
    });
    // Invoke with namespace
    const result = await client.functions.invoke(
      "payment-service/process-payment",
      {
        body: JSON.stringify({ amount: 100 }),
      },
    );
    same(result, { amount: 100 });
    // List functions by namespace
    const functions = await admin.admin.functions.list("payment-service");
    same(functions.map(({ name }) => name), ["process-payment"]);
    same(await admin.admin.functions.namespaces(), ["default", "payment-service"]);
  }]);

  steps.push(["sync", async () => {
    // Sync functions from filesystem or API
    const result = await admin.admin.functions.sync({
      namespace: "default",
      functions: [
        { name: "fn1", code: "export default () => 1;" },
        { name: "fn2", code: "export default () => 2;" },
      ],
      delete_missing: false, // Don't delete existing functions
      dry_run: false, // Apply changes
    });
    same(result.summary, { created: 2, updated: 0, deleted: 0, unchanged: 0, errors: 0 });
  }]);

  steps.push(["configuration", async () => {
    await client.functions.create({
      name: "configured",
      code: "export default () => Deno.env.get('API_KEY');",
      timeout: 30, // seconds
      memory: 256, // MB
      env: {
        API_KEY: "secret-key",
        API_URL: "https://api.example.com",
      },
      permissions: {
        net: true, // Allow network access
        env: true, // Allow environment variables
        read: false, // Deny filesystem read
        write: false, // Deny filesystem write
      },
    });
    same(await client.functions.invoke("configured"), "secret-key");
  }]);

  steps.push(["secrets", async () => {
    await client.functions.create({
      name: "secretive",
      code:
        `export default () => [secrets.getUser("openai_api_key") ?? null, secrets.getSystem("stripe_api_key") ?? null];`,
    });
    const user = createClient(url, anonKey);
    await user.auth.signUp({
      email: `ada-${Math.random().toString(36).slice(2)}@example.com`,
      password: "a long password",
    });
    // Users can set their own secrets via the SDK
    await user.settings.setSecret("openai_api_key", "sk-proj-user-key");
    await admin.admin.settings.setSecret("stripe_api_key", "sk_live_1");
    await admin.admin.settings.setSecret("stripe_api_key", "sk_live_2");
    same(await user.functions.invoke("secretive"), ["sk-proj-user-key", "sk_live_2"]);
    same((await user.settings.listSecrets()).map(({ key }) => key), ["openai_api_key"]);
    same((await admin.admin.settings.listSecrets()).map(({ key }) => key), ["stripe_api_key"]);
    await user.settings.deleteSecret("openai_api_key");
    await admin.admin.settings.deleteSecret("stripe_api_key");
    same(await user.functions.invoke("secretive"), [null, null]);
  }]);
  return steps;
}

function same(actual: unknown, expected: unknown): void {
  const [a, b] = [JSON.stringify(actual), JSON.stringify(expected)];
  if (a !== b) throw new Error(`it is ${a}, and should be ${b}`);
}

function isTrue(value: boolean): void {
  if (!value) throw new Error("it does not hold");
}

/** Says how it went, in one line of JSON. */
export async function runGuide(place: GuidePlace): Promise<string> {
  const passed: string[] = [];
  try {
    for (const [name, run] of guideSteps(place)) {
      await run();
      passed.push(name);
    }
    return JSON.stringify({ passed });
  } catch (error) {
    return JSON.stringify({
      passed,
      error: error instanceof Error ? `${error.message} ${error.stack}` : String(error),
    });
  }
}
