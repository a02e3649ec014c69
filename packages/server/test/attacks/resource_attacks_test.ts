/**
 * Attacks on what everybody shares: processors, memory, logs, answers without end.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { TestPlatform } from "../support/platform.ts";
import { type Attack, attackTest, recordOf, shown } from "./corpus.ts";

const died =
  /"code":"(CPU_LIMIT|MEMORY_LIMIT|SANDBOX_DIED|WALL_LIMIT|FUNCTION_ERROR|RESPONSE_TOO_LARGE|INVALID_RESPONSE)"/;
const fields = { timeout: 1, memory: 64 };

const noise = (fn: string, name: string, print: string): Attack => ({
  name,
  gets: /^"done", \d{1,8} bytes of log$/,
  says: /^success 200$/,
  async run(platform) {
    await platform.deploy(fn, `function handler() { ${print} return "done"; }`, { timeout: 20, memory: 512 });
    const text = await (await platform.call(fn)).text();
    const [execution] = await platform.executions(fn);
    return { got: `${text}, ${execution.logs.length} bytes of log`, record: shown(execution) };
  },
});

async function answerWithoutEnd(platform: TestPlatform): Promise<{ got: string; record: string }> {
  await platform.deploy(
    "endless",
    `export default () => new Response(new ReadableStream({ pull(c) { c.enqueue(new Uint8Array(65536)); } }));`,
  );
  const response = await platform.call("endless");
  await assert.rejects(response.bytes());
  return { got: "a connection that ended", record: shown(await recordOf(platform, "endless")) };
}

async function throwAfterwards(platform: TestPlatform): Promise<string> {
  await platform.deploy(
    "later",
    `function handler() { setTimeout(() => { throw new Error("late"); }, 10); Promise.reject(new Error("lost")); return Deno.pid; }`,
  );
  const pid = async () => await (await platform.call("later")).text();
  const before = await pid();
  await new Promise((resolve) => setTimeout(resolve, 100));
  return await pid() === before ? "the same sandbox" : "another sandbox";
}

const ATTACKS: readonly Attack[] = [
  { name: "endless loop", body: `for (;;);`, gets: died, status: 504, fields },
  {
    name: "endless microtasks",
    body: `const again = () => queueMicrotask(again); again(); await new Promise(() => {});`,
    gets: died,
    status: 504,
    fields,
  },
  {
    name: "heap bomb",
    body: `const all = []; for (;;) all.push(new Array(1000).fill({}));`,
    gets: /MEMORY_LIMIT/,
    status: 502,
    fields: { memory: 64 },
  },
  {
    name: "ArrayBuffer bomb",

    source: `export default () => { const all = []; for (;;) all.push(new Uint8Array(50_000_000).fill(1)); };`,
    gets: /MEMORY_LIMIT/,
    status: 502,
    fields: { memory: 64 },
  },
  {
    name: "wasm memory bomb",

    source:
      `export default () => { const all = []; for (;;) { const m = new WebAssembly.Memory({ initial: 1000, maximum: 65536 }); new Uint8Array(m.buffer).fill(1); all.push(m); } };`,
    gets: /MEMORY_LIMIT/,
    status: 502,
    fields: { memory: 64 },
  },
  {
    name: "a little heap and a little buffer, together too much",

    source:
      `export default async () => { const all = []; for (;;) { all.push(new Uint8Array(1_000_000).fill(1), new Array(100_000).fill(0).map((_, i) => ({ i }))); await new Promise((r) => setTimeout(r, 20)); } };`,
    gets: /MEMORY_LIMIT/,
    status: 502,
    fields: { memory: 64 },
  },
  { name: "stack overflow", body: `const f = () => f(); f();`, gets: /RangeError/ },
  { name: "Deno.exit", body: `Deno.exit(0);`, gets: /The function ended this request/, status: 500 },
  {
    name: "process.exit",
    body: `const process = await import(["node:", "process"].join("")); process.exit(0);`,
    gets: /The function ended this request/,
    status: 500,
  },
  {
    name: "process.abort",
    body: `const process = await import(["node:", "process"].join("")); process.abort();`,
    gets: /The function ended this request/,
    status: 500,
  },
  {
    name: "100,000 headers",

    source:
      `const huge = Object.fromEntries(Array.from({ length: 100_000 }, (_, i) => ["x-" + i, "y"]));\nexport default () => ({ status: 200, headers: huge, body: "" });`,
    gets: /Cannot answer with more than 1000 headers/,
    status: 500,
  },
  {
    name: "handlers for SIGTERM",
    body: `try { Deno.addSignalListener("SIGTERM", () => {}); } catch {} return "set";`,
    gets: /set/,
  },
  noise(
    "noise",
    "1 GB of console.log",
    `const line = "x".repeat(1_000_000); for (let i = 0; i < 1_000; i++) console.log(line);`,
  ),
  noise("long-line", "a line of 100 MB", `console.log("x".repeat(100_000_000));`),
  { name: "an answer without end", gets: /ended/, says: /RESPONSE_TOO_LARGE/, run: answerWithoutEnd },
  { name: "an unhandled rejection after the answer", gets: /^the same sandbox$/, run: throwAfterwards },
];

attackTest("resource", () => ATTACKS);
