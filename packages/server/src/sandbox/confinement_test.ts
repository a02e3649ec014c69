/**
 * What the kernel refuses to a confined process, whatever code runs in it: tried by system calls from several of its
 * threads. Each is allowed to the same user without confinement, else it would show nothing.
 *
 * @module
 */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { startSpawner } from "../processes/confined_process.ts";
import { esbuildProgram } from "../processes/esbuild_program.ts";
import { commonRights } from "../processes/file_rights.ts";
import { provideRuntimeFiles } from "../processes/runtime_files.ts";

/** Names of what worked. */
type Outcome = readonly string[];

const PROBE = fileURLToPath(new URL("../../test/support/confinement_probe.ts", import.meta.url));

Deno.test({
  name: "the kernel refuses to a confined process what it grants to others of its user",
  ignore: Deno.build.os !== "linux",
  async fn() {
    const dir = await Deno.makeTempDir();
    await Deno.chmod(dir, 0o755);
    const uid = Deno.uid() === 0 ? 65_534 : null;
    const runtime = await provideRuntimeFiles(`${dir}/runtime`, { uid });
    const probe = `${dir}/runtime/probe.js`;
    const { success } = await new Deno.Command(esbuildProgram(), {
      args: [PROBE, "--bundle", "--format=esm", "--platform=node", `--outfile=${probe}`, "--log-level=error"],
    }).output();
    assert.ok(success);

    async function outcomeOf(isConfined: boolean): Promise<Outcome> {
      const spawner = await startSpawner(isConfined ? commonRights(runtime.paths, runtime.deno) : null);
      const scratch = await Deno.makeTempDir();
      await Deno.chmod(scratch, 0o777);
      const child = await spawner.start({
        program: runtime.deno,
        args: ["run", "--quiet", "--no-config", "--no-code-cache", "--allow-all", probe, String(isConfined), scratch],
        env: { DENO_DIR: `${scratch}/none`, DENO_NO_UPDATE_CHECK: "1" },
        cwd: isConfined ? `${dir}/runtime` : scratch,
        uid,
        hasInput: false,
      });
      const [text, errors] = await Promise.all([
        new Response(child.stdout).text(),
        new Response(child.stderr).text(),
        child.ended,
      ]);
      spawner.end();
      await Deno.remove(scratch, { recursive: true });
      try {
        return JSON.parse(text);
      } catch {
        throw new Error(`The probe said: ${text} ${errors}`);
      }
    }
    try {
      const [free, confined] = [await outcomeOf(false), await outcomeOf(true)];

      assert.ok(free.length > 30, `allowed without confinement: ${free.join()}`);
      assert.deepEqual(confined, []);
    } finally {
      await Deno.remove(dir, { recursive: true });
    }
  },
});
