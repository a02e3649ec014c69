/**
 * This server among those that share its database: it says every few seconds that it is there, and does what only one of
 * them may do while it holds the lease for it.
 *
 * A lease ends by itself when its holder says nothing for LEASE_MS. The holder counts from before it asked, with its own
 * clock, and stops a little sooner: two never hold one at once, whatever their clocks say.
 *
 * @module
 */
import type { NodeLoad } from "@fluxbase/contract";
import type { Clock } from "../core/clock.ts";
import type { Log } from "../core/log.ts";
import type { Database } from "../storage/db.ts";
import { beat, dropLostNodes, leave, listNodes, type NodeRow } from "../storage/nodes.ts";

export interface Nodes {
  /** Those that were seen in the last day, this one as it is now. */
  list(): Promise<NodeRow[]>;
  /** Asks for a lease, and goes on asking. Resolves after the first answer. */
  lease(name: string): Promise<Lease>;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface Lease {
  /** At this moment. */
  readonly isOurs: boolean;
  /** The server that has it; undefined: none that is known. */
  readonly holder: string | undefined;
  /** Called when it becomes ours, and when it is ours no more; not for how it is now. */
  onChange(changed: (isOurs: boolean) => void): void;
}

export interface NodesOptions {
  readonly db: Database["db"];
  readonly clock: Clock;
  readonly log: Log & { readonly node: string };
  readonly version: string;
  /** The same when the server is started again. */
  readonly place: string;
  readonly load: () => NodeLoad;
}

const BEAT_MS = 5_000;
const LEASE_MS = 15_000;
const MARGIN_MS = 2_000;
const LOST_HOURS = 24;

interface Wanted {
  untilMs: number;
  holder: string | undefined;
  wasOurs: boolean;
  isAsked: boolean;
  readonly listeners: ((isOurs: boolean) => void)[];
}

export async function startNodes({ db, clock, log, version, place, load }: NodesOptions): Promise<Nodes> {
  const id = crypto.randomUUID();
  const wanted = new Map<string, Wanted>();
  let beating: Promise<void> = Promise.resolve();

  const isOurs = ({ untilMs }: Wanted) => clock.nowMs() < untilMs;

  async function beatNow(): Promise<void> {
    const askedMs = clock.nowMs();
    try {
      const leases = await beat(db, {
        ...{ id, name: log.node, version, place },
        load: load(),
        wanted: [...wanted.keys()],
        fresh: [...wanted].filter(([, { isAsked }]) => !isAsked).map(([name]) => name),
        leaseSec: LEASE_MS / 1_000,
      });
      for (const { name, node, isOurs } of leases) {
        const lease = wanted.get(name);
        if (lease === undefined) continue;
        lease.isAsked = true;
        lease.holder = node;
        lease.untilMs = isOurs ? askedMs + LEASE_MS - MARGIN_MS : 0;
      }
    } catch (error) {
      log.warn("Cannot say in the database that this server is there", { error });
    }
    for (const lease of wanted.values()) tell(lease);
  }

  function tell(lease: Wanted): void {
    if (isOurs(lease) === lease.wasOurs) return;
    lease.wasOurs = !lease.wasOurs;
    for (const changed of lease.listeners) changed(lease.wasOurs);
  }

  const again = () => beating = beating.then(beatNow);
  await again();
  await dropLostNodes(db, LOST_HOURS);
  const timer = setInterval(again, BEAT_MS);
  return {
    async list() {
      await again();
      return await listNodes(db, LEASE_MS / 1_000);
    },
    async lease(name) {
      const lease: Wanted = { untilMs: 0, holder: undefined, wasOurs: false, isAsked: false, listeners: [] };
      wanted.set(name, lease);
      await again();
      return {
        get isOurs() {
          return isOurs(lease);
        },
        get holder() {
          return lease.holder;
        },
        onChange: (changed) => void lease.listeners.push(changed),
      };
    },
    async [Symbol.asyncDispose]() {
      clearInterval(timer);
      await beating;
      // Others find out by themselves when the database is away.
      await leave(db, id).catch(() => {});
    },
  };
}
