/**
 * `fluxbase doctor`: what is wrong with this machine or a server, and how to mend it.
 *
 * @module
 */
import { statfsSync } from "node:fs";
import process from "node:process";
import type { Command } from "commander";
import { withOptions } from "../action.ts";
import { launcher } from "../launcher.ts";
import { paint, print, printJson } from "../output.ts";
import {
  type Connection,
  connectionOf,
  type GlobalOptions,
  isLocal,
  pathOf,
  urlOf,
  UsageError,
} from "../connection.ts";

interface Finding {
  /** A server works with a warning, but is less than it could be. */
  readonly level: "ok" | "warn" | "bad";
  readonly text: string;
}

interface Readiness {
  readonly status: string;
  readonly database: string;
  readonly users_database: string;
  readonly fences: { readonly standing: readonly string[]; readonly missing: readonly string[] };
}

const NODE_MIN = 20;
const FREE_MIN_BYTES = 1024 ** 3;

export function addDoctor(program: Command): void {
  program.command("doctor").description("Check this machine and the server: database, sandboxes, isolation, key")
    .action(withOptions(async (options) => {
      const machine = isLocal(urlOf(options)) ? await examineMachine() : [];
      const findings = [...machine, ...await examineServer(options)];
      if (options.output === "json") printJson(findings);
      else {
        for (const { level, text } of findings) {
          print(`${paint(COLOURS[level], level.padEnd(4), process.stdout)} ${text}`);
        }
      }
      if (findings.some(({ level }) => level === "bad")) process.exitCode = 1;
    }));
}

const COLOURS = { ok: "green", warn: "yellow", bad: "red" } as const;

/** What `fluxbase start` needs here. */
async function examineMachine(): Promise<Finding[]> {
  const { node } = process.versions;
  const findings = [
    finding(Number.parseInt(node) >= NODE_MIN, `Node ${node}`, `is too old: install ${NODE_MIN} or newer`),
    await findServer(),
  ];
  const { bavail, bsize } = statfsSync(pathOf("."));
  const free = `${(bavail * bsize / 1024 ** 3).toFixed(1)} GiB are free in this folder`;
  findings.push(finding(bavail * bsize >= FREE_MIN_BYTES, free, ": make room, the database needs it"));
  return findings;
}

/** Only who starts servers here needs it. */
async function findServer(): Promise<Finding> {
  try {
    const { denoPath } = await launcher();
    const remedy = "but the Deno of this system is not: run npm install again, optional packages included";
    return finding(denoPath() !== undefined, "the server for this system is installed", remedy);
  } catch (error) {
    return finding(false, error instanceof Error ? error.message : String(error), "", "warn");
  }
}

function finding(isGood: boolean, text: string, remedy = "", otherwise: "warn" | "bad" = "bad"): Finding {
  return isGood ? { level: "ok", text } : { level: otherwise, text: `${text} ${remedy}`.trimEnd() };
}

async function examineServer(options: GlobalOptions): Promise<Finding[]> {
  let connection: Connection;
  try {
    connection = connectionOf(options);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    return [{ level: "bad", text: error.message }];
  }
  const url = connection.url.replace(/\/+$/, "");
  const get = (path: string) =>
    fetch(url + path, connection.key === undefined ? {} : { headers: { authorization: `Bearer ${connection.key}` } });
  let ready: Readiness;
  try {
    const response = await fetch(`${url}/health/ready`);
    ready = await response.json();
  } catch {
    return [{ level: "bad", text: `no server answers at ${url}: start it with "fluxbase start", or set FLUXBASE_URL` }];
  }
  const { database, users_database: usersDatabase, fences } = ready;
  const functions = await get("/api/v1/functions");
  await functions.body?.cancel();
  const tables = await get("/rest/v1/rpc/fluxbase_doctor_looks");
  await tables.body?.cancel();
  return [
    finding(true, `the server answers at ${url}`),
    database === "ok"
      ? finding(true, "the database answers")
      : finding(false, "the database does not answer:", "look at the server's log, and at DATABASE_URL"),
    functions.ok
      ? finding(true, "the key is accepted")
      : finding(false, "the key is refused:", "log in again, or set another"),
    tables.status !== 503 ? finding(true, "tables are served") : finding(
      false,
      "tables are switched off, the server may not make what they need in its Postgres:",
      "give its user CREATEDB, CREATEROLE and BYPASSRLS, or make it a superuser",
    ),
    ...(usersDatabase === "shared"
      ? [finding(
        false,
        "users' tables share the platform's database:",
        "unset FLUXBASE_DATABASE_SHARED, so that their SQL cannot disturb the server",
        "warn",
      )]
      : []),
    ...fences.standing.map((fence) => finding(true, `fence ${fence} stands`)),
    ...fences.missing.map((fence) =>
      finding(false, `fence ${fence} is missing:`, MENDING[fence] ?? "a newer kernel may have it", "warn")
    ),
  ];
}

const MENDING: Readonly<Record<string, string>> = {
  "uid": "run the server as root, so that each sandbox gets a user of its own",
  "landlock": "use a kernel of 5.13 or newer with Landlock switched on (lsm=landlock)",
  "seccomp": "use Linux on x86_64 or aarch64",
  "rlimits": "use Linux",
  "no-new-privileges": "use Linux",
  "dies-with-server": "use Linux",
  "metered": "mount /proc without hidepid, or run the server as root",
};
