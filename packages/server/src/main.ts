/**
 * The server as a program: settings from the environment, a few lines on the terminal, an end on a signal.
 *
 * @module
 */
import { join } from "node:path";
import { type Environment, readConfig } from "./config/config.ts";
import { surviveUncaught } from "./core/last_resort.ts";
import { createLog } from "./core/log.ts";
import { type Platform, startPlatform } from "./platform.ts";
import { StartError } from "./storage/start_error.ts";

/** A terminal sends Ctrl-C to every process on it, and a launcher passes it on: both are one press. */
const SAME_PRESS_MS = 250;

/** After the last request: records are written, sandboxes and Postgres end. */
const CLEAN_UP_MS = 15_000;
/** The launcher's word; as an argument, since functions may see the environment. */
const LAUNCHED = "--launched";
/** The launcher does not start a server again that cannot work. */
const FAILED_EXIT = 1;

const encoder = new TextEncoder();

function print(text: string): void {
  Deno.stdout.writeSync(encoder.encode(`${text}\n`));
}

/** What others may not see is made so, file by file; the rest has to be in reach of unprivileged processes. */
const UMASK = 0o022;

async function main(env: Environment): Promise<number> {
  Deno.umask(UMASK);
  const config = readConfig(env, await readYaml("fluxbase.yaml"));
  const log = createLog({ ...config.log, write: (line) => Deno.stderr.writeSync(encoder.encode(`${line}\n`)) });
  surviveUncaught(log);
  const stopped = Promise.race([
    signalled(() => {
      print("Stopping at once");
      Deno.exit(130);
    }),
    ...(Deno.args.includes(LAUNCHED) ? [launcherIsGone()] : []),
  ]);
  const platform = await Promise.race([startPlatform(config, log), stopped]);
  if (typeof platform === "string") {
    // What is under way is safe to cut: folders are made under another name first, migrations are transactions.
    print("Stopped before it had started");
    return 0;
  }
  await using _ = await keepAddress(platform);
  print(welcome(platform));
  const reason = await Promise.race([stopped, platform.failed]);
  print(reason instanceof StartError ? reason.message : SENTENCES[reason]);
  const { drainDelayMs, drainMs } = config.limits;
  // Nobody waits at a terminal for a proxy to notice.
  const noticeMs = reason === "told" ? drainDelayMs : 0;
  endAt(noticeMs + drainMs + CLEAN_UP_MS);
  await platform.leave(noticeMs);
  await platform[Symbol.asyncDispose]();
  print("Stopped");
  return reason instanceof StartError ? FAILED_EXIT : 0;
}

type Reason = "interrupted" | "told" | "launcher gone";

const SENTENCES: Readonly<Record<Reason, string>> = {
  "interrupted": "Stopping: finishing what runs; press Ctrl-C again to stop at once",
  "told": "Stopping: finishing what runs; a second signal stops at once",
  "launcher gone": "Stopping: the process that started the server is gone; finishing what runs",
};

/** Whatever hangs: who told the server to stop waits no longer. Sandboxes and the embedded Postgres end with it. */
function endAt(ms: number): void {
  setTimeout(() => {
    print("Stopped: some parts did not end in time");
    Deno.exit(1);
  }, ms);
}

/** Its end closes our standard input, whatever ended it. */
async function launcherIsGone(): Promise<Reason> {
  const buffer = new Uint8Array(64);
  while (await Deno.stdin.read(buffer).catch(() => null) !== null);
  return "launcher gone";
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
function signalled(again: () => void): Promise<Reason> {
  const { promise, resolve } = Promise.withResolvers<Reason>();
  let firstMs: number | undefined;
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    Deno.addSignalListener(signal, () => {
      const nowMs = performance.now();
      if (firstMs === undefined) {
        firstMs = nowMs;
        resolve(signal === "SIGINT" ? "interrupted" : "told");
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
