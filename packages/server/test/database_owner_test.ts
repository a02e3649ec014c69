/**
 * A Postgres of somebody else's, in which the server is no superuser.
 *
 * @module
 */
import assert from "node:assert/strict";
import { administer } from "./support/database.ts";
import { eventually, postgresTest, withTestPlatform } from "./support/platform.ts";

postgresTest(
  "in a Postgres where the server is no superuser, it does what its rights allow, and says what it cannot",
  async (postgres, step) => {
    const urlAs = async (role: string, rights: string): Promise<string> => {
      await administer(postgres.url.reveal(), `create role ${role} login ${rights} password 'a password'`);
      await administer(postgres.url.reveal(), `create database ${role} owner ${role}`);
      const url = new URL(postgres.url.reveal());
      return Object.assign(url, { username: role, password: "a password", pathname: `/${role}` }).href;
    };

    await step("without rights to make roles: functions run, tables say why they do not", async () => {
      const DATABASE_URL = await urlAs("plain", "");
      await withTestPlatform(async (platform) => {
        await platform.deploy("works", "export default () => Deno.env.get('DATABASE_URL') ?? 'none';");
        assert.equal(await (await platform.call("works")).json(), "none");
        const refused = await platform.api("POST", "/admin/database/query", { sql: "select 1" });
        assert.deepEqual([refused.status, refused.body.code], [503, "FEATURE_DISABLED"]);
        assert.ok(
          platform.logLines.some((line) =>
            /Cannot make the database "plain_app".*FLUXBASE_APP_DATABASE_URL/.test(line)
          ),
        );
      }, { DATABASE_URL });
    });

    await step("with CREATEDB, CREATEROLE and BYPASSRLS: tables are served, and changes to them followed", async () => {
      const DATABASE_URL = await urlAs("owner", "createdb createrole bypassrls");
      await withTestPlatform(async (platform) => {
        const sql = "create table things (id int); insert into things values (1)";
        assert.equal((await platform.api("POST", "/admin/database/query", { sql })).status, 200);
        const read = () =>
          fetch(`${platform.url}/rest/v1/things`, { headers: { authorization: `Bearer ${platform.serviceKey}` } });
        await eventually(async () => (await (await read()).text()) === `[{"id":1}]`);
        const code = `import pg from "npm:pg@8.16.3";
        export default async () => {
          const client = new pg.Client(Deno.env.get("DATABASE_URL"));
          await client.connect();
          const { rows } = await client.query("select id from things");
          await client.end();
          return rows;
        };`;
        await platform.deploy("reads", code);
        assert.deepEqual(await (await platform.call("reads")).json(), [{ id: 1 }]);
      }, { DATABASE_URL });
    });
  },
);
