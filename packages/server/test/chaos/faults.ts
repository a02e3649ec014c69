/**
 * What is done to a cluster, one after the other.
 *
 * @module
 */
import { delay } from "../../src/core/clock.ts";
import type { Chance } from "./chance.ts";
import type { Cluster } from "./cluster.ts";
import type { Checker } from "./checker.ts";

export type FaultName = "kill a server" | "kill Postgres" | "kill sandboxes" | "stop a server for a while";

type Fault = (parts: { cluster: Cluster; chance: Chance; checker: Checker }) => Promise<void>;

const PAUSE_MS = 4_000;
const POSTGRES_BACK_MS = 60_000;

/** Each resolves when what it broke works again. */
export const FAULTS: Readonly<Record<FaultName, Fault>> = {
  async "kill a server"({ cluster, chance }) {
    const node = chance.among(cluster.nodes);
    await node.kill();
    await delay(500 + chance.next() * 1_500);
    await node.start();
  },
  async "kill Postgres"({ cluster, checker }) {
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
  async "kill sandboxes"({ cluster, chance }) {
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
  async "stop a server for a while"({ cluster, chance }) {
    await chance.among(cluster.nodes).pause(PAUSE_MS);
  },
};
