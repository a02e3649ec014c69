/**
 * The routes of the API, each with the parts that it needs.
 *
 * @module
 */
import { type Alerts, assertTarget } from "../alerts/alerts.ts";
import { absentRoutes } from "../api/absent_routes.ts";
import { alertRoutes } from "../api/alert_routes.ts";
import { createApi } from "../api/api.ts";
import { auditRoutes } from "../api/audit_routes.ts";
import { authRoutes } from "../api/auth_routes.ts";
import { backupRoutes } from "../api/backup_routes.ts";
import { customSettingRoutes } from "../api/custom_setting_routes.ts";
import { executionDetailRoutes } from "../api/execution_detail_routes.ts";
import { executionRoutes } from "../api/execution_routes.ts";
import { functionRoutes } from "../api/function_routes.ts";
import { gotrueRoutes } from "../api/gotrue_routes.ts";
import { hookRoutes } from "../api/hook_routes.ts";
import { createIdempotency } from "../api/idempotency.ts";
import { keyRoutes } from "../api/key_routes.ts";
import { languageRoutes } from "../api/language_routes.ts";
import { logLevelRoutes } from "../api/log_level_routes.ts";
import { metricsRoutes } from "../api/metrics_routes.ts";
import { namedSecretRoutes } from "../api/named_secret_routes.ts";
import { nodeRoutes } from "../api/node_routes.ts";
import { prometheusRoutes } from "../api/prometheus_routes.ts";
import { scheduleRoutes } from "../api/schedule_routes.ts";
import { secretRoutes } from "../api/secret_routes.ts";
import { sharedModuleRoutes } from "../api/shared_module_routes.ts";
import { syncRoutes } from "../api/sync_routes.ts";
import { systemRoutes } from "../api/system_routes.ts";
import { tableRoutes } from "../api/table_routes.ts";
import { taskRoutes } from "../api/task_routes.ts";
import { userRoutes } from "../api/user_routes.ts";
import type { Accounts } from "../auth/accounts.ts";
import { PLATFORM } from "../auth/caller.ts";
import type { Catalog } from "../catalog/catalog.ts";
import { isSibling } from "../config/process_share.ts";
import type { ExecutionLog } from "../executions/execution_log.ts";
import { createLogTail } from "../executions/log_tail.ts";
import type { SecretStore } from "../secrets/secret_store.ts";
import { RELEASE } from "../storage/release.ts";
import { taskCallerOf } from "../tasks/attempt.ts";
import type { Base } from "./base.ts";
import type { Builds } from "./builds.ts";
import type { Callers } from "./callers.ts";
import type { DataPlane } from "./data_plane.ts";
import type { Databases } from "./databases.ts";
import type { Deployments } from "./deployments.ts";
import type { Duties } from "./duties.ts";
import { folderOfAnother, noFunctionsDir } from "./functions_folder.ts";
import { dashboardUrlOf, docsUrlOf } from "./page_addresses.ts";
import { readinessOf } from "./readiness.ts";
import type { RootSecrets } from "./root_secrets.ts";
import type { Sandboxes } from "./sandboxes.ts";
import type { Triggers } from "./triggers.ts";

interface Needs {
  readonly catalog: Catalog;
  readonly executions: ExecutionLog;
  readonly secrets: SecretStore;
  readonly accounts: Accounts;
  readonly alerts: Alerts;
  readonly metricParts: Parameters<typeof prometheusRoutes>[0];
  /** The server has been told to stop. */
  isLeaving(): boolean;
}

type Parts =
  & Needs
  & Databases
  & RootSecrets
  & Callers
  & Builds
  & Sandboxes
  & DataPlane
  & Triggers
  & Duties
  & Deployments;

export async function createControlPlane({ config, log, clock, place, stopping, parts }: Base, given: Parts) {
  const { limits } = config;
  const { db, database, listener, audit, usersDatabase, keyRing, catalog, executions, metricParts, isLeaving } = given;
  const { authenticator, keys, secrets, accounts, accountRules, attempts, signingKeys } = given;
  const { sandboxes, fences, rateLimiter, callerLimits, invokeParts, tasks, alerts, dbHooks, accountEvents } = given;
  const { language, bundler, sharedModules, deployer, rebuilder, folder, loader, folderLease, nodes, backups } = given;
  return createApi({
    idempotency: createIdempotency({ db, cipher: keyRing.server }),
    authenticator,
    audit,
    callerLimits,
    log,
    place,
    cors: config.cors,
    version: RELEASE.version,
    bodyLimits: { maxBytes: limits.controlBodyBytes, deadlineMs: limits.controlBodyMs },
    functionsEnabled: config.functionsEnabled,
    routes: [
      ...systemRoutes({
        settings: config.settings,
        version: RELEASE.version,
        limits,
        addresses: () => ({
          base: place.baseUrl,
          docs: docsUrlOf(place.baseUrl, config),
          dashboard: config.dashboard.host === null ? dashboardUrlOf(place.baseUrl, config.dashboard) : null,
        }),
        readiness: async () => ({
          ...await readinessOf({
            database,
            usersDatabase,
            sandboxes,
            fences,
            rateLimiter,
            isStrict: config.readyRequiresDatabase,
          }),
          ...(isLeaving() ? { isReady: false } : {}),
        }),
      }),
      ...languageRoutes({ language, bundler, sharedModules }),
      ...keyRoutes({ db, keys }),
      ...auditRoutes({ db, audit }),
      ...taskRoutes({ db, catalog, announce: tasks.announce }),
      ...scheduleRoutes({
        db,
        catalog,
        place,
        caller: taskCallerOf(PLATFORM),
        isFull: tasks.isFull,
        announce: tasks.announce,
      }),
      ...hookRoutes({ db, catalog, dbHooks, accountEvents }),
      ...secretRoutes({ db, secrets }),
      ...namedSecretRoutes({ db, secrets }),
      ...customSettingRoutes({ db }),
      ...tableRoutes(usersDatabase),
      ...authRoutes({ accounts, rateLimiter, attempts }),
      ...userRoutes({ accounts }),
      ...gotrueRoutes({
        accounts,
        rateLimiter,
        attempts,
        signUpEnabled: accountRules.signUpEnabled,
        version: RELEASE.version,
        keys: signingKeys.publicSet,
      }),
      ...absentRoutes(),
      ...executionRoutes({
        db,
        catalog,
        executions,
        tail: parts.use(
          createLogTail({ db, clock, log, node: log.node, followersMaxCount: limits.logFollowersCount }),
        ),
        stopping: stopping.signal,
      }),
      ...alertRoutes({ db, alerts, assertTarget: (target) => assertTarget(catalog, target) }),
      ...executionDetailRoutes({
        db,
        catalog,
        captures: invokeParts.captures,
        executions,
        place,
        invokeParts,
        stopping: stopping.signal,
      }),
      ...await logLevelRoutes({ db, listener, log }),
      ...prometheusRoutes(metricParts),
      ...nodeRoutes(nodes),
      ...backupRoutes(backups),
      ...metricsRoutes({ db, catalog, executions }),
      ...sharedModuleRoutes({
        sharedModules,
        rebuilder,
        saving: folder?.savingModule ?? ((_, save) => save()),
      }),
      ...syncRoutes({
        db,
        deployer,
        saving: folder?.savingFunction ?? ((_, save) => save()),
        reload: ({ dryRun, createdBy }) => {
          if (loader === undefined) throw noFunctionsDir();
          if (folderLease?.isOurs === false && !(config.process && isSibling(config.process, folderLease.holder))) {
            throw folderOfAnother(folderLease.holder);
          }
          return loader.load({ deletes: "missing", dryRun, createdBy });
        },
      }),
      ...functionRoutes({
        db,
        deployer,
        saving: folder?.savingFunction ?? ((_, save) => save()),
      }),
    ],
  });
}
