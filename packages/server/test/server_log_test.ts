/**
 * The server's own log: how much it says is changed while it runs, and slow statements are among it.
 *
 * @module
 */
import assert from "node:assert/strict";
import { sql } from "kysely";
import { eventually, platformTest, withTestPlatform } from "./support/platform.ts";

platformTest("the server's own log", async (platform, step) => {
  const { api, logLines } = platform;

  await step(
    "its level is changed for all servers at once, and goes back to what each is configured with",
    async () => {
      const DATABASE_URL = platform.databaseUrl.reveal();
      await withTestPlatform(async (other) => {
        const levelOf = async ({ api }: { api: typeof platform.api }) =>
          (await api("GET", "/admin/log-level")).body.level;
        assert.deepEqual((await api("GET", "/admin/log-level")).body, { level: "debug", configured: "debug" });
        const { status, body } = await api("PUT", "/admin/log-level", { level: "error" });
        assert.deepEqual([status, body], [200, { level: "error", configured: "debug" }]);
        await eventually(async () => await levelOf(other) === "error");
        const before = logLines.length;
        await platform.deploy("quiet", `export default () => "x"`);
        await (await platform.call("quiet")).body?.cancel();
        await api("PUT", "/functions/quiet", { enabled: false });
        assert.deepEqual(logLines.slice(before), []);
        // One that starts later follows as well.
        await withTestPlatform(async (third) => assert.equal(await levelOf(third), "error"), { DATABASE_URL });
        await other.api("PUT", "/admin/log-level", { level: null });
        await eventually(async () => await levelOf(platform) === "debug");
      }, { DATABASE_URL });
    },
  );

  await step("what is no level is refused with those there are", async () => {
    for (const level of ["loud", 3, undefined, ["debug"]]) {
      const { status, body } = await api("PUT", "/admin/log-level", { level });
      assert.deepEqual([status, body.code], [400, "INVALID_ARGUMENT"]);
      assert.match(body.error, /debug, info, warn, error/);
    }
    // Somebody wrote what is no level to the database itself.
    await sql`insert into fluxbase.server_settings (name, value) values ('log_level', '{"a": 1}')`.execute(platform.db);
    assert.equal((await api("GET", "/admin/log-level")).body.level, "debug");
  });

  await step("who changed it is in the audit log", async () => {
    const entries = (await api("GET", "/admin/audit-log?target=log_level")).body;
    assert.ok(entries.some(({ action }: { action: string }) => action === "PUT /admin/log-level"));
  });

  await step("slow statements are logged, without their values", async () => {
    await platform.deploy("slow", `export default () => "x"`, { description: "a value of somebody" });
    await eventually(() => logLines.some((line) => line.includes("A statement was slow")));
    const lines = logLines.filter((line) => line.includes("A statement was slow"));
    assert.match(lines[0] ?? "", / duration_ms=\d+ statement="?(with|select|insert|begin)/);
    assert.ok(!lines.some((line) => line.includes("a value of somebody")));
  });
}, { FLUXBASE_LOG_SLOW_STATEMENT_MS: "1" });
