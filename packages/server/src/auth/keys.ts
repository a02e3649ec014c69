/**
 * Client and service keys: made here, known by their hash, all in memory.
 *
 * @module
 */
import { createHash } from "node:crypto";
import type { Clock } from "../core/clock.ts";
import type { Log } from "../core/log.ts";
import type { Db } from "../storage/db.ts";
import { type KeyRow, listKeys, markKeysUsed } from "../storage/keys.ts";
import type { Listener } from "../storage/listener.ts";
import type { KeyKind } from "../storage/schema.ts";

const PREFIXES: Readonly<Record<KeyKind, string>> = { client: "fbk_", service: "fbs_" };
const RANDOM_BYTES = 32;
const SHOWN_CHARACTERS = 12;
const WRITE_USES_MS = 3_000;
const KEYS_CHANNEL = "fluxbase_keys";

export function generateKey(kind: KeyKind): string {
  const random = crypto.getRandomValues(new Uint8Array(RANDOM_BYTES));
  return PREFIXES[kind] + random.toBase64({ alphabet: "base64url", omitPadding: true });
}

export function looksLikeKey(credential: string): boolean {
  return Object.values(PREFIXES).some((prefix) => credential.startsWith(prefix));
}

export function keyPrefixOf(key: string): string {
  return key.slice(0, SHOWN_CHARACTERS);
}

/** SHA-256: a key has 256 random bits, so nothing slower is needed, and a look-up by hash leaks no timing of the key. */
export function hashKey(key: string): Uint8Array {
  return createHash("sha256").update(key).digest();
}

export interface KeyStore {
  find(key: string): KeyRow | undefined;
  /** Called when any key changed. */
  onChange(handler: () => void): void;
  refresh(): Promise<void>;
  /** Counted as used now; whoever uses the key again says so here. */
  useOf(id: string): KeyUse;
  /** Writes when which key was used last. */
  [Symbol.asyncDispose](): Promise<void>;
}

export interface KeyUse {
  /** Milliseconds since the epoch. */
  atMs: number;
}

export async function startKeyStore(
  { db, listener, log, clock }: { db: Db; listener: Listener; log: Log; clock: Clock },
): Promise<KeyStore> {
  const uses = new Map<string, KeyUse>();
  let usesWrittenMs = clock.epochMs();
  let byHash = new Map<string, KeyRow>();
  const handlers: (() => void)[] = [];
  let known = "";

  async function read(): Promise<void> {
    const rows = await listKeys(db);
    // What was verified is forgotten on a change: a notification alone must not make every caller be verified again.
    const now = JSON.stringify(rows);
    if (now === known) return;
    known = now;
    byHash = new Map(rows.flatMap(waysToShow).map(([hash, row]) => [hexOf(hash), row]));
    for (const handler of handlers) handler();
  }

  async function writeUses(): Promise<void> {
    const sinceMs = usesWrittenMs;
    const nowMs = clock.epochMs();
    const used = [...uses].filter(([, { atMs }]) => atMs >= sinceMs).map(([id, { atMs }]) => ({
      id,
      at: new Date(atMs),
    }));
    if (used.length === 0) return;
    await markKeysUsed(db, used);
    usesWrittenMs = nowMs;
  }

  const writeOrSay = () =>
    writeUses().catch((error) => log.warn("Cannot write when keys were used last: tries again", { error }));
  const timer = setInterval(() => void writeOrSay(), WRITE_USES_MS);

  const follower = await listener.follow({ what: "keys", channels: [KEYS_CHANNEL], read });
  return {
    find: (key) => byHash.get(hexOf(hashKey(key))),
    onChange: (handler) => void handlers.push(handler),
    refresh: () => follower.refresh(),
    useOf(id) {
      const atMs = clock.epochMs();
      let use = uses.get(id);
      if (use === undefined) uses.set(id, use = { atMs });
      use.atMs = atMs;
      return use;
    },
    async [Symbol.asyncDispose]() {
      clearInterval(timer);
      await writeOrSay();
    },
  };
}

/** By its value, and for a while by the one before. */
function waysToShow(row: KeyRow): [hash: Uint8Array, row: KeyRow][] {
  const { keyHash, previousHash, previousUntil, expiresAt } = row;
  if (previousHash === null || previousUntil === null) return [[keyHash, row]];
  const isShorter = expiresAt === null || previousUntil < expiresAt;
  return [[previousHash, isShorter ? { ...row, expiresAt: previousUntil } : row], [keyHash, row]];
}

function hexOf(bytes: Uint8Array): string {
  return Uint8Array.from(bytes).toHex();
}
