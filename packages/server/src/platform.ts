/**
 * Builds every part of the platform, starts them in order, stops them in reverse.
 *
 * @module
 */
import { join, resolve } from "node:path";
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
import { systemRoutes } from "./api/system_routes.ts";
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
import { generateKey, startKeyStore } from "./auth/keys.ts";
import { createTokens } from "./auth/tokens.ts";
import { fillDirectory } from "./auth/user_directory.ts";
import { countBuilds } from "./bundler/counted_builds.ts";
import { type Backups, startBackupSchedule } from "./backup/schedule.ts";
import { startBundler } from "./bundler/bundler.ts";
import { startCatalog } from "./catalog/catalog.ts";
import type { Config } from "./config/config.ts";
import { isSibling } from "./config/process_share.ts";
import { readLocalSecrets } from "./config/local_secrets.ts";
import { delay, systemClock } from "./core/clock.ts";
import { watchEventLoop } from "./core/event_loop_lag.ts";
import { InvariantError } from "./core/invariant.ts";
import type { AdjustableLog, Log } from "./core/log.ts";
import { Secret } from "./core/secret.ts";
import { createDashboard } from "./dashboard/dashboard.ts";
import { createDocs } from "./docs/docs.ts";
import { createDeployer } from "./deploy/deploy.ts";
import { createRebuilder } from "./deploy/rebuild.ts";
import { createSharedModules } from "./deploy/shared_modules.ts";
import { startExecutionLog } from "./executions/execution_log.ts";
import { createCaptures } from "./executions/captures.ts";
import { createLogTail } from "./executions/log_tail.ts";
import { echoToServerLog } from "./executions/echo_to_server_log.ts";
import { createFunctionsFolder } from "./files/folder.ts";
import { createLoader } from "./files/load.ts";
import { keepFolder } from "./files/owner.ts";
import { watchFunctionsDir } from "./files/watch.ts";
import { createBusyConnections, createSeenRequests, watchOwnConnections } from "./gateway/connection_watch.ts";
import { createGateway } from "./gateway/gateway.ts";
import { cannotListen, type HttpServer, type RequestHandler, startHttpServer } from "./gateway/http_server.ts";
import { createAuthHooks } from "./hooks/auth_hooks.ts";
import type { TaskRequest } from "./invoke/async_call.ts";
import { maskedLine } from "./invoke/recording.ts";
import { startLanguageService } from "./language/language_service.ts";
import { createVersionSource } from "./invoke/version_source.ts";
import { DATABASE_HOST } from "../sandbox_runtime/database.ts";
import { startNodes } from "./nodes/nodes.ts";
import { clientOf, createClientAddresses, ownConnection } from "./ratelimit/client_address.ts";
import { startEgress } from "./sandbox/egress.ts";
import { provideRuntimeFiles } from "./processes/runtime_files.ts";
import { makeRunDir } from "./sandbox/run_dir.ts";
import { startTicker } from "./schedules/ticker.ts";
import { startSandboxSpawners } from "./sandbox/sandbox_spawners.ts";
import { startSandboxPool } from "./sandbox/sandbox_pool.ts";
import { createUidRange } from "./sandbox/sandbox_process.ts";
import { createEnvStore } from "./secrets/env_store.ts";
import { createKeyRing } from "./secrets/key_ring.ts";
import { rolePassword } from "./secrets/role_passwords.ts";
import { rotateEncryption } from "./secrets/rotation.ts";
import { startSecretStore } from "./secrets/secret_store.ts";
import { connectDatabase, DIRECT_URL_ADVICE } from "./storage/db.ts";
import { startEmbeddedPostgres } from "./storage/embedded/embedded_postgres.ts";
import { chooseHome } from "./storage/embedded/run_as.ts";
import { startListener } from "./storage/listener.ts";
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
import { findUsersDatabase, startUsersDatabase } from "./tables/users_database.ts";
import { keepSandboxesCurrent, pathOfFunction } from "./platform/current_sandboxes.ts";
import { makeDataDir } from "./platform/data_dir.ts";
import { embeddedPort, parentsPostgres } from "./platform/embedded_database.ts";
import { checkFences } from "./platform/fences.ts";
import {
  findFunctionsDir,
  folderOfAnother,
  loadOnBoot,
  noFunctionsDir,
  readNpmrc,
} from "./platform/functions_folder.ts";
import { type LocalKeys, seedLocalKeys } from "./platform/local_keys.ts";
import { loadOf } from "./platform/node_load.ts";
import { dashboardUrlOf, docsUrlOf } from "./platform/page_addresses.ts";
import { notYet, type Place } from "./platform/place.ts";
import { startRateLimits } from "./platform/rate_limits.ts";
import { readinessOf } from "./platform/readiness.ts";
import { startTriggers } from "./platform/triggers.ts";
import { chooseUids } from "./platform/user_ids.ts";

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

const MIB = 1024 * 1024;
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
  keepSandboxesCurrent({ catalog, secrets, sandboxes, versions, prewarm: config.prewarm });
  const { rateLimiter, callerLimits } = startRateLimits(config, { db, clock, log, parts });
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
  const { accountEvents, dbHooks } = await startTriggers(usersDatabase, {
    db,
    listener,
    catalog,
    log,
    place,
    invokeParts: gatewayParts,
    stopping: stopping.signal,
    parts,
  });
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

/** Each process of a machine has a folder and a place of its own; the first those of a server that is alone. */
function ownName(name: string, { process }: Config): string {
  return process === null || process.number === 1 ? name : `${name}-${process.number}`;
}

function chosen(given: Secret | null, made: Secret | undefined): Secret {
  const secret = given ?? made;
  if (secret === undefined) {
    throw new InvariantError("secret-missing", "Cannot start without a secret that the configuration promised");
  }
  return secret;
}

/** The client opens another one for its next request, to a server that stays. */
async function lastOfItsConnection(answer: Promise<Response>): Promise<Response> {
  const response = await answer;
  if (response.status !== 101) response.headers.set("connection", "close");
  return response;
}

function listen({ listen: address, process }: Config, log: Log, handle: RequestHandler): HttpServer {
  try {
    return startHttpServer({ ...address, isShared: process !== null }, { log, handle });
  } catch (error) {
    throw cannotListen(address, error);
  }
}
