/**
 * What an operator reads when the embedded Postgres does not start.
 *
 * @module
 */
import assert from "node:assert/strict";
import { explainFailure } from "./failure.ts";

Deno.test("programs on a file system without the right to run them are not taken for a folder of somebody else", () => {
  const said = "Failed to spawn '/data/postgres-18/native/bin/initdb': Permission denied (os error 13)";
  const { kind, error } = explainFailure(said, "/data/postgres");
  assert.equal(kind, "other");
  assert.match(error.message, /programs in "\/data" may not be run; mount that file system without noexec/);
});

Deno.test("a folder of somebody else is named", () => {
  const said = "initdb: error: could not change permissions of directory: Permission denied";
  assert.match(explainFailure(said, "/data/postgres").error.message, /"\/data\/postgres" is not writable/);
});
