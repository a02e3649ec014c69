/**
 * The program for what is done to the databases as a whole: backup, restore, move. It needs the settings of the server.
 *
 * @module
 */
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { type Databases, type Progress, writeBackup } from "./backup/backup.ts";
import { writeBackupFile } from "./backup/backup_file.ts";
import { restoreBackup } from "./backup/restore.ts";
import { type Config, readConfig, readYaml } from "./config/config.ts";
import { readLocalSecrets } from "./config/local_secrets.ts";
import { postgresUrl } from "./config/parsers.ts";
import { withSecretFiles } from "./config/secret_files.ts";
import { createLog, silentLog } from "./core/log.ts";
import type { Secret } from "./core/secret.ts";
import { createKeyRing, type KeyRing } from "./secrets/key_ring.ts";
import { rolePassword } from "./secrets/role_passwords.ts";
import { connectDatabase } from "./storage/db.ts";
import { findRunningPostgres, startEmbeddedPostgres } from "./storage/embedded/embedded_postgres.ts";
import { compareSchema } from "./storage/migrate.ts";
import { listNodes } from "./storage/nodes.ts";
import { RELEASE } from "./storage/release.ts";
import { StartError } from "./storage/start_error.ts";
import { findUsersDatabase } from "./tables/users_database.ts";

const MIB = 1024 * 1024;
const PROGRESS_MS = 1_000;

interface Given {
  readonly positionals: readonly string[];
  readonly values: Readonly<Record<string, string | boolean | undefined>>;
}

const COMMANDS: Readonly<Record<string, (given: Given, config: Config) => Promise<void>>> = {
  backup,
  restore,
  move,
  "upgrade-check": checkUpgrade,
};

function say(text: string): void {
  Deno.stderr.writeSync(new TextEncoder().encode(`${text}\n`));
}

async function main(args: string[]): Promise<void> {
  const { positionals: [command = "", ...positionals], values } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      force: { type: "boolean" },
      replace: { type: "boolean" },
      to: { type: "string" },
      "users-to": { type: "string" },
    },
  });
  const run = COMMANDS[command];
  if (run === undefined) throw new StartError(`Cannot do "${command}": use one of ${Object.keys(COMMANDS).join(", ")}`);
  const env = await withSecretFiles(Deno.env.toObject());
  await run({ positionals, values }, readConfig(env, await readYaml("fluxbase.yaml")));
}

async function backup({ positionals: [path], values }: Given, config: Config): Promise<void> {
  const target = fileOf(path);
  if (!values["force"] && await isThere(target)) {
    throw new StartError(`Cannot write the backup: "${target}" is there already; --force replaces it`);
  }
  await using server = await findServer(config);
  const { tables, bytes, bytesOnDisk } = await writeBackupFile(target, await server.databases(), {
    keyIds: server.keyRing.ids,
    onProgress: progressOf(),
  });
  say(`Wrote ${target}: ${tables} tables, ${inMiB(bytes)} of rows, ${inMiB(bytesOnDisk)} on disk`);
  say(
    `It has no keys: keep ${
      server.secretsFile ?? "FLUXBASE_ENCRYPTION_KEY and FLUXBASE_AUTH_JWT_SECRET"
    } too, in another place`,
  );
}

async function restore({ positionals: [path], values }: Given, config: Config): Promise<void> {
  const source = fileOf(path);
  const file = await Deno.open(source).catch((error) => {
    throw new StartError(`Cannot read the backup "${source}": ${error instanceof Error ? error.message : error}`);
  });
  await using server = await findServer(config);
  const { created_at, release } = await restoreBackup(await server.databases(), file.readable, {
    keyIds: server.keyRing.ids,
    replaces: values["replace"] === true,
    passwordOf: (db, name) => rolePassword(db, name, server.keyRing),
    onProgress: progressOf(),
  });
  say(`Restored what was there at ${created_at} (release ${release}); start the server`);
}

async function move({ values }: Given, config: Config): Promise<void> {
  const platform = postgresUrl.parse(String(values["to"] ?? ""));
  if (platform === undefined) throw new StartError("Cannot move: --to must be a URL that starts with postgres://");
  const givenUsers = values["users-to"] === undefined ? null : postgresUrl.parse(String(values["users-to"]));
  if (givenUsers === undefined) {
    throw new StartError("Cannot move: --users-to must be a URL that starts with postgres://");
  }
  await using server = await findServer(config);
  const users = await findUsersDatabase({
    platformUrl: platform,
    givenUrl: givenUsers,
    isShared: config.databaseShared,
    isEmbedded: false,
    schemas: [],
    log: createLog({ level: "warn", format: "text", write: say }),
  });
  if (users === undefined) {
    throw new StartError("Cannot move: create a database for users' tables, and give --users-to");
  }
  const pipe = new TransformStream<Uint8Array, Uint8Array<ArrayBuffer>>();
  const { ids: keyIds } = server.keyRing;
  const writing = writeBackup(await server.databases(), pipe.writable, { keyIds, isMove: true });
  const restoring = restoreBackup({ platform, users: config.databaseShared ? null : users }, pipe.readable, {
    keyIds,
    replaces: values["replace"] === true,
    passwordOf: (db, name) => rolePassword(db, name, server.keyRing),
    onProgress: progressOf(),
  });
  // Whichever fails ends the other with a less telling reason.
  const results = await Promise.allSettled([writing, restoring]);
  const failures = results.flatMap((result) => result.status === "rejected" ? [result.reason] : []);
  const telling = failures.find((error) => !/^Cannot (make a|read the) backup: /.test(error.message)) ?? failures[0];
  if (telling !== undefined) throw telling;
  const settings = join(server.dataDir, "moved.env");
  await Deno.writeTextFile(
    settings,
    [
      `DATABASE_URL=${platform.reveal()}`,
      ...(givenUsers === null ? [] : [`FLUXBASE_APP_DATABASE_URL=${givenUsers.reveal()}`]),
      ...server.secrets.map(([name, secret]) => `${name}=${secret.reveal()}`),
      "",
    ].join("\n"),
    { mode: 0o600 },
  );
  say(`Everything is there. Start servers with the settings in ${settings}, the same for each of them`);
}

const ALIVE_SEC = 15;

/** What a start of this release would do to the database. Changes nothing. */
async function checkUpgrade(_: Given, config: Config): Promise<void> {
  await using server = await findServer(config);
  await using database = await connectDatabase({
    url: server.platformUrl,
    maxConnectionsCount: 2,
    log: createLog({ level: "error", format: "text", write: say }),
  });
  const { release, isEmpty, missing, refusal } = await compareSchema(database.db);
  // An older schema may have no table of servers.
  const nodes = (await listNodes(database.db, ALIVE_SEC).catch(() => [])).filter(({ isAlive }) => isAlive);
  say(`Installed: release ${RELEASE.version}`);
  say(`Database: ${isEmpty ? "empty" : `schema of release ${release?.version ?? "unknown"}`}`);
  for (const { name, version } of nodes) say(`Runs: ${name}, release ${version}`);
  if (refusal !== undefined) throw new StartError(refusal);
  const others = nodes.filter(({ version }) => version !== RELEASE.version);
  if (isEmpty) return say("Nothing to upgrade: the first start makes the schema");
  if (missing.length > 0) {
    say(`To do: the first start of this release applies ${missing.length} migrations: ${missing.join(", ")}`);
    say("Make a backup first (fluxbase backup FILE): there is no other way back");
  }
  if (others.length > 0) say(`To do: start ${others.length} servers again, one after the other`);
  if (missing.length === 0 && others.length === 0) say("Nothing to do: the schema is that of this release");
}

interface Server extends AsyncDisposable {
  readonly platformUrl: Secret;
  readonly dataDir: string;
  readonly keyRing: KeyRing;
  /** With the embedded database and no keys of the operator's. */
  readonly secretsFile: string | null;
  /** What servers elsewhere have to be given. */
  readonly secrets: readonly (readonly [setting: string, secret: Secret])[];
  databases(): Promise<Databases>;
}

/** The databases of the server with these settings, whether it runs or not. */
async function findServer(config: Config): Promise<Server> {
  await using parts = new AsyncDisposableStack();
  const dataDir = resolve(config.dataDir);
  const isEmbedded = config.database.kind === "embedded";
  const secretsFile = join(dataDir, "secrets.json");
  if (isEmbedded && config.encryptionKey === null && !await isThere(secretsFile)) {
    throw new StartError(
      `Cannot find the keys: "${secretsFile}" is not there, and FLUXBASE_ENCRYPTION_KEY is not set; run this where the server runs, or put a copy of that file there`,
    );
  }
  const local = isEmbedded && await isThere(secretsFile) ? await readLocalSecrets(dataDir, () => "") : undefined;
  const present = config.encryptionKey ?? local?.encryptionKey;
  if (present === undefined) throw new StartError("Cannot go on without FLUXBASE_ENCRYPTION_KEY");
  const previous = [...config.encryptionPreviousKeys, ...(local === undefined ? [] : [local.encryptionKey])];
  const jwtSecret = config.jwtSecret ?? local?.jwtSecret;
  const platform = config.database.kind === "external"
    ? config.databaseDirectUrl ?? config.database.url
    : await findRunningPostgres(dataDir) ?? parts.use(await startEmbeddedPostgres({ dataDir, log: silentLog })).url;
  const started = parts.move();
  return {
    platformUrl: platform,
    dataDir,
    keyRing: await createKeyRing(present, previous),
    secretsFile: config.encryptionKey === null ? secretsFile : null,
    secrets: [
      ["FLUXBASE_ENCRYPTION_KEY", present] as const,
      ...(jwtSecret === undefined ? [] : [["FLUXBASE_AUTH_JWT_SECRET", jwtSecret] as const]),
    ],
    async databases() {
      const users = await findUsersDatabase({
        platformUrl: platform,
        givenUrl: config.appDatabaseUrl,
        isShared: config.databaseShared,
        isEmbedded,
        schemas: config.databaseSchemas,
        log: createLog({ level: "warn", format: "text", write: say }),
      });
      return { platform, users: config.databaseShared || users === undefined ? null : users };
    },
    [Symbol.asyncDispose]: () => started.disposeAsync(),
  };
}

function fileOf(path: string | undefined): string {
  if (path === undefined) throw new StartError("Cannot go on without the file of the backup: name it");
  return resolve(path);
}

async function isThere(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}

/** A line now and then, for whoever waits at a terminal. */
function progressOf(): (progress: Progress) => void {
  let saidMs = performance.now();
  return ({ database, table, bytes }) => {
    if (performance.now() - saidMs < PROGRESS_MS) return;
    saidMs = performance.now();
    say(`${database}: ${inMiB(bytes)}, now ${table}`);
  };
}

function inMiB(bytes: number): string {
  return `${(bytes / MIB).toFixed(1)} MiB`;
}

if (import.meta.main) {
  try {
    await main(Deno.args);
    Deno.exit(0);
  } catch (error) {
    say(error instanceof StartError ? error.message : `This was not expected, please report it: ${error}`);
    Deno.exit(1);
  }
}
