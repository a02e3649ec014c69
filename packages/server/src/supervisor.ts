/**
 * Several server processes on one machine, behind one port: each is a node of its own, the kernel hands out connections.
 *
 * Owns: the processes and the embedded database that they share. A process that ends by itself is started again; when
 * this one ends, whatever ended it, the standard input of the others does, and they stop.
 * Does not own: what a process gets of the machine (./config/process_share.ts), what they tell one another (./nodes/).
 *
 * @module
 */
import { resolve } from "node:path";
import type { Config } from "./config/config.ts";
import { processArgument } from "./config/process_share.ts";
import type { ServerProcess } from "./config/server_process.ts";
import { delay } from "./core/clock.ts";
import type { Log } from "./core/log.ts";
import { cannotListen } from "./gateway/http_server.ts";
import { startEmbeddedPostgres } from "./storage/embedded/embedded_postgres.ts";
import { StartError } from "./storage/start_error.ts";

/** The port may still be a predecessor's, which lets go of it before it finishes what runs. */
const PORT_WAIT_MS = 5_000;
const POLL_MS = 20;
/** One that ends sooner after its start waits before the next, longer each time. */
const STABLE_MS = 10_000;
const PAUSE_MS = 500;
const PAUSE_MAX_MS = 30_000;
/** Beyond what the embedded database has for two. */
const PROCESS_CONNECTIONS_COUNT = 25;
const FIRST_CONNECTIONS_COUNT = 100;

export interface Supervisor extends AsyncDisposable {
  /** Resolves when they cannot go on. */
  readonly failed: Promise<StartError>;
  /** Ends all at once. */
  kill(): void;
  stop(signal: "SIGINT" | "SIGTERM", deadlineMs: number): Promise<void>;
}

/** Resolves when the first process serves and the others start. @throws {StartError} */
export async function startProcesses(config: Config, log: Log & { readonly node: string }): Promise<Supervisor> {
  await using parts = new AsyncDisposableStack();
  const port = await choosePort(config);
  const postgres = config.database.kind === "external" ? undefined : parts.use(
    await startEmbeddedPostgres({
      dataDir: resolve(config.dataDir),
      log,
      sessionMemoryMiB: config.limits.sessionMemoryMiB,
      connectionsCount: FIRST_CONNECTIONS_COUNT + PROCESS_CONNECTIONS_COUNT * Math.max(0, config.processes - 2),
      ...(config.database.port === null ? {} : { port: config.database.port }),
    }),
  );
  const family = log.node;
  const running = new Map<number, Deno.ChildProcess>();
  const stopping = new AbortController();

  function spawn(number: number): Deno.ChildProcess {
    const child = spawnProcess({ number, count: config.processes, port, family });
    running.set(number, child);
    return child;
  }

  async function keep(number: number, first?: Deno.ChildProcess): Promise<void> {
    let child = first;
    for (let pauseMs = PAUSE_MS; !stopping.signal.aborted;) {
      const startedMs = performance.now();
      child ??= spawn(number);
      const { code, signal } = await child.status;
      child = undefined;
      running.delete(number);
      if (stopping.signal.aborted) return;
      log.error("A server process ended by itself and is started again", { process: number, code, signal });
      if (performance.now() - startedMs > STABLE_MS) {
        pauseMs = PAUSE_MS;
        continue;
      }
      await delay(pauseMs, stopping.signal).catch(() => {});
      pauseMs = Math.min(PAUSE_MAX_MS, 2 * pauseMs);
    }
  }

  function kill(): void {
    stopping.abort();
    for (const child of running.values()) signalTo(child, "SIGKILL");
  }

  // The first alone: it brings the database up to date, and says what is wrong with the settings once.
  const first = spawn(1);
  parts.defer(kill);
  await serves(first, { ...config.listen, port });
  const keeping = Promise.all(
    Array.from({ length: config.processes }, (_, index) => keep(index + 1, index === 0 ? first : undefined)),
  );
  const started = parts.move();
  return {
    failed: postgres?.gaveUp ?? new Promise(() => {}),
    kill,
    async stop(signal, deadlineMs) {
      stopping.abort();
      for (const child of running.values()) signalTo(child, signal);
      const timer = setTimeout(kill, deadlineMs);
      await keeping;
      clearTimeout(timer);
    },
    async [Symbol.asyncDispose]() {
      kill();
      await keeping;
      await started.disposeAsync();
    },
  };
}

/** This program once more, with the flags that its runtime was given. */
function spawnProcess(process: ServerProcess): Deno.ChildProcess {
  const [, command = "run", ...given] = Deno.readTextFileSync("/proc/self/cmdline").split("\0").slice(0, -1);
  const flags = given.slice(0, given.length - Deno.args.length);
  return new Deno.Command(Deno.execPath(), {
    // Deno shares ports out to whoever asks for it.
    args: [command, "--unstable-net", ...flags, "--launched", processArgument(process)],
    // Its end is ours, and tells them.
    stdin: "piped",
    stdout: "inherit",
    stderr: "inherit",
  }).spawn();
}

/** @throws {StartError} when it ends before it serves */
async function serves(child: Deno.ChildProcess, { hostname, port }: Config["listen"]): Promise<void> {
  let ended: Deno.CommandStatus | undefined;
  void child.status.then((status) => ended = status);
  while (ended === undefined) {
    try {
      (await Deno.connect({ hostname, port })).close();
      return;
    } catch {
      await delay(POLL_MS);
    }
  }
  throw new StartError("Cannot start the server's processes: the first one ended, see above");
}

/** Processes that share a port would also share it with a stranger: so it is asked for alone first. */
async function choosePort({ listen: { hostname, port } }: Config): Promise<number> {
  const deadlineMs = performance.now() + PORT_WAIT_MS;
  while (true) {
    try {
      const listener = Deno.listen({ hostname, port });
      const { port: free } = listener.addr;
      listener.close();
      return free;
    } catch (error) {
      if (error instanceof Deno.errors.AddrInUse && performance.now() < deadlineMs) {
        await delay(POLL_MS);
        continue;
      }
      throw cannotListen({ hostname, port }, error);
    }
  }
}

function signalTo(child: Deno.ChildProcess, signal: Deno.Signal): void {
  try {
    child.kill(signal);
  } catch {
    // It has ended.
  }
}
