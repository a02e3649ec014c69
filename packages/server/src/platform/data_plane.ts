/**
 * Calls of functions: the gateway, and the queue of those that are answered later.
 *
 * @module
 */
import { PLATFORM } from "../auth/caller.ts";
import type { Catalog } from "../catalog/catalog.ts";
import { createCaptures } from "../executions/captures.ts";
import type { ExecutionLog } from "../executions/execution_log.ts";
import { createGateway } from "../gateway/gateway.ts";
import type { TaskRequest } from "../invoke/async_call.ts";
import { createClientAddresses } from "../ratelimit/client_address.ts";
import { startTicker } from "../schedules/ticker.ts";
import type { SecretStore } from "../secrets/secret_store.ts";
import { taskCallerOf } from "../tasks/attempt.ts";
import { startTasks, type Tasks } from "../tasks/tasks.ts";
import type { Telemetry } from "../telemetry/telemetry.ts";
import { createWebhooks } from "../webhooks/webhooks.ts";
import type { Base } from "./base.ts";
import type { Callers } from "./callers.ts";
import type { Databases } from "./databases.ts";
import { notYet } from "./place.ts";
import { startRateLimits } from "./rate_limits.ts";
import type { RootSecrets } from "./root_secrets.ts";
import type { Sandboxes } from "./sandboxes.ts";

const MIB = 1024 * 1024;

export type DataPlane = Awaited<ReturnType<typeof startDataPlane>>;

interface Needs {
  readonly catalog: Catalog;
  readonly executions: ExecutionLog;
  readonly telemetry: Telemetry | null;
  readonly secrets: SecretStore;
}

export async function startDataPlane(
  { config, log, clock, place, stopping, parts }: Base,
  { db, listener, audit, keyRing, authenticator, sandboxes, versions, catalog, executions, telemetry, secrets }:
    & Needs
    & Databases
    & RootSecrets
    & Callers
    & Sandboxes,
) {
  const { limits } = config;
  const { rateLimiter, callerLimits } = startRateLimits(config, { db, clock, log, parts });
  const clientAddresses = createClientAddresses(config.trustedProxies);
  // Calls that are answered later go to tasks, and tasks are calls.
  const queue = { tasks: undefined as Tasks | undefined };
  const invokeParts = {
    place,
    tasks: {
      enqueue: (task: TaskRequest) => queue.tasks?.enqueue(task) ?? notYet(),
      announce: () => queue.tasks?.announce(),
    },
    audit,
    clock,
    log,
    catalog,
    authenticator,
    sandboxes,
    secrets,
    versions,
    executions,
    captures: parts.use(createCaptures({
      db,
      clock,
      log,
      cipher: keyRing.server,
      retentionDays: config.executions.retentionDays,
      maxBytes: limits.capturesMiB * MIB,
    })),
    // Whoever develops wants to run again what failed.
    capture: config.development ? "errors" as const : "none" as const,
    rateLimiter,
    callerLimits,
    telemetry,
    webhooks: createWebhooks({ db, clock, log, bodyMaxBytes: limits.webhookBodyBytes }),
    clientAddresses,
    requestBodyMaxBytes: limits.requestBodyBytes,
  };
  const tasks = queue.tasks = parts.use(
    await startTasks({
      db,
      listener,
      catalog,
      clock,
      log,
      place,
      invokeParts,
      limits,
      stopping: stopping.signal,
    }),
  );
  parts.use(
    await startTicker({
      db,
      listener,
      log,
      caller: taskCallerOf(PLATFORM),
      isFull: tasks.isFull,
      announce: tasks.announce,
      stopping: stopping.signal,
    }),
  );
  const gateway = parts.use(createGateway(
    invokeParts,
    {
      place,
      cors: config.cors,
      functionsEnabled: config.functionsEnabled,
      isolated: config.dashboard,
      development: config.development,
    },
  ));
  return { rateLimiter, callerLimits, clientAddresses, invokeParts, tasks, gateway };
}
