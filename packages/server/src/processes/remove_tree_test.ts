/**
 * Removing folders that were made to be hard to remove.
 *
 * @module
 */
import assert from "node:assert/strict";
import { removeTree } from "./remove_tree.ts";

async function withFolder(fill: (root: string) => void): Promise<void> {
  const root = await Deno.makeTempDir();
  fill(root);
  await removeTree(root);
  await assert.rejects(Deno.lstat(root), Deno.errors.NotFound);
}

Deno.test("folders that are deeper than any path", () =>
  withFolder((root) => {
    const chain = "/a".repeat(1_500);
    const parent = chain.slice(0, -2);
    Deno.mkdirSync(root + chain, { recursive: true });
    for (let times = 0; times < 3; times += 1) {
      Deno.mkdirSync(`${root}/b${parent}`, { recursive: true });
      Deno.renameSync(`${root}/a`, `${root}/b${parent}/a`);
      Deno.renameSync(`${root}/b`, `${root}/a`);
    }
  }));

Deno.test("files, links, long names and folders that were closed", () =>
  withFolder((root) => {
    const name = "ü".repeat(127);
    Deno.mkdirSync(`${root}/${name}/${name}/${name}`, { recursive: true });
    Deno.writeTextFileSync(`${root}/${name}/${name}/file`, "x");
    Deno.symlinkSync("/", `${root}/${name}/link`);
    Deno.symlinkSync("nowhere", `${root}/${name}/${name}/dangling`);
    Deno.mkdirSync(`${root}/closed/inner/more`, { recursive: true });
    for (const folder of ["closed/inner/more", "closed/inner", "closed"]) Deno.chmodSync(`${root}/${folder}`, 0);
  }));

Deno.test("a folder that is not there is removed", async () => {
  await removeTree(`${await Deno.realPath("/tmp")}/fluxbase-there-is-none`);
});
