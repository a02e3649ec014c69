/**
 * What is done to a cluster, one after the other.
 *
 * @module
 */
import { delay } from "../../src/core/clock.ts";
import { eventually } from "../support/platform.ts";
import type { Chance } from "./chance.ts";
import type { Checker } from "./checker.ts";
import type { Cluster, Node, Part, Version } from "./cluster.ts";

export type FaultName =
  | "kill a server"
  | "kill Postgres"
  | "kill Redis"
  | "kill sandboxes"
  | "stop a server for a while"
  | "cut a server off from the database"
  | "slow and lossy network"
  | "clock jump"
  | "full disk"
  | "rolling update"
  | "end the connections that listen";

interface Fault {
  /** What it needs of the machine. */
  readonly needs?: Part;
  /** Resolves when what it broke works again. */
  run(parts: FaultParts): Promise<void>;
}

export interface FaultParts {
  readonly cluster: Cluster;
  readonly chance: Chance;
  readonly checker: Checker;
  /** How long what lasts a while lasts, in parts of the whole: 1 is 30 s of a stopped server. */
  readonly scale: number;
}

const PAUSE_MS = 30_000;
const CUT_MS = 15_000;
const SLOW_MS = 15_000;
const DELAY_MS = 200;
const LOSS_PERCENT = 5;
const CLOCK_MS = 10_000;
/** Less than tokens of a session live. */
const CLOCK_SEC = 600;
const MINUTE_MS = 60_000;
const DISK_MS = 10_000;
const REDIS_MS = 3_000;
const POSTGRES_BACK_MS = 60_000;

export const FAULTS: Readonly<Record<FaultName, Fault>> = {
  "kill a server": {
    async run({ cluster, chance }) {
      const node = chance.among(cluster.nodes);
      await node.kill();
      await delay(500 + chance.next() * 1_500);
      await node.start();
    },
  },
  "kill Postgres": {
    async run({ cluster, checker }) {
      checker.databaseIsAway(true);
      await cluster.killPostgres();
      const deadline = performance.now() + POSTGRES_BACK_MS;
      for (let isBack = false; !isBack;) {
        await delay(200);
        const answers = await Promise.all(
          cluster.nodes.map(({ url }) =>
            fetch(`${url}/health/ready`).then((answer) => answer.json()).catch(() => undefined)
          ),
        );
        isBack = answers.every((facts) => facts?.database === "ok");
        if (performance.now() > deadline) throw new Error("Postgres did not come back");
      }
      checker.databaseIsAway(false);
    },
  },
  // Rate limits are counted in each server meanwhile: no call fails.
  "kill Redis": {
    needs: "Redis",
    run: ({ cluster, scale }) => cluster.restartRedis(REDIS_MS * scale),
  },
  "kill sandboxes": {
    async run({ cluster, chance }) {
      const node = chance.among(cluster.nodes);
      node.disturbedAtMs = performance.now();
      for (const pid of node.sandboxes()) {
        try {
          Deno.kill(pid, "SIGKILL");
        } catch {
          // It has ended.
        }
      }
      await delay(1_000);
      node.disturbedAtMs = performance.now();
    },
  },
  "stop a server for a while": {
    run: ({ cluster, chance, scale }) => chance.among(cluster.nodes).pause(PAUSE_MS * scale),
  },
  // Calls are answered from memory meanwhile.
  "cut a server off from the database": {
    async run({ cluster, chance, scale }) {
      const node = chance.among(cluster.nodes);
      await node.cut(true);
      await delay(CUT_MS * scale);
      await node.cut(false);
    },
  },
  "slow and lossy network": {
    async run({ cluster, chance, scale }) {
      const node = chance.among(cluster.nodes);
      await node.slow(DELAY_MS, LOSS_PERCENT);
      await delay(SLOW_MS * scale);
      await node.slow(0, 0);
    },
  },
  "clock jump": {
    needs: "clocks",
    async run({ cluster, chance, scale }) {
      const node = chance.among(cluster.nodes);
      for (const seconds of [chance.among([CLOCK_SEC, -CLOCK_SEC]), 0]) {
        await node.moveClock(seconds);
        await eventually(async () => Math.abs(await clockOf(node, cluster) - Date.now() - seconds * 1_000) < MINUTE_MS);
        if (seconds !== 0) await delay(CLOCK_MS * scale);
      }
    },
  },
  "full disk": {
    needs: "disks",
    async run({ cluster, chance, scale }) {
      await using _full = await chance.among(cluster.nodes).fillDisk();
      await delay(DISK_MS * scale);
    },
  },
  "rolling update": {
    async run({ cluster }) {
      for (const version of ["old", "new"] as const) await roll(cluster.nodes, version);
    },
  },
  "end the connections that listen": {
    run: ({ cluster }) => cluster.endListeners(),
  },
};

/** By the end of the minute in which it counts calls. */
async function clockOf({ url }: Node, { serviceKey }: Cluster): Promise<number> {
  const answer = await fetch(`${url}/api/v1/functions/limited/invoke`, {
    method: "POST",
    body: "1",
    headers: { authorization: `Bearer ${serviceKey}` },
  });
  await answer.body?.cancel();
  return Number(answer.headers.get("x-ratelimit-reset") ?? NaN) * 1_000;
}

async function roll(nodes: readonly Node[], version: Version): Promise<void> {
  for (const node of nodes) await node.update(version);
}
