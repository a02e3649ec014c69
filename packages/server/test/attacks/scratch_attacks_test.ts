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

/** Ended, and the next call gets a sandbox with an empty folder. */
const filling = (name: string, body: string): FunctionAttack => ({
  name,
  body: `const dir = Deno.env.get("TMPDIR"); ${body}`,
  gets: /DISK_LIMIT/,
  status: 502,
  fields: { ...SCRATCH, timeout: 20 },
});

attackTest("scratch", () => [
  filling(
    "a file of 32 TiB with nothing in it",
    `Deno.writeTextFileSync(dir + "/a", ""); Deno.truncateSync(dir + "/a", 2 ** 45); await new Promise(() => {});`,
  ),
  filling(
    "300,000 empty files",
    `for (let n = 0; n < 300_000; n++) Deno.writeTextFileSync(dir + "/f" + n, ""); await new Promise(() => {});`,
  ),
  filling(
    "300,000 folders",
    `for (let n = 0; n < 300_000; n++) Deno.mkdirSync(dir + "/f" + n); await new Promise(() => {});`,
  ),
  // 30,000 in each other: whoever goes down into them one by one needs a stack of that depth.
  filling(
    "folders that are deeper than any path",
    `const chain = "/a".repeat(1_500), parent = chain.slice(0, -2);
    Deno.mkdirSync(dir + chain, { recursive: true });
    for (let n = 0; n < 20; n++) { Deno.mkdirSync(dir + "/b" + parent, { recursive: true });
      Deno.renameSync(dir + "/a", dir + "/b" + parent + "/a"); Deno.renameSync(dir + "/b", dir + "/a"); }
    await new Promise(() => {});`,
  ),
  filling(
    "files that are removed while they are open",
    `const all = [], bytes = new Uint8Array(10_000_000);
    for (let n = 0; n < 12; n++) { const file = Deno.openSync(dir + "/f", { create: true, write: true }); file.writeSync(bytes); Deno.removeSync(dir + "/f"); all.push(file); } await new Promise(() => {});`,
  ),
  filling(
    "a full folder that changes all the time",
    `const bytes = new Uint8Array(10_000_000); for (let n = 0; n < 12; n++) Deno.writeFileSync(dir + "/f" + n, bytes);
    for (let n = 0; ; n++) { for (let i = 0; i < 50; i++) { Deno.mkdirSync(dir + "/a" + i); Deno.writeFileSync(dir + "/a" + i + "/b", bytes.subarray(0, 1)); } for (let i = 0; i < 50; i++) Deno.removeSync(dir + "/a" + i, { recursive: true }); await new Promise((done) => setTimeout(done, 0)); }`,
  ),
  {
    name: "every number for an open file",
    gets: /^\d{3,4} Too many open files/,
    fields: SCRATCH,
    body: `const all = [], path = Deno.env.get("TMPDIR") + "/a"; Deno.writeTextFileSync(path, "");
      try { for (let i = 0; i < 100_000; i++) all.push(Deno.openSync(path)); } catch (error) { return all.length + " " + error.message; } finally { for (const file of all) file.close(); }`,
  },
  {
    name: "the memory of its own process",
    gets: DENIED,
    fields: SCRATCH,
    body: `return (await Deno.readFile("/proc/self/mem")).length;`,
  },
  {
    name: "the numbers of its open files",
    gets: DENIED,
    fields: SCRATCH,
    body: `return [...Deno.readDirSync("/proc/self/fd")].length;`,
  },
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
  out("moving something out", `await Deno.writeTextFile("a", "x"); await Deno.rename("a", "/var/tmp/fluxbase-moved");`),
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
