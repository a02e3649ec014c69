/**
 * What the harness needs of Deno's internals, taken before they are removed from the reach of user code.
 *
 * Tied to the exact version of Deno in package.json: a sandbox that does not find what it expects does not start.
 *
 * @module
 */
import type { Call } from "./call.ts";

/** The context that travels with promises, timers and callbacks; undefined outside any. */
export interface AsyncContext {
  readonly fluxbaseCall?: Call;
  /** Whether it came from a request that was taken out of a queue, and not from the start of its handler. */
  readonly fluxbaseJoined?: boolean;
}

type ConsoleClass = new (print: (text: string, level: number) => void) => Console;

const internals: unknown = Reflect.get(Deno, Reflect.get(Deno, "internal"));

function part<T>(owner: unknown, name: string): T {
  const value: unknown = typeof owner === "object" && owner !== null ? Reflect.get(owner, name) : undefined;
  if (value === undefined) throw new Error(`Cannot use Deno ${Deno.version.deno}: it has no internal "${name}"`);
  return value as T;
}

/** Deno's own Console class: formats, tables, groups, counters and timers behave as users know them. */
export const NativeConsole = part<ConsoleClass>(internals, "Console");
export const getAsyncContext = part<() => AsyncContext | undefined>(part(internals, "core"), "getAsyncContext");
export const setAsyncContext = part<(context: AsyncContext | undefined) => void>(
  part(internals, "core"),
  "setAsyncContext",
);
