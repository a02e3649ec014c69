/**
 * What the server reports about itself, as in `fluxbase doctor`: what works, what could be better, and how.
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
  "uid": ["each sandbox runs as a user of its own", "Run the server as root."],
  "rlimits": ["the kernel limits memory and open files", "Use Linux."],
  "no-new-privileges": ["programs cannot gain privileges", "Use Linux."],
  "seccomp": ["dangerous system calls are refused", "Use Linux on x86_64 or aarch64."],
  "dies-with-server": ["no sandbox outlives the server", "Use Linux."],
  "landlock": [
    "no access to files of the machine",
    "Use a kernel from 5.13 on with Landlock enabled (lsm=landlock).",
  ],
  "metered": ["CPU and memory of sandboxes are measured", "Mount /proc without hidepid, or run the server as root."],
};

/** What is not well first. */
export function findingsOf({ database, users_database, fences, sandboxes }: Readiness): Finding[] {
  const findings: Finding[] = [
    database === "ok" ? { level: "ok", text: "The database responds" } : {
      level: "bad",
      text: "The database does not respond",
      remedy: "Check the server log and DATABASE_URL.",
    },
    ...(users_database === "shared"
      ? [
        {
          level: "warn",
          text: "Users' tables share the platform's database",
          remedy: "Unset FLUXBASE_DATABASE_SHARED to keep SQL of functions away from the server's own tables.",
        } as const,
      ]
      : users_database === "off"
      ? [
        {
          level: "bad",
          text: "Tables are disabled",
          remedy: "Grant the database user CREATEDB, CREATEROLE and BYPASSRLS, or make it a superuser.",
        } as const,
      ]
      : [{ level: "ok", text: "Users' tables have their own database" } as const]),
    ...fences.missing.map((fence) => ({
      level: "warn" as const,
      text: `Missing isolation “${fence}”${FENCES[fence] === undefined ? "" : `: ${FENCES[fence][0]}`}`,
      ...(FENCES[fence] === undefined ? {} : { remedy: FENCES[fence][1] }),
    })),
    ...fences.standing.map((fence) => ({
      level: "ok" as const,
      text: `Isolation “${fence}”${FENCES[fence] === undefined ? "" : `: ${FENCES[fence][0]}`}`,
    })),
    sandboxes.waiting === 0 ? { level: "ok", text: `${sandboxes.count} sandboxes, ${sandboxes.busy} of them busy` } : {
      level: "warn",
      text: `${sandboxes.waiting} calls are waiting for a sandbox`,
      remedy: "Add memory, or raise FLUXBASE_LIMITS_SANDBOXES_MEMORY_MIB.",
    },
  ];
  const order = ["bad", "warn", "ok"];
  return findings.sort((a, b) => order.indexOf(a.level) - order.indexOf(b.level));
}
