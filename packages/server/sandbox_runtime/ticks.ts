/**
 * What runs at the instants of schedules where a function has more for it than its handler: what was given to `Deno.cron`,
 * an exported object with a `schedule`, and `scheduled(controller, env, ctx)` of Workers.
 *
 * @module
 */
import type { TriggerFacts } from "./call.ts";
import type { HandlerContext } from "./globals.ts";
import { createWorkerEnv } from "./worker_env.ts";

/** Undefined: the handler gets a request, as for any call. */
export type TickHandler = (trigger: TriggerFacts, context: HandlerContext) => Promise<unknown> | undefined;

type Run = (...values: unknown[]) => unknown;

// Captured before user code runs.
const { apply, get, has } = Reflect;
const { hasOwn } = Object;

/** What was given to `Deno.cron`, by name. */
export class Jobs {
  readonly #byName = new Map<string, Run>();

  /** As `Deno.cron(name, schedule, handler)`, with options before or behind the handler. */
  add(values: readonly unknown[]): Promise<void> {
    const [name] = values;
    const run = values.slice(2).find(isFunction);
    if (typeof name !== "string" || run === undefined) {
      throw new TypeError('Cannot schedule: call Deno.cron("name", "0 9 * * *", handler)');
    }
    if (this.#byName.has(name)) throw new TypeError(`Cannot schedule "${name}" twice: each Deno.cron needs a name`);
    this.#byName.set(name, run);
    return Promise.resolve();
  }
  get size(): number {
    return this.#byName.size;
  }
  get(name: string): Run | undefined {
    return this.#byName.get(name);
  }
}

/** `exports`: undefined while the top level goes on. */
export function tickHandlerOf(exports: object | undefined, jobs: Jobs): TickHandler {
  return (trigger, context) => {
    const name = String(trigger["schedule"]);
    const job = jobs.get(name);
    if (job !== undefined) return done(() => job());
    const owner = ownerIn(exports ?? {}, name);
    if (owner === undefined) return undefined;
    const values = [controllerOf(trigger), createWorkerEnv(context), context];
    return done(() => apply(owner.run, owner.of, values));
  };
}

/** Whether something of it runs only at instants. */
export function hasTicks(exports: object | undefined, jobs: Jobs): boolean {
  const values = Object.values(exports ?? {});
  return jobs.size > 0 || values.some((value) => runOf(value) !== undefined);
}

function ownerIn(exports: object, name: string): { readonly of: object; readonly run: Run } | undefined {
  for (const key of [name, "default"]) {
    const value: unknown = hasOwn(exports, key) ? get(exports, key) : undefined;
    const run = runOf(value);
    if (run !== undefined) return { of: value as object, run };
  }
  return undefined;
}

function runOf(value: unknown): Run | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const scheduled = partOf(value, "scheduled");
  if (isFunction(scheduled)) return scheduled;
  if (typeof partOf(value, "schedule") !== "string") return undefined;
  return [partOf(value, "handler"), partOf(value, "run")].find(isFunction);
}

/** Routers answer to every name that is asked for with a method: only what is really there counts. */
function partOf(owner: object, name: string): unknown {
  return has(owner, name) ? get(owner, name) : undefined;
}

/** As Workers have it. Whether a tick is tried again is a setting of the function. */
function controllerOf(trigger: TriggerFacts): object {
  return {
    type: "scheduled",
    schedule: trigger["schedule"],
    cron: trigger["cron"] ?? "",
    scheduledTime: Date.parse(String(trigger["scheduled_at"])),
    noRetry() {},
  };
}

/** What it returns is no answer. */
async function done(run: () => unknown): Promise<undefined> {
  await run();
}

function isFunction(value: unknown): value is Run {
  return typeof value === "function";
}
