/**
 * From what Postgres or initdb printed to one sentence for the operator.
 *
 * @module
 */
import { dirname } from "node:path";
import { StartError } from "../start_error.ts";

export type PostgresFailure = "port-taken" | "locked" | "other";

interface Rule {
  readonly pattern: RegExp;
  readonly kind: PostgresFailure;
  readonly sentence: (dir: string) => string;
}

const RULES: readonly Rule[] = [
  {
    pattern: /could not look up effective user ID/,
    kind: "other",
    sentence: () =>
      `Cannot run the embedded Postgres: it refuses a user without an entry in /etc/passwd, such as ${Deno.uid()}; add one, start as another user, or set DATABASE_URL to another Postgres`,
  },
  {
    pattern: /No space left on device|Disk quota exceeded/,
    kind: "other",
    sentence: (dir) =>
      `Cannot start the embedded Postgres: the disk that holds "${dir}" is full; free some space and start again`,
  },
  {
    pattern: /could not bind|Address already in use/,
    kind: "port-taken",
    sentence: () => "Cannot start the embedded Postgres: its port is in use",
  },
  {
    pattern: /lock file ".*" already exists|is another post(master|gres)|pre-existing shared memory block/i,
    kind: "locked",
    sentence: (dir) =>
      `Cannot start the embedded Postgres: another server is running on "${dir}"; stop it, or set FLUXBASE_DATA_DIR to another folder`,
  },
  {
    pattern: /Failed to spawn/,
    kind: "other",
    sentence: (dir) =>
      `Cannot start the embedded Postgres: its programs in "${
        dirname(dir)
      }" may not be run; mount that file system without noexec, or set DATABASE_URL to another Postgres`,
  },
  {
    pattern: /Permission denied|permission denied|wrong ownership|invalid permissions/,
    kind: "other",
    sentence: (dir) =>
      `Cannot start the embedded Postgres: "${dir}" is not writable for the user that runs it; check who owns the folder`,
  },
  {
    pattern: /could not (open|read) file|invalid (primary )?checkpoint|incorrect checksum|could not locate|PANIC/,
    kind: "other",
    sentence: (dir) =>
      `Cannot start the embedded Postgres: the database in "${dir}" is damaged; restore a backup, or move the folder away to start with an empty one`,
  },
  {
    pattern: /Cannot allocate memory|could not (map|create) .*shared memory/,
    kind: "other",
    sentence: () => "Cannot start the embedded Postgres: the machine has no memory left for it",
  },
];

export function explainFailure(output: string, dir: string): { kind: PostgresFailure; error: StartError } {
  const rule = RULES.find(({ pattern }) => pattern.test(output));
  if (rule !== undefined) return { kind: rule.kind, error: new StartError(rule.sentence(dir)) };
  const lines = output.trim().split("\n");
  const last = lines.findLast((line) => /FATAL|ERROR|error/.test(line)) ?? lines.at(-1) ?? "";
  return {
    kind: "other",
    error: new StartError(`Cannot start the embedded Postgres in "${dir}": ${last.trim() || "it printed nothing"}`),
  };
}
