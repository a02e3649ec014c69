/**
 * Statements about users, their sessions and refresh tokens.
 *
 * @module
 */
import { sql, type SqlBool } from "kysely";
import type { Database, Db } from "./db.ts";
import type { UserRole } from "./schema.ts";

export interface User {
  readonly id: string;
  /** Null for who is anonymous. */
  readonly email: string | null;
  readonly role: UserRole;
  readonly isAnonymous: boolean;
  readonly emailVerified: boolean;
  readonly userMetadata: Readonly<Record<string, unknown>>;
  readonly appMetadata: Readonly<Record<string, unknown>>;
  readonly createdAt: Date;
  readonly updatedAt: Date;
  /** Since when they cannot sign in; null for who can. */
  readonly disabledAt: Date | null;
}

export interface NewUser {
  readonly id?: string;
  /** Null: an anonymous user. */
  readonly email: string | null;
  readonly passwordHash: string | null;
  readonly role: UserRole;
  readonly emailVerified?: boolean;
  readonly userMetadata: Readonly<Record<string, unknown>>;
  readonly appMetadata?: Readonly<Record<string, unknown>>;
}

const COLUMNS = [
  "id",
  "email",
  "role",
  "is_anonymous as isAnonymous",
  "email_verified as emailVerified",
  "user_metadata as userMetadata",
  "app_metadata as appMetadata",
  "created_at as createdAt",
  "updated_at as updatedAt",
  "disabled_at as disabledAt",
] as const;

/** A unique violation means that the e-mail is taken. */
export async function insertUser(db: Db, user: NewUser): Promise<User> {
  const { id, email, passwordHash, role, userMetadata, appMetadata, emailVerified = false } = user;
  return await db.insertInto("fluxbase.users").values({
    ...(id === undefined ? {} : { id }),
    ...(appMetadata === undefined ? {} : { app_metadata: JSON.stringify(appMetadata) }),
    email,
    is_anonymous: email === null,
    email_verified: emailVerified,
    password_hash: passwordHash,
    role,
    user_metadata: JSON.stringify(userMetadata),
  }).returning(COLUMNS).executeTakeFirstOrThrow();
}

/** The first admin, and nobody when there is one: two at once wait for each other. */
export async function insertFirstAdmin(db: Database["db"], user: Omit<NewUser, "role">): Promise<User | undefined> {
  return await db.transaction().execute(async (transaction) => {
    await sql`select pg_advisory_xact_lock(hashtext('fluxbase first admin'))`.execute(transaction);
    return await hasAdmin(transaction) ? undefined : await insertUser(transaction, { ...user, role: "admin" });
  });
}

export async function hasAdmin(db: Db): Promise<boolean> {
  const admins = db.selectFrom("fluxbase.users").select("id").where("role", "=", "admin").limit(1);
  return await admins.executeTakeFirst() !== undefined;
}

/** Besides one of them, and only those who can sign in. */
export async function hasOtherAdmin(db: Db, id: string): Promise<boolean> {
  const others = db.selectFrom("fluxbase.users").select("id").where("role", "=", "admin").where("id", "!=", id)
    .where("disabled_at", "is", null).limit(1);
  return await others.executeTakeFirst() !== undefined;
}

/** Of those who can sign in. */
export async function findFirstAdmin(db: Db): Promise<User | undefined> {
  return await db.selectFrom("fluxbase.users").select(COLUMNS).where("role", "=", "admin")
    .where("disabled_at", "is", null).orderBy("created_at").orderBy("id").limit(1).executeTakeFirst();
}

export async function findUser(db: Db, id: string): Promise<User | undefined> {
  return await db.selectFrom("fluxbase.users").select(COLUMNS).where("id", "=", id).executeTakeFirst();
}

export async function findUserToSignIn(
  db: Db,
  email: string,
): Promise<{ readonly user: User; readonly passwordHash: string | null } | undefined> {
  const row = await db.selectFrom("fluxbase.users").select([...COLUMNS, "password_hash as passwordHash"])
    .where("email", "=", email).executeTakeFirst();
  if (row === undefined) return undefined;
  const { passwordHash, ...user } = row;
  return { user, passwordHash };
}

export interface UserChange {
  readonly email?: string | undefined;
  readonly passwordHash?: string | undefined;
  readonly userMetadata?: Readonly<Record<string, unknown>> | undefined;
  readonly appMetadata?: Readonly<Record<string, unknown>> | undefined;
  readonly emailVerified?: boolean | undefined;
  readonly role?: UserRole | undefined;
  readonly disabled?: boolean | undefined;
}

export async function updateUser(
  db: Db,
  id: string,
  { email, passwordHash, userMetadata, appMetadata, emailVerified, role, disabled }: UserChange,
): Promise<User | undefined> {
  return await db.updateTable("fluxbase.users").set({
    updated_at: sql<Date>`now()`,
    ...(email === undefined ? {} : { email, email_verified: false, is_anonymous: false }),
    ...(emailVerified === undefined ? {} : { email_verified: emailVerified }),
    ...(role === undefined ? {} : { role }),
    // From when on stays, however often it is said.
    ...(disabled === undefined ? {} : { disabled_at: disabled ? sql<Date>`coalesce(disabled_at, now())` : null }),
    ...(appMetadata === undefined ? {} : { app_metadata: JSON.stringify(appMetadata) }),
    ...(passwordHash === undefined ? {} : { password_hash: passwordHash }),
    ...(userMetadata === undefined ? {} : { user_metadata: JSON.stringify(userMetadata) }),
  }).where("id", "=", id).returning(COLUMNS).executeTakeFirst();
}

/** Newest first. */
export interface UserPage {
  readonly limit: number;
  readonly offset?: number | undefined;
  /** Instead of counting: those after this one. */
  readonly after?: { readonly createdAtUs: string; readonly id: string } | undefined;
  readonly role?: UserRole | undefined;
  /** Part of the e-mail, or of the id. */
  readonly search?: string | undefined;
}

export type ListedUser = User & { readonly createdAtUs: string };

/** Newest first. Goes through the table: there is no index for a part of an e-mail, and whoever asks is an admin. */
export async function listUsers(
  db: Db,
  { limit, offset = 0, after, role, search }: UserPage,
): Promise<{ readonly users: ListedUser[]; readonly total: number }> {
  let all = db.selectFrom("fluxbase.users");
  if (role !== undefined) all = all.where("role", "=", role);
  if (search !== undefined) {
    all = all.where(sql<SqlBool>`strpos(coalesce(email, '') || ' ' || id::text, lower(${search})) > 0`);
  }
  const createdAtUs = sql<string>`(extract(epoch from created_at) * 1000000)::bigint::text`;
  let page = all.select([...COLUMNS, createdAtUs.as("createdAtUs")]).orderBy("created_at", "desc").orderBy("id", "desc")
    .limit(limit).offset(offset);
  if (after !== undefined) {
    const instant = sql`to_timestamp(0) + ${after.createdAtUs}::bigint * interval '1 microsecond'`;
    page = page.where(sql<SqlBool>`(created_at, id) < (${instant}, ${after.id}::uuid)`);
  }
  const { total } = await all.select((of) => of.fn.countAll<string>().as("total")).executeTakeFirstOrThrow();
  return { users: await page.execute(), total: Number(total) };
}

/** In order of their ids, after one of them. */
export async function listUsersAfter(db: Db, id: string | null, limit: number): Promise<User[]> {
  let all = db.selectFrom("fluxbase.users").select(COLUMNS).orderBy("id").limit(limit);
  if (id !== null) all = all.where("id", ">", id);
  return await all.execute();
}

/** With sessions, keys and settings. */
export async function deleteUser(db: Db, id: string): Promise<boolean> {
  await db.deleteFrom("fluxbase.custom_settings").where("user_id", "=", id).execute();
  const { numDeletedRows } = await db.deleteFrom("fluxbase.users").where("id", "=", id).executeTakeFirst();
  return numDeletedRows > 0n;
}

export interface NewSession {
  readonly id: string;
  readonly userId: string;
  readonly tokenHash: Uint8Array;
  readonly days: number;
}

export async function insertSession(db: Database["db"], { id, userId, tokenHash, days }: NewSession): Promise<void> {
  await db.transaction().execute(async (transaction) => {
    await transaction.insertInto("fluxbase.sessions")
      .values({ id, user_id: userId, expires_at: sql<Date>`now() + make_interval(days => ${days})` }).execute();
    await transaction.insertInto("fluxbase.refresh_tokens").values({ token_hash: tokenHash, session_id: id }).execute();
  });
}

/** Whose session a refresh token is for, while it can be used. */
export async function findRefreshedUser(db: Db, tokenHash: Uint8Array): Promise<Rotated | undefined> {
  const found = await db.selectFrom("fluxbase.refresh_tokens as t")
    .innerJoin("fluxbase.sessions as s", "s.id", "t.session_id").select(["s.id as sessionId", "s.user_id as userId"])
    .where("t.token_hash", "=", tokenHash).where("t.used_at", "is", null).where("s.ended_at", "is", null)
    .where("s.expires_at", ">", sql<Date>`now()`).executeTakeFirst();
  const user = found === undefined ? undefined : await findUser(db, found.userId);
  return found === undefined || user === undefined || user.disabledAt !== null
    ? undefined
    : { sessionId: found.sessionId, user };
}

export interface Rotated {
  readonly sessionId: string;
  readonly user: User;
}

/**
 * Takes a refresh token for another one. One that was used before ends its session, since somebody has a copy.
 *
 * @returns undefined when it is of no use
 */
export async function rotateRefreshToken(
  db: Database["db"],
  { oldHash, newHash }: { readonly oldHash: Uint8Array; readonly newHash: Uint8Array },
): Promise<Rotated | undefined> {
  return await db.transaction().execute(async (transaction) => {
    const token = await transaction.selectFrom("fluxbase.refresh_tokens as t")
      .innerJoin("fluxbase.sessions as s", "s.id", "t.session_id")
      .select(["s.id as sessionId", "s.user_id as userId", "t.used_at as usedAt"])
      .where("t.token_hash", "=", oldHash).where("s.ended_at", "is", null).where("s.expires_at", ">", sql<Date>`now()`)
      .forUpdate().executeTakeFirst();
    if (token === undefined) return undefined;
    const { sessionId, userId, usedAt } = token;
    const user = await findUser(transaction, userId);
    if (usedAt !== null || user === undefined || user.disabledAt !== null) {
      await endSessions(transaction, { sessionId });
      return undefined;
    }
    await transaction.updateTable("fluxbase.refresh_tokens").set({ used_at: sql<Date>`now()` })
      .where("token_hash", "=", oldHash).execute();
    await transaction.insertInto("fluxbase.refresh_tokens").values({ token_hash: newHash, session_id: sessionId })
      .execute();
    return { sessionId, user };
  });
}

/** One, or all of a user, but one. */
export async function endSessions(
  db: Db,
  which: { readonly sessionId: string } | { readonly userId: string; readonly except: string | null },
): Promise<void> {
  let update = db.updateTable("fluxbase.sessions").set({ ended_at: sql<Date>`now()` }).where("ended_at", "is", null);
  if ("sessionId" in which) update = update.where("id", "=", which.sessionId);
  else update = update.where("user_id", "=", which.userId);
  if ("except" in which && which.except !== null) update = update.where("id", "!=", which.except);
  await update.execute();
}

/** Those whose access tokens may still be in somebody's hands, of all or of some; ended, or deleted with their user. */
export async function listEndedSessions(
  db: Db,
  { withinSec, ids }: { readonly withinSec: number; readonly ids?: readonly string[] },
): Promise<string[]> {
  const since = sql<Date>`now() - make_interval(secs => ${withinSec})`;
  let ended = db.selectFrom("fluxbase.sessions").select("id").where("ended_at", ">", since);
  let deleted = db.selectFrom("fluxbase.deleted_sessions").select("id").where("deleted_at", ">", since);
  if (ids !== undefined) {
    const some = sql<string>`any(${ids}::uuid[])`;
    ended = ended.where("id", "=", some);
    deleted = deleted.where("id", "=", some);
  }
  return (await ended.union(deleted).execute()).map(({ id }) => id);
}

/** Sessions that are over, with their tokens; returns how many. */
export async function dropOldSessions(db: Db): Promise<number> {
  const { numDeletedRows } = await db.deleteFrom("fluxbase.sessions").where((where) =>
    where.or([
      where("expires_at", "<", sql<Date>`now() - interval '1 day'`),
      where("ended_at", "<", sql<Date>`now() - interval '1 day'`),
    ])
  ).executeTakeFirst();
  await db.deleteFrom("fluxbase.deleted_sessions").where("deleted_at", "<", sql<Date>`now() - interval '1 day'`)
    .execute();
  return Number(numDeletedRows);
}
