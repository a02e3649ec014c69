/**
 * The server as a program: settings from the environment, a few lines on the terminal, an end on a signal.
 *
 * @module
 */
import { join } from "node:path";
import { type Environment, readConfig } from "./config/config.ts";
import { createLog } from "./core/log.ts";
import { type Platform, startPlatform } from "./platform.ts";
import { StartError } from "./storage/start_error.ts";

/** A terminal sends Ctrl-C to every process on it, and a launcher passes it on: both are one press. */
const SAME_PRESS_MS = 250;

const encoder = new TextEncoder();

function print(text: string): void {
  Deno.stdout.writeSync(encoder.encode(`${text}\n`));
}

async function main(env: Environment): Promise<number> {
  const config = readConfig(env, await readYaml("fluxbase.yaml"));
  const log = createLog({ ...config.log, write: (line) => Deno.stderr.writeSync(encoder.encode(`${line}\n`)) });
  const stopped = signalled(() => {
    print("Stopping at once");
    Deno.exit(130);
  });
  const platform = await startPlatform(config, log);
  await using _ = await keepAddress(platform);
  print(welcome(platform));
  const failure = await Promise.race([stopped, platform.failed]);
  print(failure?.message ?? "Stopping: finishing what runs; press Ctrl-C again to stop at once");
  await platform[Symbol.asyncDispose]();
  print("Stopped");
  return failure === undefined ? 0 : 1;
}

async function readYaml(path: string): Promise<string | undefined> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw new StartError(`Cannot read ${path}: ${error instanceof Error ? error.message : error}`);
  }
}

/** For the command line, while the server runs: it speaks with the server of its folder without being told how. */
async function keepAddress({ url, dataDir, localKeys }: Platform): Promise<AsyncDisposable> {
  const path = join(dataDir, "server.json");
  const text = JSON.stringify({ url, service_role_key: localKeys?.serviceRoleKey }, null, 2);
  await Deno.remove(path).catch(() => {});
  // Without it the command line asks for an address; the server runs as well.
  await Deno.writeTextFile(path, `${text}\n`, { mode: 0o600, createNew: true }).catch(() => {});
  return { [Symbol.asyncDispose]: () => Deno.remove(path).catch(() => {}) };
}

/** Resolves at the first signal; calls back at the second. */
function signalled(again: () => void): Promise<undefined> {
  const { promise, resolve } = Promise.withResolvers<undefined>();
  let firstMs: number | undefined;
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    Deno.addSignalListener(signal, () => {
      const nowMs = performance.now();
      if (firstMs === undefined) {
        firstMs = nowMs;
        resolve(undefined);
      } else if (nowMs - firstMs > SAME_PRESS_MS) {
        again();
      }
    });
  }
  return promise;
}

function welcome({ url, dataDir, localKeys, setupToken }: Platform): string {
  const lines = [`Fluxbase Edge Functions is ready at ${url}`, `Data: ${dataDir}`];
  if (localKeys === null) return lines.join("\n");
  const { anonKey, serviceRoleKey, clientKey } = localKeys;
  return [
    ...lines,
    "",
    `export FLUXBASE_URL=${url}`,
    `export FLUXBASE_ANON_KEY=${anonKey}`,
    `export FLUXBASE_SERVICE_ROLE_KEY=${serviceRoleKey}`,
    `export FLUXBASE_CLIENT_KEY=${clientKey}`,
    ...(setupToken === null ? [] : [`export FLUXBASE_SETUP_TOKEN=${setupToken.reveal()}  # makes the first admin`]),
    "",
    "Create a function and call it, in another terminal:",
    "",
    firstCall(url, clientKey),
    "",
  ].join("\n");
}

/** One line to paste, whatever was exported before; works again when the function exists already. */
function firstCall(url: string, key: string): string {
  const code = "async function handler(req) { const data = JSON.parse(req.body || '{}'); " +
    "return { status: 200, body: { message: `Hello ${data.name || 'World'}!` } } }";
  const body = JSON.stringify({ name: "hello-world", code }).replaceAll("'", String.raw`'\''`);
  const auth = `-H 'Authorization: Bearer ${key}'`;
  const functions = `${url}/api/v1/functions`;
  return `curl -s ${functions} ${auth} -d '${body}' -o /dev/null; ` +
    `curl -s ${functions}/hello-world/invoke ${auth} -d '{"name": "Alice"}'`;
}

if (import.meta.main) {
  try {
    Deno.exit(await main(Deno.env.toObject()));
  } catch (error) {
    if (!(error instanceof StartError)) throw error;
    Deno.stderr.writeSync(encoder.encode(`${error.message}\n`));
    Deno.exit(1);
  }
}
