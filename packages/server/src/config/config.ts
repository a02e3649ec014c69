/**
 * The one place that reads the environment and fluxbase.yaml: checks everything at once, then hands out plain values.
 *
 * @module
 */
import { parse as parseYaml, YAMLParseError } from "yaml";
import type { CorsPolicy, LogLevel, ServerSetting } from "@fluxbase/contract";
import type { Fence } from "../../sandbox_runtime/harden.ts";
import type { AddressRange } from "../ratelimit/client_address.ts";
import type { EgressHole } from "../sandbox/egress.ts";
import type { IssuerSettings } from "../auth/issuers.ts";
import type { Mirror } from "../bundler/mirrors.ts";
import { OWN_ISSUERS } from "../auth/tokens.ts";
import type { Secret } from "../core/secret.ts";
import type { TelemetryConfig } from "../telemetry/telemetry_config.ts";
import { StartError } from "../storage/start_error.ts";
import { databaseOf, inTermsOfDriver } from "./database_url.ts";
import { type Environment, functionEnvironment, networkEnvironment } from "./function_environment.ts";
import type { ListenAddress } from "./parsers.ts";
import { readTelemetry } from "./otel_settings.ts";
import type { ServerProcess } from "./server_process.ts";
import type { DefaultedSetting, Setting } from "./setting.ts";
import { ALL_SETTINGS, LIMIT_SETTINGS, type Limits, SETTINGS } from "./settings.ts";

export interface Config {
  readonly listen: ListenAddress;
  /** Null: http://localhost:<port>. */
  readonly baseUrl: string | null;
  readonly dataDir: string;
  /** Server processes on this machine. */
  readonly processes: number;
  /** Null: the only one, or the parent of several. */
  readonly process: ServerProcess | null;
  readonly development: boolean;
  readonly database:
    | { readonly kind: "embedded"; readonly port: number | null }
    | { readonly kind: "external"; readonly url: Secret };
  /** Of users' tables; null: beside the platform's. */
  readonly appDatabaseUrl: Secret | null;
  readonly databaseShared: boolean;
  /** For what a connection pooler cannot do; null: the database's own address is the only one. */
  readonly databaseDirectUrl: Secret | null;
  readonly databaseMaxConnections: number;
  readonly databaseSchemas: readonly string[];
  readonly databaseTableConnections: number;
  /** Null only with the embedded database: made and kept by the server. */
  readonly jwtSecret: Secret | null;
  /** JSON Web Keys. */
  readonly signingKeys: Secret | null;
  /** Base64 of 32 bytes; null as for `jwtSecret`. */
  readonly encryptionKey: Secret | null;
  readonly encryptionPreviousKeys: readonly Secret[];
  readonly cors: CorsPolicy;
  /** Whether the server serves its documentation. */
  readonly docsEnabled: boolean;
  /** Of the dashboard; `host`: the only one that has it. */
  readonly dashboard: { readonly enabled: boolean; readonly path: string; readonly host: string | null };
  readonly functionsEnabled: boolean;
  readonly readyRequiresDatabase: boolean;
  readonly trustedProxies: readonly AddressRange[];
  readonly rateLimitStore: "memory" | "postgres" | "redis";
  /** Requests a minute of one caller; null: no limit. */
  readonly callerRateLimit: number | null;
  readonly failuresRateLimit: number;
  /** Given when it is the store of rate limits. */
  readonly redisUrl: Secret | null;
  readonly functionsDir: string | null;
  readonly autoLoadOnBoot: boolean;
  readonly watch: boolean;
  readonly importHosts: readonly string[];
  readonly importMirrors: readonly Mirror[];
  readonly npmrc: string | null;
  /** Registry, proxy and certificates, for builds. */
  readonly networkEnv: Readonly<Record<string, string>>;
  readonly egressAllow: readonly EgressHole[];
  readonly prewarm: "never" | "active" | "always";
  readonly auditLogDays: number;
  readonly tasks: { readonly doneDays: number; readonly deadDays: number };
  readonly auth: {
    readonly clockSkewSec: number;
    readonly accessTokenSec: number;
    readonly refreshTokenDays: number;
    readonly signUpEnabled: boolean;
    readonly attempts: { readonly perAddress: number; readonly perAccount: number };
    readonly setupToken: Secret | null;
    /** Another issuer of tokens. */
    readonly issuer: IssuerSettings | null;
  };
  /** Null: nothing is sent to OpenTelemetry. */
  readonly telemetry: TelemetryConfig | null;
  /** Hosts elsewhere that functions tell which trace a request belongs to. */
  readonly traceHosts: readonly string[];
  /** Of whoever may read the metrics and nothing else. */
  readonly metricsToken: Secret | null;
  /** Null: no backups come by themselves. */
  readonly backup: { readonly dir: string; readonly everyHours: number; readonly keepCount: number } | null;
  readonly executions: { readonly retentionDays: number; readonly rowsPerSec: number };
  readonly sandbox: { readonly uidBase: number; readonly require: readonly Fence[] };
  readonly log: { readonly level: LogLevel; readonly format: "text" | "json"; readonly slowStatementMs: number };
  readonly limits: Limits;
  /** All of them as they were given, without secrets. */
  readonly settings: readonly ServerSetting[];
  /** What functions may see of the server's environment. */
  readonly functionEnv: Readonly<Record<string, string>>;
}

/**
 * The environment wins over the text of fluxbase.yaml.
 *
 * @throws {StartError} with every problem, one a line
 */
export function readConfig(env: Environment, yamlText: string | undefined): Config {
  const problems: string[] = [];
  const fromFile = flattenYaml(yamlText, problems);

  function given({ env: name, yaml }: Setting<unknown>): { text: string | undefined; source: ServerSetting["source"] } {
    const inEnv = env[name];
    if (inEnv !== undefined && inEnv !== "") return { text: inEnv, source: "environment" };
    const inFile = fromFile.get(yaml);
    return { text: inFile, source: inFile === undefined ? "default" : "file" };
  }

  function get<T>(setting: DefaultedSetting<T>): T;
  function get<T>(setting: Setting<T>): T | null;
  function get<T>(setting: Setting<T>): T | null {
    const { text, source } = given(setting);
    const place = source === "file" ? `${setting.yaml} in fluxbase.yaml` : setting.env;
    if (text !== undefined) {
      const value = setting.parser.parse(text);
      if (value !== undefined) return value;
      const shown = setting.isSecret ? "is set" : `is ${JSON.stringify(text)}`;
      problems.push(`${place} ${shown}, but it must be ${setting.parser.expected}; for example: ${setting.example}`);
    }
    return setting.default === null ? null : setting.parser.parse(setting.default) ?? null;
  }

  const limits = Object.fromEntries(
    Object.entries(LIMIT_SETTINGS).map(([key, setting]) => [key, get(setting)]),
  ) as Limits;
  if (limits.wallMs > limits.wallMaxMs) {
    problems.push(
      `${LIMIT_SETTINGS.wallMs.env} is ${limits.wallMs}, but it must not exceed ${LIMIT_SETTINGS.wallMaxMs.env}, which is ${limits.wallMaxMs}`,
    );
  }
  const database = databaseOf({
    url: get(SETTINGS.databaseUrl),
    host: get(SETTINGS.databaseHost),
    port: get(SETTINGS.databasePort),
    user: get(SETTINGS.databaseUser),
    password: get(SETTINGS.databasePassword),
    database: get(SETTINGS.databaseName),
    sslMode: get(SETTINGS.databaseSslMode),
  });
  const jwtSecret = get(SETTINGS.jwtSecret);
  const encryptionKey = get(SETTINGS.encryptionKey);
  if (database !== null) {
    for (const { env, example } of [SETTINGS.jwtSecret, SETTINGS.encryptionKey]) {
      const isGiven = (env === SETTINGS.jwtSecret.env ? jwtSecret : encryptionKey) !== null;
      const isReported = problems.some((problem) => problem.startsWith(env));
      if (!isGiven && !isReported) {
        problems.push(
          `${env} is missing: with an external database every server needs the same one; for example: ${example}`,
        );
      }
    }
  }
  const givenAppUrl = get(SETTINGS.appDatabaseUrl);
  const appDatabaseUrl = givenAppUrl === null ? null : inTermsOfDriver(givenAppUrl);
  const databaseShared = get(SETTINGS.databaseShared);
  if (databaseShared && appDatabaseUrl !== null) {
    problems.push(
      `${SETTINGS.databaseShared.env} is true, but ${SETTINGS.appDatabaseUrl.env} names another database; set one of them`,
    );
  }
  const cors: CorsPolicy = {
    origins: get(SETTINGS.corsOrigins),
    methods: get(SETTINGS.corsMethods),
    headers: get(SETTINGS.corsHeaders),
    credentials: get(SETTINGS.corsCredentials),
    maxAgeSec: get(SETTINGS.corsMaxAgeSec),
  };
  if (cors.credentials && cors.origins.includes("*")) {
    problems.push(
      `${SETTINGS.corsCredentials.env} is true, but ${SETTINGS.corsOrigins.env} allows every origin; list the origins by name; for example: ${SETTINGS.corsOrigins.example}`,
    );
  }
  const processes = get(SETTINGS.processes);
  if (processes > 1 && Deno.build.os !== "linux") {
    problems.push(`${SETTINGS.processes.env} is ${processes}, but only Linux shares a port out; set it to 1`);
  }
  const redisUrl = get(SETTINGS.redisUrl);
  const rateLimitStore = get(SETTINGS.rateLimitStore) ??
    (redisUrl !== null ? "redis" : database !== null || processes > 1 ? "postgres" : "memory");
  if (rateLimitStore === "memory" && processes > 1) {
    problems.push(
      `${SETTINGS.rateLimitStore.env} is memory, in which each of ${processes} processes counts for itself; leave it out, or set ${SETTINGS.processes.env} to 1`,
    );
  }
  if (rateLimitStore === "redis" && redisUrl === null) {
    problems.push(
      `${SETTINGS.redisUrl.env} is missing: ${SETTINGS.rateLimitStore.env} is redis; for example: ${SETTINGS.redisUrl.example}`,
    );
  }
  const issuer = issuerOf({
    issuer: get(SETTINGS.issuer),
    jwksUrl: get(SETTINGS.issuerJwksUrl),
    secret: get(SETTINGS.issuerSecret),
    audience: get(SETTINGS.issuerAudience),
    algorithms: get(SETTINGS.issuerAlgorithms),
  }, problems);
  const embeddedPort = get(SETTINGS.embeddedPort);
  const backupDir = get(SETTINGS.backupDir);
  const config: Config = {
    listen: get(SETTINGS.address),
    baseUrl: get(SETTINGS.baseUrl),
    dataDir: get(SETTINGS.dataDir),
    processes,
    process: null,
    development: get(SETTINGS.development),
    database: database === null ? { kind: "embedded", port: embeddedPort } : { kind: "external", url: database },
    appDatabaseUrl,
    databaseShared,
    databaseDirectUrl: get(SETTINGS.databaseDirectUrl),
    databaseMaxConnections: get(SETTINGS.databaseMaxConnections),
    databaseSchemas: get(SETTINGS.databaseSchemas),
    databaseTableConnections: get(SETTINGS.databaseTableConnections),
    jwtSecret,
    signingKeys: get(SETTINGS.signingKeys),
    encryptionKey,
    encryptionPreviousKeys: get(SETTINGS.encryptionPreviousKeys) ?? [],
    cors,
    functionsEnabled: get(SETTINGS.functionsEnabled),
    docsEnabled: get(SETTINGS.docsEnabled),
    dashboard: {
      enabled: get(SETTINGS.dashboardEnabled),
      path: get(SETTINGS.dashboardPath),
      host: get(SETTINGS.dashboardHost),
    },
    readyRequiresDatabase: get(SETTINGS.readyRequiresDatabase),
    trustedProxies: get(SETTINGS.trustedProxies) ?? [],
    rateLimitStore,
    callerRateLimit: get(SETTINGS.callerRateLimit),
    failuresRateLimit: get(SETTINGS.failuresRateLimit),
    redisUrl,
    functionsDir: get(SETTINGS.functionsDir),
    autoLoadOnBoot: get(SETTINGS.autoLoadOnBoot),
    watch: get(SETTINGS.watch),
    importHosts: get(SETTINGS.importHosts),
    importMirrors: get(SETTINGS.importMirrors),
    npmrc: get(SETTINGS.npmrc),
    networkEnv: networkEnvironment(env),
    egressAllow: get(SETTINGS.egressAllow) ?? [],
    prewarm: get(SETTINGS.prewarm),
    auditLogDays: get(SETTINGS.auditLogDays),
    tasks: { doneDays: get(SETTINGS.tasksDoneDays), deadDays: get(SETTINGS.tasksDeadDays) },
    auth: {
      clockSkewSec: get(SETTINGS.clockSkewSec),
      accessTokenSec: get(SETTINGS.accessTokenSec),
      refreshTokenDays: get(SETTINGS.refreshTokenDays),
      signUpEnabled: get(SETTINGS.signUpEnabled),
      attempts: { perAddress: get(SETTINGS.attemptsPerAddress), perAccount: get(SETTINGS.attemptsPerAccount) },
      setupToken: get(SETTINGS.setupToken),
      issuer,
    },
    telemetry: readTelemetry(get),
    traceHosts: get(SETTINGS.traceHosts) ?? [],
    metricsToken: get(SETTINGS.metricsToken),
    backup: backupDir === null
      ? null
      : { dir: backupDir, everyHours: get(SETTINGS.backupEveryHours), keepCount: get(SETTINGS.backupKeepCount) },
    executions: { retentionDays: get(SETTINGS.retentionDays), rowsPerSec: get(SETTINGS.rowsPerSec) },
    sandbox: { uidBase: get(SETTINGS.sandboxUidBase), require: get(SETTINGS.sandboxRequire) ?? [] },
    log: {
      level: get(SETTINGS.logLevel),
      format: get(SETTINGS.logFormat),
      slowStatementMs: get(SETTINGS.slowStatementMs),
    },
    limits,
    settings: ALL_SETTINGS.map((setting) => {
      const { text = setting.default, source } = given(setting);
      return {
        name: setting.env,
        yaml: setting.yaml,
        value: setting.isSecret ? null : text,
        default: setting.default,
        source,
        is_secret: setting.isSecret,
        expected: setting.parser.expected,
        about: setting.about,
      };
    }),
    functionEnv: functionEnvironment(env),
  };
  if (problems.length > 0) {
    throw new StartError(
      `Cannot start with these settings:\n${problems.map((problem) => `  - ${problem}`).join("\n")}`,
    );
  }
  return Object.freeze(config);
}

/** Undefined: there is none. */
export async function readYaml(path: string): Promise<string | undefined> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw new StartError(`Cannot read ${path}: ${error instanceof Error ? error.message : error}`);
  }
}

/** Flattens the file to texts by their dotted path. */
function flattenYaml(text: string | undefined, problems: string[]): Map<string, string> {
  const values = new Map<string, string>();
  if (text === undefined) return values;
  const known = new Set(ALL_SETTINGS.map(({ yaml }) => yaml));

  function visit(value: unknown, path: string): void {
    if (value === null || value === undefined) return;
    if (known.has(path)) {
      const isScalar = typeof value !== "object";
      if (isScalar || Array.isArray(value)) {
        return void values.set(path, Array.isArray(value) ? value.join(",") : String(value));
      }
    }
    if (typeof value === "object" && !Array.isArray(value) && !known.has(path)) {
      for (const [key, child] of Object.entries(value)) visit(child, path === "" ? key : `${path}.${key}`);
      return;
    }
    const near = nearest(path, known);
    problems.push(`${path || "its content"} in fluxbase.yaml is no setting${near ? `; did you mean ${near}?` : ""}`);
  }
  try {
    visit(parseYaml(text), "");
  } catch (error) {
    if (!(error instanceof YAMLParseError)) throw error;
    problems.push(`fluxbase.yaml is not valid YAML: ${error.message.split("\n")[0]}`);
  }
  return values;
}

interface IssuerParts {
  readonly issuer: string | null;
  readonly jwksUrl: string | null;
  readonly secret: Secret | null;
  readonly audience: string | null;
  readonly algorithms: readonly string[];
}

function issuerOf(
  { issuer, jwksUrl, secret, audience, algorithms }: IssuerParts,
  problems: string[],
): IssuerSettings | null {
  const keys = jwksUrl !== null ? { jwksUrl } : secret !== null ? { secret } : undefined;
  if (issuer === null && keys === undefined) return null;
  if (issuer !== null && keys !== undefined && (jwksUrl === null || secret === null)) {
    if (OWN_ISSUERS.includes(issuer)) {
      problems.push(`${SETTINGS.issuer.env} is "${issuer}", which is this server itself`);
    }
    return { issuer, keys, audience, algorithms };
  }
  problems.push(
    `${SETTINGS.issuer.env} needs exactly one of ${SETTINGS.issuerJwksUrl.env} and ${SETTINGS.issuerSecret.env}, and they need it; for example: ${SETTINGS.issuer.env}=${SETTINGS.issuer.example} ${SETTINGS.issuerJwksUrl.env}=${SETTINGS.issuerJwksUrl.example}`,
  );
  return null;
}

/** The known name with the most letters in common at both ends, if it is alike at all. */
function nearest(path: string, known: ReadonlySet<string>): string | undefined {
  let best: { name: string; score: number } | undefined;
  for (const name of known) {
    let head = 0;
    while (head < Math.min(name.length, path.length) && name[head] === path[head]) head += 1;
    let tail = 0;
    const room = Math.min(name.length, path.length) - head;
    while (tail < room && name.at(-1 - tail) === path.at(-1 - tail)) tail += 1;
    const score = (head + tail) / Math.max(name.length, path.length);
    if (score > (best?.score ?? 0.5)) best = { name, score };
  }
  return best?.name;
}
