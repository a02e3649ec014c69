/**
 * The route that shows the audit log.
 *
 * @module
 */
import { type AuditEntry as ShownEntry, ERRORS } from "@fluxbase/contract";
import { z } from "zod";
import type { AuditLog } from "../audit/audit_log.ts";
import { type AuditEntry, listAuditEntries } from "../storage/audit_log.ts";
import type { Database } from "../storage/db.ts";
import { choiceParam, instantParam, integerParam, parseQuery, textParam } from "./query.ts";
import type { ApiCall, Route } from "./route.ts";
import { auditEntrySchema } from "./schemas.ts";

const auditQuery = z.object({
  actor: textParam,
  action: textParam,
  target: textParam,
  code: choiceParam(Object.keys(ERRORS)),
  since: instantParam,
  until: instantParam,
  before: z.string().regex(/^[1-9]\d{0,17}$/, "must be the id of an entry").optional(),
  limit: integerParam({ min: 1, max: 1_000, otherwise: 50 }),
});

export function auditRoutes({ db, audit }: { readonly db: Database["db"]; readonly audit: AuditLog }): Route[] {
  async function list({ query }: ApiCall) {
    const { since, until, ...filter } = parseQuery(auditQuery, query);
    await audit.flush();
    const entries = await listAuditEntries(db, {
      ...filter,
      since: since === undefined ? undefined : new Date(since),
      until: until === undefined ? undefined : new Date(until),
    });
    return { status: 200, body: entries.map(entryView) };
  }

  return [{
    method: "GET",
    path: "/admin/audit-log",
    summary: "List audit entries, newest first; pass `before` for the next page",
    access: "admin",
    query: auditQuery,
    answer: { status: 200, schema: z.array(auditEntrySchema) },
    handle: list,
  }];
}

function entryView(entry: AuditEntry): ShownEntry {
  return {
    id: entry.id,
    timestamp: entry.at.toISOString(),
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
    changes: entry.changes,
  };
}
