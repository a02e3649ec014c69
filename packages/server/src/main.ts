/**
 * The server as a program: settings from the environment, a few lines on the terminal, an end on a signal.
 *
 * @module
 */
import { join } from "node:path";
import { type Config, readConfig, readYaml } from "./config/config.ts";
import type { Environment } from "./config/function_environment.ts";
import { configOfProcess, nodeNameOf, processOf } from "./config/process_share.ts";
import { withSecretFiles } from "./config/secret_files.ts";
import { surviveUncaught } from "./core/last_resort.ts";
import { type AdjustableLog, createLog, type Log } from "./core/log.ts";
import { type Platform, startPlatform } from "./platform.ts";
import { startProcesses } from "./supervisor.ts";
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

function writeLine(line: string): void {
  Deno.stderr.writeSync(encoder.encode(`${line}\n`));
}

const LAST_WORDS = { level: "error", format: "json" } as const;

/** Tells the operator something: as it is, or as a line of the log where all lines are JSON. */
type Say = (text: string) => void;

function sayerOf({ log: { format }, process }: Config, log: Log): Say {
  return format === "json" || process !== null
    ? (text) => log.info(text)
    : (text) => Deno.stdout.writeSync(encoder.encode(`${text}\n`));
}

/** What others may not see is made so, file by file; the rest has to be in reach of unprivileged processes. */
const UMASK = 0o022;

async function main(env: Environment): Promise<number> {
  Deno.umask(UMASK);
  const whole = readConfig(await withSecretFiles(env), await readYaml("fluxbase.yaml"));
  const own = processOf(Deno.args);
  const config = own === undefined ? whole : configOfProcess(whole, own);
  const log = createLog({
    ...config.log,
    ...(own === undefined ? { write: writeLine } : {
      node: nodeNameOf(own),
      write: config.log.format === "json" ? writeLine : (line) => writeLine(`[${own.number}] ${line}`),
    }),
  });
  surviveUncaught(log);
  const say = sayerOf(config, log);
  let force = () => {};
  const stopped = Promise.race([
    signalled(() => {
      say("Stopping at once");
      force();
      Deno.exit(130);
    }),
    ...(Deno.args.includes(LAUNCHED) ? [launcherIsGone()] : []),
  ]);
  if (own === undefined && config.processes > 1) {
    return await runProcesses(config, { log, say, stopped, onForce: (kill) => force = kill });
  }
  const platform = await Promise.race([startPlatform(config, log), stopped]);
  if (typeof platform === "string") {
    // What is under way is safe to cut: folders are made under another name first, migrations are transactions.
    say("Stopped before it had started");
    return 0;
  }
  await using _ = own === undefined || own.number === 1 ? await keepAddress(platform) : undefined;
  if (config.log.format === "json" || (own?.number ?? 1) > 1) {
    log.info(READY, { url: platform.url, dataDir: platform.dataDir });
  } else Deno.stdout.writeSync(encoder.encode(`${welcome(platform)}\n`));
  const reason = await Promise.race([stopped, platform.failed]);
  say(reason instanceof StartError ? reason.message : SENTENCES[reason]);
  const { drainDelayMs, drainMs } = config.limits;
  // Nobody waits at a terminal for a proxy to notice.
  const noticeMs = reason === "told" ? drainDelayMs : 0;
  endAt(noticeMs + drainMs + CLEAN_UP_MS, say);
  await platform.leave(noticeMs);
  await platform[Symbol.asyncDispose]();
  say("Stopped");
  return reason instanceof StartError ? FAILED_EXIT : 0;
}

interface ProcessesOptions {
  readonly log: AdjustableLog;
  readonly say: Say;
  readonly stopped: Promise<Reason>;
  readonly onForce: (kill: () => void) => void;
}

/** The same as one process does, for several. */
async function runProcesses(config: Config, { log, say, stopped, onForce }: ProcessesOptions): Promise<number> {
  const processes = await Promise.race([startProcesses(config, log), stopped]);
  if (typeof processes === "string") {
    say("Stopped before it had started");
    return 0;
  }
  await using _ = processes;
  onForce(processes.kill);
  const reason = await Promise.race([stopped, processes.failed]);
  say(reason instanceof StartError ? reason.message : SENTENCES[reason]);
  const { drainDelayMs, drainMs } = config.limits;
  const stopMs = (reason === "told" ? drainDelayMs : 0) + drainMs + CLEAN_UP_MS;
  endAt(stopMs + CLEAN_UP_MS, say);
  await processes.stop(reason === "told" ? "SIGTERM" : "SIGINT", stopMs);
  await processes[Symbol.asyncDispose]();
  say("Stopped");
  return reason instanceof StartError ? FAILED_EXIT : 0;
}

type Reason = "interrupted" | "told" | "launcher gone";

const SENTENCES: Readonly<Record<Reason, string>> = {
  "interrupted": "Stopping: finishing what runs; press Ctrl-C again to stop at once",
  "told": "Stopping: finishing what runs; a second signal stops at once",
  "launcher gone": "Stopping: the process that started the server is gone; finishing what runs",
};

/** Whatever hangs: who told the server to stop waits no longer. Sandboxes and the embedded Postgres end with it. */
function endAt(ms: number, say: Say): void {
  setTimeout(() => {
    say("Stopped: some parts did not end in time");
    Deno.exit(1);
  }, ms);
}

/** Its end closes our standard input, whatever ended it. */
async function launcherIsGone(): Promise<Reason> {
  const buffer = new Uint8Array(64);
  while (await Deno.stdin.read(buffer).catch(() => null) !== null);
  return "launcher gone";
}

const KEYS_FILE = "keys.env";

/** While the server runs: for the command line, which finds the server of its folder, and for a shell. */
async function keepAddress(platform: Platform): Promise<AsyncDisposable> {
  const { url, dataDir, localKeys } = platform;
  const files = {
    "server.json": JSON.stringify({ url, service_role_key: localKeys?.serviceRoleKey }, null, 2),
    [KEYS_FILE]: exportsOf(platform).join("\n"),
  };
  const paths = Object.entries(files).map(([name, text]) => ({ path: join(dataDir, name), text }));
  for (const { path, text } of paths) {
    await Deno.remove(path).catch(() => {});
    // Without them the command line asks for an address; the server runs as well.
    await Deno.writeTextFile(path, `${text}\n`, { mode: 0o600, createNew: true }).catch(() => {});
  }
  return {
    async [Symbol.asyncDispose]() {
      for (const { path } of paths) await Deno.remove(path).catch(() => {});
    },
  };
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

const READY = "Fluxbase Edge Functions is ready";

/** For a shell. */
function exportsOf({ url, localKeys, setupToken }: Platform): string[] {
  if (localKeys === null) return [`export FLUXBASE_URL=${url}`];
  const { anonKey, serviceRoleKey, clientKey } = localKeys;
  return [
    `export FLUXBASE_URL=${url}`,
    `export FLUXBASE_ANON_KEY=${anonKey}`,
    `export FLUXBASE_SERVICE_ROLE_KEY=${serviceRoleKey}`,
    `export FLUXBASE_CLIENT_KEY=${clientKey}`,
    ...(setupToken === null ? [] : [`export FLUXBASE_SETUP_TOKEN=${setupToken.reveal()}  # makes the first admin`]),
  ];
}

/** Keys are for the eyes at a terminal: what goes elsewhere ends in somebody's logs. */
function welcome(platform: Platform): string {
  const { url, dataDir, localKeys, docsUrl } = platform;
  const lines = [`${READY} at ${url}`, `Data: ${dataDir}`, ...(docsUrl === null ? [] : [`Documentation: ${docsUrl}`])];
  if (localKeys === null) return lines.join("\n");
  const keysFile = join(dataDir, KEYS_FILE);
  const isSeen = Deno.stdout.isTerminal();
  return [
    ...lines,
    ...dashboardLines(platform, isSeen),
    ...(isSeen ? ["", ...exportsOf(platform)] : [`Keys: ${keysFile}`]),
    "",
    "Create a function and call it, in another terminal:",
    "",
    ...(isSeen ? [] : [`. ${quoted(keysFile)}`]),
    firstCall(url, isSeen ? localKeys.clientKey : "$FLUXBASE_CLIENT_KEY"),
    "",
  ].join("\n");
}

/** The token is behind the #, which browsers send nowhere: the page takes it from there. */
function dashboardLines(platform: Platform, isSeen: boolean): string[] {
  const { dashboardUrl, setupToken } = platform;
  if (dashboardUrl === null) return [];
  const token = isSeen ? setupToken ?? platform.makeSignInToken() : null;
  if (token === null) return [`Dashboard: ${dashboardUrl}`];
  const what = setupToken === null ? "signed in, once within 10 minutes" : "to create the first admin";
  return [`Dashboard, ${what}: ${dashboardUrl}#token=${encodeURIComponent(token.reveal())}`];
}

/** For a shell, whatever is in it. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}

/** One line to paste, whatever was exported before; works again when the function exists already. */
function firstCall(url: string, key: string): string {
  const code = "async function handler(req) { const data = JSON.parse(req.body || '{}'); " +
    "return { status: 200, body: { message: `Hello ${data.name || 'World'}!` } } }";
  const body = quoted(JSON.stringify({ name: "hello-world", code }));
  const auth = `-H "Authorization: Bearer ${key}"`;
  const functions = `${url}/api/v1/functions`;
  return `curl -s ${functions} ${auth} -d ${body} -o /dev/null; ` +
    `curl -s ${functions}/hello-world/invoke ${auth} -d '{"name": "Alice"}'`;
}

/** A failure that has no sentence yet. */
function unexpected(error: unknown): string {
  return `this was not expected, please report it: ${error instanceof Error ? error.stack ?? error.message : error}`;
}

if (import.meta.main) {
  try {
    Deno.exit(await main(Deno.env.toObject()));
  } catch (error) {
    const sentence = error instanceof StartError ? error.message : `Cannot start: ${unexpected(error)}`;
    // The settings may be what is wrong, so this one is asked for by itself.
    if (Deno.env.get("FLUXBASE_LOG_FORMAT") === "json") {
      createLog({ ...LAST_WORDS, write: writeLine }).error(sentence);
    } else writeLine(sentence);
    Deno.exit(FAILED_EXIT);
  }
}
