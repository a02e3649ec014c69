/**
 * Secrets that come as files, as containers and service managers hand them over: `NAME_FILE` holds the path of what
 * `NAME` would be.
 *
 * @module
 */
import { StartError } from "../storage/start_error.ts";
import type { Environment } from "./function_environment.ts";
import { ALL_SETTINGS } from "./settings.ts";

const SUFFIX = "_FILE";

/** @throws {StartError} with every problem, one a line */
export async function withSecretFiles(env: Environment): Promise<Environment> {
  const problems: string[] = [];
  const values: Record<string, string> = {};
  for (const { env: name, isSecret } of ALL_SETTINGS) {
    const path = env[name + SUFFIX];
    if (!isSecret || path === undefined || path === "") continue;
    if (env[name]) problems.push(`${name} and ${name}${SUFFIX} are both set: set one of them`);
    try {
      // Editors and `echo` end a file with a line end.
      values[name] = (await Deno.readTextFile(path)).replace(/\r?\n$/, "");
      if (values[name] === "") problems.push(`${name}${SUFFIX} names "${path}", which is empty`);
    } catch (error) {
      const reason = error instanceof Error ? error.message : error;
      problems.push(`${name}${SUFFIX} names "${path}", which cannot be read: ${reason}`);
    }
  }
  if (problems.length > 0) {
    throw new StartError(
      `Cannot start with these settings:\n${problems.map((problem) => `  - ${problem}`).join("\n")}`,
    );
  }
  return { ...env, ...values };
}
