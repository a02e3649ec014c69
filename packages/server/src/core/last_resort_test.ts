/**
 * A process in which nobody catches anything.
 *
 * @module
 */
import assert from "node:assert/strict";

const PROGRAM = `
  import { EventEmitter } from "node:events";
  import { createLog } from ${JSON.stringify(new URL("./log.ts", import.meta.url).href)};
  import { surviveUncaught } from ${JSON.stringify(new URL("./last_resort.ts", import.meta.url).href)};
  surviveUncaught(createLog({ level: "info", format: "json", write: (line) => console.log(line) }));
  const later = (work) => new Promise((resolve) => setTimeout(() => { resolve(); work(); }, 1100));
  await later(() => { throw new Error("in a timer"); });
  await later(() => void Promise.reject(new Error("in a promise")));
  await later(() => void new EventEmitter().emit("error", new Error("in an emitter")));
  await later(() => { for (let i = 0; i < 1000; i += 1) void Promise.reject(new Error("many " + i)); });
  await later(() => console.log("lives"));
`;

Deno.test("what nobody catches is said and ends nothing, and many at once do not flood the log", async () => {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", "-"],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(PROGRAM));
  await writer.close();
  const { code, stdout, stderr } = await child.output();
  const lines = new TextDecoder().decode(stdout).trim().split("\n");
  assert.equal(code, 0, new TextDecoder().decode(stderr));
  for (const text of ["in a timer", "in a promise", "in an emitter", "many 0"]) {
    assert.equal(lines.filter((line) => line.includes(`Error: ${text}`)).length, 1, text);
  }
  assert.equal(lines.length, 5);
  assert.equal(lines.at(-1), "lives");
});
