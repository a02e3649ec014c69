/**
 * Starts what is measured, as a user would start it, and speaks to it.
 *
 * @module
 */
import { fileURLToPath } from "node:url";
import { delay } from "../packages/server/src/core/clock.ts";
import { createTokens } from "../packages/server/src/auth/tokens.ts";
import { Secret } from "../packages/server/src/core/secret.ts";
import { SERVER_V8_FLAGS } from "../packages/server/src/core/v8_flags.mjs";

const MAIN = fileURLToPath(new URL("../packages/server/src/main.ts", import.meta.url));
const DENO_ARGS = ["run", "-A", "--no-check", `--v8-flags=${SERVER_V8_FLAGS}`];
const READY_AT = /is ready at (http:\S+)/;
const decoder = new TextDecoder();

export interface RunningServer {
  readonly pid: number;
  output(): string;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Resolves when what the program printed matches `isReady`. */
export async function startProgram(
  command: string,
  args: readonly string[],
  { env = {}, isReady }: { env?: Record<string, string>; isReady: RegExp },
): Promise<RunningServer> {
  const child = new Deno.Command(command, { args: [...args], env, stdout: "piped", stderr: "piped" }).spawn();
  let output = "";
  const reading = [child.stdout, child.stderr].map(async (stream) => {
    for await (const chunk of stream) output += decoder.decode(chunk);
  });
  let hasEnded = false;
  void child.status.then(() => hasEnded = true);
  while (!isReady.test(output)) {
    if (hasEnded) throw new Error(`${command} ${args.join(" ")} ended: ${output}`);
    await delay(10);
  }
  return {
    pid: child.pid,
    output: () => output,
    async [Symbol.asyncDispose]() {
      if (!hasEnded) child.kill("SIGTERM");
      await child.status;
      await Promise.all(reading);
    },
  };
}

export function startScript(script: string): Promise<RunningServer> {
  const path = fileURLToPath(new URL(script, import.meta.url));
  return startProgram(Deno.execPath(), [...DENO_ARGS, path], { isReady: /^http/m });
}

export interface RunningPlatform extends RunningServer {
  readonly url: string;
  readonly anonKey: string;
  readonly serviceRoleKey: string;
}

export async function startPlatform(dataDir: string, env: Record<string, string> = {}): Promise<RunningPlatform> {
  const server = await startProgram(Deno.execPath(), [...DENO_ARGS, MAIN], {
    env: { FLUXBASE_DATA_DIR: dataDir, FLUXBASE_SERVER_ADDRESS: "127.0.0.1:0", ...env },
    isReady: /^curl /m,
  });
  const keys = await Deno.readTextFile(`${dataDir}/keys.env`);
  const exported = (name: string) => new RegExp(`^export ${name}=(\\S*)`, "m").exec(keys)?.[1] ?? "";
  return {
    ...server,
    url: exported("FLUXBASE_URL"),
    anonKey: exported("FLUXBASE_ANON_KEY"),
    serviceRoleKey: exported("FLUXBASE_SERVICE_ROLE_KEY"),
  };
}

/** One of several servers of a database. */
export async function startBeside(
  databaseUrl: string,
  dataDir: string,
  env: Record<string, string> = {},
): Promise<RunningPlatform> {
  const secret = "a secret of the measurements, long enough to be accepted";
  const server = await startProgram(Deno.execPath(), [...DENO_ARGS, MAIN], {
    env: {
      FLUXBASE_DATA_DIR: dataDir,
      FLUXBASE_SERVER_ADDRESS: "127.0.0.1:0",
      DATABASE_URL: databaseUrl,
      FLUXBASE_AUTH_JWT_SECRET: secret,
      FLUXBASE_ENCRYPTION_KEY: "0".repeat(64),
      ...env,
    },
    isReady: READY_AT,
  });
  const tokens = createTokens(new Secret(secret));
  const issuedAtSec = Math.floor(Date.now() / 1_000);
  const validity = { issuedAtSec, expiresAtSec: issuedAtSec + 3_600 };
  return {
    ...server,
    url: READY_AT.exec(server.output())?.[1] ?? "",
    anonKey: await tokens.mintRole("anon", validity),
    serviceRoleKey: await tokens.mintRole("service_role", validity),
  };
}

/** Creates a function, or makes another version of it. */
export async function deploy(
  { url, serviceRoleKey }: RunningPlatform,
  name: string,
  code: string,
  fields: Record<string, unknown> = {},
): Promise<void> {
  const send = (method: string, path: string) =>
    fetch(`${url}/api/v1/functions${path}?strict=true`, {
      method,
      headers: { authorization: `Bearer ${serviceRoleKey}` },
      body: JSON.stringify({ name, code, ...fields }),
    });
  let response = await send("POST", "");
  if (response.status === 409) {
    await response.body?.cancel();
    response = await send("PUT", `/${name}`);
  }
  const text = await response.text();
  if (!response.ok) throw new Error(`Cannot deploy ${name}: ${text}`);
}

/** `path` is that below `/functions/`, such as `hello/invoke?a=b`. */
export function invoke(
  { url, anonKey }: RunningPlatform,
  path: string,
  init: RequestInit = {},
): Promise<Response> {
  return fetch(`${url}/api/v1/functions/${path}`, { ...init, headers: { apikey: anonKey } });
}

/** Processes of the sandboxes that a platform has now. */
export async function sandboxPidsOf(platform: RunningPlatform): Promise<number[]> {
  const zygotes = await zygotePidsOf(platform);
  const alone = (await harnessesOf(platform.pid)).filter((pid) => !zygotes.includes(pid));
  return [...alone, ...(await Promise.all(zygotes.map(childrenOf))).flat()];
}

/** Processes that sandboxes are copies of. */
export async function zygotePidsOf({ pid }: RunningPlatform): Promise<number[]> {
  const harnesses = await harnessesOf(pid);
  const commands = await Promise.all(harnesses.map(commandOf));
  return harnesses.filter((_, index) => commands[index]?.includes('"startedCountPath":null'));
}

async function harnessesOf(pid: number): Promise<number[]> {
  const children = await childrenOf(pid);
  const commands = await Promise.all(children.map(commandOf));
  return children.filter((_, index) => commands[index]?.includes("sandbox_runtime/"));
}

const commandOf = (pid: number) => Deno.readTextFile(`/proc/${pid}/cmdline`);

async function childrenOf(pid: number): Promise<number[]> {
  const tasks = [...Deno.readDirSync(`/proc/${pid}/task`)].map(({ name }) => name);
  const lists = await Promise.all(tasks.map((task) => Deno.readTextFile(`/proc/${pid}/task/${task}/children`)));
  return lists.flatMap((text) => text.trim().split(" ").filter((word) => word !== "").map(Number));
}
