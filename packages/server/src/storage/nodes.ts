/**
 * Statements about the servers that share a database, and what only one of them does.
 *
 * @module
 */
import type { NodeLoad } from "@fluxbase/contract";
import { sql } from "kysely";
import type { Db } from "./db.ts";

export interface NodeRow {
  readonly id: string;
  readonly name: string;
  readonly version: string;
  readonly startedAt: Date;
  readonly seenAt: Date;
  readonly isAlive: boolean;
  readonly load: NodeLoad;
  /** What it does for all. */
  readonly leases: readonly string[];
}

export interface Beat {
  readonly id: string;
  readonly name: string;
  readonly version: string;
  /** The same for a server that is started again. */
  readonly place: string;
  readonly load: NodeLoad;
  /** Leases it would have. */
  readonly wanted: readonly string[];
  /** Those it asks for the first time: what another process had in the same place is its own. */
  readonly fresh: readonly string[];
  readonly leaseSec: number;
}

export interface HeldLease {
  readonly name: string;
  readonly node: string;
  readonly isOurs: boolean;
}

/** Says that a server is there, and takes or keeps what leases it can. Returns who holds each that it wants. */
export async function beat(db: Db, own: Beat): Promise<HeldLease[]> {
  const { id, name, version, place, load, wanted, fresh, leaseSec } = own;
  const { rows } = await sql<HeldLease>`
    with seen as (
      insert into fluxbase.nodes (id, name, version, load)
        values (${id}, ${name}, ${version}, ${JSON.stringify(load)}::jsonb)
        on conflict (id) do update set seen_at = now(), load = excluded.load
    ), taken as (
      insert into fluxbase.leases as l (name, node_id, node_name, place, until)
        select w, ${id}::uuid, ${name}, ${place}, now() + make_interval(secs => ${leaseSec})
        from unnest(${wanted}::text[]) w order by w
        on conflict (name) do update set node_id = excluded.node_id, node_name = excluded.node_name,
          place = excluded.place, until = excluded.until,
          since = case when l.node_id = excluded.node_id then l.since else now() end
        where l.node_id = excluded.node_id or l.until < now() or (l.place = excluded.place and l.name = any (${fresh}::text[]))
        returning l.name)
    select name, ${name}::text as node, true as "isOurs" from taken
    union all
    select l.name, l.node_name, false from fluxbase.leases l
      where l.name = any (${wanted}::text[]) and not exists (select from taken t where t.name = l.name)`.execute(db);
  return rows;
}

/** It is about to end: others need not wait. */
export async function leave(db: Db, id: string): Promise<void> {
  await sql`
    with left_leases as (delete from fluxbase.leases where node_id = ${id})
    delete from fluxbase.nodes where id = ${id}`.execute(db);
}

export async function listNodes(db: Db, aliveSec: number): Promise<NodeRow[]> {
  const { rows } = await sql<NodeRow>`
    select id, name, version, started_at as "startedAt", seen_at as "seenAt", load,
      seen_at > now() - make_interval(secs => ${aliveSec}) as "isAlive",
      array(select l.name from fluxbase.leases l where l.node_id = n.id and l.until > now() order by 1) as leases
    from fluxbase.nodes n order by name, started_at`.execute(db);
  return rows;
}

/** Those that ended without a word. */
export async function dropLostNodes(db: Db, lostHours: number): Promise<void> {
  await sql`delete from fluxbase.nodes where seen_at < now() - make_interval(hours => ${lostHours})`.execute(db);
}
