/**
 * What user code gets instead of the ways to end its process: they end the request that asks, since others run beside it.
 *
 * @module
 */
import type { Call } from "./call.ts";
import { currentCall } from "./current_call.ts";
import { replace } from "./taking_away.ts";

/** Ends the process, for the harness. */
export const endProcess: (code: number) => never = Deno.exit.bind(Deno);

const REPLACED = ["exit", "reallyExit", "abort"];

/** @param failCall answers the request with the error, if it has no answer yet */
export function replaceExit(failCall: (call: Call, error: Error) => void): void {
  const replacement = (way: string) => (code?: unknown): never => {
    const asked = code === undefined ? `${way}()` : `${way}(${String(code).slice(0, 20)})`;
    const call = currentCall();
    const error = new Error(
      call === undefined
        ? `Cannot end the process with ${asked}: other requests may run in it; return, or throw an error`
        : `The function ended this request with ${asked}`,
    );
    if (call !== undefined) failCall(call, error);
    throw error;
  };
  // A signal to the process itself is one more way to end it; no other process is in reach.
  const signalling = (way: string, isOwn: (pid: unknown) => boolean) => {
    const end = replacement(way);
    return (pid: unknown): never => {
      if (isOwn(pid)) end(pid);
      throw new TypeError(`Cannot signal process ${String(pid).slice(0, 20)}: a function has no others`);
    };
  };
  replace(Deno, "exit", replacement("Deno.exit"));
  replace(globalThis, "close", replacement("close"));
  replace(Deno, "kill", signalling("Deno.kill", (pid) => pid === Deno.pid));
  for (const name of ["kill", "_kill"]) {
    // Node's number of a copy is that of its zygote.
    replace(process, name, signalling(`process.${name}`, (pid) => pid === Deno.pid || pid === process.pid));
  }
  for (const name of REPLACED) replace(process, name, replacement(`process.${name}`));
}
