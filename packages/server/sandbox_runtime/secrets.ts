/**
 * The `secrets` object of user code: those of the server, and those of the user on whose behalf code runs now.
 *
 * @module
 */
import { currentCall } from "./current_call.ts";

export interface Secrets {
  /** The user's, else the server's. */
  get(key: string): string | undefined;
  /** As `get`, and throws where there is none. */
  getRequired(key: string): string;
  getUser(key: string): string | undefined;
  getSystem(key: string): string | undefined;
}

// Captured before user code runs.
const { hasOwn, freeze } = Object;

export function createSecrets(system: Readonly<Record<string, string>>): Secrets {
  const of = (values: Readonly<Record<string, string>> | undefined, key: string) =>
    values !== undefined && hasOwn(values, key) ? values[key] : undefined;
  const getUser = (key: string) => of(currentCall()?.userSecrets, key);
  const getSystem = (key: string) => of(system, key);
  const get = (key: string) => getUser(key) ?? getSystem(key);
  return freeze({
    get,
    getRequired(key: string) {
      const value = get(key);
      if (value !== undefined) return value;
      throw new Error(`Secret "${key}" is missing: set it for the server, or for the user who calls`);
    },
    getUser,
    getSystem,
  });
}
