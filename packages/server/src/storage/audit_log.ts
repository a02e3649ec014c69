/**
 * Statements about the audit log.
 *
 * @module
 */
import { sql } from "kysely";
import type { Db } from "./db.ts";

/** From, to: one field of what was changed. Absent where there was nothing before or is nothing after. */
export interface AuditChange {
  readonly before?: unknown;
  readonly after?: unknown;
}

export interface NewAuditEntry {
  readonly at: Date;
  readonly requestId: string;
  readonly actorKind: string;
  readonly actorId: string | null;
  readonly actorRole: string | null;
  readonly address: string;
  readonly userAgent: string | null;
  /** Method and path of the route, such as `PATCH /functions/{name}`. */
  readonly action: string;
  readonly target: string | null;
  readonly status: number;
  readonly code: string | null;
  readonly reason: string | null;
  readonly changes: Readonly<Record<string, AuditChange>> | null;
}

export interface AuditEntry extends NewAuditEntry {
  readonly id: string;
}

export interface AuditFilter {
  readonly actor?: string | undefined;
  readonly action?: string | undefined;
  readonly target?: string | undefined;
  readonly code?: string | undefined;
  readonly since?: Date | undefined;
  readonly until?: Date | undefined;
  /** Only entries older than this one. */
  readonly before?: string | undefined;
  readonly limit: number;
}

export async function insertAuditEntries(db: Db, entries: readonly NewAuditEntry[]): Promise<void> {
  await db.insertInto("fluxbase.audit_log").values(entries.map((entry) => ({
    at: entry.at,
    request_id: entry.requestId,
    actor_kind: entry.actorKind,
    actor_id: entry.actorId,
    actor_role: entry.actorRole,
    address: entry.address,
    user_agent: entry.userAgent,
    action: entry.action,
    target: entry.target,
    status: entry.status,
    code: entry.code,
    reason: entry.reason,
    changes: entry.changes === null ? null : JSON.stringify(entry.changes),
  }))).execute();
}

/** Newest first. */
export async function listAuditEntries(db: Db, filter: AuditFilter): Promise<AuditEntry[]> {
  const { actor, action, target, code, since, until, before, limit } = filter;
  let query = db.selectFrom("fluxbase.audit_log").select([
    "id",
    "at",
    "request_id as requestId",
    "actor_kind as actorKind",
    "actor_id as actorId",
    "actor_role as actorRole",
    "address",
    "user_agent as userAgent",
    "action",
    "target",
    "status",
    "code",
    "reason",
    "changes",
  ]);
  if (actor !== undefined) query = query.where("actor_id", "=", actor);
  if (action !== undefined) query = query.where("action", "=", action);
  if (target !== undefined) query = query.where("target", "=", target);
  if (code !== undefined) query = query.where("code", "=", code);
  if (since !== undefined) query = query.where("at", ">=", since);
  if (until !== undefined) query = query.where("at", "<", until);
  if (before !== undefined) query = query.where("id", "<", before);
  return await query.orderBy("id", "desc").limit(limit).execute();
}

/** Returns how many. */
export async function dropOldAuditEntries(db: Db, days: number): Promise<number> {
  const { numDeletedRows } = await db.deleteFrom("fluxbase.audit_log")
    .where("at", "<", sql<Date>`now() - make_interval(days => ${days})`).executeTakeFirst();
  return Number(numDeletedRows);
}
