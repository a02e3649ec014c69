/**
 * Starts that fail leave nothing behind.
 *
 * @module
 */
import assert from "node:assert/strict";
import { silentLog } from "../core/log.ts";
import { createUidRange, startSandboxProcess } from "./sandbox_process.ts";
import { startSandboxSpawners } from "./sandbox_spawners.ts";

const PROFILE = { net: false, read: false, write: false, memoryMiB: 64 };
const START = { startMs: 1_000, scratchBytes: 0, now: () => performance.now(), onLine() {} };

Deno.test("a start that fails gives its uid back", async () => {
  const runDir = await Deno.makeTempFile();
  const files = { deno: Deno.execPath(), sandbox: "", builder: "", bundling: "", language: "", paths: [] };
  await using spawners = await startSandboxSpawners(files, {
    pagesDir: runDir,
    log: silentLog,
    now: () => performance.now(),
  });
  const options = { runDir, uids: createUidRange({ base: 70_000, count: 1 }), spawners, denyNet: () => "" };
  for (let round = 0; round < 3; round += 1) {
    await assert.rejects(startSandboxProcess(PROFILE, options, START), Deno.errors.NotADirectory);
  }
  await Deno.remove(runDir);
});
