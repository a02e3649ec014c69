/**
 * A database of its own for each test, cloned from a migrated template in the Postgres that the test command started.
 *
 * @module
 */
import pg from "pg";
import { Secret } from "../../src/core/secret.ts";
import { appDatabaseName } from "../../src/storage/app_database.ts";

export interface TestDatabase {
  readonly url: Secret;
  [Symbol.asyncDispose](): Promise<void>;
}

export const TEMPLATE = "fluxbase_template";
const SERVER_URL_VARIABLE = "FLUXBASE_TEST_DATABASE_URL";

/** `template: "template1"` gives an empty database. */
export async function createTestDatabase({ template = TEMPLATE } = {}): Promise<TestDatabase> {
  const server = testServerUrl();
  const name = `test_${crypto.randomUUID().replaceAll("-", "")}`;
  await administer(server, `create database ${name} template ${template}`);
  const url = new URL(server);
  url.pathname = `/${name}`;
  return {
    url: new Secret(url.href),
    [Symbol.asyncDispose]: () => dropDatabase(server, name),
  };
}

/** With that of its users' tables, and the roles that a server has made for either. */
async function dropDatabase(server: string, name: string): Promise<void> {
  const client = new pg.Client({ connectionString: server });
  await client.connect();
  try {
    for (const database of [name, appDatabaseName(name)]) {
      const { rows: [place] } = await client.query("select oid from pg_database where datname = $1", [database]);
      if (place === undefined) continue;
      await client.query(`drop database ${database} with (force)`);
      const { rows } = await client.query("select rolname from pg_roles where rolname ~ $1", [
        `^fluxbase_[a-z_]+_${place.oid}(_|$)`,
      ]);
      for (const { rolname } of rows) await client.query(`drop role ${pg.escapeIdentifier(rolname)}`);
    }
  } finally {
    await client.end();
  }
}

/** Beside the platform's, as a server finds it. */
export function appUrlOf(platformUrl: Secret): Secret {
  const url = new URL(platformUrl.reveal());
  url.pathname = `/${appDatabaseName(url.pathname.slice(1))}`;
  return new Secret(url.href);
}

/** One connection, one statement. */
export async function administer(url: string, statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}

export function testServerUrl(): string {
  const url = Deno.env.get(SERVER_URL_VARIABLE);
  if (url === undefined) throw new Error("Run tests with `npm test`, or `npm test -- <file>` for some of them");
  return url;
}
