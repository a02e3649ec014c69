/**
 * Threads that start processes are replaced, and no process is lost by that.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { ConfinedProcess } from "./confined_process.ts";
import { commonRights } from "./file_rights.ts";
import { startRenewedSpawner } from "./renewed_spawner.ts";

const HOSTS = "/etc/hosts";

Deno.test({
  name: "a file that the system replaced is in reach of processes that start later; those before live on",
  ignore: Deno.build.os !== "linux",
  async fn() {
    const dir = await Deno.makeTempDir();
    const file = `${dir}/hosts`;
    await Deno.writeTextFile(file, "old");
    let nowMs = 0;
    const rightsNow = () => ({ ...commonRights([], "/bin/sh"), read: ["/lib", "/lib64", "/usr", HOSTS, file] });
    const spawner = await startRenewedSpawner(rightsNow, { now: () => nowMs });
    const start = (script: string, hasInput = false): Promise<ConfinedProcess> =>
      spawner.start({ program: "/bin/sh", args: ["-c", script], env: {}, cwd: "/", uid: null, hasInput });
    const said = async (script: string) => (await new Response((await start(script)).stdout).text()).trim();
    const show = `while read -r line || [ -n "$line" ]; do echo "$line"; line=; done < ${file}`;

    const lasting = await start(`read -r line; echo "got $line"`, true);
    assert.equal(await said(show), "old");
    await Deno.writeTextFile(`${dir}/next`, "new");
    await Deno.rename(`${dir}/next`, file);
    assert.equal(await said(show), "");
    nowMs += 10_000;
    assert.equal(await said(show), "new");
    await lasting.write(new TextEncoder().encode("input\n"));
    assert.equal(await new Response(lasting.stdout).text(), "got input\n");
    assert.deepEqual(await lasting.ended, { code: 0, signal: null });
    spawner.end();
    await assert.rejects(start("true"), /Cannot start a process/);
    await Deno.remove(dir, { recursive: true });
  },
});
