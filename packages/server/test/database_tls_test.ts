/**
 * A Postgres elsewhere that is spoken to by TLS, in the words that libpq has for it.
 *
 * @module
 */
import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import pg from "pg";
import { postgresTest, withTestPlatform } from "./support/platform.ts";

/** Made for this test, for "localhost", by itself. */
const CERTIFICATE = `-----BEGIN CERTIFICATE-----
MIIBljCCATugAwIBAgIUNzo9UsCnyd6n7FLBo0LbzKlHbLAwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyNjEyMTcxMFoYDzIxMjYxMTAy
MTIxNzEwWjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAASDqSYPQLUQV+vWKyjCBLt/WQHb3eQ2Sj2fGa5jZleKUgtvaG447rox
kjaIbVGq+nWTMdGT9qbdbfEarz80Z9p5o2kwZzAdBgNVHQ4EFgQU78LcjgsPisRR
71MWTraxDxN55kYwHwYDVR0jBBgwFoAU78LcjgsPisRR71MWTraxDxN55kYwFAYD
VR0RBA0wC4IJbG9jYWxob3N0MA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZIzj0EAwID
SQAwRgIhANJYkbpviQAdGMEF5MsHaL+KuNtlUcKu0BAHJdNtwL6rAiEA8xxYl3ai
xftcLvT0TXSqH+EK6sfIxce7lBAON0M3sKk=
-----END CERTIFICATE-----`;
const KEY = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgA8dsRFh3+lcjy/QB
xEY1dBdG5W3Ox805mz5WeWsgtHuhRANCAASDqSYPQLUQV+vWKyjCBLt/WQHb3eQ2
Sj2fGa5jZleKUgtvaG447roxkjaIbVGq+nWTMdGT9qbdbfEarz80Z9p5
-----END PRIVATE KEY-----`;
const ENCRYPTED = "select ssl from pg_stat_ssl where pid = pg_backend_pid()";
const READS = `import pg from "npm:pg@8.16.3";
  export default async () => {
    const client = new pg.Client(Deno.env.get("DATABASE_URL"));
    await client.connect();
    const { rows } = await client.query("${ENCRYPTED}");
    await client.end();
    return rows;
  };`;

postgresTest("a database by TLS, for the server, for admins and for functions", async (postgres, step) => {
  await switchTlsOn(postgres.url.reveal(), postgres.dir);
  const rootPath = join(dirname(postgres.dir), "root.crt");
  await Deno.writeTextFile(rootPath, CERTIFICATE);
  const url = Object.assign(new URL(postgres.url.reveal()), { hostname: "localhost" }).href;

  for (const mode of ["require", `verify-full&sslrootcert=${rootPath}`]) {
    const [name = ""] = mode.split("&");
    await step(`sslmode=${mode.split("=")[0]}`, () =>
      withTestPlatform(async (platform) => {
        const { body } = await platform.api("POST", "/admin/database/query", { sql: ENCRYPTED });
        assert.deepEqual(body.rows, [{ ssl: true }]);
        await platform.deploy(`reads-${name}`, READS);
        assert.deepEqual(await (await platform.call(`reads-${name}`)).json(), [{ ssl: true }]);
      }, { DATABASE_URL: `${url}?sslmode=${mode}` }));
  }

  await step("a certificate that nobody vouches for is refused where it is to be checked", async () => {
    const start = withTestPlatform(() => Promise.resolve(), { DATABASE_URL: `${url}?sslmode=verify-full` });
    await assert.rejects(
      start,
      /Cannot connect to the database.*certificate is not trusted; name its root with sslrootcert/,
    );
  });
});

async function switchTlsOn(url: string, dir: string): Promise<void> {
  const { uid, gid } = await Deno.stat(dir);
  for (const [name, text] of [["server.crt", CERTIFICATE], ["server.key", KEY]] as const) {
    await Deno.writeTextFile(join(dir, name), text, { mode: 0o600 });
    await Deno.chown(join(dir, name), uid, gid);
  }
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  await client.query("alter system set ssl = on");
  await client.query("select pg_reload_conf()");
  await client.end();
}
