/**
 * Names of the environment whose values belong to one request: functions that had a process for each request read them
 * there.
 *
 * @module
 */
import type { Call } from "./call.ts";
import { currentCall } from "./current_call.ts";
import { bearerOf } from "./given_clients.ts";

const VALUES: Readonly<Record<string, (call: Call) => string | undefined>> = {
  FLUXBASE_EXECUTION_ID: (call) => call.executionId,
  /** The token of a user who calls. */
  FLUXBASE_USER_TOKEN: ({ caller, headerPairs }) => {
    if (caller.user_id === undefined) return undefined;
    const at = headerPairs.findIndex((text, index) => index % 2 === 0 && text === "authorization");
    return at < 0 ? undefined : bearerOf(headerPairs[at + 1]);
  },
};

export function namesCall(code: string): boolean {
  return Object.keys(VALUES).some((name) => code.includes(name));
}

export function showCallInEnvironment(): void {
  const { env } = Deno;
  const get = env.get.bind(env);
  const value = (name: string): string | undefined => {
    const call = Object.hasOwn(VALUES, name) ? currentCall() : undefined;
    return get(name) ?? (call && VALUES[name]?.(call));
  };
  Object.defineProperty(env, "get", { value, writable: true, configurable: true, enumerable: true });
}
