/**
 * A whole platform for a test, spoken to over HTTP like a client would.
 *
 * @module
 */
import assert from "node:assert/strict";
import { Kysely, PostgresDialect } from "kysely";
import pg from "pg";
import { generateKey, hashKey, keyPrefixOf } from "../../src/auth/keys.ts";
import { createTokens } from "../../src/auth/tokens.ts";
import { readConfig } from "../../src/config/config.ts";
import { createLog, silentLog } from "../../src/core/log.ts";
import { Secret } from "../../src/core/secret.ts";
import { startPlatform } from "../../src/platform.ts";
import { connectDatabase, type Database } from "../../src/storage/db.ts";
import { insertKey } from "../../src/storage/keys.ts";
import { type EmbeddedPostgres, startEmbeddedPostgres } from "../../src/storage/embedded/embedded_postgres.ts";
import { appUrlOf, createTestDatabase } from "./database.ts";
import { withoutLeakedProcesses } from "./processes.ts";

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  // deno-lint-ignore no-explicit-any -- tests look into answers freely; a wrong path fails the assertion
  readonly body: any;
}

export interface TestPlatform {
  readonly url: string;
  readonly databaseUrl: Secret;
  readonly db: Database["db"];
  /** The users' database, as its owner. */
  readonly appDb: Database["db"];
  readonly anonKey: string;
  readonly serviceKey: string;
  readonly jwtSecret: Secret;
  /** What the server's own log said. */
  readonly logLines: readonly string[];
  /** A request to the control plane as the service role, unless another key is given. */
  api(method: string, path: string, body?: unknown, key?: string | null): Promise<Answer>;
  /** Deploys with `strict`: a test wants its function to build. */
  deploy(name: string, code: string, fields?: Record<string, unknown>): Promise<Answer>;
  /** Calls with the anon key, unless headers say otherwise. */
  call(name: string, init?: RequestInit): Promise<Response>;
  mintKey(scopes: readonly string[], namespaces?: readonly string[]): Promise<string>;
  /** The executions of a function, once there are as many as expected. */
  executions(name: string, count?: number): Promise<Answer["body"]>;
}

type Steps = (name: string, work: () => Promise<void> | void) => Promise<boolean>;

/** One test around one platform; `step` names its parts. Leaked processes, sockets and timers fail it. */
export function platformTest(
  name: string,
  run: (platform: TestPlatform, step: Steps) => Promise<void>,
  env: Readonly<Record<string, string>> = {},
): void {
  Deno.test(name, async (test) => {
    // Background work of the platform goes on from step to step: leaks are counted at the end.
    const sanitizers = { sanitizeOps: false, sanitizeResources: false };
    await withoutLeakedProcesses(() =>
      withTestPlatform(
        (platform) =>
          run(platform, (stepName, fn) =>
            test.step({ name: stepName, fn: () => explained(platform, fn), ...sanitizers })),
        env,
      )
    );
  });
}

/** A step that fails says what the server logged last. */
async function explained({ logLines }: TestPlatform, work: () => Promise<void> | void): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (error instanceof Error) error.message += `\nThe server logged:\n${logLines.slice(-15).join("\n")}`;
    throw error;
  }
}

/** One test around a Postgres of its own, whose roles and settings it may change. */
export function postgresTest(
  name: string,
  run: (postgres: EmbeddedPostgres, step: Steps) => Promise<void>,
): void {
  Deno.test(name, async (test) => {
    const dataDir = await Deno.makeTempDir({ prefix: "fluxbase-postgres-" });
    await Deno.chmod(dataDir, 0o755);
    try {
      await using postgres = await startEmbeddedPostgres({ dataDir, log: silentLog });
      await run(
        postgres,
        (stepName, fn) =>
          test.step({ name: stepName, fn: async () => await fn(), sanitizeOps: false, sanitizeResources: false }),
      );
    } finally {
      await Deno.remove(dataDir, { recursive: true });
    }
  });
}

/** Settings, or what makes them of the URL of the test's database. */
export type TestSettings = Readonly<Record<string, string>> | ((databaseUrl: Secret) => Record<string, string>);

export async function withTestPlatform(
  run: (platform: TestPlatform) => Promise<void>,
  settings: TestSettings = {},
): Promise<void> {
  const dataDir = await Deno.makeTempDir({ prefix: "fluxbase-test-" });
  await Deno.chmod(dataDir, 0o755);
  try {
    await using database = await createTestDatabase();
    const env = typeof settings === "function" ? settings(database.url) : settings;
    await runPlatform({ dataDir, databaseUrl: database.url, env }, run);
  } finally {
    await Deno.remove(dataDir, { recursive: true });
  }
}

const JWT_SECRET = "a secret of the tests, long enough to be accepted";
const HOUR_SEC = 3_600;

async function runPlatform(
  { dataDir, databaseUrl, env }: { dataDir: string; databaseUrl: Secret; env: Readonly<Record<string, string>> },
  run: (platform: TestPlatform) => Promise<void>,
): Promise<void> {
  const logLines: string[] = [];
  const log = createLog({ level: "debug", format: "text", write: (line) => void logLines.push(line) });
  const config = readConfig({
    FLUXBASE_SERVER_ADDRESS: "127.0.0.1:0",
    FLUXBASE_DATA_DIR: dataDir,
    DATABASE_URL: databaseUrl.reveal(),
    FLUXBASE_AUTH_JWT_SECRET: JWT_SECRET,
    FLUXBASE_ENCRYPTION_KEY: "0".repeat(64),
    ...env,
  }, undefined);
  const jwtSecret = new Secret(JWT_SECRET);
  const tokens = createTokens(jwtSecret);
  const nowSec = Math.floor(Date.now() / 1000);
  const validity = { issuedAtSec: nowSec, expiresAtSec: nowSec + HOUR_SEC };
  const [anonKey, serviceKey] = [
    await tokens.mintRole("anon", validity),
    await tokens.mintRole("service_role", validity),
  ];
  await using started = await startPlatform(config, log);
  await using database = await connectDatabase({ url: databaseUrl, maxConnectionsCount: 2, log });
  // Connects when it is used: not every server has one.
  const app = new pg.Pool({
    connectionString: appUrlOf(new Secret(env["DATABASE_URL"] ?? databaseUrl.reveal())).reveal(),
    max: 2,
  });
  app.on("error", () => {});
  await using _app = { [Symbol.asyncDispose]: () => app.end() };
  const { url } = started;

  async function api(method: string, path: string, body?: unknown, key: string | null = serviceKey): Promise<Answer> {
    const response = await fetch(`${url}/api/v1${path}`, {
      method,
      headers: {
        "content-type": "application/json",
        ...(key === null ? {} : { authorization: `Bearer ${key}` }),
      },
      ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, headers: response.headers, body: text === "" ? undefined : JSON.parse(text) };
  }

  await run({
    url,
    databaseUrl,
    db: database.db,
    appDb: new Kysely({ dialect: new PostgresDialect({ pool: app }) }),
    anonKey,
    serviceKey,
    jwtSecret,
    logLines,
    api,
    async deploy(name, code, fields = {}) {
      const answer = await api("POST", "/functions?strict=true", { name, code, ...fields });
      assert.equal(answer.status, 201, JSON.stringify(answer.body));
      return answer;
    },
    call(name, init = {}) {
      const headers = new Headers(init.headers);
      if (!headers.has("authorization")) headers.set("authorization", `Bearer ${anonKey}`);
      return fetch(`${url}/api/v1/functions/${name}${name.includes("/invoke") ? "" : "/invoke"}`, { ...init, headers });
    },
    async mintKey(scopes, namespaces) {
      const key = generateKey("client");
      await insertKey(database.db, {
        kind: "client",
        name: "test",
        keyPrefix: keyPrefixOf(key),
        keyHash: hashKey(key),
        scopes,
        namespaces: namespaces ?? null,
        rateLimitPerMinute: null,
        createdBy: null,
        expiresAt: null,
      });
      await eventually(async () => (await api("GET", "/functions", undefined, key)).status !== 401);
      return key;
    },
    async executions(path, count = 1) {
      const name = path.replace(/\/invoke.*/, "");
      let found: Answer["body"] = [];
      await eventually(async () => {
        found = (await api("GET", `/functions/${name}/executions?limit=1000`)).body;
        return found.length >= count;
      });
      return found;
    },
  });
}

const EVENTUALLY_MS = 20_000;

/** Waits until `holds` says so; generous, because machines are slow at times. */
export async function eventually(holds: () => Promise<boolean> | boolean): Promise<void> {
  const deadline = performance.now() + EVENTUALLY_MS;
  while (!await holds()) {
    if (performance.now() > deadline) throw new Error(`Did not become true within ${EVENTUALLY_MS} ms: ${holds}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
