#!/usr/bin/env node
// In a package there is one built file; in the repository Deno runs the source.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

if (!existsSync(new URL("../mod.ts", import.meta.url))) {
  await import(new URL("../dist/cli.js", import.meta.url).href);
} else {
  const runner = fileURLToPath(new URL("../../../tools/run.mjs", import.meta.url));
  const { status } = spawnSync(process.execPath, [runner, "cli", ...process.argv.slice(2)], {
    stdio: "inherit",
    env: { ...process.env, FLUXBASE_CLI_CWD: process.cwd() },
  });
  process.exit(status ?? 1);
}
