/**
 * A database of its own for each test, cloned from a migrated template in the Postgres that the test command started.
 *
 * @module
 */
import pg from "pg";
import { Secret } from "../../src/core/secret.ts";

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

/** With the roles that a server has made for it. */
async function dropDatabase(server: string, name: string): Promise<void> {
  const client = new pg.Client({ connectionString: server });
  await client.connect();
  try {
    const { rows: [place] } = await client.query("select oid from pg_database where datname = $1", [name]);
    await client.query(`drop database if exists ${name} with (force)`);
    for (const kind of ["api", "functions"]) await client.query(`drop role if exists fluxbase_${kind}_${place?.oid}`);
  } finally {
    await client.end();
  }
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
