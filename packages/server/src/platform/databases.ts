/**
 * The databases of the platform and of its users, brought to this release.
 *
 * @module
 */
import { startAuditLog } from "../audit/audit_log.ts";
import { rolePassword } from "../secrets/role_passwords.ts";
import { rotateEncryption } from "../secrets/rotation.ts";
import { connectDatabase, DIRECT_URL_ADVICE } from "../storage/db.ts";
import { startEmbeddedPostgres } from "../storage/embedded/embedded_postgres.ts";
import { startListener } from "../storage/listener.ts";
import { migrate } from "../storage/migrate.ts";
import { findUsersDatabase, startUsersDatabase } from "../tables/users_database.ts";
import type { Base } from "./base.ts";
import { embeddedPort, parentsPostgres } from "./embedded_database.ts";
import type { RootSecrets } from "./root_secrets.ts";

export type Databases = Awaited<ReturnType<typeof startDatabases>>;

export async function startDatabases({ config, log, clock, dataDir, parts }: Base, { keyRing }: RootSecrets) {
  const { limits } = config;
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
  return { embedded, directUrl, usersUrl, database, db, audit, listener, usersDatabase };
}
