/**
 * Rows of tables over HTTP against the same query by the driver itself: 100,000 rows, a filter by index.
 *
 * @module
 */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { SignJWT } from "jose";
import pg from "pg";
import { silentLog } from "../packages/server/src/core/log.ts";
import { startEmbeddedPostgres } from "../packages/server/src/storage/embedded/embedded_postgres.ts";
import { startProgram } from "./server.ts";
import { median, type Row, type Suite, timeOf } from "./suite.ts";

const MAIN = fileURLToPath(new URL("../packages/server/src/main.ts", import.meta.url));
const ROWS_COUNT = 100_000;
const QUERIES_COUNT = 1_000;
const READERS_COUNT = 20;
const SECRET = "a secret of the benchmark, long enough";
const MOST = 2;

export const tables: Suite = {
  name: "tables",
  async run(dir) {
    await using postgres = await startEmbeddedPostgres({ dataDir: dir, log: silentLog });
    const port = freePort();
    await using _server = await startProgram(Deno.execPath(), ["run", "-A", "--no-check", MAIN], {
      env: {
        DATABASE_URL: postgres.url.reveal(),
        FLUXBASE_DATA_DIR: join(dir, "data"),
        FLUXBASE_SERVER_ADDRESS: `127.0.0.1:${port}`,
        FLUXBASE_AUTH_JWT_SECRET: SECRET,
        FLUXBASE_ENCRYPTION_KEY: "0".repeat(64),
      },
      isReady: new RegExp(`:${port}`),
    });
    const client = new pg.Client({ connectionString: await usersDatabase(postgres.url.reveal()) });
    await client.connect();
    await client.query(`create table public.items (id int primary key, grp int not null, name text not null);
      insert into public.items select i, i % 10000, 'item ' || i from generate_series(1, ${ROWS_COUNT}) i;
      create index on public.items (grp); analyze public.items;
      grant select on public.items to service_role`);
    const token = await new SignJWT({ role: "service_role" }).setProtectedHeader({ alg: "HS256" })
      .setExpirationTime("1h").sign(new TextEncoder().encode(SECRET));
    const overHttp = async (grp: number) => {
      const response = await fetch(`http://127.0.0.1:${port}/rest/v1/items?select=id,name&grp=eq.${grp}`, {
        headers: { authorization: `Bearer ${token}` },
      });
      const rows = await response.json();
      if (rows.length !== ROWS_COUNT / 10_000) throw new Error(`Cannot measure: ${JSON.stringify(rows).slice(0, 200)}`);
    };
    /** What a call costs this client before any work is done. */
    const empty = async () => {
      const response = await fetch(`http://127.0.0.1:${port}/health`, {
        headers: { authorization: `Bearer ${token}` },
      });
      await response.text();
    };
    const byDriver = (grp: number) =>
      client.query({ name: "items", text: "select id, name from public.items where grp = $1", values: [grp] });
    while (await overHttp(1).then(() => false, () => true)) await new Promise((resolve) => setTimeout(resolve, 100));
    const [http, driver, bare, many] = [[] as number[], [] as number[], [] as number[], [] as number[]];
    for (let index = 0; index < 2 * QUERIES_COUNT; index += 1) {
      const times = [
        await timeOf(() => overHttp(index)),
        await timeOf(() => byDriver(index)),
        await timeOf(empty),
      ] as const;
      // The first half only warms up.
      if (index < QUERIES_COUNT) continue;
      http.push(times[0]);
      driver.push(times[1]);
      bare.push(times[2]);
    }
    await Promise.all(Array.from({ length: READERS_COUNT }, async (_, reader) => {
      for (let index = 0; index < QUERIES_COUNT / 10; index += 1) {
        many.push(await timeOf(() => overHttp(reader * 100 + index)));
      }
    }));
    await client.end();
    const ratio = median(http) / median(driver);
    const ms = (values: readonly number[]) => `${median(values).toFixed(2)} ms`;
    return [
      row(
        `tables, 100,000 rows, filter by index: p50 over HTTP (${ms(http)}) against pg (${ms(driver)})`,
        `≤ ${MOST}`,
        {
          measured: ratio.toFixed(2),
          isMet: ratio <= MOST,
        },
      ),
      row("an answer without any work, to the same client: p50", "a floor", { measured: ms(bare), isMet: true }),
      row(`the same rows with ${READERS_COUNT} readers at once: p50`, "answered", { measured: ms(many), isMet: true }),
    ];
  },
};

/** A server of before they had one of their own keeps tables in the platform's. */
async function usersDatabase(platformUrl: string): Promise<string> {
  const client = new pg.Client({ connectionString: platformUrl });
  await client.connect();
  const { rows } = await client.query("select from pg_database where datname = current_database() || '_app'");
  await client.end();
  return rows.length > 0 ? `${platformUrl}_app` : platformUrl;
}

function row(what: string, target: string, rest: { measured: string; isMet: boolean }): Row {
  return { what, target, ...rest };
}

function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}
