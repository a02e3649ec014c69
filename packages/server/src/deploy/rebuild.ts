/**
 * Builds functions again when a shared module that they import has changed, in the background.
 *
 * What is stale is read from the database, so nothing is forgotten when a server ends in the middle: the next start
 * goes on, and two servers at once do no harm.
 *
 * @module
 */
import { PlatformError } from "@fluxbase/contract";
import type { Log } from "../core/log.ts";
import type { Deployer } from "./deploy.ts";
import { inParallel } from "./in_parallel.ts";
import type { FunctionPlace, SharedModules } from "./shared_modules.ts";

export interface Rebuilder {
  /** Looks for stale functions, and builds them in the background. */
  start(): Promise<FunctionPlace[]>;
  /** Resolves when nothing is being built. */
  settle(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface RebuilderParts {
  readonly deployer: Deployer;
  readonly sharedModules: SharedModules;
  readonly log: Log;
}

const REBUILDS_AT_ONCE_COUNT = 4;
/** What could not be built again, because the database was away for example, is looked for again after this. */
const RETRY_MS = 5_000;

export function createRebuilder({ deployer, sharedModules, log }: RebuilderParts): Rebuilder {
  let running: Promise<void> = Promise.resolve();
  let isStopping = false;
  let retry: ReturnType<typeof setTimeout> | undefined;

  async function rebuild({ namespace, name }: FunctionPlace): Promise<void> {
    if (isStopping) return;
    try {
      const { problems, outcome } = await deployer.rebuild(namespace, name);
      if (problems.length === 0) log.info("Built again after a shared module changed", { namespace, name, outcome });
      else {log.warn("Does not build with the changed shared module", {
          namespace,
          name,
          problem: problems[0]?.message,
        });}
    } catch (error) {
      // Deleted meanwhile.
      if (error instanceof PlatformError && error.code === "FUNCTION_NOT_FOUND") return;
      log.warn("Cannot build a function again", { namespace, name, error });
      startLater();
    }
  }

  function startLater(): void {
    if (isStopping) return;
    clearTimeout(retry);
    retry = setTimeout(() => {
      void start().catch((error: unknown) => {
        log.warn("Cannot look for functions to build again", { error });
        startLater();
      });
    }, RETRY_MS);
  }

  async function start(): Promise<FunctionPlace[]> {
    const found = await sharedModules.stale();
    running = running.then(() => inParallel(found, REBUILDS_AT_ONCE_COUNT, rebuild)).then(() => {});
    return found;
  }

  return {
    start,
    settle: () => running,
    async [Symbol.asyncDispose]() {
      isStopping = true;
      clearTimeout(retry);
      await running;
    },
  };
}
