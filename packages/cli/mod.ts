/**
 * The `fluxbase` command.
 *
 * @module
 */
import process from "node:process";
import { FluxbaseError } from "@fluxbase/sdk";
import { CommanderError } from "commander";
import { paint, say } from "./src/output.ts";
import { UsageError } from "./src/connection.ts";
import { createProgram } from "./src/program.ts";
import manifest from "./package.json" with { type: "json" };

const EXIT = { failure: 1, usage: 2 } as const;

// Whoever read has read enough, as `head` has.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
  process.exit(0);
});

try {
  await createProgram(manifest.version).parseAsync(process.argv);
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : EXIT.usage;
  else {
    say(`${paint("red", "error:", process.stderr)} ${error instanceof Error ? error.message : error}`);
    if (error instanceof FluxbaseError && error.requestId !== null) {
      say(`code ${error.code}, request ${error.requestId}`);
    }
    process.exitCode = error instanceof UsageError ? EXIT.usage : EXIT.failure;
  }
}
