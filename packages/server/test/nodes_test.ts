/**
 * Several servers on one database: who is there, and what only one of them does.
 *
 * @module
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { sql } from "kysely";
import { eventually, platformTest, withTestPlatform } from "./support/platform.ts";

async function folderWith(name: string): Promise<string> {
  const dir = await Deno.makeTempDir({ prefix: "fluxbase-functions-" });
  await Deno.chmod(dir, 0o755);
  await Deno.writeTextFile(join(dir, `${name}.ts`), `export default () => "${name}";`);
  return dir;
}

platformTest("servers that share a database", async (first, step) => {
  const dir = await folderWith("second");
  const holder = async (lease: string) =>
    (await first.api("GET", "/admin/nodes")).body.find(({ leases }: { leases: string[] }) => leases.includes(lease))
      ?.name;

  await step("each is listed with what it does, for admins only; a killed one is lost", async () => {
    await sql`insert into fluxbase.nodes (id, name, version, seen_at, load)
      values (gen_random_uuid(), 'killed', '0.0.1', now() - interval '1 minute', '{"sandboxes": 1, "busy": 1, "waiting": 0,
        "memory_mb": 3, "machine_load": 0.5}')`.execute(first.db);
    const { body } = await first.api("GET", "/admin/nodes");
    const [killed, alive] = body[0].name === "killed" ? body : body.toReversed();
    assert.deepEqual([killed.status, killed.load.busy, alive.status, alive.leases], ["lost", 1, "alive", [
      "retention",
    ]]);
    assert.equal((await first.api("GET", "/admin/nodes", undefined, first.anonKey)).status, 403);
  });

  await withTestPlatform(async () => {
    await step("what another one does, the second leaves alone", async () => {
      assert.equal((await first.api("GET", "/admin/nodes")).body.length, 3);
      assert.notEqual(await holder("functions folder"), await holder("retention"));
      assert.equal((await first.call("second")).status, 200);
    });

    const third = await folderWith("third");
    await withTestPlatform(async (other) => {
      await step("a second functions folder is not used, and says whose is", async () => {
        const { status, body } = await other.api("POST", "/admin/functions/reload", {});
        assert.equal(status, 400);
        assert.ok(body.error.includes(await holder("functions folder")), body.error);
        assert.ok(other.logLines.some((line) => line.includes("is not used while another server's is")));
        assert.equal((await other.call("third")).status, 404);
      });
      await step("when the lease of a killed server ends, another one takes over", async () => {
        await sql`update fluxbase.leases set node_id = gen_random_uuid(), node_name = 'killed', place = '',
          until = now() + interval '1 second' where name = 'functions folder'`.execute(first.db);
        await eventually(async () => ![undefined, "killed"].includes(await holder("functions folder")));
      });
    }, () => ({ DATABASE_URL: first.databaseUrl.reveal(), FLUXBASE_FUNCTIONS_FUNCTIONS_DIR: third }));
    await Deno.remove(third, { recursive: true });
  }, () => ({ DATABASE_URL: first.databaseUrl.reveal(), FLUXBASE_FUNCTIONS_FUNCTIONS_DIR: dir }));

  await step("one that stops is gone at once", async () => {
    const { body } = await first.api("GET", "/admin/nodes");
    assert.deepEqual(body.filter(({ status }: { status: string }) => status === "alive").length, 1);
  });
  await Deno.remove(dir, { recursive: true });
});
