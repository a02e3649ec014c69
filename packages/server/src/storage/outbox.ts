/**
 * The outbox in the users' database: events of rows, written in the transaction of the change.
 *
 * Two triggers stand on a hooked table. The first turns the row into JSON, as whoever changes it: a type may bring a cast
 * to JSON with it, which is code of its owner. The second, with the rights of the database's owner, writes that text down
 * for its hook and runs nothing of anybody else. Only the owner may use the functions and see the table, so nobody
 * writes, reads or deletes an event but by changing a hooked table. Who owns such a table may switch its triggers off.
 *
 * @module
 */
import { type RawBuilder, sql } from "kysely";
import pg from "pg";
import type { DbHook, RowEvent } from "./db_hooks.ts";
import { codeOf, type Database, type Db } from "./db.ts";
import { wasFirst } from "./roles.ts";

export const OUTBOX_CHANNEL = "fluxbase_outbox";

export interface TablePlace {
  readonly schema: string;
  readonly name: string;
  readonly oid: number;
}

export interface OutboxEvent {
  readonly id: string;
  readonly type: string;
  /** As JSON, as the database writes it: numbers keep all of their digits. */
  readonly record: string | null;
  readonly oldRecord: string | null;
  /** A row was too large to be kept. */
  readonly isCut: boolean;
  /** This one included. */
  readonly attempt: number;
}

/** A condition that rows must meet. */
export interface RowFilter {
  readonly column: string;
  readonly operator: RowOperator;
  readonly value: string;
}

const quoted = (operator: string) => (value: string) => `${operator} ${pg.escapeLiteral(value)}`;
const TRUTHS: Readonly<Record<string, string>> = {
  null: "null",
  not_null: "not null",
  true: "true",
  false: "false",
};

/** From a value to what stands behind the column; undefined where the value makes no sense. */
export const ROW_OPERATORS = {
  eq: quoted("="),
  neq: quoted("<>"),
  gt: quoted(">"),
  gte: quoted(">="),
  lt: quoted("<"),
  lte: quoted("<="),
  like: quoted("like"),
  ilike: quoted("ilike"),
  is: (value: string) => Object.hasOwn(TRUTHS, value) ? `is ${TRUTHS[value]}` : undefined,
  in: (value: string) =>
    /^\(.+\)$/s.test(value)
      ? `in (${value.slice(1, -1).split(",").map((one) => pg.escapeLiteral(one.trim())).join(", ")})`
      : undefined,
} as const satisfies Record<string, (value: string) => string | undefined>;
export type RowOperator = keyof typeof ROW_OPERATORS;

const ROW_MAX_BYTES = 1024 * 1024;
const LOCK_MS = 2_000;
const PREFIX = "fluxbase_hook_";
const DUPLICATE_TABLE = "42P07";

const id = pg.escapeIdentifier;
const text = pg.escapeLiteral;

/** Before the first hook; changes nothing that is there. */
export async function setUpOutbox(db: Database["db"]): Promise<void> {
  const { rows } = await sql`select from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace
    where n.nspname = 'fluxbase' and p.proname = 'put_event'`.execute(db);
  if (rows.length > 0) return;
  try {
    await db.transaction().execute((trx) =>
      sql.raw(`
      create schema if not exists fluxbase;
      -- Where the two databases are one, it is there for events of accounts.
      create table if not exists fluxbase.outbox (
        id bigint generated always as identity primary key,
        hook_id uuid not null,
        type text not null,
        record jsonb,
        old_record jsonb,
        is_cut boolean not null,
        written_at timestamptz not null default now(),
        attempts integer not null default 0,
        -- When it may be tried; of one that is being handled, when whoever does must have died.
        due_at timestamptz not null default now(),
        is_running boolean not null default false,
        died_at timestamptz,
        error text
      );
      create index if not exists outbox_waiting on fluxbase.outbox (hook_id, id) where died_at is null;
      -- With 100,000 waiting, to count those that run and to find the next one took 15 ms each without these.
      create index if not exists outbox_running on fluxbase.outbox (hook_id) where is_running;
      create index if not exists outbox_due on fluxbase.outbox (hook_id, due_at, id) where died_at is null;
      revoke all on fluxbase.outbox from public;
      create or replace function fluxbase.note_row() returns trigger language plpgsql set search_path = pg_catalog as $$
      declare
        record text := '';
        old_record text := '';
      begin
        if tg_op <> 'DELETE' then record := to_jsonb(new)::text; end if;
        if tg_op <> 'INSERT' then old_record := to_jsonb(old)::text; end if;
        perform set_config('fluxbase.record', record, true), set_config('fluxbase.old_record', old_record, true);
        return null;
      end
      $$;
      create or replace function fluxbase.put_event() returns trigger language plpgsql security definer
      set search_path = pg_catalog, pg_temp as $$
      declare
        record text := nullif(current_setting('fluxbase.record', true), '');
        old_record text := nullif(current_setting('fluxbase.old_record', true), '');
        is_cut boolean := coalesce(octet_length(record) > ${ROW_MAX_BYTES}, false)
          or coalesce(octet_length(old_record) > ${ROW_MAX_BYTES}, false);
      begin
        insert into fluxbase.outbox (hook_id, type, record, old_record, is_cut) values (
          tg_argv[0]::uuid, tg_op,
          case when octet_length(record) <= ${ROW_MAX_BYTES} then record::jsonb end,
          case when octet_length(old_record) <= ${ROW_MAX_BYTES} then old_record::jsonb end,
          is_cut
        );
        perform pg_notify('${OUTBOX_CHANNEL}', '');
        return null;
      end
      $$;
      revoke execute on function fluxbase.note_row(), fluxbase.put_event() from public;`).execute(trx)
    );
  } catch (error) {
    // Another server did the same at that moment.
    if (!wasFirst(error) && codeOf(error) !== DUPLICATE_TABLE) throw error;
  }
}

/** Undefined: there is no such table. Views and the like have no rows of their own. */
export async function findTable(
  db: Db,
  which: { readonly oid: number } | { readonly schema: string; readonly name: string },
): Promise<TablePlace | undefined> {
  const condition = "oid" in which
    ? sql`c.oid = ${which.oid}::int8::oid`
    : sql`n.nspname = ${which.schema} and c.relname = ${which.name}`;
  const { rows } = await sql<TablePlace>`
    select n.nspname as schema, c.relname as name, c.oid::int8::float8 as oid
    from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where ${condition} and c.relkind in ('r', 'p') and c.relpersistence <> 't'
      and n.nspname not like 'pg\\_%' and n.nspname not in ('fluxbase', 'information_schema')`.execute(db);
  return rows[0];
}

export interface StandingTriggers {
  readonly hookId: string;
  readonly oid: number;
  /** Of those that are not switched off; two for each event. */
  readonly count: number;
}

/** Those of all hooks, on whatever table. */
export async function listTriggers(db: Db): Promise<StandingTriggers[]> {
  const { rows } = await sql<StandingTriggers>`
    select substr(t.tgname, ${PREFIX.length + 1}, 36) as "hookId", t.tgrelid::int8::float8 as oid,
      count(*) filter (where t.tgenabled in ('O', 'A'))::int as count
    from pg_catalog.pg_trigger t
    where t.tgname like 'fluxbase\\_hook\\_%' and not t.tgisinternal and t.tgparentid = 0
      and t.tgname ~ ${`^${PREFIX}[0-9a-f-]{36}_[a-z]+_[12]$`}
    group by 1, 2`.execute(db);
  return rows;
}

/** Sets the triggers of a hook on its table, or sets them right. One transaction. */
export async function installTriggers(
  db: Database["db"],
  hook: Pick<DbHook, "id" | "events" | "columns">,
  { table, filters }: { readonly table: TablePlace; readonly filters: readonly RowFilter[] },
): Promise<void> {
  await inTransaction(db, [
    ...hook.events.flatMap((event) =>
      ["note_row()", `put_event(${text(hook.id)})`].map((call, index) =>
        `create or replace trigger ${id(`${PREFIX}${hook.id}_${event.toLowerCase()}_${index + 1}`)}
          after ${event} on ${placeOf(table)} for each row ${conditionOf(event, hook.columns, filters)}
          execute function fluxbase.${call}`
      )
    ),
    ...hook.events.flatMap((event) =>
      [1, 2].map((number) =>
        `alter table ${placeOf(table)} enable trigger ${id(`${PREFIX}${hook.id}_${event.toLowerCase()}_${number}`)}`
      )
    ),
  ]);
}

/** Of tables that are there. */
export async function removeTriggers(db: Database["db"], hookId: string, table: TablePlace): Promise<void> {
  const events = ["insert", "update", "delete"];
  await inTransaction(
    db,
    events.flatMap((event) =>
      [1, 2].map((number) =>
        `drop trigger if exists ${id(`${PREFIX}${hookId}_${event}_${number}`)} on ${placeOf(table)}`
      )
    ),
  );
}

async function inTransaction(db: Database["db"], statements: readonly string[]): Promise<void> {
  await db.transaction().execute(async (trx) => {
    // Names mean what Postgres itself means by them; whoever holds the table for long is not waited for.
    await sql.raw(`set local lock_timeout = ${LOCK_MS}; set local search_path = pg_catalog`).execute(trx);
    for (const statement of statements) await sql.raw(statement).execute(trx);
  });
}

function placeOf({ schema, name }: TablePlace): string {
  return `${id(schema)}.${id(name)}`;
}

/** Checked as whoever changes the row. Every name and value is quoted; operators are a closed list. */
function conditionOf(event: RowEvent, columns: readonly string[] | null, filters: readonly RowFilter[]): string {
  const row = event === "DELETE" ? "old" : "new";
  const conditions = filters.map(({ column, operator, value }) =>
    `${row}.${id(column)} ${ROW_OPERATORS[operator](value) ?? "is null and false"}`
  );
  if (event === "UPDATE" && columns !== null) {
    conditions.push(`(${columns.map((one) => `old.${id(one)} is distinct from new.${id(one)}`).join(" or ")})`);
  }
  return conditions.length === 0 ? "" : `when (${conditions.join(" and ")})`;
}

export interface ClaimOptions {
  /** So many of a hook are handled at once, over all servers. */
  readonly atOnce: number;
  readonly leaseSec: number;
  readonly ordered: boolean;
}

/** Takes events of one hook that are due, those that wait longest first; the caller has to tell what became of each. */
export async function claimEvents(
  db: Db,
  hookId: string,
  { atOnce, leaseSec, ordered }: ClaimOptions,
): Promise<OutboxEvent[]> {
  // In their order, one that waits for its next attempt holds up those behind it.
  const due: RawBuilder<unknown> = ordered
    ? sql`select min(id) from fluxbase.outbox where hook_id = ${hookId} and died_at is null`
    : sql`select id from fluxbase.outbox where hook_id = ${hookId} and died_at is null and due_at <= now()
        order by due_at, id for update skip locked
        limit greatest(0, ${atOnce}::int - (select count(*)::int from fluxbase.outbox
          where hook_id = ${hookId} and died_at is null and is_running and due_at > now()))`;
  const { rows } = await sql<OutboxEvent>`
    update fluxbase.outbox set is_running = true, attempts = attempts + 1,
      due_at = now() + make_interval(secs => ${leaseSec})
    where id in (${due}) and due_at <= now() and died_at is null
    returning id::text, type, record::text, old_record::text as "oldRecord", is_cut as "isCut", attempts as attempt`
    .execute(db);
  return rows.sort((a, b) => Number(a.id) - Number(b.id));
}

/** When the next event of a hook is due, in milliseconds from now; null: none waits. */
export async function nextDueMs(db: Db, hookIds: readonly string[]): Promise<number | null> {
  const { rows } = await sql<{ ms: number | null }>`
    select (extract(epoch from min(due_at) - now()) * 1000)::float8 as ms
    from unnest(${hookIds}::uuid[]) as h (id)
    cross join lateral (select min(due_at) as due_at from fluxbase.outbox o
      where o.hook_id = h.id and o.died_at is null) as o`.execute(db);
  return rows[0]?.ms ?? null;
}

/** Only while the attempt is still the caller's: false when it was taken over. */
export async function finishEvent(db: Db, { id, attempt }: Pick<OutboxEvent, "id" | "attempt">): Promise<boolean> {
  const { numAffectedRows = 0n } = await sql`
    delete from fluxbase.outbox where id = ${id} and attempts = ${attempt}`.execute(db);
  return numAffectedRows > 0n;
}

/** `inSec` null: it was the last attempt. */
export async function failEvent(
  db: Db,
  { id, attempt }: Pick<OutboxEvent, "id" | "attempt">,
  { error, inSec }: { readonly error: string; readonly inSec: number | null },
): Promise<void> {
  await sql`
    update fluxbase.outbox set is_running = false, error = ${error},
      due_at = now() + make_interval(secs => ${inSec ?? 0}), died_at = case when ${inSec === null} then now() end
    where id = ${id} and attempts = ${attempt}`.execute(db);
}

export interface OutboxCounts {
  readonly waiting: number;
  readonly dead: number;
  readonly error: string | null;
}

export async function countEvents(db: Db, hookId: string): Promise<OutboxCounts> {
  const { rows } = await sql<OutboxCounts>`
    select count(*) filter (where died_at is null)::int as waiting, count(*) filter (where died_at is not null)::int as dead,
      (select error from fluxbase.outbox where hook_id = ${hookId} and error is not null order by id desc limit 1) as error
    from fluxbase.outbox where hook_id = ${hookId}`.execute(db);
  return rows[0] ?? { waiting: 0, dead: 0, error: null };
}

/** Returns how many dead ones are tried again. */
export async function reviveEvents(db: Db, hookId: string): Promise<number> {
  const { numAffectedRows = 0n } = await sql`
    update fluxbase.outbox set died_at = null, attempts = 0, due_at = now(), is_running = false
    where hook_id = ${hookId} and died_at is not null`.execute(db);
  return Number(numAffectedRows);
}

export async function dropEvents(db: Db, hookId: string): Promise<void> {
  await sql`delete from fluxbase.outbox where hook_id = ${hookId}`.execute(db);
}

export interface OldEvents {
  /** Of one kind: events of rows and of accounts may stand in one table. */
  readonly types: readonly string[];
  readonly deadDays: number;
  /** Events of others are of hooks that are gone. */
  readonly hookIds?: readonly string[];
}

/** Dead ones, and those of hooks that are gone. */
export async function dropOldEvents(db: Db, { types, deadDays, hookIds }: OldEvents): Promise<number> {
  const { numAffectedRows = 0n } = await sql`
    delete from fluxbase.outbox where type = any (${types}::text[]) and (
      died_at < now() - make_interval(days => ${deadDays})
      or written_at < now() - make_interval(days => ${2 * deadDays})
      or (written_at < now() - interval '1 hour' and not hook_id = any (${hookIds ?? null}::uuid[])))`.execute(db);
  return Number(numAffectedRows);
}
