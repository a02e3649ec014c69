/**
 * Every setting of the server: its name in the environment and in fluxbase.yaml, what it accepts, what it is for.
 *
 * The reference page `docs/reference/settings.md` is generated from this table.
 *
 * @module
 */
import { type LimitKey, LIMITS } from "@fluxbase/contract";
import {
  addressRanges,
  anyText,
  boolean,
  egressHoles,
  encryptionKey,
  encryptionKeys,
  hostName,
  hostNames,
  httpUrl,
  integer,
  list,
  listenAddress,
  listOf,
  mirrors,
  oneOf,
  postgresUrl,
  processCount,
  redisUrl,
  secretText,
  secretToken,
  urlPath,
} from "./parsers.ts";
import { PUBLIC_KEY_ALGORITHMS } from "../auth/issuers.ts";
import { FENCES } from "../../sandbox_runtime/harden.ts";
import type { Secret } from "../core/secret.ts";
import { OTEL_SETTINGS } from "./otel_settings.ts";
import { type DefaultedSetting, type Setting, setting } from "./setting.ts";

const ANY_PORT = { min: 1, max: 65_535 };

export const SETTINGS = {
  address: setting({
    env: "FLUXBASE_SERVER_ADDRESS",
    yaml: "server.address",
    parser: listenAddress,
    default: ":8080",
    example: "127.0.0.1:8080",
    about: "Where the server listens. Without a host: on all IPv4 addresses. Port 0 takes a free port.",
  }),
  processes: setting({
    env: "FLUXBASE_SERVER_PROCESSES",
    yaml: "server.processes",
    parser: processCount,
    default: "1",
    example: "auto",
    about:
      "Server processes on this machine behind one port, on Linux; auto: one for every two cores, and one below four cores. They share the embedded database, and the limits of sandboxes, memory and connections are split among them.",
  }),
  baseUrl: setting({
    env: "FLUXBASE_BASE_URL",
    yaml: "base_url",
    parser: httpUrl,
    default: null,
    example: "https://functions.example.com",
    about:
      "The URL under which callers reach the server; functions see it in req.url. Default: http://localhost:<port>.",
  }),
  dataDir: setting({
    env: "FLUXBASE_DATA_DIR",
    yaml: "data_dir",
    parser: anyText,
    default: "./.fluxbase",
    example: "/var/lib/fluxbase",
    about: "Folder for the embedded database, generated secrets and caches.",
  }),
  development: setting({
    env: "FLUXBASE_DEVELOPMENT",
    yaml: "development",
    parser: boolean,
    default: "false",
    example: "true",
    about:
      "Development mode: error answers carry the stack of what the function threw, and the server's log shows calls and console lines of functions.",
  }),
  databaseUrl: setting<Secret>({
    env: "DATABASE_URL",
    yaml: "database.url",
    parser: postgresUrl,
    default: null,
    example: "postgres://fluxbase:password@db.example.com:5432/fluxbase",
    about:
      "An external Postgres 15 or newer. Without it, and without FLUXBASE_DATABASE_HOST, the embedded one is used.",
    isSecret: true,
  }),
  databaseDirectUrl: setting<Secret>({
    env: "DATABASE_DIRECT_URL",
    yaml: "database.direct_url",
    parser: postgresUrl,
    default: null,
    example: "postgres://fluxbase:password@db.example.com:5432/fluxbase",
    about:
      "An address of the same database without a connection pooler in between, when DATABASE_URL is that of a pooler in transaction mode, such as PgBouncer. Listening for changes, tables and functions use it.",
    isSecret: true,
  }),
  databaseHost: setting({
    env: "FLUXBASE_DATABASE_HOST",
    yaml: "database.host",
    parser: anyText,
    default: null,
    example: "db.example.com",
    about: "Host of an external Postgres, as an alternative to DATABASE_URL.",
  }),
  databasePort: setting({
    env: "FLUXBASE_DATABASE_PORT",
    yaml: "database.port",
    parser: integer(ANY_PORT),
    default: "5432",
    example: "5432",
    about: "Port of the external Postgres.",
  }),
  databaseUser: setting({
    env: "FLUXBASE_DATABASE_USER",
    yaml: "database.user",
    parser: anyText,
    default: "postgres",
    example: "fluxbase",
    about: "User of the external Postgres.",
  }),
  databasePassword: setting<Secret>({
    env: "FLUXBASE_DATABASE_PASSWORD",
    yaml: "database.password",
    parser: secretText(1),
    default: null,
    example: "a long random text",
    about: "Password for the external Postgres.",
    isSecret: true,
  }),
  databaseName: setting({
    env: "FLUXBASE_DATABASE_DATABASE",
    yaml: "database.database",
    parser: anyText,
    default: "fluxbase",
    example: "fluxbase",
    about: "Database in the external Postgres.",
  }),
  databaseSslMode: setting({
    env: "FLUXBASE_DATABASE_SSL_MODE",
    yaml: "database.ssl_mode",
    parser: oneOf("disable", "prefer", "require", "verify-ca", "verify-full"),
    default: "prefer",
    example: "verify-full",
    about: "TLS to the external Postgres, in libpq's terms.",
  }),
  databaseMaxConnections: setting({
    env: "FLUXBASE_DATABASE_MAX_CONNECTIONS",
    yaml: "database.max_connections",
    parser: integer({ min: 2, max: 1_000 }),
    default: "10",
    example: "20",
    about: "Connections one server process opens at most for its own work, besides those that listen.",
  }),
  databaseSchemas: setting({
    env: "FLUXBASE_DATABASE_SCHEMAS",
    yaml: "database.schemas",
    parser: list,
    default: "public",
    example: "public,shop",
    about:
      "Schemas of the users' database whose tables and functions are served over HTTP; functions of the namespace default use them directly. That of another namespace is ns_<namespace>.",
  }),
  databaseTableConnections: setting({
    env: "FLUXBASE_DATABASE_TABLE_CONNECTIONS",
    yaml: "database.table_connections",
    parser: integer({ min: 1, max: 1_000 }),
    default: "8",
    example: "20",
    about:
      "Connections that requests for tables may use, for each of anon, authenticated and service_role, apart from those of the server itself.",
  }),
  appDatabaseUrl: setting<Secret>({
    env: "FLUXBASE_APP_DATABASE_URL",
    yaml: "database.app_url",
    parser: postgresUrl,
    default: null,
    example: "postgres://fluxbase:password@db.example.com:5432/fluxbase_app",
    about:
      "The database of users' tables, apart from the platform's. Default: beside the platform's, with _app behind its name; it is made if the server may.",
    isSecret: true,
  }),
  databaseShared: setting({
    env: "FLUXBASE_DATABASE_SHARED",
    yaml: "database.shared",
    parser: boolean,
    default: "false",
    example: "true",
    about:
      "Keeps users' tables in the platform's database, where SQL of users can disturb the server. Functions get no DATABASE_URL then.",
  }),
  embeddedPort: setting({
    env: "FLUXBASE_DATABASE_EMBEDDED_PORT",
    yaml: "database.embedded_port",
    parser: integer(ANY_PORT),
    default: null,
    example: "5433",
    about: "Fixed port of the embedded Postgres on 127.0.0.1. Default: a free one, kept for the next starts.",
  }),
  jwtSecret: setting<Secret>({
    env: "FLUXBASE_AUTH_JWT_SECRET",
    yaml: "auth.jwt_secret",
    parser: secretText(32),
    default: null,
    example: "the output of `openssl rand -hex 32`",
    about:
      "Signs and checks tokens. Required with an external database, else made once and kept in the data directory.",
    isSecret: true,
  }),
  signingKeys: setting<Secret>({
    env: "FLUXBASE_AUTH_SIGNING_KEYS",
    yaml: "auth.signing_keys",
    parser: secretText(2),
    default: null,
    example: '[{"kty":"EC","crv":"P-256","kid":"2027-01","x":"…","y":"…","d":"…"}]',
    about:
      "Private keys as JSON Web Keys (EC P-256, RSA or Ed25519, each with kid). The first signs tokens of users, all verify them; /auth/v1/.well-known/jwks.json has the public halves. Without it the secret signs.",
    isSecret: true,
  }),
  encryptionKey: setting<Secret>({
    env: "FLUXBASE_ENCRYPTION_KEY",
    yaml: "encryption_key",
    parser: encryptionKey,
    default: null,
    example: "the output of `openssl rand -hex 32`",
    about:
      "Encrypts secrets and environment values of functions at rest. Required with an external database, else made once and kept in the data directory.",
    isSecret: true,
  }),
  encryptionPreviousKeys: setting<readonly Secret[]>({
    env: "FLUXBASE_ENCRYPTION_PREVIOUS_KEYS",
    yaml: "encryption_previous_keys",
    parser: encryptionKeys,
    default: null,
    example: "what FLUXBASE_ENCRYPTION_KEY was before",
    about:
      "Keys that values at rest may still be encrypted under. At its start the server encrypts those values again under the present key, and says when none is left. With several servers, first give all of them the new key here, then exchange the two.",
    isSecret: true,
  }),
  corsOrigins: setting({
    env: "FLUXBASE_CORS_ALLOWED_ORIGINS",
    yaml: "cors.allowed_origins",
    parser: list,
    default: "*",
    example: "https://app.example.com,https://admin.example.com",
    about: "Origins that browsers may call from, for functions that say nothing themselves.",
  }),
  corsMethods: setting({
    env: "FLUXBASE_CORS_ALLOWED_METHODS",
    yaml: "cors.allowed_methods",
    parser: list,
    default: "GET,HEAD,POST,PUT,PATCH,DELETE,OPTIONS",
    example: "GET,POST,OPTIONS",
    about: "Methods named in preflight answers.",
  }),
  corsHeaders: setting({
    env: "FLUXBASE_CORS_ALLOWED_HEADERS",
    yaml: "cors.allowed_headers",
    parser: list,
    default:
      "Authorization,Content-Type,apikey,X-Client-Key,X-Client-Info,X-Service-Key,clientkey,X-Request-ID,Idempotency-Key,X-FB-Tenant,X-Region,X-Retry-Count,X-Supabase-Api-Version,Accept-Profile,Content-Profile,Prefer,Range,traceparent,tracestate,baggage,*",
    example: "Content-Type,Authorization",
    about:
      "Request headers named in preflight answers; with *, whatever the browser asks for besides, which no credential of a browser depends on.",
  }),
  corsCredentials: setting({
    env: "FLUXBASE_CORS_ALLOW_CREDENTIALS",
    yaml: "cors.allow_credentials",
    parser: boolean,
    default: "false",
    example: "true",
    about: "Lets browsers send cookies; needs origins that are listed by name.",
  }),
  corsMaxAgeSec: setting({
    env: "FLUXBASE_CORS_MAX_AGE",
    yaml: "cors.max_age",
    parser: integer({ min: 0, max: 86_400 }),
    default: "300",
    example: "3600",
    about: "Seconds for which browsers keep a preflight answer.",
  }),
  functionsEnabled: setting({
    env: "FLUXBASE_FUNCTIONS_ENABLED",
    yaml: "functions.enabled",
    parser: boolean,
    default: "true",
    example: "false",
    about: "When false, every route of functions answers 503 FEATURE_DISABLED.",
  }),
  docsEnabled: setting({
    env: "FLUXBASE_DOCS_ENABLED",
    yaml: "docs.enabled",
    parser: boolean,
    default: "true",
    example: "false",
    about: "Whether the server serves its documentation and the API reference at /docs.",
  }),
  dashboardEnabled: setting({
    env: "FLUXBASE_DASHBOARD_ENABLED",
    yaml: "dashboard.enabled",
    parser: boolean,
    default: "true",
    example: "false",
    about: "Whether the server serves the dashboard.",
  }),
  dashboardPath: setting({
    env: "FLUXBASE_DASHBOARD_PATH",
    yaml: "dashboard.path",
    parser: urlPath,
    default: "/dashboard",
    example: "/admin",
    about: "Where the dashboard is. Browsers that ask for / are sent there, unless a function has that path.",
  }),
  dashboardHost: setting({
    env: "FLUXBASE_DASHBOARD_HOST",
    yaml: "dashboard.host",
    parser: hostName,
    default: null,
    example: "dashboard.example.com",
    about:
      "The only host name under which the dashboard is served. Default: every one. Pages that functions answer have an origin of their own on hosts with the dashboard, and the usual one on others.",
  }),
  egressAllow: setting({
    env: "FLUXBASE_FUNCTIONS_EGRESS_ALLOW",
    yaml: "functions.egress_allow",
    parser: egressHoles,
    default: null,
    example: "10.1.0.0/16,db.internal:5432",
    about:
      "Private addresses that functions may reach after all: ranges, addresses, hosts. A port is only a note: whole addresses are opened. Hosts are looked up again every minute.",
  }),
  prewarm: setting({
    env: "FLUXBASE_FUNCTIONS_PREWARM",
    yaml: "functions.prewarm",
    parser: oneOf("never", "active", "always"),
    default: "active",
    example: "always",
    about:
      "Whether a deployment makes a sandbox ready before the first call: never, for functions whose version before has sandboxes now, or always.",
  }),
  retentionDays: setting({
    env: "FLUXBASE_EXECUTIONS_RETENTION_DAYS",
    yaml: "executions.retention_days",
    parser: integer({ min: 1, max: 3_650 }),
    default: "30",
    example: "7",
    about: "Days for which executions and their logs are kept.",
  }),
  auditLogDays: setting({
    env: "FLUXBASE_AUDIT_LOG_RETENTION_DAYS",
    yaml: "audit_log.retention_days",
    parser: integer({ min: 1, max: 3_650 }),
    default: "90",
    example: "365",
    about: "Days for which entries of the audit log are kept.",
  }),
  tasksDoneDays: setting({
    env: "FLUXBASE_TASKS_DONE_DAYS",
    yaml: "tasks.done_days",
    parser: integer({ min: 1, max: 3_650 }),
    default: "7",
    example: "30",
    about: "Days for which tasks that are done or cancelled are kept.",
  }),
  tasksDeadDays: setting({
    env: "FLUXBASE_TASKS_DEAD_DAYS",
    yaml: "tasks.dead_days",
    parser: integer({ min: 1, max: 3_650 }),
    default: "30",
    example: "90",
    about: "Days for which dead tasks are kept.",
  }),
  rowsPerSec: setting({
    env: "FLUXBASE_EXECUTIONS_ROWS_PER_SEC",
    yaml: "executions.rows_per_sec",
    parser: integer({ min: 1, max: 1_000_000 }),
    default: "1000",
    example: "5000",
    about:
      "Executions a second that one server process writes one by one; above it, successes without logs are counted together.",
  }),
  issuer: setting({
    env: "FLUXBASE_AUTH_ISSUER",
    yaml: "auth.issuer",
    parser: anyText,
    default: null,
    example: "https://login.example.com/",
    about:
      "Another issuer whose tokens are accepted, as it is named in the claim `iss`. Its tokens need `exp` and `sub`, and stand for users, whatever role they name.",
  }),
  issuerJwksUrl: setting({
    env: "FLUXBASE_AUTH_ISSUER_JWKS_URL",
    yaml: "auth.issuer_jwks_url",
    parser: httpUrl,
    default: null,
    example: "https://login.example.com/.well-known/jwks.json",
    about: "Where the public keys of that issuer are. They are read again every 10 minutes, and for a key that is new.",
  }),
  issuerSecret: setting<Secret>({
    env: "FLUXBASE_AUTH_ISSUER_SECRET",
    yaml: "auth.issuer_secret",
    parser: secretText(32),
    default: null,
    example: "a random text of at least 32 characters",
    about: "Instead of public keys: the secret with which that issuer signs (HS256).",
    isSecret: true,
  }),
  issuerAudience: setting({
    env: "FLUXBASE_AUTH_ISSUER_AUDIENCE",
    yaml: "auth.issuer_audience",
    parser: anyText,
    default: null,
    example: "https://api.example.com",
    about: "What the claim `aud` of that issuer's tokens must name. Default: anything.",
  }),
  issuerAlgorithms: setting({
    env: "FLUXBASE_AUTH_ISSUER_ALGORITHMS",
    yaml: "auth.issuer_algorithms",
    parser: listOf(...PUBLIC_KEY_ALGORITHMS),
    default: "RS256,ES256,EdDSA",
    example: "RS256",
    about: "Algorithms that are accepted with that issuer's public keys.",
  }),
  clockSkewSec: setting({
    env: "FLUXBASE_AUTH_CLOCK_SKEW_SECONDS",
    yaml: "auth.clock_skew_seconds",
    parser: integer({ min: 0, max: 300 }),
    default: "5",
    example: "30",
    about: "How far the clock of who made a token may be off when its times are checked.",
  }),
  accessTokenSec: setting({
    env: "FLUXBASE_AUTH_ACCESS_TOKEN_SECONDS",
    yaml: "auth.access_token_seconds",
    parser: integer({ min: 60, max: 86_400 }),
    default: "900",
    example: "3600",
    about: "Seconds for which an access token of a user is valid.",
  }),
  refreshTokenDays: setting({
    env: "FLUXBASE_AUTH_REFRESH_TOKEN_DAYS",
    yaml: "auth.refresh_token_days",
    parser: integer({ min: 1, max: 3_650 }),
    default: "30",
    example: "7",
    about: "Days after which a user has to sign in again.",
  }),
  signUpEnabled: setting({
    env: "FLUXBASE_AUTH_SIGNUP_ENABLED",
    yaml: "auth.signup_enabled",
    parser: boolean,
    default: "true",
    example: "false",
    about: "Whether people may make accounts themselves.",
  }),
  attemptsPerAddress: setting({
    env: "FLUXBASE_AUTH_ATTEMPTS_PER_ADDRESS",
    yaml: "auth.attempts_per_address",
    parser: integer({ min: 1, max: 1_000_000 }),
    default: "120",
    example: "30",
    about: "Requests to sign up, sign in or refresh that one address may make a minute.",
  }),
  attemptsPerAccount: setting({
    env: "FLUXBASE_AUTH_ATTEMPTS_PER_ACCOUNT",
    yaml: "auth.attempts_per_account",
    parser: integer({ min: 1, max: 1_000_000 }),
    default: "100",
    example: "20",
    about: "Times an hour that one e-mail may be used to sign in, from all addresses together.",
  }),
  setupToken: setting<Secret>({
    env: "FLUXBASE_SECURITY_SETUP_TOKEN",
    yaml: "security.setup_token",
    parser: secretText(16),
    default: null,
    example: "a long random text",
    about:
      "Whoever has it makes the first admin. Default: with the embedded database one that the server prints at the start, else none.",
    isSecret: true,
  }),
  traceHosts: setting({
    env: "FLUXBASE_FUNCTIONS_TRACE_HOSTS",
    yaml: "functions.trace_hosts",
    parser: hostNames,
    default: null,
    example: "*.example.com,orders.internal",
    about:
      "Hosts that learn by traceparent and tracestate which trace the fetch of a function belongs to; *.example.com means all below it, * all. This server itself always does.",
  }),
  backupDir: setting({
    env: "FLUXBASE_BACKUP_DIR",
    yaml: "backup.dir",
    parser: anyText,
    default: null,
    example: "/backups",
    about: "Folder for backups that come by themselves; without it there are none. Of several servers, one makes them.",
  }),
  backupEveryHours: setting({
    env: "FLUXBASE_BACKUP_EVERY_HOURS",
    yaml: "backup.every_hours",
    parser: integer({ min: 1, max: 720 }),
    default: "24",
    example: "6",
    about: "Hours from one backup to the next.",
  }),
  backupKeepCount: setting({
    env: "FLUXBASE_BACKUP_KEEP_COUNT",
    yaml: "backup.keep_count",
    parser: integer({ min: 1, max: 10_000 }),
    default: "7",
    example: "28",
    about: "Backups that are kept; older ones are removed.",
  }),
  metricsToken: setting<Secret>({
    env: "FLUXBASE_METRICS_TOKEN",
    yaml: "metrics.token",
    parser: secretToken(16),
    default: null,
    example: "a long random text",
    about:
      "Whoever has it may read /metrics and nothing else. Without it the service role, admins and keys with scope metrics:read may.",
    isSecret: true,
  }),
  readyRequiresDatabase: setting({
    env: "FLUXBASE_SERVER_READY_REQUIRES_DATABASE",
    yaml: "server.ready_requires_database",
    parser: boolean,
    default: "false",
    example: "true",
    about:
      "Whether /health/ready answers 503 while the database is away. Otherwise the answer only says so: calls go on without it.",
  }),
  trustedProxies: setting({
    env: "FLUXBASE_SERVER_TRUSTED_PROXIES",
    yaml: "server.trusted_proxies",
    parser: addressRanges,
    default: null,
    example: "10.0.0.0/8,127.0.0.1",
    about:
      "Proxies whose X-Forwarded-For says where a request comes from. Without: the address of the connection counts.",
  }),
  rateLimitStore: setting({
    env: "FLUXBASE_RATE_LIMIT_STORE",
    yaml: "rate_limit.store",
    parser: oneOf("memory", "postgres", "redis"),
    default: null,
    example: "postgres",
    about:
      "Where calls of functions with rate limits are counted: in each server, or in the database or in Redis for all together. Default: redis with FLUXBASE_REDIS_URL, else postgres with an external database, else memory.",
  }),
  callerRateLimit: setting({
    env: "FLUXBASE_RATE_LIMIT_PER_MINUTE",
    yaml: "rate_limit.per_minute",
    parser: integer({ min: 1, max: 1_000_000_000 }),
    default: null,
    example: "6000",
    about:
      "Requests a minute that one caller (a user, a key, else an address) may make to all functions and routes together. Keys with a limit of their own have that instead; the service role has none. Default: no limit.",
  }),
  failuresRateLimit: setting({
    env: "FLUXBASE_RATE_LIMIT_FAILURES_PER_MINUTE",
    yaml: "rate_limit.failures_per_minute",
    parser: integer({ min: 1, max: 1_000_000_000 }),
    default: "300",
    example: "60",
    about: "Wrong credentials a minute from one address that are answered with 401; above it the answer is 429.",
  }),
  redisUrl: setting<Secret>({
    env: "FLUXBASE_REDIS_URL",
    yaml: "redis.url",
    parser: redisUrl,
    default: null,
    example: "redis://user:password@redis.internal:6379/0",
    about: "Redis 6 or later, or Valkey, that counts rate limits for several servers.",
    isSecret: true,
  }),
  sandboxUidBase: setting({
    env: "FLUXBASE_SANDBOX_UID_BASE",
    yaml: "sandbox.uid_base",
    parser: integer({ min: 1_000, max: 2_000_000_000 }),
    default: "720000",
    example: "300000",
    about: "First of the user ids given to sandboxes, one each, when the server runs as root.",
  }),
  functionsDir: setting({
    env: "FLUXBASE_FUNCTIONS_FUNCTIONS_DIR",
    yaml: "functions.functions_dir",
    parser: anyText,
    default: null,
    example: "/app/functions",
    about:
      "Folder with functions as files: name.ts, name/index.ts, _shared/, deno.json. Functions that are saved over HTTP are written there too. Default: ./functions if it exists.",
  }),
  autoLoadOnBoot: setting({
    env: "FLUXBASE_FUNCTIONS_AUTO_LOAD_ON_BOOT",
    yaml: "functions.auto_load_on_boot",
    parser: boolean,
    default: "true",
    example: "false",
    about: "Whether a starting server creates and updates functions from the folder; it never deletes any.",
  }),
  watch: setting({
    env: "FLUXBASE_FUNCTIONS_WATCH",
    yaml: "functions.watch",
    parser: boolean,
    default: "false",
    example: "true",
    about: "Whether the server follows changes of the folder at once, as `npm run dev` does.",
  }),
  importHosts: setting({
    env: "FLUXBASE_FUNCTIONS_IMPORT_HOSTS",
    yaml: "functions.import_hosts",
    parser: list,
    default: [
      "deno.land",
      "esm.sh",
      "jsr.io",
      "cdn.jsdelivr.net",
      "unpkg.com",
      "raw.githubusercontent.com",
      "gist.githubusercontent.com",
    ].join(","),
    example: "esm.sh,modules.internal:8443",
    about:
      "Hosts from which functions may import modules by URL, when they are built. With a port: that port, also by plain HTTP; without: 443.",
  }),
  importMirrors: setting({
    env: "FLUXBASE_FUNCTIONS_IMPORT_MIRRORS",
    yaml: "functions.import_mirrors",
    parser: mirrors,
    default: "https://esm.sh/=npm:,jsr:@supabase/=npm:@supabase/,jsr:@hono/hono=npm:hono",
    example: "https://esm.sh/=npm:,jsr:=npm:@jsr/,https://deno.land/=https://modules.example.com/deno/",
    about:
      "Where modules come from instead of from where an import says: npm's registry for packages that esm.sh and JSR serve too, or a mirror of the operator's. Of several, the longest counts.",
  }),
  npmrc: setting({
    env: "FLUXBASE_FUNCTIONS_NPMRC",
    yaml: "functions.npmrc",
    parser: anyText,
    default: null,
    example: "/etc/fluxbase/npmrc",
    about:
      "An .npmrc with registries and tokens for the packages that functions import. Default: .npmrc in the functions folder.",
  }),
  sandboxRequire: setting({
    env: "FLUXBASE_SANDBOX_REQUIRE",
    yaml: "sandbox.require",
    parser: listOf(...FENCES),
    default: null,
    example: "seccomp,uid",
    about: "Fences without which the server does not start. Default: those that are missing are reported.",
  }),
  logLevel: setting({
    env: "FLUXBASE_LOG_LEVEL",
    yaml: "log.level",
    parser: oneOf("debug", "info", "warn", "error"),
    default: "info",
    example: "debug",
    about: "The least important lines that the server's own log shows.",
  }),
  logFormat: setting({
    env: "FLUXBASE_LOG_FORMAT",
    yaml: "log.format",
    parser: oneOf("text", "json"),
    default: "text",
    example: "json",
    about: "Lines of the server's own log for people, or one JSON object each.",
  }),
  slowStatementMs: setting({
    env: "FLUXBASE_LOG_SLOW_STATEMENT_MS",
    yaml: "log.slow_statement_ms",
    parser: integer({ min: 1, max: 3_600_000 }),
    default: "1000",
    example: "200",
    about: "A statement of the server itself that takes longer than this is logged, without its values.",
  }),
} as const;

/** What a limit is for, and by its key its setting: FLUXBASE_LIMITS_<NAME_WITH_UNIT>. */
const LIMIT_ABOUT: Readonly<Record<LimitKey, string>> = {
  wallMs: "Wall time of one invocation when the function says nothing, in milliseconds.",
  wallMaxMs: "The longest wall time that a function may ask for, in milliseconds.",
  memoryMiB: "Memory of one sandbox when the function says nothing.",
  requestBodyBytes: "Body of one request to a function.",
  webhookBodyBytes:
    "Body of one request to a function that verifies them (@fluxbase:verify): it is read whole before anything runs.",
  responseBodyBytes: "Body of one response of a function that says nothing itself.",
  responseHeadersCount: "Headers of one response of a function.",
  responseHeadBytes: "Headers of one response of a function, names and values together.",
  bundlingMs: "Fetching the packages that a function imports and putting it together.",
  bundleBytes: "JavaScript of one function after bundling.",
  sourceFileBytes: "One source file.",
  sourceBytes: "All source files of one function.",
  controlBodyBytes: "Body of one request to the management API.",
  languageSessionsCount:
    "Editors of the dashboard that have a language service of their own at once, each some 300 MB; 0 switches it off.",
  languageIdleMs: "A language service that nobody types for ends after this; the next key starts another one.",
  logLineBytes: "One line of a function's log; what is longer is cut.",
  logLinesCount: "Log lines of one execution; what comes after is left out.",
  logBytesPerSec:
    "Log of one function in the long run, over all its executions; 64 times as much at once. What is more is left out.",
  capturesMiB:
    "Requests that are kept to be run again (@fluxbase:capture), of all functions together, in the database; the oldest go first. 0: none are kept.",
  logFollowersCount: "Clients that follow logs live, on all servers together.",
  eventLoopBlockedMs: "A sandbox whose event loop does not answer for this long while requests run is killed.",
  concurrencyCount: "Requests one sandbox serves at once.",
  sandboxRequestsCount: "A sandbox that has served this many requests is replaced; none is lost.",
  sandboxLifeMs: "A sandbox that has lived this long is replaced; no request is lost.",
  sandboxIdleMs: "A sandbox without requests ends after this.",
  sandboxCount: "Sandboxes of one server process.",
  sandboxesMemoryMiB:
    "Memory of all sandboxes of one server process together. 0: three fifths of what the machine or its container has.",
  functionSharePercent: "Part of the sandboxes, and of the waiting requests, that one function may take.",
  blankSandboxCount: "Sandboxes started ahead, for cold calls.",
  sandboxStartMs: "From the start of a sandbox process to its first sign of life.",
  sandboxLoadMs: "Evaluating the top level of a function.",
  scratchBytes: "Files that one sandbox keeps in its scratch folder, together.",
  webSocketLifeMs: "How long one WebSocket may stay open; the function's own time limit ends when it opens.",
  waitingRequestsCount: "Requests that wait for a sandbox, over all functions.",
  waitForSandboxMs: "How long a request waits for a sandbox.",
  tableRowsCount: "Rows of one answer with rows of tables; what is more is left for the next page.",
  tableAnswerBytes:
    "What the database answers to one request for tables, errors and notices included; one with more is refused.",
  tableStatementMs: "Time of one statement for a request for tables; one that takes longer is ended.",
  namespaceConnectionsCount:
    "Connections to the database that the functions of one namespace may have, on all servers together.",
  functionConnectionsCount:
    "Connections to the database that all functions on one server may have together; a quarter is kept for namespaces that have none yet.",
  functionTransactionMs:
    "Time of one transaction of a function that uses the database itself; one that takes longer is ended, whatever the function set.",
  sessionMemoryMiB:
    "Memory of its own that one session of the embedded Postgres may have, whatever its SQL sets (work_mem): beyond it, its statement fails.",
  sessionTempFileMiB:
    "Temporary files that one session of a function or of tables may have in the database; holds where the server is a superuser, as in the embedded one.",
  drainDelayMs:
    "After SIGTERM: how long the server goes on taking requests while /health/ready answers 503 and connections are closed after their answer. Behind a proxy: a little longer than it takes to notice.",
  requestHeadMs: "For a connection to bring its next request whole, large bodies left out; then it is ended.",
  controlBodyMs: "For the body of one request to the management API to arrive.",
  idleConnectionMs: "A connection that asks nothing for this long is ended.",
  stalledAnswerMs: "A connection whose client takes nothing of its answer for this long is ended.",
  slowAnswerBytesPerSec:
    "So is one whose client takes less than this on average, while its answer waits for as long; event streams and WebSockets are exempt.",
  connectionsPerAddressCount:
    "Connections of one client address; of more, the newest without a request under way are ended. Trusted proxies have no such limit.",
  connectionsCount: "Connections together; of more, the quietest without a request under way are ended.",
  tasksCount: "Tasks that one server runs at once.",
  waitingTasksMiB: "Bodies of the tasks of one function that wait, as they are stored; more are refused.",
  waitingTasksCount: "Tasks of one function that may wait; more are refused. Counted every few seconds.",
  drainMs: "How long a stopping server waits for running requests.",
};

export type Limits = Readonly<Record<LimitKey, number>>;

export const LIMIT_SETTINGS = Object.fromEntries(
  limitKeys().map((key) => [key, limitSetting(key)]),
) as Readonly<Record<LimitKey, DefaultedSetting<number>>>;

function limitKeys(): LimitKey[] {
  return Object.keys(LIMITS) as LimitKey[];
}

function limitSetting(key: LimitKey): DefaultedSetting<number> {
  const snake = key.replaceAll(/MiB|[A-Z]/g, (part) => `_${part.toLowerCase()}`);
  const { default: value, max } = LIMITS[key];
  return setting({
    env: `FLUXBASE_LIMITS_${snake.toUpperCase()}`,
    yaml: `limits.${snake}`,
    parser: integer(LIMITS[key]),
    default: String(value),
    example: String(Math.min(max, 2 * value)),
    about: LIMIT_ABOUT[key],
  });
}

export const ALL_SETTINGS: readonly Setting<unknown>[] = [
  ...Object.values(SETTINGS),
  ...Object.values(OTEL_SETTINGS),
  ...Object.values(LIMIT_SETTINGS),
];
