/**
 * A data directory of before users' tables had a database of their own.
 *
 * @module
 */
import assert from "node:assert/strict";
import { readConfig } from "../src/config/config.ts";
import { silentLog } from "../src/core/log.ts";
import { startPlatform } from "../src/platform.ts";
import { startEmbeddedPostgres } from "../src/storage/embedded/embedded_postgres.ts";
import { administer } from "./support/database.ts";
import { withoutLeakedProcesses } from "./support/processes.ts";

Deno.test({
  name: "the embedded database's tables of before are there after the start, and after the next",
  sanitizeOps: false,
  sanitizeResources: false,
  fn: () =>
    withoutLeakedProcesses(async () => {
      const dataDir = await Deno.makeTempDir({ prefix: "fluxbase-moves-" });
      await Deno.chmod(dataDir, 0o755);
      try {
        {
          await using postgres = await startEmbeddedPostgres({ dataDir, log: silentLog });
          await administer(
            postgres.url.reveal(),
            `create role fluxbase_functions_5 login;
             create table public.made (id int, text text);
             alter table public.made owner to fluxbase_functions_5;
             insert into public.made values (1, 'kept')`,
          );
        }
        const config = readConfig(
          { FLUXBASE_DATA_DIR: dataDir, FLUXBASE_SERVER_ADDRESS: "127.0.0.1:0" },
          undefined,
        );
        for (const rowsCount of [1, 2]) {
          await using platform = await startPlatform(config, silentLog);
          const query = async (sql: string) => {
            const response = await fetch(`${platform.url}/api/v1/admin/database/query`, {
              method: "POST",
              headers: { authorization: `Bearer ${platform.localKeys?.serviceRoleKey}` },
              body: JSON.stringify({ sql }),
            });
            return await response.json();
          };
          assert.equal((await query("select text from made")).rows.length, rowsCount);
          // It belongs to the functions of default again.
          assert.equal((await query("insert into made values (2, 'new')")).row_count, 1);
          if (rowsCount === 1) assert.equal((await query("alter table made add column more int")).command, "ALTER");
        }
      } finally {
        await Deno.remove(dataDir, { recursive: true });
      }
    }),
});
