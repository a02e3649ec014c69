/**
 * What differs between two views of one thing, as the audit log keeps it: never a secret, and no source.
 *
 * @module
 */
import { createHash } from "node:crypto";
import type { AuditChange } from "../storage/audit_log.ts";

/** Shown once, to the one who asked for it. */
const NEVER_KEPT: ReadonlySet<string> = new Set([
  "key",
  "value",
  "password",
  "access_token",
  "refresh_token",
  "setup_token",
]);
/** May hold anything, and is kept elsewhere: only that it changed is noted. */
const HASHED: ReadonlySet<string> = new Set(["code", "files", "original_code", "content"]);
const NO_CHANGE: ReadonlySet<string> = new Set(["created_at", "updated_at", "last_used_at", "request_id"]);
/** Follows from the time, not from a change. */
const MOVING: ReadonlySet<string> = new Set(["next_runs", "last_tick"]);
const CHANGES_MAX_CHARACTERS = 16 * 1024;

export function changesBetween(before: unknown, after: unknown): Record<string, AuditChange> | null {
  const [old, fresh] = [fieldsOf(before), fieldsOf(after)];
  const changes = Object.fromEntries(
    [...new Set([...Object.keys(old), ...Object.keys(fresh)])].flatMap((name): [string, AuditChange][] => {
      if (NEVER_KEPT.has(name) || NO_CHANGE.has(name) || MOVING.has(name)) return [];
      const [from, to] = [kept(name, old[name]), kept(name, fresh[name])];
      if (JSON.stringify(from) === JSON.stringify(to)) return [];
      return [[name, {
        ...(from === undefined || from === null ? {} : { before: from }),
        ...(to === undefined || to === null ? {} : { after: to }),
      }]];
    }),
  );
  const names = Object.keys(changes);
  if (names.length === 0) return null;
  if (JSON.stringify(changes).length <= CHANGES_MAX_CHARACTERS) return changes;
  return { changed_fields: { after: names.slice(0, 100) } };
}

function fieldsOf(view: unknown): Readonly<Record<string, unknown>> {
  return typeof view === "object" && view !== null && !Array.isArray(view) ? { ...view } : {};
}

function kept(name: string, value: unknown): unknown {
  if (value === undefined || value === null) return value;
  if (!HASHED.has(name)) return JSON.parse(JSON.stringify(value, (key, one) => MOVING.has(key) ? undefined : one));
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return { sha256: createHash("sha256").update(text).digest("hex"), characters: text.length };
}
