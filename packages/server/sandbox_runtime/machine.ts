/**
 * What a function hears of the machine that it runs on: the same everywhere, and nothing of it is true. Libraries ask in
 * passing, for a header or a log line, and an error in the middle of a request would be no answer.
 *
 * @module
 */
import { define } from "./taking_away.ts";

/** Of the user `nobody`. */
const ID = 65_534;
const NAME = "function";
const TIMES = { user: 0, nice: 0, sys: 0, idle: 0, irq: 0 };
const ID_CALLS = ["getuid", "geteuid", "getgid", "getegid"];

// Captured before user code runs.
const readEnv = Deno.env.get.bind(Deno.env);
const now = performance.now.bind(performance);
const MiB = 1_048_576;

const ANSWERS: Readonly<Record<string, () => unknown>> = {
  hostname: () => NAME,
  homedir: () => readEnv("HOME") ?? "/",
  userInfo: () => ({ uid: ID, gid: ID, username: NAME, homedir: readEnv("HOME") ?? "/", shell: null }),
  release: () => "0.0.0",
  version: () => "",
  cpus: () => [{ model: "", speed: 0, times: { ...TIMES } }],
  availableParallelism: () => 1,
  loadavg: () => [0, 0, 0],
  networkInterfaces: () => ({}),
  totalmem: () => 512 * MiB,
  freemem: () => 256 * MiB,
  uptime: () => now() / 1_000,
  getPriority: () => 0,
};

export const MACHINE_CALLS: readonly string[] = Object.keys(ANSWERS);

/** Of node:os. */
export function hideMachine(os: object): void {
  for (const name of MACHINE_CALLS) define(os, name, ANSWERS[name]);
}

/** Of `process`. */
export function hideUser(): void {
  for (const name of ID_CALLS) define(process, name, () => ID);
}
