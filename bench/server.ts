/**
 * Starts what is measured, as a user would start it, and speaks to it.
 *
 * @module
 */
import { fileURLToPath } from "node:url";
import { delay } from "../packages/server/src/core/clock.ts";
import { V8_FLAGS } from "../packages/server/src/core/v8_flags.mjs";

const MAIN = fileURLToPath(new URL("../packages/server/src/main.ts", import.meta.url));
const decoder = new TextDecoder();
const encoder = new TextEncoder();

export interface RunningServer {
  readonly pid: number;
  output(): string;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Resolves when what it printed matches `isReady`. */
export async function startServer(
  script: string,
  env: Record<string, string>,
  isReady: RegExp,
): Promise<RunningServer> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", `--v8-flags=${V8_FLAGS}`, script],
    env,
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  let output = "";
  const reading = (async () => {
    for await (const chunk of child.stdout) output += decoder.decode(chunk);
  })();
  while (!isReady.test(output)) await delay(20);
  return {
    pid: child.pid,
    output: () => output,
    async [Symbol.asyncDispose]() {
      child.kill("SIGTERM");
      await child.status;
      await reading;
    },
  };
}

export interface RunningPlatform extends RunningServer {
  readonly url: string;
  readonly anonKey: string;
  readonly serviceRoleKey: string;
}

export async function startPlatform(dataDir: string, env: Record<string, string> = {}): Promise<RunningPlatform> {
  const server = await startServer(MAIN, {
    FLUXBASE_DATA_DIR: dataDir,
    FLUXBASE_SERVER_ADDRESS: "127.0.0.1:0",
    ...env,
  }, /^curl /m);
  const exported = (name: string) => new RegExp(`^export ${name}=(.*)$`, "m").exec(server.output())?.[1] ?? "";
  return {
    ...server,
    url: exported("FLUXBASE_URL"),
    anonKey: exported("FLUXBASE_ANON_KEY"),
    serviceRoleKey: exported("FLUXBASE_SERVICE_ROLE_KEY"),
  };
}

export async function deploy({ url, serviceRoleKey }: RunningPlatform, name: string, code: string): Promise<void> {
  const response = await fetch(`${url}/api/v1/functions?strict=true`, {
    method: "POST",
    headers: { authorization: `Bearer ${serviceRoleKey}` },
    body: JSON.stringify({ name, code }),
  });
  const text = await response.text();
  if (response.status !== 201) throw new Error(`Cannot deploy ${name}: ${text}`);
}

export function print(text: string): void {
  Deno.stdout.writeSync(encoder.encode(`${text}\n`));
}

export function median(values: readonly number[]): number {
  return percentile(values, 50);
}

export function percentile(values: readonly number[], percent: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * percent / 100))] ?? NaN;
}
