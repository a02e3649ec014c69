/**
 * Routes that manage client and service keys.
 *
 * @module
 */
import { type Key, namespaceProblem, PlatformError } from "@fluxbase/contract";
import { z } from "zod";
import { unknownField } from "../core/nearest.ts";
import { generateKey, hashKey, keyPrefixOf, type KeyStore } from "../auth/keys.ts";
import { type Caller, userOf } from "../auth/caller.ts";
import { isAdmin, SCOPES } from "../auth/permissions.ts";
import { type Database, isForeignKeyViolation } from "../storage/db.ts";
import {
  deleteKey,
  findKey,
  insertKey,
  type KeyChange,
  type KeyFilter,
  listStoredKeys,
  type NewKey,
  type StoredKey,
  updateKey,
} from "../storage/keys.ts";
import { optionalBody } from "./json_body.ts";
import { type ApiCall, type Audit, authorOf, type Route } from "./route.ts";
import { keySchema } from "./schemas.ts";

const KNOWN_SCOPES: readonly string[] = ["*", ...SCOPES, ...new Set(SCOPES.map((scope) => `${scope.split(":")[0]}:*`))];
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

const RATE_LIMIT_MAX = 1_000_000_000;
/** What users may give to keys of their own: what they may do themselves. */
const SCOPES_OF_USERS: readonly string[] = ["functions:invoke", "tables:read", "tables:write"];
const KEYS_OF_USER_MAX_COUNT = 100;

const HOUR_MS = 3_600_000;
const GRACE_MAX_HOURS = 90 * 24;
const GRACE_DEFAULT_HOURS = 24;
const UNIT_MS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: HOUR_MS, d: 24 * HOUR_MS };

const rateLimit = z.int("must be a whole number").min(1, "must be at least 1")
  .max(RATE_LIMIT_MAX, `must be at most ${RATE_LIMIT_MAX}`).nullable();
const RATE_LIMITS = ["rate_limit_per_minute", "rate_limit_per_hour", "rate_limit_per_day"] as const;

const text = z.string().max(200, "must have at most 200 characters").refine(
  (value) => !value.includes("\0") && value.isWellFormed(),
  "must not contain NUL or unpaired surrogates",
);
const fields = {
  name: text.min(1, "must not be empty"),
  description: text.nullable(),
  scopes: z.array(z.string().refine((scope) => KNOWN_SCOPES.includes(scope), `must be of ${KNOWN_SCOPES.join(", ")}`)),
  namespaces: z.array(z.string().refine((name) => namespaceProblem(name) === undefined, "must be names of namespaces"))
    .nullable(),
  rate_limit_per_minute: rateLimit,
  rate_limit_per_hour: rateLimit,
  rate_limit_per_day: rateLimit,
  expires_at: z.iso.datetime({ offset: true, error: "must be an instant such as 2027-01-31T12:00:00Z" }).nullable(),
};
const updateSchema = z.strictObject({ ...fields, enabled: z.boolean() }).partial();
const keyTypeSchema = z.enum(
  ["client", "service"],
  'must be "service": for less than the service role make a client key',
);
const reasonSchema = z.object({ reason: text.optional() });
const graceSchema = z.object({
  reason: text.optional(),
  grace_period: z.string().optional(),
  grace_period_hours: z.coerce.number().positive("must be more than 0").max(GRACE_MAX_HOURS).optional(),
});
/** A service key is the service role: a limit that it would not have is refused. */
const WHOLE_SERVICE_ROLE = "cannot limit a service key, which may do everything: make a client key instead";
const serviceUpdateSchema = updateSchema.extend({
  scopes: z.array(z.literal("*", WHOLE_SERVICE_ROLE)),
  namespaces: z.null(WHOLE_SERVICE_ROLE),
}).partial();

const owner = z.uuid("must be the id of a user").nullable();

/** Client keys are made by admins, for whom they like, and by users for themselves; service keys by admins only. */
const KINDS = [
  {
    kind: "client",
    base: "/client-keys",
    words: "client key",
    access: "credential",
    updateSchema,
    createSchema: updateSchema.extend({ user_id: owner.optional(), key_type: keyTypeSchema.optional() })
      .required({ name: true }),
  },
  {
    kind: "service",
    base: "/admin/service-keys",
    words: "service key",
    access: "admin",
    updateSchema: serviceUpdateSchema,
    createSchema: serviceUpdateSchema.extend({ user_id: owner.optional(), key_type: keyTypeSchema.optional() })
      .required({ name: true }),
  },
] as const;

type CreateInput = z.output<(typeof KINDS)[number]["createSchema"]>;

export function keyRoutes({ db, keys }: { readonly db: Database["db"]; readonly keys: KeyStore }): Route[] {
  return KINDS.flatMap(({ kind, base, words, access, updateSchema, createSchema }): Route[] => {
    const idOf = ({ params }: ApiCall) => params["id"] ?? "";
    const within = ({ caller }: ApiCall): KeyFilter => ({ kind, userId: isAdmin(caller) ? undefined : selfOf(caller) });

    /** Every node follows by notification; the one that made the change at once. */
    async function changed(id: string, change: KeyChange): Promise<StoredKey> {
      const stored = UUID.test(id) ? await updateKey(db, { kind, id }, change) : undefined;
      if (stored === undefined) throw notFound(words, id);
      await keys.refresh();
      return stored;
    }

    async function read(call: ApiCall): Promise<StoredKey> {
      const id = idOf(call);
      const filter = within(call);
      const stored = UUID.test(id) ? await findKey(db, id, filter) : undefined;
      if (stored === undefined) throw notFound(words, id);
      return stored;
    }

    async function assertForSelf(filter: KeyFilter, input: CreateInput) {
      assertScopesOfUser(input.scopes ?? []);
      if (input.user_id && input.user_id !== filter.userId) throw forbidden("for another user");
      if ((await listStoredKeys(db, filter)).length < KEYS_OF_USER_MAX_COUNT) return;
      throw new PlatformError(
        "INVALID_ARGUMENT",
        `Cannot make a ${words}: a user may have ${KEYS_OF_USER_MAX_COUNT}; delete one first`,
      );
    }

    async function insertForUser(key: NewKey): Promise<StoredKey | undefined> {
      try {
        return await insertKey(db, key);
      } catch (error) {
        if (!isForeignKeyViolation(error)) throw error;
        throw new PlatformError("USER_NOT_FOUND", `User not found on this server: ${key.userId}`);
      }
    }

    async function create(call: ApiCall) {
      const filter = within(call);
      const input = parseBody(createSchema, inOurWords(await call.body()));
      if (filter.userId !== undefined) await assertForSelf(filter, input);
      const key = generateKey(kind);
      const stored = await insertForUser({
        kind,
        name: input.name,
        description: input.description ?? null,
        keyPrefix: keyPrefixOf(key),
        keyHash: hashKey(key),
        scopes: kind === "service" ? ["*"] : input.scopes ?? [],
        namespaces: input.namespaces ?? null,
        rateLimitPerMinute: input.rate_limit_per_minute ?? null,
        rateLimitPerHour: input.rate_limit_per_hour ?? null,
        rateLimitPerDay: input.rate_limit_per_day ?? null,
        userId: filter.userId ?? input.user_id ?? null,
        createdBy: authorOf(call),
        expiresAt: input.expires_at ? new Date(input.expires_at) : null,
      });
      await keys.refresh();
      if (stored === undefined) throw new PlatformError("INTERNAL", "Cannot make a key: try again");
      return { status: 201, body: { ...keyView(stored), key } };
    }

    async function update(call: ApiCall) {
      const sent = parseBody(updateSchema, inOurWords(await call.body()));
      const { name, description, scopes, namespaces, expires_at, enabled } = sent;
      const { rate_limit_per_minute, rate_limit_per_hour, rate_limit_per_day } = sent;
      const before = await read(call);
      // An admin may have given a user's key more than users may give: whoever changes its rights must be able to give it.
      const rights = ["scopes", "namespaces", ...RATE_LIMITS, "expires_at", "enabled"] as const;
      const changesRights = rights.some((name) => sent[name] !== undefined);
      if (changesRights && !isAdmin(call.caller)) assertScopesOfUser(scopes ?? before.scopes);
      const stored = await changed(before.id, {
        ...(name === undefined ? {} : { name }),
        ...(description === undefined ? {} : { description }),
        ...(scopes === undefined || kind === "service" ? {} : { scopes }),
        ...(namespaces === undefined ? {} : { namespaces }),
        ...(rate_limit_per_minute === undefined ? {} : { rateLimitPerMinute: rate_limit_per_minute }),
        ...(rate_limit_per_hour === undefined ? {} : { rateLimitPerHour: rate_limit_per_hour }),
        ...(rate_limit_per_day === undefined ? {} : { rateLimitPerDay: rate_limit_per_day }),
        ...(expires_at === undefined ? {} : { expiresAt: expires_at === null ? null : new Date(expires_at) }),
        ...(enabled === undefined ? {} : { disabledAt: enabled ? null : before.disabledAt ?? new Date() }),
      });
      return { status: 200, body: keyView(stored) };
    }

    async function revoke(call: ApiCall) {
      const before = await read(call);
      const { reason } = parseBody(reasonSchema, await optionalBody(call));
      const revoked = { revokedAt: new Date(), revokedBy: authorOf(call), revocationReason: reason ?? null };
      return {
        status: 200,
        body: keyView(before.revokedAt === null ? await changed(before.id, revoked) : before),
      };
    }

    async function revocation(call: ApiCall) {
      const { id, name, revokedAt, revokedBy, revocationReason } = await read(call);
      const revoked_at = revokedAt?.toISOString() ?? null;
      return {
        status: 200,
        body: { id, name, revoked_at, revoked_by: revokedBy, revocation_reason: revocationReason },
      };
    }

    const enable = (isEnabled: boolean) => async (call: ApiCall) => {
      const before = await read(call);
      assertGood(before, isEnabled ? "enable" : "disable");
      if (isEnabled && !isAdmin(call.caller)) assertScopesOfUser(before.scopes);
      const disabledAt = isEnabled ? null : before.disabledAt ?? new Date();
      return { status: 200, body: keyView(await changed(before.id, { disabledAt })) };
    };

    async function deprecate(call: ApiCall) {
      const before = await read(call);
      assertGood(before, "deprecate");
      const now = Date.now();
      const graceMs = graceIn(await optionalBody(call)) ?? GRACE_DEFAULT_HOURS * HOUR_MS;
      const change = { deprecatedAt: new Date(now), graceEndsAt: new Date(now + graceMs) };
      return { status: 200, body: keyView(await changed(before.id, change)) };
    }

    async function rotate(call: ApiCall) {
      const before = await read(call);
      assertGood(before, "rotate");
      const graceMs = graceIn(await optionalBody(call));
      const key = generateKey(kind);
      const previousUntil = graceMs === undefined ? null : new Date(Date.now() + graceMs);
      const stored = await changed(before.id, {
        rotated: { keyHash: hashKey(key), keyPrefix: keyPrefixOf(key), previousUntil },
      });
      return { status: 200, body: { ...keyView(stored), key } };
    }

    function assertGood({ revokedAt }: StoredKey, verb: string): void {
      if (revokedAt === null) return;
      throw new PlatformError("INVALID_ARGUMENT", `Cannot ${verb} a ${words} that is revoked`);
    }

    async function remove(call: ApiCall) {
      const { id } = await read(call);
      if (!await deleteKey(db, { kind, id })) throw notFound(words, id);
      await keys.refresh();
      return { status: 204 };
    }

    const one = `${base}/{id}`;
    const making: Audit = { target: idOfView };
    const changing: Audit = { before: async (call) => keyView(await read(call)), target: idOfView };
    const answer = { status: 200, schema: keySchema };
    return [
      {
        method: "GET",
        path: base,
        summary: `List ${words}s, newest first, without the keys themselves`,
        access,
        answer: { status: 200, schema: z.array(keySchema) },
        handle: async (call) => ({ status: 200, body: (await listStoredKeys(db, within(call))).map(keyView) }),
      },
      {
        method: "POST",
        path: base,
        summary: `Create a ${words}; the key is shown only in this response`,
        access,
        audit: making,
        body: createSchema,
        answer: { status: 201, schema: keySchema },
        handle: create,
      },
      {
        method: "GET",
        path: one,
        summary: `Get a ${words}`,
        access,
        answer,
        handle: async (call) => ({ status: 200, body: keyView(await read(call)) }),
      },
      ...(["PATCH", "PUT"] as const).map((method): Route => ({
        method,
        path: one,
        summary: `Update name, scopes, namespaces, rate limits, expiry or \`enabled\` of a ${words}`,
        access,
        audit: changing,
        body: updateSchema,
        answer,
        handle: update,
      })),
      ...([["disable", "until it is enabled"], ["enable", "that is disabled"]] as const).map((
        [verb, until],
      ): Route => ({
        method: "POST",
        path: `${one}/${verb}`,
        summary: `${verb === "enable" ? "Enable" : "Disable"} a ${words} ${until}`,
        access,
        audit: changing,
        answer,
        handle: enable(verb === "enable"),
      })),
      {
        method: "POST",
        path: `${one}/deprecate`,
        summary: `Deprecate a ${words}: it expires after a grace period, such as {"grace_period": "48h"}`,
        access,
        audit: changing,
        body: graceSchema,
        answer,
        handle: deprecate,
      },
      {
        method: "GET",
        path: `${one}/revocations`,
        summary: `Get when, by whom and why a ${words} was revoked`,
        access,
        answer: { status: 200 },
        handle: revocation,
      },
      {
        method: "POST",
        path: `${one}/revoke`,
        summary: `Revoke a ${words} for good`,
        access,
        audit: changing,
        answer,
        handle: revoke,
      },
      {
        method: "POST",
        path: `${one}/rotate`,
        summary: `Rotate a ${words}; the old value stops working at once, or after {"grace_period": "1h"}`,
        access,
        audit: changing,
        body: graceSchema,
        answer,
        handle: rotate,
      },
      {
        method: "DELETE",
        path: one,
        summary: `Delete a ${words}`,
        access,
        audit: changing,
        answer: { status: 204 },
        handle: remove,
      },
    ];
  });
}

/** Words of other clients for fields of ours. */
function inOurWords(sent: unknown): unknown {
  if (typeof sent !== "object" || sent === null || Array.isArray(sent)) return sent;
  const { rate_limit, expires_in, ...fields } = sent as Readonly<Record<string, unknown>>;
  const { scopes } = fields;
  return {
    ...fields,
    ...(Array.isArray(scopes)
      ? { scopes: scopes.map((scope) => scope === "functions:execute" ? "functions:invoke" : scope) }
      : {}),
    ...(rate_limit === undefined ? {} : { rate_limit_per_minute: rate_limit || null }),
    ...Object.fromEntries(RATE_LIMITS.flatMap((name) => fields[name] === 0 ? [[name, null]] : [])),
    ...(expires_in === undefined ? {} : { expires_at: expiryIn(expires_in) }),
  };
}

/** Seconds, or a duration such as "720h". */
function expiryIn(value: unknown): unknown {
  if (value === null || value === 0 || value === "") return null;
  const ms = typeof value === "number" ? value * 1_000 : typeof value === "string" ? durationMs(value) : undefined;
  const at = new Date(Date.now() + (ms ?? NaN));
  return Number.isNaN(at.getTime()) ? "no duration" : at.toISOString();
}

/** Undefined for what is no duration. */
function durationMs(value: string): number | undefined {
  if (!/^(\d{1,9}(s|m|h|d))+$/.test(value)) return undefined;
  return [...value.matchAll(/(\d+)([smhd])/g)].reduce(
    (sum, [, count, unit = ""]) => sum + Number(count) * (UNIT_MS[unit] ?? 0),
    0,
  );
}

/** Undefined: none was asked for. */
function graceIn(sent: unknown): number | undefined {
  const { grace_period, grace_period_hours } = parseBody(graceSchema, sent);
  if (grace_period_hours !== undefined) return grace_period_hours * HOUR_MS;
  if (grace_period === undefined || grace_period === "" || grace_period === "0s") return undefined;
  const ms = durationMs(grace_period);
  if (ms !== undefined && ms > 0 && ms <= GRACE_MAX_HOURS * HOUR_MS) return ms;
  throw new PlatformError(
    "INVALID_ARGUMENT",
    `Cannot accept the key: "grace_period" is ${
      JSON.stringify(grace_period.slice(0, 40))
    }: it must be such as 30m, 1h or 7d, at most ${GRACE_MAX_HOURS / 24}d`,
  );
}

function idOfView({ id }: Readonly<Record<string, unknown>>): string | undefined {
  return typeof id === "string" ? id : undefined;
}

function keyView(stored: StoredKey): Key {
  return {
    id: stored.id,
    name: stored.name,
    description: stored.description,
    key_prefix: stored.keyPrefix,
    scopes: stored.scopes,
    namespaces: stored.namespaces,
    rate_limit_per_minute: stored.rateLimitPerMinute,
    rate_limit_per_hour: stored.rateLimitPerHour,
    rate_limit_per_day: stored.rateLimitPerDay,
    user_id: stored.userId,
    expires_at: stored.expiresAt?.toISOString() ?? null,
    revoked_at: stored.revokedAt?.toISOString() ?? null,
    last_used_at: stored.lastUsedAt?.toISOString() ?? null,
    created_at: stored.createdAt.toISOString(),
    created_by: stored.createdBy,
    enabled: stored.disabledAt === null && stored.revokedAt === null,
    deprecated_at: stored.deprecatedAt?.toISOString() ?? null,
    grace_period_ends_at: (stored.graceEndsAt ?? stored.previousUntil)?.toISOString() ?? null,
    revoked_by: stored.revokedBy,
    revocation_reason: stored.revocationReason,
    key_type: stored.kind,
  };
}

/** Whose keys a caller who is no admin may manage: their own. */
function selfOf(caller: Caller): string {
  if (caller.kind === "key" || caller.kind === "function") throw forbidden("with a key; sign in");
  const { userId } = userOf(caller);
  // Those of another issuer are no users of this server.
  if (!UUID.test(userId)) throw forbidden("for a user of another issuer");
  return userId;
}

function assertScopesOfUser(scopes: readonly string[]): void {
  const [refused] = scopes.filter((scope) => !SCOPES_OF_USERS.includes(scope));
  if (refused === undefined) return;
  throw new PlatformError(
    "FORBIDDEN",
    `Cannot give scope ${refused} to a key of your own: it may have ${SCOPES_OF_USERS.join(", ")}`,
    { details: { scope: refused } },
  );
}

function forbidden(what: string): PlatformError {
  return new PlatformError("FORBIDDEN", `Cannot manage keys ${what}`);
}

function notFound(words: string, id: string): PlatformError {
  return new PlatformError("KEY_NOT_FOUND", `No ${words} "${id.slice(0, 80)}" was found`);
}

function parseBody<Schema extends z.ZodObject>(schema: Schema, value: unknown): z.output<Schema> {
  const { data, error } = schema.safeParse(value);
  if (data !== undefined) return data;
  const problems = (error?.issues ?? []).map((issue) =>
    issue.code === "unrecognized_keys"
      ? issue.keys.map((name) => unknownField(name, Object.keys(schema.shape))).join("; ")
      : issue.path.length === 0
      ? 'the body must be a JSON object, such as {"name": "ci", "scopes": ["functions:write"]}'
      : `"${issue.path.join(".")}" ${wrongWith(issue)}`
  );
  throw new PlatformError("INVALID_ARGUMENT", `Cannot accept the key: ${problems.join("; ")}`, {
    details: { problems },
  });
}

function wrongWith(issue: z.core.$ZodIssue): string {
  if (issue.code !== "invalid_type" || issue.message === WHOLE_SERVICE_ROLE) return issue.message;
  return issue.expected === "nonoptional" ? "is missing" : `must be a ${issue.expected}`;
}
