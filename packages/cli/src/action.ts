/**
 * What most commands do: speak with a server by the SDK.
 *
 * @module
 */
import { createClient, type FluxbaseClient } from "@fluxbase/sdk";
import type { Command } from "commander";
import { connectionOf, type GlobalOptions } from "./connection.ts";

export function clientOf(options: GlobalOptions): FluxbaseClient {
  const { url, key, storage } = connectionOf(options);
  return createClient(url, key, { storage });
}

export interface InNamespace {
  readonly namespace?: string;
}

/** As the SDK takes it: left out where none was named. */
export function inNamespace(namespace: string | undefined): InNamespace {
  return namespace === undefined ? {} : { namespace };
}

/** An action whose first two arguments are the client and the options of all levels; then come the command's own. */
export function withClient<Options, Args extends readonly unknown[]>(
  run: (client: FluxbaseClient, options: GlobalOptions & Options, ...args: Args) => Promise<void> | void,
): (...given: unknown[]) => Promise<void> {
  return withOptions<Options, Args>((options, ...args) => run(clientOf(options), options, ...args));
}

/** As `withClient`, for what needs no server. */
export function withOptions<Options, Args extends readonly unknown[]>(
  run: (options: GlobalOptions & Options, ...args: Args) => Promise<void> | void,
): (...given: unknown[]) => Promise<void> {
  return async (...given) => {
    // Commander puts the command's own options and the command behind the arguments.
    const command = given.at(-1) as Command;
    await run(command.optsWithGlobals(), ...given.slice(0, -2) as unknown as Args);
  };
}
