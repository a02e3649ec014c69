/**
 * Builds every part of the platform, starts them in order, stops them in reverse.
 *
 * @module
 */
import { basename, join, resolve } from "node:path";
import { type NodeLoad, PlatformError } from "@fluxbase/contract";
import { assertTarget, startAlerts } from "./alerts/alerts.ts";
import { absentRoutes } from "./api/absent_routes.ts";
import { alertRoutes } from "./api/alert_routes.ts";
import { createApi } from "./api/api.ts";
import { auditRoutes } from "./api/audit_routes.ts";
import { backupRoutes } from "./api/backup_routes.ts";
import { authRoutes } from "./api/auth_routes.ts";
import { customSettingRoutes } from "./api/custom_setting_routes.ts";
import { executionDetailRoutes } from "./api/execution_detail_routes.ts";
import { executionRoutes } from "./api/execution_routes.ts";
import { functionRoutes } from "./api/function_routes.ts";
import { hookRoutes } from "./api/hook_routes.ts";
import { gotrueRoutes } from "./api/gotrue_routes.ts";
import { createIdempotency } from "./api/idempotency.ts";
import { languageRoutes } from "./api/language_routes.ts";
import { keyRoutes } from "./api/key_routes.ts";
import { logLevelRoutes } from "./api/log_level_routes.ts";
import { metricsRoutes } from "./api/metrics_routes.ts";
import { metricsFor, prometheusRoutes } from "./api/prometheus_routes.ts";
import { nodeRoutes } from "./api/node_routes.ts";
import { namedSecretRoutes } from "./api/named_secret_routes.ts";
import { serverMetrics } from "./api/server_metrics.ts";
import { scheduleRoutes } from "./api/schedule_routes.ts";
import { secretRoutes } from "./api/secret_routes.ts";
import { sharedModuleRoutes } from "./api/shared_module_routes.ts";
import { syncRoutes } from "./api/sync_routes.ts";
import { userRoutes } from "./api/user_routes.ts";
import { tableRoutes } from "./api/table_routes.ts";
import { taskRoutes } from "./api/task_routes.ts";
import { type Readiness, systemRoutes } from "./api/system_routes.ts";
import { startAuditLog } from "./audit/audit_log.ts";
import { createAccounts, setupTokenOf } from "./auth/accounts.ts";
import { createSignInLink } from "./auth/sign_in_link.ts";
import { PLATFORM } from "./auth/caller.ts";
import { createAuthenticator } from "./auth/authenticator.ts";
import { watchFunctionKeys } from "./auth/function_keys.ts";
import { startEndedSessions } from "./auth/ended_sessions.ts";
import { startIssuer } from "./auth/issuers.ts";
import { hookSecretOf } from "./auth/hook_secret.ts";
import { createPasswords } from "./auth/passwords.ts";
import { readSigningKeys } from "./auth/signing_keys.ts";
import { generateKey, hashKey, keyPrefixOf, startKeyStore } from "./auth/keys.ts";
import { createTokens, type Tokens } from "./auth/tokens.ts";
import { fillDirectory } from "./auth/user_directory.ts";
import { countBuilds } from "./bundler/counted_builds.ts";
import { type Backups, startBackupSchedule } from "./backup/schedule.ts";
import { startBundler } from "./bundler/bundler.ts";
import {
  type Catalog,
  type CatalogChange,
  type LiveFunction,
  servedVersions,
  startCatalog,
} from "./catalog/catalog.ts";
import type { Config } from "./config/config.ts";
import { isSibling } from "./config/process_share.ts";
import { type LocalSecrets, readLocalSecrets } from "./config/local_secrets.ts";
import { delay, systemClock, withDeadline } from "./core/clock.ts";
import { createDeadlines } from "./core/deadlines.ts";
import { watchEventLoop } from "./core/event_loop_lag.ts";
import { InvariantError } from "./core/invariant.ts";
import type { AdjustableLog, Log } from "./core/log.ts";
import { Secret } from "./core/secret.ts";
import { createDashboard } from "./dashboard/dashboard.ts";
import { createDocs, DOCS_PATH } from "./docs/docs.ts";
import { createDeployer } from "./deploy/deploy.ts";
import { createRebuilder } from "./deploy/rebuild.ts";
import { createSharedModules } from "./deploy/shared_modules.ts";
import { startExecutionLog } from "./executions/execution_log.ts";
import { createCaptures } from "./executions/captures.ts";
import { createLogTail } from "./executions/log_tail.ts";
import { echoToServerLog } from "./executions/echo_to_server_log.ts";
import { createFunctionsFolder } from "./files/folder.ts";
import { createLoader, type Loader } from "./files/load.ts";
import { keepFolder } from "./files/owner.ts";
import { watchFunctionsDir } from "./files/watch.ts";
import { createBusyConnections, createSeenRequests, watchOwnConnections } from "./gateway/connection_watch.ts";
import { createGateway } from "./gateway/gateway.ts";
import { cannotListen, type HttpServer, type RequestHandler, startHttpServer } from "./gateway/http_server.ts";
import { startAccountEvents } from "./hooks/account_events.ts";
import { createAuthHooks } from "./hooks/auth_hooks.ts";
import { type DbHooks, startDbHooks } from "./hooks/db_hooks.ts";
import { startRowEvents } from "./hooks/row_events.ts";
import type { TaskRequest } from "./invoke/async_call.ts";
import type { InvokeParts } from "./invoke/invoke.ts";
import { maskedLine } from "./invoke/recording.ts";
import { startLanguageService } from "./language/language_service.ts";
import { createVersionSource, type VersionSource } from "./invoke/version_source.ts";
import { DATABASE_HOST } from "../sandbox_runtime/database.ts";
import { type Fence, FENCES } from "../sandbox_runtime/harden.ts";
import { startNodes } from "./nodes/nodes.ts";
import { createCallerLimits } from "./ratelimit/caller_limits.ts";
import { clientOf, createClientAddresses, ownConnection } from "./ratelimit/client_address.ts";
import { startPostgresCounters } from "./ratelimit/postgres_counters.ts";
import { type Counters, createRateLimiter, type RateLimiter } from "./ratelimit/rate_limiter.ts";
import { startRedisCounters } from "./ratelimit/redis_counters.ts";
import { startEgress } from "./sandbox/egress.ts";
import { provideRuntimeFiles } from "./processes/runtime_files.ts";
import { makeRunDir } from "./sandbox/run_dir.ts";
import { startTicker } from "./schedules/ticker.ts";
import { startSandboxSpawners } from "./sandbox/sandbox_spawners.ts";
import { type SandboxPool, startSandboxPool } from "./sandbox/sandbox_pool.ts";
import { createUidRange } from "./sandbox/sandbox_process.ts";
import { createEnvStore } from "./secrets/env_store.ts";
import { createKeyRing } from "./secrets/key_ring.ts";
import { rolePassword } from "./secrets/role_passwords.ts";
import { rotateEncryption } from "./secrets/rotation.ts";
import { startSecretStore } from "./secrets/secret_store.ts";
import { connectDatabase, type Database, DIRECT_URL_ADVICE, pingDatabase } from "./storage/db.ts";
import { findRunningPostgres, startEmbeddedPostgres } from "./storage/embedded/embedded_postgres.ts";
import { chooseHome } from "./storage/embedded/run_as.ts";
import { hasCapabilities, mayBecome, readStanding } from "./storage/embedded/user_ids.ts";
import { insertKey } from "./storage/keys.ts";
import { type Listener, startListener } from "./storage/listener.ts";
import { migrate } from "./storage/migrate.ts";
import { RELEASE } from "./storage/release.ts";
import { startPurging } from "./storage/purge.ts";
import { StartError } from "./storage/start_error.ts";
import { listScheduleLags } from "./storage/schedules.ts";
import { countTasks } from "./storage/tasks.ts";
import { taskCallerOf } from "./tasks/attempt.ts";
import { startTasks, type Tasks } from "./tasks/tasks.ts";
import type { MetricFamily } from "./telemetry/metric_family.ts";
import { startTelemetry } from "./telemetry/telemetry.ts";
import { createWebhooks } from "./webhooks/webhooks.ts";
import { findUsersDatabase, startUsersDatabase, type UsersDatabase } from "./tables/users_database.ts";

export interface Platform {
  readonly url: string;
  readonly dataDir: string;
  /** For the owner of this machine; null with an external database, whose keys are made elsewhere. */
  readonly localKeys: LocalKeys | null;
  /** For the owner of this machine, while there is no admin. */
  readonly setupToken: Secret | null;
  /** For the owner of this machine, of a link that signs an admin in once; null with an external database. */
  makeSignInToken(): Secret | null;
  /** Null where it is switched off. */
  readonly dashboardUrl: string | null;
  readonly docsUrl: string | null;
  /** Resolves when a part without which nothing works is gone for good. */
  readonly failed: Promise<StartError>;
  /** Says to whoever asks that it is about to stop, and serves on for so long: a proxy sends its requests elsewhere. */
  leave(ms: number): Promise<void>;
  /** Stops taking requests, finishes those under way within the limit, then stops every part. */
  [Symbol.asyncDispose](): Promise<void>;
}

export interface LocalKeys {
  readonly anonKey: string;
  readonly serviceRoleKey: string;
  readonly clientKey: string;
}

const LOCAL_KEY_SCOPES = ["functions:*"];
const ROLE_KEY_VALID_SEC = 10 * 365 * 86_400;
const READY_PING_MS = 2_000;
const DEFAULT_FUNCTIONS_DIR = "functions";
const MIB = 1024 * 1024;
const BOOT_LOAD_MS = 2_000;

/** @throws {StartError} with a sentence for the operator */
export async function startPlatform(config: Config, log: AdjustableLog): Promise<Platform> {
  const clock = systemClock;
  const { limits } = config;
  await using parts = new AsyncDisposableStack();
  const dataDir = resolve(config.dataDir);
  await makeDataDir(dataDir);

  const local = config.database.kind === "embedded"
    ? await readLocalSecrets(dataDir, () => generateKey("client"))
    : undefined;
  const jwtSecret = chosen(config.jwtSecret, local?.jwtSecret);
  const encryptionKey = chosen(config.encryptionKey, local?.encryptionKey);
  const keyRing = await createKeyRing(encryptionKey, [
    ...config.encryptionPreviousKeys,
    ...(local === undefined ? [] : [local.encryptionKey]),
  ]);
  const envStore = createEnvStore(keyRing.server);
  const isEmbedded = config.database.kind === "embedded";
  const embedded = !isEmbedded || config.process !== null ? undefined : parts.use(
    await startEmbeddedPostgres({
      dataDir,
      log,
      sessionMemoryMiB: limits.sessionMemoryMiB,
      ...embeddedPort(config),
    }),
  );
  const databaseUrl = config.database.kind === "external"
    ? config.database.url
    : embedded?.url ?? await parentsPostgres(dataDir);
  const directUrl = config.databaseDirectUrl ?? databaseUrl;
  const usersUrl = await findUsersDatabase({
    platformUrl: directUrl,
    givenUrl: config.appDatabaseUrl,
    isShared: config.databaseShared,
    isEmbedded,
    schemas: config.databaseSchemas,
    log,
  });
  const database = parts.use(
    await connectDatabase({
      url: databaseUrl,
      maxConnectionsCount: config.databaseMaxConnections,
      log,
      slowStatementMs: config.log.slowStatementMs,
      isPooled: config.databaseDirectUrl !== null,
    }),
  );
  const { db } = database;
  await migrate(db, log);
  await rotateEncryption({ db, keyRing, log });
  const audit = parts.use(startAuditLog({ db, clock, log }));
  const listener = parts.use(
    await startListener({ url: directUrl, log, advice: DIRECT_URL_ADVICE, onSilence: database.doubt }),
  );
  const usersDatabase = usersUrl === undefined ? undefined : await startUsersDatabase({
    url: usersUrl,
    platform: database,
    listener,
    isShared: config.databaseShared,
    schemas: config.databaseSchemas,
    tableConnections: config.databaseTableConnections,
    passwordOf: (trx, name) => rolePassword(trx, name, keyRing),
    onRepair: (role, reason) => audit.noteRepair({ target: role, reason }),
    limits,
    clock,
    log,
  });
  if (usersDatabase !== undefined) parts.use(usersDatabase);
  const direct = usersDatabase?.direct ?? null;
  const catalog = await startCatalog({ db, listener });
  const { issuer } = config.auth;
  const signingKeys = await readSigningKeys(config.signingKeys, jwtSecret);
  const tokens = createTokens(jwtSecret, {
    signingKeys,
    issuer: issuer === null ? undefined : parts.use(startIssuer(issuer, { clock, log })),
    functionKeys: parts.use(watchFunctionKeys(catalog, clock)),
    clockSkewSec: config.auth.clockSkewSec,
  });
  const localKeys = local === undefined ? null : await seedLocalKeys(local, { db, tokens });
  const keys = parts.use(await startKeyStore({ db, listener, log, clock }));
  const secrets = parts.use(await startSecretStore({ db, listener, log, keyRing, clock }));
  const { attempts, issuer: _issuer, clockSkewSec: _skew, ...accountRules } = config.auth;
  const endedSessions = await startEndedSessions({ db, listener, accessTokenSec: accountRules.accessTokenSec });
  const setupToken = accountRules.setupToken ?? (local === undefined ? null : new Secret(setupTokenOf(jwtSecret)));
  const authenticator = createAuthenticator({
    tokens,
    keys,
    endedSessions,
    clock,
    metricsToken: config.metricsToken,
  });
  const executionLog = parts.use(
    await startExecutionLog({
      db,
      clock,
      log,
      spoolDir: join(dataDir, "executions"),
      node: log.node,
      ...config.executions,
    }),
  );
  const executions = config.development
    ? echoToServerLog(executionLog, log, (id) => pathOfFunction(catalog.findById(id)))
    : executionLog;
  // Most parts that have numbers are still to be made.
  const numbers = { read: (): Promise<readonly MetricFamily[]> => Promise.resolve([]) };
  const metricParts = { catalog, executions, version: RELEASE.version, server: () => numbers.read() };
  const telemetry = await startTelemetry(config.telemetry, {
    log,
    node: log.node,
    version: RELEASE.version,
    metrics: () => metricsFor(PLATFORM, metricParts),
  });
  if (telemetry !== null) parts.use(telemetry);

  const uids = chooseUids(config);
  const functionsDir = await findFunctionsDir(config);
  const buildsUid = uids?.first ?? null;
  const runDir = parts.use(await makeRunDir());
  const runtime = await provideRuntimeFiles(runDir.runtime, { uid: buildsUid });
  // What builds never has the server's rights: it has to reach the source by its own.
  const workDir = join(await chooseHome(dataDir, { uid: buildsUid, gid: buildsUid }), ownName("builds", config));
  const building = await startBundler({
    now: clock.nowMs,
    uid: buildsUid,
    runtime,
    workDir,
    bundleMaxBytes: limits.bundleBytes,
    bundlingMs: limits.bundlingMs,
    importHosts: config.importHosts,
    importMirrors: config.importMirrors,
    networkEnv: config.networkEnv,
    npmrc: await readNpmrc(config, functionsDir),
  });
  const bundler = parts.use(countBuilds(building, clock.nowMs));
  const language = parts.use(
    await startLanguageService({ uid: buildsUid, runtime, workDir, log, limits, now: clock.nowMs }),
  );
  const spawners = parts.use(await startSandboxSpawners(runtime, { pagesDir: runDir.pages, log, now: clock.nowMs }));
  const egress = parts.use(await startEgress(config.egressAllow, log));
  // The port is known only after the server listens, and no request is handled before that.
  let isLeaving = false;
  const place: Place = { baseUrl: config.baseUrl ?? "", origins: [], handle: () => notYet() };
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
  secrets.onSystemChange((isChanged) => {
    const concerned = catalog.all().filter(({ namespace }) => isChanged(namespace));
    const served = concerned.flatMap(servedVersions);
    const before = served.map(versions.keyOf);
    versions.renew(served);
    for (const key of before) sandboxes.retire(key);
  });
  catalog.subscribe((change) => followChange(change, { sandboxes, versions, prewarm: config.prewarm }));
  const store = startCounterStore(config, db, log);
  if (store !== undefined) parts.use(store);
  const rateLimiter = createRateLimiter({
    clock,
    log,
    ...(store === undefined ? {} : { shared: { store, deadlines: parts.use(createDeadlines(clock)) } }),
  });
  const callerLimits = createCallerLimits({
    rateLimiter,
    callerPerMinute: config.callerRateLimit,
    failuresPerMinute: config.failuresRateLimit,
  });
  const lag = parts.use(watchEventLoop(clock.nowMs));
  const stopping = new AbortController();
  const clientAddresses = createClientAddresses(config.trustedProxies);
  // Calls that are answered later go to tasks, and tasks are calls.
  const queue = { tasks: undefined as Tasks | undefined };
  const gatewayParts = {
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
      invokeParts: gatewayParts,
      limits,
      stopping: stopping.signal,
    }),
  );
  numbers.read = () =>
    serverMetrics({
      catalog,
      sandboxes,
      executions,
      audit,
      builds: bundler,
      database,
      lag,
      tasks,
      countTasks: () => countTasks(db),
      scheduleLags: () => listScheduleLags(db),
    });
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
    gatewayParts,
    {
      place,
      cors: config.cors,
      functionsEnabled: config.functionsEnabled,
      isolated: config.dashboard,
      development: config.development,
    },
  ));
  const signInLink = createSignInLink(clock.epochMs);
  const accounts = createAccounts({
    signInLink,
    ...accountRules,
    db,
    tokens,
    endedSessions,
    setupToken,
    directory: usersDatabase?.users,
    hooks: createAuthHooks({
      db,
      catalog,
      clock,
      log,
      place,
      secretOf: ({ id }) => hookSecretOf(jwtSecret, id),
      invokeParts: gatewayParts,
    }),
    passwords: createPasswords(),
    nowMs: () => clock.epochMs(),
  });
  const told = parts.use(
    await startRowEvents({
      users: { db, listener },
      catalog,
      log,
      place,
      invokeParts: gatewayParts,
      stopping: stopping.signal,
    }),
  );
  const accountEvents = parts.use(await startAccountEvents({ db, catalog, log, onSources: told.follow }));
  const dbHooks = usersDatabase === undefined
    ? undefined
    : await startHooksOfTables(usersDatabase, { db, listener, catalog, log, place, gatewayParts, stopping, parts });
  const sharedModules = createSharedModules({ db });
  const deployer = createDeployer({ db, catalog, bundler, envStore, sharedModules, limits });
  const rebuilder = parts.use(createRebuilder({ deployer, sharedModules, log }));
  const nodes = parts.use(
    await startNodes({
      db,
      clock,
      log,
      version: RELEASE.version,
      place: ownName(`${Deno.hostname()}:${dataDir}`, config),
      load: () => loadOf(sandboxes),
    }),
  );
  const retention = await nodes.lease("retention");
  let backups: Backups | null = null;
  if (config.backup !== null) {
    const lease = await nodes.lease("backup");
    backups = parts.use(startBackupSchedule({
      ...config.backup,
      databases: { platform: directUrl, users: config.databaseShared ? null : usersUrl ?? null },
      keyIds: keyRing.ids,
      isOurs: () => lease.isOurs,
      log,
      epochMs: clock.epochMs,
    }));
  }
  parts.use(
    startPurging({ db, log, auditLogDays: config.auditLogDays, tasks: config.tasks, isOurs: () => retention.isOurs }),
  );
  const folder = functionsDir === null ? undefined : createFunctionsFolder({ dir: functionsDir, db, deployer, log });
  const loader = functionsDir === null || folder === undefined
    ? undefined
    : parts.use(createLoader({ audit, dir: functionsDir, db, folder, deployer, sharedModules, rebuilder, clock, log }));
  const alerts = parts.use(startAlerts({
    db,
    log,
    catalog,
    cipher: keyRing.server,
    tasks,
    isDenied: egress.isDenied,
    stopping: stopping.signal,
  }));
  const api = createApi({
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
          ...(isLeaving ? { isReady: false } : {}),
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
        captures: gatewayParts.captures,
        executions,
        place,
        invokeParts: gatewayParts,
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

  const managing = createBusyConnections();
  const dashboard = createDashboard({ ...config.dashboard, place, development: config.development });
  const docs = createDocs({ enabled: config.docsEnabled, development: config.development });
  place.handle = (request, connection) =>
    gateway.handle(request, connection) ??
      dashboard.handle(request) ??
      docs.handle(request) ??
      managing.during(connection, () =>
        api.handle(request, {
          address: clientOf(clientAddresses, connection, request.headers),
          hold: () => managing.hold(connection),
        }));
  const folderLease = functionsDir === null ? undefined : await nodes.lease("functions folder");
  if (loader !== undefined && functionsDir !== null && folderLease !== undefined) {
    parts.use(
      await keepFolder({
        lease: folderLease,
        dir: functionsDir,
        log,
        load: () => config.autoLoadOnBoot ? loadOnBoot(loader, log) : Promise.resolve(),
        watch: () => config.watch ? watchFunctionsDir(functionsDir, { loader, log }) : undefined,
      }),
    );
  }
  // What a server left behind that ended in the middle of it.
  await rebuilder.start();
  const requests = createSeenRequests();
  const server = listen(config, log, (request, connection) => {
    requests.note(connection);
    const answer = place.handle(request, connection);
    return isLeaving ? lastOfItsConnection(answer) : answer;
  });
  const { port } = server;
  parts.use(watchOwnConnections({
    port,
    limits,
    log,
    now: clock.nowMs,
    requests,
    *busyPeers() {
      yield* managing.peers();
      for (const { client, isEndless } of sandboxes.clients()) yield { peer: client.peer(), isEndless };
    },
    clientAddresses,
  }));
  place.baseUrl ||= `http://localhost:${port}`;
  place.origins = [new URL(place.baseUrl).origin, `http://localhost:${port}`, `http://127.0.0.1:${port}`];
  const filling = usersDatabase?.users === undefined
    ? undefined
    : fillDirectory({ db, directory: usersDatabase.users, log, signal: stopping.signal });
  const started = parts.move();
  return {
    url: place.baseUrl,
    dataDir,
    localKeys,
    setupToken: local === undefined || await accounts.hasAdmin() ? null : setupToken,
    // Another process would not know it.
    makeSignInToken: () => local === undefined || config.process !== null ? null : signInLink.make(),
    dashboardUrl: dashboardUrlOf(place.baseUrl, config.dashboard),
    docsUrl: docsUrlOf(place.baseUrl, config),
    failed: embedded?.gaveUp ?? new Promise(() => {}),
    async leave(ms) {
      isLeaving = true;
      await delay(ms);
    },
    async [Symbol.asyncDispose]() {
      const deadlineMs = clock.nowMs() + limits.drainMs;
      isLeaving = true;
      stopping.abort();
      await server.stop(limits.drainMs);
      await filling;
      await tasks.finish(deadlineMs);
      await sandboxes.settle(deadlineMs);
      await executions.flush();
      await started.disposeAsync();
    },
  };
}

function docsUrlOf(baseUrl: string, { docsEnabled }: Config): string | null {
  return docsEnabled ? baseUrl + DOCS_PATH : null;
}

function dashboardUrlOf(baseUrl: string, { enabled, path, host }: Config["dashboard"]): string | null {
  if (!enabled) return null;
  const url = new URL(baseUrl + path);
  if (host !== null) url.hostname = host;
  return url.href;
}

function loadOf(sandboxes: SandboxPool): NodeLoad {
  const { sandboxCount, busyCount, waitingCount, memoryMiB } = sandboxes.stats();
  return {
    sandboxes: sandboxCount,
    busy: busyCount,
    waiting: waitingCount,
    memory_mb: Math.round(memoryMiB),
    machine_load: Number((Deno.loadavg()[0] ?? 0).toFixed(2)),
  };
}

/** Each process of a machine has a folder and a place of its own; the first those of a server that is alone. */
function ownName(name: string, { process }: Config): string {
  return process === null || process.number === 1 ? name : `${name}-${process.number}`;
}

function embeddedPort({ database }: Config): { readonly port?: number } {
  return database.kind === "external" || database.port === null ? {} : { port: database.port };
}

async function parentsPostgres(dataDir: string): Promise<Secret> {
  const url = await findRunningPostgres(dataDir);
  if (url === undefined) throw new StartError("Cannot reach the embedded Postgres that all server processes share");
  return url;
}

/** Absolute; null where functions are not kept as files. */
async function findFunctionsDir({ functionsDir, watch }: Config): Promise<string | null> {
  const dir = resolve(functionsDir ?? DEFAULT_FUNCTIONS_DIR);
  try {
    if (functionsDir !== null || watch) await Deno.mkdir(dir, { recursive: true });
    return (await Deno.stat(dir)).isDirectory ? dir : null;
  } catch (error) {
    if (functionsDir === null) return null;
    const reason = error instanceof Error ? error.message : error;
    throw new StartError(
      `Cannot use "${dir}" as functions folder: ${reason}; set FLUXBASE_FUNCTIONS_FUNCTIONS_DIR to a folder`,
    );
  }
}

async function readNpmrc({ npmrc }: Config, functionsDir: string | null): Promise<string | null> {
  try {
    return npmrc === null && functionsDir === null
      ? null
      : await Deno.readTextFile(npmrc ?? join(functionsDir ?? "", ".npmrc"));
  } catch (error) {
    if (npmrc === null) return null;
    throw new StartError(
      `Cannot read "${npmrc}" (FLUXBASE_FUNCTIONS_NPMRC): ${error instanceof Error ? error.message : error}`,
    );
  }
}

/** A small folder is loaded before the first request; a large one goes on in the background. */
async function loadOnBoot(loader: Loader, log: Log): Promise<void> {
  const loading = (async () => {
    try {
      const { message, errors, warnings, total } = await loader.load({
        deletes: "nothing",
        dryRun: false,
        createdBy: "boot",
      });
      for (const { name, error } of errors) log.warn(`Functions folder: ${name}: ${error}`);
      for (const warning of warnings) log.warn(`Functions folder: ${warning}`);
      if (total > 0) log.info(message);
    } catch {
      // The loader has said it; what the database has goes on being served.
    }
  })();
  await withDeadline(loading, BOOT_LOAD_MS, () => new Error("goes on in the background")).catch(() => {});
}

function folderOfAnother(server: string | undefined): PlatformError {
  return new PlatformError(
    "INVALID_ARGUMENT",
    `Cannot reload: of the servers of this database only one uses its functions folder, and that is ${
      server ?? "none at this moment"
    }; ask that one`,
  );
}

function noFunctionsDir(): PlatformError {
  return new PlatformError(
    "INVALID_ARGUMENT",
    "Cannot reload: this server keeps no functions as files; set FLUXBASE_FUNCTIONS_FUNCTIONS_DIR to a folder",
  );
}

function chosen(given: Secret | null, made: Secret | undefined): Secret {
  const secret = given ?? made;
  if (secret === undefined) {
    throw new InvariantError("secret-missing", "Cannot start without a secret that the configuration promised");
  }
  return secret;
}

async function makeDataDir(dataDir: string): Promise<void> {
  try {
    // Searchable by others, so that the database's user can reach its own folder below; secrets in it are 0600.
    await Deno.mkdir(dataDir, { recursive: true, mode: 0o711 });
    // In the middle of a project, whose repository keys and rows are not for.
    if (basename(dataDir) === ".fluxbase") await Deno.writeTextFile(join(dataDir, ".gitignore"), "*\n");
  } catch (error) {
    const reason = error instanceof Error ? error.message : error;
    throw new StartError(
      `Cannot use "${dataDir}" as data directory: ${reason}; set FLUXBASE_DATA_DIR to a folder that can be written`,
    );
  }
}

async function seedLocalKeys(
  { clientKey, createdAtSec }: LocalSecrets,
  { db, tokens }: { db: Database["db"]; tokens: Tokens },
): Promise<LocalKeys> {
  const key = clientKey.reveal();
  await insertKey(db, {
    kind: "client",
    name: "local",
    keyPrefix: keyPrefixOf(key),
    keyHash: hashKey(key),
    scopes: LOCAL_KEY_SCOPES,
    namespaces: null,
    rateLimitPerMinute: null,
    createdBy: null,
    expiresAt: null,
  });
  const validity = { issuedAtSec: createdAtSec, expiresAtSec: createdAtSec + ROLE_KEY_VALID_SEC };
  return {
    anonKey: await tokens.mintRole("anon", validity),
    serviceRoleKey: await tokens.mintRole("service_role", validity),
    clientKey: key,
  };
}

interface Fences {
  readonly standing: readonly Fence[];
  readonly missing: readonly Fence[];
}

async function checkFences(sandboxes: SandboxPool, config: Config, log: Log): Promise<Fences> {
  const standing = await sandboxes.probe();
  const missing = FENCES.filter((fence) => !standing.includes(fence));
  const lacking = config.sandbox.require.filter((fence) => missing.includes(fence));
  if (lacking.length > 0) {
    throw new StartError(
      `Cannot start: FLUXBASE_SANDBOX_REQUIRE asks for ${lacking.join(", ")}, which this machine does not give`,
    );
  }
  if (missing.length > 0) log.warn("Sandboxes and builds run without some of their fences", { missing });
  return { standing, missing };
}

/** Of a user namespace of 65,536 ids, as containers without root have, this part is free. */
const SMALL_NAMESPACE_BASE = 20_000;

/**
 * Users for builds and sandboxes, when the server runs as root; null: they run as the server does.
 *
 * @throws {StartError} for a root that cannot change users and has other rights, which sandboxes would have too
 */
function chooseUids(
  { sandbox, limits, process }: Config,
): { readonly first: number; readonly count: number } | null {
  if (Deno.uid() !== 0) return null;
  const standing = readStanding();
  const count = 2 * limits.sandboxCount + 101;
  // Processes of one machine have ranges of their own, side by side.
  const offset = ((process?.number ?? 1) - 1) * count;
  const ranges = [sandbox.uidBase, SMALL_NAMESPACE_BASE].map((first) => ({ first: first + offset, count }));
  const free = ranges.find((range) => mayBecome(range, standing));
  if (free !== undefined) return free;
  if (!hasCapabilities(standing)) return null;
  throw new StartError(
    `Cannot run functions as root here: the users ${sandbox.uidBase} to ${
      sandbox.uidBase + count
    } are not this root's to become; set FLUXBASE_SANDBOX_UID_BASE to a range that is, or start as an ordinary user`,
  );
}

/** Undefined: each server counts for itself. */
function startCounterStore(
  { rateLimitStore, redisUrl }: Config,
  db: Database["db"],
  log: Log,
): Counters & Disposable | undefined {
  if (rateLimitStore === "memory") return undefined;
  return redisUrl === null || rateLimitStore === "postgres"
    ? startPostgresCounters(db)
    : startRedisCounters({ url: redisUrl, log });
}

/** The client opens another one for its next request, to a server that stays. */
async function lastOfItsConnection(answer: Promise<Response>): Promise<Response> {
  const response = await answer;
  if (response.status !== 101) response.headers.set("connection", "close");
  return response;
}

/** Ready is who can serve calls. Warm ones need no database, so without one a server is of more use than none. */
async function readinessOf(
  { database, usersDatabase, sandboxes, fences, rateLimiter, isStrict }: {
    database: Database;
    usersDatabase: UsersDatabase | undefined;
    sandboxes: SandboxPool;
    fences: Fences;
    rateLimiter: RateLimiter;
    isStrict: boolean;
  },
): Promise<Readiness> {
  const answers = await withDeadline(pingDatabase(database.db), READY_PING_MS, () => new Error("No answer"))
    .then(() => true, () => false);
  const { sandboxCount, blankCount, busyCount, waitingCount, memoryMiB } = sandboxes.stats();
  return {
    isReady: answers || !isStrict,
    facts: {
      database: answers ? "ok" : "unavailable",
      users_database: usersDatabase === undefined ? "off" : usersDatabase.direct === null ? "shared" : "own",
      sandboxes: {
        count: sandboxCount,
        blank: blankCount,
        busy: busyCount,
        waiting: waitingCount,
        memory_mib: memoryMiB,
      },
      fences,
      rate_limits: rateLimiter.counts,
    },
  };
}

interface ChangeParts {
  readonly sandboxes: SandboxPool;
  readonly versions: VersionSource;
  readonly prewarm: Config["prewarm"];
}

function pathOfFunction(fn: LiveFunction | undefined): string {
  return fn === undefined ? "a function that is gone" : `${fn.namespace}/${fn.name}`;
}

/** A version that is not live any more gets no new requests; the one that took its place may be made ready. */
function followChange({ before, after }: CatalogChange, { sandboxes, versions, prewarm }: ChangeParts): void {
  const wasWarm = before !== undefined && sandboxes.isWarm(versions.keyOf(before));
  const kept = new Set((after?.enabled ? servedVersions(after) : []).map(versions.keyOf));
  for (const key of servedVersions(before).map(versions.keyOf)) if (!kept.has(key)) sandboxes.retire(key);
  const isServed = before?.liveVersion === after?.liveVersion && after?.enabled === true;
  if (isServed) return;
  const isRunnable = after !== undefined && after.enabled && after.liveVersion !== null;
  if (isRunnable && (prewarm === "always" || (prewarm === "active" && wasWarm))) {
    sandboxes.prewarm(versions.of(after));
  }
}

interface TableHookParts {
  readonly db: Database["db"];
  readonly listener: Listener;
  readonly catalog: Catalog;
  readonly log: Log;
  readonly place: Place;
  readonly gatewayParts: InvokeParts;
  readonly stopping: AbortController;
  readonly parts: AsyncDisposableStack;
}

async function startHooksOfTables(
  { events: users }: UsersDatabase,
  { db, listener, catalog, log, place, gatewayParts: invokeParts, stopping: { signal }, parts }: TableHookParts,
): Promise<DbHooks> {
  const rowEvents = parts.use(
    await startRowEvents({ users, catalog, log, place, invokeParts, stopping: signal }),
  );
  return parts.use(await startDbHooks({ db, listener, users, catalog, log, onHooks: rowEvents.follow }));
}

/** Where the server is and how it answers, for parts that are made before it listens. */
interface Place {
  baseUrl: string;
  origins: readonly string[];
  handle: RequestHandler;
}

function notYet(): never {
  throw new PlatformError("SHUTTING_DOWN", "The server is starting: try again");
}

function listen({ listen: address, process }: Config, log: Log, handle: RequestHandler): HttpServer {
  try {
    return startHttpServer({ ...address, isShared: process !== null }, { log, handle });
  } catch (error) {
    throw cannotListen(address, error);
  }
}
