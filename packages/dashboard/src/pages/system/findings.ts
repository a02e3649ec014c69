/**
 * What the server says of itself, as `fluxbase doctor` says it: what is well, what could be better, and how.
 *
 * @module
 */
import type { Readiness } from "@fluxbase/sdk";

export interface Finding {
  readonly level: "ok" | "warn" | "bad";
  readonly text: string;
  readonly remedy?: string;
}

const FENCES: Readonly<Record<string, readonly [what: string, remedy: string]>> = {
  "uid": ["each sandbox has a user of its own", "Run the server as root, so that it can give them."],
  "rlimits": ["the kernel bounds memory and files", "Use Linux."],
  "no-new-privileges": ["no program gains rights", "Use Linux."],
  "seccomp": ["dangerous calls of the kernel are refused", "Use Linux on x86_64 or aarch64."],
  "dies-with-server": ["no sandbox outlives the server", "Use Linux."],
  "landlock": [
    "files of the machine are out of reach",
    "Use a kernel of 5.13 or newer with Landlock switched on (lsm=landlock).",
  ],
  "metered": ["what sandboxes use is seen", "Mount /proc without hidepid, or run the server as root."],
};

/** What is not well first. */
export function findingsOf({ database, users_database, fences, sandboxes }: Readiness): Finding[] {
  const findings: Finding[] = [
    database === "ok" ? { level: "ok", text: "The database answers" } : {
      level: "bad",
      text: "The database does not answer",
      remedy: "Look at the server's log, and at DATABASE_URL.",
    },
    ...(users_database === "shared"
      ? [
        {
          level: "warn",
          text: "Your tables share the platform's database",
          remedy: "Unset FLUXBASE_DATABASE_SHARED, so that SQL of functions cannot disturb the server.",
        } as const,
      ]
      : users_database === "off"
      ? [
        {
          level: "bad",
          text: "Tables are switched off",
          remedy: "Give the user of the database CREATEDB, CREATEROLE and BYPASSRLS, or make it a superuser.",
        } as const,
      ]
      : [{ level: "ok", text: "Your tables have a database of their own" } as const]),
    ...fences.missing.map((fence) => ({
      level: "warn" as const,
      text: `Fence ${fence} is missing: ${FENCES[fence]?.[0] ?? "a part of the protection"} would be its part`,
      ...(FENCES[fence] === undefined ? {} : { remedy: FENCES[fence][1] }),
    })),
    ...fences.standing.map((fence) => ({
      level: "ok" as const,
      text: `Fence ${fence} stands${FENCES[fence] === undefined ? "" : `: ${FENCES[fence][0]}`}`,
    })),
    sandboxes.waiting === 0 ? { level: "ok", text: `${sandboxes.count} sandboxes, ${sandboxes.busy} of them busy` } : {
      level: "warn",
      text: `${sandboxes.waiting} calls wait for a sandbox`,
      remedy: "Give the machine more memory, or raise FLUXBASE_LIMITS_SANDBOXES_MEMORY_MIB.",
    },
  ];
  const order = ["bad", "warn", "ok"];
  return findings.sort((a, b) => order.indexOf(a.level) - order.indexOf(b.level));
}
