/**
 * What confined processes run is within their reach, and what it was made of is as it was.
 *
 * @module
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { provideFile } from "./runtime_files.ts";

const UID = 65_534;
const modeOf = (path: string) => (Deno.statSync(path).mode ?? 0) & 0o777;

Deno.test("a program that is not for all is copied, and keeps its rights", async () => {
  const dir = await Deno.makeTempDir();
  const program = join(dir, "program");
  await Deno.writeTextFile(program, "x", { mode: 0o700 });
  const provided = await provideFile(program, join(dir, "copy"), UID);
  assert.equal(provided, join(dir, "copy"));
  assert.equal(modeOf(provided), 0o755);
  assert.equal(modeOf(program), 0o700);
  await Deno.remove(dir, { recursive: true });
});

Deno.test("a program for all in a closed folder gets a second name, and one in an open folder is used there", async () => {
  const dir = await Deno.makeTempDir();
  const program = join(dir, "program");
  await Deno.writeTextFile(program, "x");
  await Deno.chmod(program, 0o755);
  assert.equal(await provideFile(program, join(dir, "copy"), UID), join(dir, "copy"));
  assert.equal(modeOf(program), 0o755);
  await Deno.chmod(dir, 0o755);
  assert.equal(await provideFile(program, join(dir, "other"), UID), program);
  await Deno.remove(dir, { recursive: true });
});
