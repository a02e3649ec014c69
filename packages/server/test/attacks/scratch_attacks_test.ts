/**
 * Attacks of functions with a scratch folder: on the machine's files, and on the folders of others.
 *
 * @module
 */
import { attackTest, DENIED, type FunctionAttack, SCRATCH } from "./corpus.ts";

const out = (name: string, body: string): FunctionAttack => ({
  name,
  body: `const tmp = Deno.env.get("TMPDIR"); ${body}`,
  gets: DENIED,
  fields: SCRATCH,
});

attackTest("scratch", () => [
  out("the socket of its own sandbox", `return await Deno.stat(tmp + "/../s");`),
  out("the folder of its sandbox", `return [...Deno.readDirSync(tmp + "/..")].length;`),
  out("the folders of all sandboxes", `return [...Deno.readDirSync(tmp + "/../..")].length;`),
  out("another sandbox's socket", `return await Deno.connect({ transport: "unix", path: tmp + "/../s" });`),
  out(
    "a link to a file of the machine",
    `await Deno.symlink("/etc/passwd", "link"); return await Deno.readTextFile("link");`,
  ),
  out("a hard link", `await Deno.link("/etc/hostname", "link"); return await Deno.readTextFile("link");`),
  out("moving something in", `await Deno.rename("/etc/hostname", "moved");`),
  out("moving something out", `await Deno.writeTextFile("a", "x"); await Deno.rename("a", "/tmp/fluxbase-moved");`),
  out("copying from outside", `await Deno.copyFile("/etc/passwd", "copy");`),
  out("a temporary file elsewhere", `await Deno.makeTempFile({ dir: "/var/tmp" });`),
  out("changing folders", `Deno.chdir("/etc"); return await Deno.readTextFile("passwd");`),
  out(
    "node:fs",
    `const fs = await import(["node:", "fs"].join("")); return fs.readFileSync(tmp + "/../../../../etc/passwd", "utf8");`,
  ),
  {
    name: "a link by Deno",
    gets: DENIED,
    fields: SCRATCH,
    body:
      `const dir = Deno.env.get("TMPDIR"); Deno.symlinkSync("/etc/hostname", dir + "/l"); return Deno.readTextFileSync(dir + "/l");`,
  },
  {
    name: "a hard link",
    gets: DENIED,
    fields: SCRATCH,
    body:
      `const dir = Deno.env.get("TMPDIR"); Deno.linkSync("/etc/hostname", dir + "/l"); return Deno.readTextFileSync(dir + "/l");`,
  },
  {
    name: "a file of the database, which is open to all",
    gets: DENIED,
    fields: SCRATCH,
    body: `return await Deno.readTextFile("/etc/passwd");`,
  },
]);
