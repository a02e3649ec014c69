/**
 * Secrets that functions read: encrypted in the database, in plain text only in memory.
 *
 * Owns: encryption, how many and how large, and that every server has the present values.
 * Does not own: who may do what (../api/secret_routes.ts), how they reach a sandbox (../invoke/).
 *
 * @module
 */
import { PlatformError } from "@fluxbase/contract";
import type { Clock } from "../core/clock.ts";
import type { Log } from "../core/log.ts";
import { Secret } from "../core/secret.ts";
import { asDatabaseError, type Db } from "../storage/db.ts";
import type { Changed } from "../storage/follower.ts";
import type { Listener } from "../storage/listener.ts";
import {
  insertSecret,
  listSecretOwners,
  readSealedSecrets,
  readSealedVersion,
  saltOf,
  type StoredSecret,
  updateSecret,
} from "../storage/secrets.ts";
import type { Cipher, SealContext } from "./cipher.ts";
import type { KeyRing } from "./key_ring.ts";
import { changeBetween, nextExpiryMs, type SystemSecret, unexpired, valuesIn } from "./system_secrets.ts";

export interface SecretInput {
  readonly value?: string | undefined;
  readonly description?: string | null | undefined;
  /** From then on no function sees it. */
  readonly expiresAt?: Date | null | undefined;
}

/** As JSON: an object of names and values. */
export type SecretValues = Secret;

/** Whose secrets. */
export interface SecretScope {
  /** A user's id, or SERVER. */
  readonly owner: string;
  /** Of the server's: whose functions see them, sorted. Null: those of all namespaces; always so for a user. */
  readonly namespaces: readonly string[] | null;
}

export interface SecretStore extends Disposable {
  /** Of the server, as functions of a namespace see them. */
  systemIn(namespace: string): SecretValues;
  /** The handler is told for which namespaces something has changed. */
  onSystemChange(handler: (isChanged: (namespace: string) => boolean) => void): void;
  /** Undefined for a user who has none; a promise the first time. */
  ofUser(userId: string): SecretValues | undefined | Promise<SecretValues | undefined>;
  /** @throws {PlatformError} ALREADY_EXISTS, INVALID_ARGUMENT when there are too many */
  create(
    scope: SecretScope,
    secret: SecretInput & { readonly key: string; readonly value: string },
    author: string | null,
  ): Promise<StoredSecret>;
  /** Undefined when there is none. */
  update(
    scope: SecretScope,
    key: string,
    change: SecretInput,
    author: string | null,
  ): Promise<StoredSecret | undefined>;
  /**
   * Makes a value of before the one in use again, as a new version.
   *
   * @throws {PlatformError} SECRET_NOT_FOUND for a version that is not kept
   */
  rollBack(secret: StoredSecret, version: number, author: string | null): Promise<StoredSecret | undefined>;
  /** Reads the owner's again, after a change that this server has made. */
  refresh(owner: string): Promise<void>;
}

export interface SecretStoreOptions {
  readonly db: Db;
  readonly listener: Listener;
  readonly log: Log;
  readonly keyRing: KeyRing;
  readonly clock: Clock;
}

/** The owner of secrets of the server. */
export const SERVER = "";
export const VALUE_MAX_CHARACTERS = 16_384;
/** Of one owner, as JSON: those of a user travel with each of the user's requests. */
const OWNER_MAX_CHARACTERS = { server: 512 * 1024, namespace: 256 * 1024, user: 64 * 1024 };
const SECRETS_CHANNEL = "fluxbase_secrets";
const USERS_MAX_COUNT = 10_000;
/** The longest that a timer can wait. */
const TIMER_MAX_MS = 2 ** 31 - 1;

export async function startSecretStore(
  { db, listener, log, keyRing, clock }: SecretStoreOptions,
): Promise<SecretStore> {
  const handlers: ((isChanged: (namespace: string) => boolean) => void)[] = [];
  let system: readonly SystemSecret[] = [];
  const users = new Map<string, Promise<Secret | undefined> | { readonly values: Secret | undefined }>();
  /** Users who have secrets, or had some: nobody else's calls ask the database. */
  let owners = new Set<string>();
  let expiry: ReturnType<typeof setTimeout> | undefined;
  let isOver = false;

  /** Each user's values under a key of their own. */
  async function cipherOf(owner: string): Promise<Cipher> {
    if (owner === SERVER) return keyRing.server;
    return await keyRing.ofUser(owner, await saltOf(db, owner, crypto.getRandomValues(new Uint8Array(32))));
  }

  async function read(owner: string): Promise<SystemSecret[]> {
    const rows = await readSealedSecrets(db, owner);
    if (rows.length === 0) return [];
    const cipher = await cipherOf(owner);
    const secrets: SystemSecret[] = [];
    for (const { key, namespaces, sealed, expiresAt } of rows) {
      try {
        const value = await cipher.open(sealed, secretContext({ owner, namespaces }, key));
        secrets.push({ key, namespaces, value, expiresAtMs: expiresAt?.getTime() ?? null });
      } catch (error) {
        log.error("Cannot decrypt a secret: functions do not see it", { key, error });
      }
    }
    return secrets;
  }

  async function readUser(userId: string): Promise<Secret | undefined> {
    const found = await read(userId).catch((error) => {
      throw asDatabaseError(error);
    });
    return found.length === 0 ? undefined : new Secret(textOf(found));
  }

  async function readSystem(): Promise<void> {
    const kept = await read(SERVER);
    const nowMs = clock.epochMs();
    const [before, after] = [system, unexpired(kept, nowMs)];
    system = after;
    const isChanged = changeBetween(before, after);
    for (const handler of handlers) handler(isChanged);
    readAgainAt(nextExpiryMs(after), nowMs);
  }

  function readAgainAt(atMs: number | undefined, nowMs: number): void {
    clearTimeout(expiry);
    if (atMs === undefined || isOver) return;
    expiry = setTimeout(() => void follower.refresh(SERVER).catch(() => {}), Math.min(atMs - nowMs, TIMER_MAX_MS));
  }

  /** Values of users are not read before somebody needs them. */
  async function readChanged(changed: Changed): Promise<void> {
    const ids = changed === "all" ? undefined : [...changed];
    const present = new Set(await listSecretOwners(db, ids));
    if (ids === undefined) {
      owners = present;
      users.clear();
    }
    for (const id of ids ?? []) {
      if (present.has(id)) owners.add(id);
      else owners.delete(id);
      users.delete(id);
    }
    if (ids === undefined || ids.includes(SERVER)) await readSystem();
  }

  const follower = await listener.follow({
    what: "secrets",
    channels: [SECRETS_CHANNEL],
    isId: () => true,
    read: readChanged,
  });

  /** Each namespace has a budget of its own, and so have the secrets that are for all: nobody uses up another's. */
  async function assertFits({ owner, namespaces }: SecretScope, key: string, value: string): Promise<void> {
    const kept = await read(owner);
    const isSame = (one: SystemSecret) => one.key === key && one.namespaces?.join() === namespaces?.join();
    const others = kept.filter((one) => !isSame(one));
    const max = OWNER_MAX_CHARACTERS[owner !== SERVER ? "user" : namespaces === null ? "server" : "namespace"];
    for (const namespace of namespaces ?? [null]) {
      const together = others.filter((one) =>
        namespace === null ? one.namespaces === null : one.namespaces?.includes(namespace) === true
      );
      const size = together.reduce((sum, one) => sum + sizeOf(one), sizeOf({ key, value }));
      if (size <= max) continue;
      const whose = owner !== SERVER ? "of a user" : namespace === null ? "for all namespaces" : `of "${namespace}"`;
      throw new PlatformError(
        "INVALID_ARGUMENT",
        `Cannot keep secret "${key}": all secrets ${whose} together may have ${max} characters, and this would be ${size}`,
      );
    }
  }

  const store: SecretStore = {
    systemIn: (namespace) => new Secret(JSON.stringify(valuesIn(namespace, system))),
    onSystemChange: (handler) => void handlers.push(handler),
    ofUser(userId) {
      if (!owners.has(userId)) return undefined;
      const known = users.get(userId);
      if (known !== undefined) return known instanceof Promise ? known : known.values;
      if (users.size >= USERS_MAX_COUNT) {
        const oldest = users.keys().next();
        if (!oldest.done) users.delete(oldest.value);
      }
      const loading = readUser(userId);
      users.set(userId, loading);
      loading.then((values) => {
        // A change in between has taken it away again.
        if (users.get(userId) === loading) users.set(userId, { values });
      }, () => {
        if (users.get(userId) === loading) users.delete(userId);
      });
      return loading;
    },
    async create(scope, { key, value, description = null, expiresAt = null }, author) {
      const { owner, namespaces } = scope;
      await assertFits(scope, key, value);
      const sealed = await (await cipherOf(owner)).seal(value, secretContext(scope, key));
      const place = { userId: owner, key, namespaces };
      const stored = await insertSecret(db, { ...place, sealed, description, expiresAt, author });
      if (stored === undefined) {
        throw new PlatformError("ALREADY_EXISTS", `Secret "${key}" exists already: change it with PUT`);
      }
      await store.refresh(owner);
      return stored;
    },
    async update(scope, key, { value, description, expiresAt }, author) {
      const { owner, namespaces } = scope;
      if (value !== undefined) await assertFits(scope, key, value);
      const stored = await updateSecret(db, { userId: owner, key, namespaces }, {
        author,
        ...(description === undefined ? {} : { description }),
        ...(expiresAt === undefined ? {} : { expiresAt }),
        ...(value === undefined
          ? {}
          : { sealed: await (await cipherOf(owner)).seal(value, secretContext(scope, key)) }),
      });
      await store.refresh(owner);
      return stored;
    },
    async rollBack({ id, userId: owner, key, namespaces }, version, author) {
      const sealed = await readSealedVersion(db, id, version);
      if (sealed === undefined) {
        throw new PlatformError("SECRET_NOT_FOUND", `Version ${version} of secret "${key}" not found: it is not kept`);
      }
      const scope = { owner, namespaces };
      const value = await (await cipherOf(owner)).open(sealed, secretContext(scope, key));
      return await store.update(scope, key, { value }, author);
    },
    async refresh(owner) {
      if (owner !== SERVER) owners.add(owner);
      users.delete(owner);
      await follower.refresh(owner);
    },
    [Symbol.dispose]() {
      isOver = true;
      clearTimeout(expiry);
    },
  };
  return store;
}

/** A value that is moved to another owner, name or set of namespaces in the database opens no more. */
export function secretContext({ owner, namespaces }: SecretScope, name: string): SealContext {
  if (owner !== SERVER) return { purpose: "user secret", owner, name };
  return { purpose: "system secret", owner: namespaces?.join() ?? SERVER, name };
}

function textOf(secrets: readonly Pick<SystemSecret, "key" | "value">[]): string {
  return JSON.stringify(Object.fromEntries(secrets.map(({ key, value }) => [key, value])));
}

/** As JSON. */
function sizeOf(secret: Pick<SystemSecret, "key" | "value">): number {
  return textOf([secret]).length;
}
