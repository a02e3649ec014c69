/**
 * Who changed what and who was refused, in the order in which it happened.
 *
 * Owns: what an entry says of a caller, how many refusals are kept one by one, writing.
 *
 * A change waits for its entry. Refusals do not wait, and whoever guesses credentials cannot fill the disk: above a rate
 * they are counted together.
 *
 * @module
 */
import { type ErrorCode, PlatformError } from "@fluxbase/contract";
import type { Clock } from "../core/clock.ts";
import type { HeaderLookup } from "../core/header_list.ts";
import type { Log } from "../core/log.ts";
import { TokenBucket } from "../core/token_bucket.ts";
import { type AuditChange, insertAuditEntries, type NewAuditEntry } from "../storage/audit_log.ts";
import type { Db } from "../storage/db.ts";

/** Of a request, whatever becomes of it. */
export interface RequestFacts {
  readonly requestId: string;
  /** Of the client. */
  readonly address: string;
  readonly headers: HeaderLookup;
}

export interface Action {
  readonly action: string;
  readonly target: string | null;
  /** Undefined: it could not be told. */
  readonly caller: Actor | undefined;
}

export interface Actor {
  readonly kind: string;
  readonly role: string | null;
  readonly userId: string | null;
  readonly keyId: string | null;
}

export interface AuditLog {
  /** Resolves when it is written. Never rejects: what cannot be written goes to the server's log. */
  note(
    request: RequestFacts,
    action: Action,
    outcome: {
      readonly status: number;
      readonly code: string | null;
      readonly changes: Readonly<Record<string, AuditChange>> | null;
    },
  ): Promise<void>;
  /** A change that the functions folder made, written together with others. */
  noteFolder(change: { readonly action: string; readonly target: string; readonly reloadedBy: string | null }): void;
  /** Something of users that the server found changed, and set right. */
  noteRepair(repair: { readonly target: string; readonly reason: string }): void;
  /** Counts it, and keeps it if it is a refusal of a caller: a credential that is wrong, or rights that are missing. */
  noteRefusal(request: RequestFacts, action: Action, error: unknown): void;
  /** How many of each code there were, also of those that are not kept. */
  refusals(): Readonly<Record<CountedRefusal, number>>;
  flush(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

const REFUSALS: ReadonlySet<ErrorCode> = new Set<ErrorCode>(["INVALID_CREDENTIAL", "FORBIDDEN"]);
const COUNTED_REFUSALS = ["UNAUTHENTICATED", "INVALID_CREDENTIAL", "FORBIDDEN", "RATE_LIMITED"] as const;
type CountedRefusal = typeof COUNTED_REFUSALS[number];

function codeIn(error: unknown): CountedRefusal | undefined {
  const known = error instanceof PlatformError && error.cause instanceof PlatformError ? error.cause : error;
  return COUNTED_REFUSALS.find((code) => known instanceof PlatformError && known.code === code);
}

const REFUSAL_RATE = { capacity: 200, refillPerSec: 5 };
const FLUSH_MS = 500;
const TEXT_MAX_CHARACTERS = 300;

export function startAuditLog({ db, clock, log }: { db: Db; clock: Clock; log: Log }): AuditLog {
  const bucket = new TokenBucket(clock.nowMs(), REFUSAL_RATE);
  const refusals: Record<CountedRefusal, number> = {
    UNAUTHENTICATED: 0,
    INVALID_CREDENTIAL: 0,
    FORBIDDEN: 0,
    RATE_LIMITED: 0,
  };
  let waiting: NewAuditEntry[] = [];
  /** The last one of those that got no entry of their own, and how many there were. */
  let folded: { readonly entry: NewAuditEntry; readonly count: number } | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let writing: Promise<void> = Promise.resolve();

  async function write(entries: readonly NewAuditEntry[]): Promise<void> {
    try {
      if (entries.length > 0) await insertAuditEntries(db, entries);
    } catch (error) {
      log.error("Cannot write to the audit log", { error, entries: JSON.stringify(entries) });
    }
  }

  function flush(): Promise<void> {
    clearTimeout(timer);
    timer = undefined;
    const entries = folded === undefined ? waiting : [...waiting, {
      ...folded.entry,
      reason: `${folded.count} refusals, the last one: ${folded.entry.reason}`.slice(0, TEXT_MAX_CHARACTERS),
    }];
    waiting = [];
    folded = undefined;
    writing = writing.then(() => write(entries));
    return writing;
  }

  function later(entry: NewAuditEntry): void {
    waiting.push(entry);
    writeSoon();
  }

  function writeSoon(): void {
    timer ??= setTimeout(() => void flush(), FLUSH_MS);
  }

  function entryOf({ requestId, address, headers }: RequestFacts, { action, target, caller }: Action) {
    return {
      at: new Date(clock.epochMs()),
      requestId,
      actorKind: caller?.kind ?? "unknown",
      actorId: caller?.userId ?? caller?.keyId ?? null,
      actorRole: caller?.role ?? null,
      address,
      userAgent: plainText(headers.get("user-agent")),
      action,
      target: plainText(target),
    };
  }

  function entryWithoutRequest(actorKind: string): Omit<NewAuditEntry, "action" | "target"> {
    return {
      at: new Date(clock.epochMs()),
      requestId: crypto.randomUUID(),
      actorKind,
      actorId: null,
      actorRole: null,
      address: "",
      userAgent: null,
      status: 200,
      code: null,
      reason: null,
      changes: null,
    };
  }

  return {
    note(request, action, { status, code, changes }) {
      return write([{ ...entryOf(request, action), status, code, reason: null, changes }]);
    },
    noteFolder({ action, target, reloadedBy }) {
      later({ ...entryWithoutRequest("folder"), actorId: reloadedBy, action, target: plainText(target) });
    },
    noteRepair({ target, reason }) {
      later({
        ...entryWithoutRequest("server"),
        action: "repair role",
        target: plainText(target),
        reason: plainText(reason),
      });
    },
    refusals: () => refusals,
    noteRefusal(request, action, error) {
      const counted = codeIn(error);
      if (counted !== undefined) refusals[counted] += 1;
      const refusal = refusalIn(error);
      if (refusal === undefined) return;
      const { status, code, message } = refusal;
      const entry = { ...entryOf(request, action), status, code, reason: plainText(message), changes: null };
      if (bucket.take(1, clock.nowMs())) return later(entry);
      folded = { entry, count: (folded?.count ?? 0) + 1 };
      writeSoon();
    },
    flush,
    [Symbol.asyncDispose]: flush,
  };
}

/** Why a caller was refused, also where the answer says that nothing is there. */
export function refusalIn(
  error: unknown,
): { readonly status: number; readonly code: ErrorCode; readonly message: string } | undefined {
  if (!(error instanceof PlatformError)) return undefined;
  const { status, cause } = error;
  const { code, message } = cause instanceof PlatformError ? cause : error;
  return REFUSALS.has(code) ? { status, code, message } : undefined;
}

/** As Postgres can keep it. */
function plainText(text: string | null): string | null {
  return text === null ? null : text.slice(0, TEXT_MAX_CHARACTERS).replaceAll("\0", "").toWellFormed();
}
