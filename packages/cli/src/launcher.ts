/**
 * The package that starts servers, which the command line does without where servers are elsewhere.
 *
 * @module
 */
import process from "node:process";
import { pathOf } from "./connection.ts";

interface Launcher {
  denoPath(): string | undefined;
  startServer(options: { readonly cwd: string; readonly env?: Readonly<Record<string, string>> }): Promise<number>;
  runMaintenance(args: readonly string[], options: { readonly cwd: string }): Promise<number>;
  readonly DEVELOPMENT: Readonly<Record<string, string>>;
}

/** A name that a bundle leaves alone: the server is a package of its own. */
const LAUNCHER = "@fluxbase/server/launch.mjs";

/** @throws where it is not installed */
export async function launcher(): Promise<Launcher> {
  try {
    return await import(LAUNCHER);
  } catch (error) {
    if (!(error instanceof Error) || Reflect.get(error, "code") !== "ERR_MODULE_NOT_FOUND") throw error;
    throw new Error("The server is not installed: npm install @fluxbase/server");
  }
}

/** What is done to the databases of the server of this folder, by the server's own program. */
export async function runMaintenance(args: readonly string[]): Promise<void> {
  process.exitCode = await (await launcher()).runMaintenance(args, { cwd: pathOf(".") });
}
