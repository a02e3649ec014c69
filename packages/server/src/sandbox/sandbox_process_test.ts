/**
 * Starts that fail leave nothing behind.
 *
 * @module
 */
import assert from "node:assert/strict";
import { createUidRange, startSandboxProcess } from "./sandbox_process.ts";

const PROFILE = { net: false, read: false, write: false, memoryMiB: 64 };
const START = { startMs: 1_000, scratchBytes: 0, now: () => performance.now(), onLine() {} };

Deno.test("a start that fails gives its uid back", async () => {
  const runDir = await Deno.makeTempFile();
  const options = { runDir, uids: createUidRange({ base: 70_000, count: 1 }), denoDir: runDir, denyNet: () => "" };
  for (let round = 0; round < 3; round += 1) {
    await assert.rejects(startSandboxProcess(PROFILE, options, START), Deno.errors.NotADirectory);
  }
  await Deno.remove(runDir);
});
