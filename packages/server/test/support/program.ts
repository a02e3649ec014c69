/**
 * The server as a program on the embedded database, for tests.
 *
 * @module
 */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { withDeadline } from "../../src/core/clock.ts";
import { eventually } from "./platform.ts";
import { withoutLeakedProcesses } from "./processes.ts";

const LAUNCHER = new URL("../../launch.mjs", import.meta.url).href;
const MAIN = fileURLToPath(new URL("../../src/main.ts", import.meta.url));
/** No test of a program takes longer. */
const PROGRAM_MS = 60_000;
const CTRL_C = new Uint8Array([3]);
const decoder = new TextDecoder();

export interface Program {
  readonly pid: number;
  readonly dataDir: string;
  /** Everything it printed so far, both streams. */
  output(): string;
  readonly status: Promise<Deno.CommandStatus>;
  kill(signal: Deno.Signal): void;
}

export function startProgram(dataDir: string, env: Record<string, string> = {}, openFilesCount = 0): Program {
  const limit = openFilesCount === 0 ? "" : `ulimit -n ${openFilesCount} && `;
  return start(dataDir, env, [
    "/bin/sh",
    // A server of a careful operator: what it makes is closed to others unless it opens it.
    ...["-c", `umask 077 && ${limit}exec "$0" "$@"`, Deno.execPath(), "run", "-A", "--no-check", MAIN],
  ]);
}

/** As `npm start` and `fluxbase start` do. */
export function startLaunched(dataDir: string, env: Record<string, string> = {}): Program {
  const script = `import { startServer } from ${JSON.stringify(LAUNCHER)}; process.exitCode = await startServer();`;
  return start(dataDir, env, ["node", "--input-type=module", "-e", script]);
}

/** As at a terminal: it sees one, and every signal is Ctrl-C. `script` comes with every Debian. */
export function startInTerminal(dataDir: string): Program {
  const command = `exec '${Deno.execPath()}' run -A --no-check '${MAIN}'`;
  const child = new Deno.Command("script", {
    args: ["--quiet", "--return", "--flush", "--command", command, "/dev/null"],
    env: { FLUXBASE_DATA_DIR: dataDir, FLUXBASE_SERVER_ADDRESS: "127.0.0.1:0" },
    cwd: dataDir,
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const keyboard = child.stdin.getWriter();
  const program = follow(child, dataDir);
  return {
    ...program,
    output: () => program.output().replaceAll("\r\n", "\n"),
    kill: () => void keyboard.write(CTRL_C),
  };
}

function start(dataDir: string, env: Record<string, string>, [command = "", ...args]: string[]): Program {
  const child = new Deno.Command(command, {
    args,
    env: { FLUXBASE_DATA_DIR: dataDir, FLUXBASE_SERVER_ADDRESS: "127.0.0.1:0", ...env },
    cwd: dataDir,
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  return follow(child, env["FLUXBASE_DATA_DIR"] ?? dataDir);
}

function follow(child: Deno.ChildProcess, dataDir: string): Program {
  let text = "";
  const reading = [child.stdout, child.stderr].map(async (stream) => {
    for await (const chunk of stream) text += decoder.decode(chunk);
  });
  return {
    pid: child.pid,
    dataDir,
    output: () => text,
    status: withDeadline(
      Promise.all([child.status, ...reading]).then(([status]) => status),
      PROGRAM_MS,
      () => {
        child.kill("SIGKILL");
        return new Error(`The program did not end: ${text}`);
      },
    ),
    kill: (signal) => child.kill(signal),
  };
}

/** `times`: it was started so often. */
export async function ready(program: Program, times = 1): Promise<void> {
  let hasEnded = false;
  void program.status.then(() => hasEnded = true);
  await eventually(() => hasEnded || program.output().split("Edge Functions is ready").length > times);
  assert.ok(!hasEnded, program.output());
}

/** Of the file that a shell reads. */
export const exported = ({ dataDir }: Program, name: string) =>
  new RegExp(`^export ${name}=(\\S*)`, "m").exec(Deno.readTextFileSync(`${dataDir}/keys.env`))?.[1] ?? "";

/** Runs with a fresh data directory; nothing may be left running. */
export function programTest(name: string, run: (dataDir: string) => Promise<void>): void {
  Deno.test(name, async () => {
    const dataDir = await Deno.makeTempDir({ prefix: "fluxbase-program-" });
    await Deno.chmod(dataDir, 0o755);
    try {
      await withoutLeakedProcesses(() => run(dataDir));
      await eventually(() => processesOf(dataDir).length === 0);
    } finally {
      await removeWhole(dataDir);
    }
  });
}

/** Names what was written there after everything had ended, if anything was. */
async function removeWhole(dir: string): Promise<void> {
  try {
    await Deno.remove(dir, { recursive: true });
  } catch (error) {
    const { stdout } = await new Deno.Command("find", { args: [dir] }).output();
    throw new Error(`Written after the end: ${decoder.decode(stdout)}${processesOf(dir).join("; ")}`, { cause: error });
  }
}

/** Processes whose command line names this folder: the embedded Postgres and its watchdog. */
function processesOf(dataDir: string): string[] {
  return [...Deno.readDirSync("/proc")].flatMap(({ name }) => {
    if (!/^\d+$/.test(name) || Number(name) === Deno.pid) return [];
    try {
      const command = Deno.readTextFileSync(`/proc/${name}/cmdline`).replaceAll("\0", " ");
      return command.includes(dataDir) ? [`${name} ${command}`] : [];
    } catch {
      return [];
    }
  });
}

export function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}

export async function pasteCurl(program: Program): Promise<string> {
  const lines = program.output().split("\n");
  const [keys = "", call = ""] = [". '", "curl "].map((start) => lines.findLast((text) => text.startsWith(start)));
  const { stdout } = await new Deno.Command("/bin/sh", { args: ["-c", `${keys}\n${call}`] }).output();
  return decoder.decode(stdout);
}

export async function stop(program: Program): Promise<void> {
  program.kill("SIGINT");
  assert.equal((await program.status).code, 0, program.output());
  assert.match(program.output(), /Stopped("\})?\n$/);
}
