/**
 * Builds every part of the platform, starts them in order, stops them in reverse. What belongs together is assembled in
 * ./platform/: one file for each group of parts.
 *
 * @module
 */
import { startAlerts } from "./alerts/alerts.ts";
import { metricsFor } from "./api/prometheus_routes.ts";
import { serverMetrics } from "./api/server_metrics.ts";
import { createAccounts } from "./auth/accounts.ts";
import { PLATFORM } from "./auth/caller.ts";
import { hookSecretOf } from "./auth/hook_secret.ts";
import { createPasswords } from "./auth/passwords.ts";
import { createSignInLink } from "./auth/sign_in_link.ts";
import { fillDirectory } from "./auth/user_directory.ts";
import { startCatalog } from "./catalog/catalog.ts";
import type { Config } from "./config/config.ts";
import { delay, systemClock } from "./core/clock.ts";
import { watchEventLoop } from "./core/event_loop_lag.ts";
import type { AdjustableLog, Log } from "./core/log.ts";
import { Secret } from "./core/secret.ts";
import { createDashboard } from "./dashboard/dashboard.ts";
import { createDocs } from "./docs/docs.ts";
import { echoToServerLog } from "./executions/echo_to_server_log.ts";
import { startExecutionLog } from "./executions/execution_log.ts";
import { createBusyConnections, createSeenRequests, watchOwnConnections } from "./gateway/connection_watch.ts";
import { cannotListen, type HttpServer, type RequestHandler, startHttpServer } from "./gateway/http_server.ts";
import { createAuthHooks } from "./hooks/auth_hooks.ts";
import { clientOf } from "./ratelimit/client_address.ts";
import { createEnvStore } from "./secrets/env_store.ts";
import { startSecretStore } from "./secrets/secret_store.ts";
import { RELEASE } from "./storage/release.ts";
import { listScheduleLags } from "./storage/schedules.ts";
import { StartError } from "./storage/start_error.ts";
import { countTasks } from "./storage/tasks.ts";
import type { MetricFamily } from "./telemetry/metric_family.ts";
import { startTelemetry } from "./telemetry/telemetry.ts";
import { pathOfFunction } from "./platform/current_sandboxes.ts";
import { makeDataDir } from "./platform/data_dir.ts";
import type { LocalKeys } from "./platform/local_keys.ts";
import { dashboardUrlOf, docsUrlOf } from "./platform/page_addresses.ts";
import { notYet, type Place } from "./platform/place.ts";
import { startTriggers } from "./platform/triggers.ts";
import { join, resolve } from "node:path";
import type { Base } from "./platform/base.ts";
import { readRootSecrets } from "./platform/root_secrets.ts";
import { startDatabases } from "./platform/databases.ts";
import { startCallers } from "./platform/callers.ts";
import { startBuilds } from "./platform/builds.ts";
import { startSandboxes } from "./platform/sandboxes.ts";
import { startDataPlane } from "./platform/data_plane.ts";
import { startDuties } from "./platform/duties.ts";
import { followFolder, startDeployments } from "./platform/deployments.ts";
import { createControlPlane } from "./platform/control_plane.ts";

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

/** @throws {StartError} with a sentence for the operator */
export async function startPlatform(config: Config, log: AdjustableLog): Promise<Platform> {
  const clock = systemClock;
  const { limits } = config;
  await using parts = new AsyncDisposableStack();
  const dataDir = resolve(config.dataDir);
  await makeDataDir(dataDir);
  let isLeaving = false;
  const stopping = new AbortController();
  // The port is known only after the server listens, and no request is handled before that.
  const place: Place = { baseUrl: config.baseUrl ?? "", origins: [], handle: () => notYet() };
  const base: Base = { config, log, clock, dataDir, place, stopping, parts };

  const rootSecrets = await readRootSecrets(base);
  const { local, jwtSecret, keyRing } = rootSecrets;
  const envStore = createEnvStore(keyRing.server);
  const databases = await startDatabases(base, rootSecrets);
  const { db, database, audit, listener, usersDatabase } = databases;
  const catalog = await startCatalog({ db, listener });
  const callers = await startCallers(base, { ...databases, ...rootSecrets, catalog });
  const { tokens, localKeys, endedSessions, setupToken, accountRules } = callers;
  const secrets = parts.use(await startSecretStore({ db, listener, log, keyRing, clock }));
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
  const builds = await startBuilds(base);
  const known = {
    ...databases,
    ...rootSecrets,
    ...callers,
    ...builds,
    catalog,
    secrets,
    envStore,
    executions,
    telemetry,
  };
  const running = await startSandboxes(base, known);
  const { sandboxes, egress } = running;
  const lag = parts.use(watchEventLoop(clock.nowMs));
  const dataPlane = await startDataPlane(base, { ...known, ...running });
  const { gateway, tasks, invokeParts, clientAddresses } = dataPlane;
  numbers.read = () =>
    serverMetrics({
      catalog,
      sandboxes,
      executions,
      audit,
      builds: builds.bundler,
      database,
      lag,
      tasks,
      countTasks: () => countTasks(db),
      scheduleLags: () => listScheduleLags(db),
    });
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
      invokeParts,
    }),
    passwords: createPasswords(),
    nowMs: () => clock.epochMs(),
  });
  const triggers = await startTriggers(usersDatabase, {
    db,
    listener,
    catalog,
    log,
    place,
    invokeParts,
    stopping: stopping.signal,
    parts,
  });
  const duties = await startDuties(base, { ...known, ...running });
  const deployments = await startDeployments(base, { ...known, ...duties });
  const alerts = parts.use(startAlerts({
    db,
    log,
    catalog,
    cipher: keyRing.server,
    tasks,
    isDenied: egress.isDenied,
    stopping: stopping.signal,
  }));
  const api = await createControlPlane(base, {
    ...known,
    ...running,
    ...dataPlane,
    ...triggers,
    ...duties,
    ...deployments,
    accounts,
    alerts,
    metricParts,
    isLeaving: () => isLeaving,
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
  await followFolder(base, { ...builds, ...deployments });
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
    failed: databases.embedded?.gaveUp ?? new Promise(() => {}),
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
