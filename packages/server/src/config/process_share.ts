/**
 * What one of several server processes of a machine gets: its part of what is counted for each server.
 *
 * @module
 */
import { machineMemoryMiB } from "../sandbox/machine_memory.ts";
import { MEMORY_PART } from "../sandbox/room.ts";
import type { Config } from "./config.ts";
import type { ServerProcess } from "./server_process.ts";

const ARGUMENT = "--process=";

export function processArgument({ number, count, port, family }: ServerProcess): string {
  return `${ARGUMENT}${number}/${count}/${port}/${family}`;
}

/** Undefined: this is the only one, or the parent. */
export function processOf(args: readonly string[]): ServerProcess | undefined {
  const text = args.find((arg) => arg.startsWith(ARGUMENT))?.slice(ARGUMENT.length);
  if (text === undefined) return undefined;
  const [number = "", count = "", port = "", family = ""] = text.split("/");
  return { number: Number(number), count: Number(count), port: Number(port), family };
}

export function nodeNameOf({ family, number }: ServerProcess): string {
  return `${family}-p${number}`;
}

export function isSibling({ family }: ServerProcess, node: string | undefined): boolean {
  return node?.startsWith(`${family}-p`) ?? false;
}

/** Limits that hold for all processes of the machine together, and the least of each that a process can work with. */
const SHARED_LIMITS = {
  sandboxCount: 1,
  blankSandboxCount: 1,
  waitingRequestsCount: 1,
  tasksCount: 1,
  functionConnectionsCount: 4,
  languageSessionsCount: 1,
} as const;

export function configOfProcess(config: Config, process: ServerProcess): Config {
  const part = (value: number, least: number) => Math.min(value, Math.max(least, Math.ceil(value / process.count)));
  const { limits } = config;
  const shared = Object.entries(SHARED_LIMITS).map(([key, least]) => [
    key,
    part(limits[key as keyof typeof SHARED_LIMITS], least),
  ]);
  const memoryMiB = limits.sandboxesMemoryMiB || machineMemoryMiB() * MEMORY_PART;
  return Object.freeze({
    ...config,
    process,
    listen: { ...config.listen, port: process.port },
    databaseMaxConnections: part(config.databaseMaxConnections, 4),
    databaseTableConnections: part(config.databaseTableConnections, 2),
    executions: { ...config.executions, rowsPerSec: part(config.executions.rowsPerSec, 1) },
    limits: {
      ...limits,
      ...Object.fromEntries(shared),
      sandboxesMemoryMiB: Math.max(1, Math.floor(memoryMiB / process.count)),
    },
  });
}
