/**
 * Sandboxes, and what each of them is given.
 *
 * @module
 */
import { DATABASE_HOST } from "../../sandbox_runtime/database.ts";
import { hookSecretOf } from "../auth/hook_secret.ts";
import type { Catalog } from "../catalog/catalog.ts";
import type { ExecutionLog } from "../executions/execution_log.ts";
import { maskedLine } from "../invoke/recording.ts";
import { createVersionSource } from "../invoke/version_source.ts";
import { ownConnection } from "../ratelimit/client_address.ts";
import { startEgress } from "../sandbox/egress.ts";
import { startSandboxPool } from "../sandbox/sandbox_pool.ts";
import { createUidRange } from "../sandbox/sandbox_process.ts";
import { startSandboxSpawners } from "../sandbox/sandbox_spawners.ts";
import type { EnvStore } from "../secrets/env_store.ts";
import type { SecretStore } from "../secrets/secret_store.ts";
import type { Telemetry } from "../telemetry/telemetry.ts";
import type { Base } from "./base.ts";
import type { Builds } from "./builds.ts";
import type { Callers } from "./callers.ts";
import { keepSandboxesCurrent } from "./current_sandboxes.ts";
import type { Databases } from "./databases.ts";
import { checkFences } from "./fences.ts";
import type { RootSecrets } from "./root_secrets.ts";

export type Sandboxes = Awaited<ReturnType<typeof startSandboxes>>;

interface Needs {
  readonly catalog: Catalog;
  readonly executions: ExecutionLog;
  readonly telemetry: Telemetry | null;
  readonly secrets: SecretStore;
  readonly envStore: EnvStore;
}

export async function startSandboxes(
  { config, log, clock, place, parts }: Base,
  { uids, runDir, runtime, usersDatabase, jwtSecret, tokens, catalog, executions, telemetry, secrets, envStore }:
    & Needs
    & Builds
    & Databases
    & RootSecrets
    & Callers,
) {
  const { limits } = config;
  const direct = usersDatabase?.direct ?? null;
  const spawners = parts.use(await startSandboxSpawners(runtime, { pagesDir: runDir.pages, log, now: clock.nowMs }));
  const egress = parts.use(await startEgress(config.egressAllow, log));
  const sandboxes = parts.use(startSandboxPool({
    clock,
    log,
    limits,
    ownOrigins: () => place.origins,
    traceHosts: config.traceHosts,
    answerOwnCall: (request, from) =>
      direct !== null && new URL(request.url).hostname === DATABASE_HOST
        ? direct.tunnel.open(request, {
          functionId: from.functionId,
          namespace: catalog.findById(from.functionId)?.namespace,
        })
        : place.handle(request, ownConnection(from)),
    onLine: (to, given) => {
      const { functionId, functionName, namespace, version } = to;
      const line = { functionId, ...given, ...maskedLine(given, to.hidden()) };
      executions.recordLine(line);
      telemetry?.line({ ...line, functionName, namespace, version });
    },
    onUsage: ({ functionId, version }, usage) =>
      executions.used({ functionId, version, atMs: clock.epochMs(), ...usage }),
    process: {
      runDir: runDir.sandboxes,
      spawners,
      denyNet: egress.denyNet,
      uids: uids === null ? null : createUidRange({ base: uids.first + 1, count: uids.count - 1 }),
    },
  }));
  const fences = await checkFences(sandboxes, config, log);
  const versions = createVersionSource({
    catalog,
    clock,
    envStore,
    secrets,
    tokens,
    serverEnv: config.functionEnv,
    place,
    sandboxLifeMs: limits.sandboxLifeMs,
    hookSecretOf: (functionId) => hookSecretOf(jwtSecret, functionId),
    databaseUrl: direct === null ? null : (namespace) => direct.urlFor(namespace, DATABASE_HOST),
  });
  keepSandboxesCurrent({ catalog, secrets, sandboxes, versions, prewarm: config.prewarm });
  return { egress, sandboxes, fences, versions };
}
