/**
 * Values that programs of the users keep here in plain text: those of the server, set by admins, and those of users.
 *
 * Whoever asks reads the server's that are public; a user's own come before them.
 *
 * @module
 */
import { PlatformError, type SettingView, type UserSettingView } from "@fluxbase/contract";
import { z } from "zod";
import { userOf } from "../auth/caller.ts";
import { isAdmin } from "../auth/permissions.ts";
import {
  countSettings,
  type CustomSetting,
  deleteSetting,
  findSettings,
  insertSetting,
  listSettings,
  updateSetting,
} from "../storage/custom_settings.ts";
import type { Database } from "../storage/db.ts";
import { invalidBody, parsedBody } from "./parsed_body.ts";
import { type ApiCall, type Audit, authorOf, type Route } from "./route.ts";

const WORDS = { noun: "setting", example: '{"key": "theme", "value": {"mode": "dark"}}' };

/** The owner of settings of the server. */
const SERVER = "";
const MAX_COUNT = { server: 1_000, user: 200 };
const VALUE_MAX_CHARACTERS = 65_536;
const BATCH_MAX_COUNT = 100;

const KEY = /^[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}$/;
/** They are paths already. */
const TAKEN: readonly string[] = ["secret", "secrets", "user", "batch", "list", "own", "system"];

const key = z.string()
  .regex(KEY, "must be 1 to 128 letters, digits, `_`, `.`, `:` or `-`, the first a letter or digit")
  .refine((text) => !TAKEN.includes(text), `must not be one of ${TAKEN.join(", ")}`);
const json = z.json("must be JSON").refine(
  (value) => JSON.stringify(value).length <= VALUE_MAX_CHARACTERS && !JSON.stringify(value).includes("\\u0000"),
  `must have at most ${VALUE_MAX_CHARACTERS} characters as JSON, and no NUL`,
);
const description = z.string().max(1_000, "must have at most 1,000 characters")
  .refine((text) => !text.includes("\0"), "must not contain NUL").nullable().optional();

const changeable = {
  description,
  value_type: z.enum(["string", "number", "boolean", "json"], "must be string, number, boolean or json").optional(),
  is_public: z.boolean().optional(),
  is_secret: z.literal(false, "cannot be true: keep it with /admin/settings/custom/secret").optional(),
  metadata: json.nullable().optional(),
};
const createSchema = z.strictObject({ key, value: json, ...changeable });
const updateSchema = z.strictObject({ value: json.optional(), ...changeable });
const userSchema = z.strictObject({ value: json, description });
const batchSchema = z.strictObject({
  keys: z.array(z.string()).max(BATCH_MAX_COUNT, `must be at most ${BATCH_MAX_COUNT}`),
});

const settingSchema = z.object({
  id: z.uuid(),
  key: z.string(),
  value: z.json(),
  value_type: z.string(),
  description: z.string().nullable(),
  is_public: z.boolean(),
  metadata: z.json().nullable(),
  created_by: z.string().nullable(),
  updated_by: z.string().nullable(),
  created_at: z.iso.datetime(),
  updated_at: z.iso.datetime(),
}) satisfies z.ZodType<SettingView>;
const userSettingSchema = z.object({
  id: z.uuid(),
  key: z.string(),
  value: z.json(),
  description: z.string().nullable(),
  user_id: z.string(),
  created_at: z.iso.datetime(),
  updated_at: z.iso.datetime(),
}) satisfies z.ZodType<UserSettingView>;
const valueSchema = z.object({ key: z.string(), value: z.json() });

export function customSettingRoutes({ db }: { readonly db: Database["db"] }): Route[] {
  return [...ofServer(db), ...ofUser(db), ...forAll(db)];
}

function ofServer(db: Database["db"]): Route[] {
  const base = "/admin/settings/custom";
  const one = `${base}/{key}`;
  const target = ({ key }: Readonly<Record<string, unknown>>) => typeof key === "string" ? `setting ${key}` : undefined;
  const audit: Audit = { before: async (call) => settingView(await find(db, SERVER, keyIn(call))), target };
  const answer = { status: 200, schema: settingSchema };
  return [
    {
      method: "GET",
      path: base,
      summary: "List application settings",
      access: "admin",
      answer: { status: 200, schema: z.array(settingSchema) },
      handle: async () => ({ status: 200, body: (await listSettings(db, SERVER)).map(settingView) }),
    },
    {
      method: "POST",
      path: base,
      summary: "Create a setting; `is_public` lets everybody read it",
      access: "admin",
      audit: { target },
      body: createSchema,
      answer: { status: 201, schema: settingSchema },
      async handle(call) {
        const { key, ...sent } = parse(createSchema, await call.body());
        await assertRoom(db, SERVER);
        const stored = await insertSetting(db, { userId: SERVER, key }, inColumns(sent), authorOf(call));
        if (stored !== undefined) return { status: 201, body: settingView(stored) };
        throw new PlatformError("ALREADY_EXISTS", `Setting "${key}" exists already: change it with PUT`);
      },
    },
    {
      method: "GET",
      path: one,
      summary: "Get a setting",
      access: "admin",
      answer,
      handle: async (call) => ({ status: 200, body: settingView(await find(db, SERVER, keyIn(call))) }),
    },
    {
      method: "PUT",
      path: one,
      summary: "Update a setting",
      access: "admin",
      audit,
      body: updateSchema,
      answer,
      async handle(call) {
        const key = keyIn(call);
        const sent = parse(updateSchema, await call.body());
        const stored = await updateSetting(db, { userId: SERVER, key }, inColumns(sent), authorOf(call));
        if (stored === undefined) throw notFound(key);
        return { status: 200, body: settingView(stored) };
      },
    },
    {
      method: "DELETE",
      path: one,
      summary: "Delete a setting",
      access: "admin",
      audit,
      answer: { status: 204 },
      handle: async (call) => await remove(db, SERVER, keyIn(call)),
    },
  ];
}

/** A user's own, with those of the server that are public behind them. */
function ofUser(db: Database["db"]): Route[] {
  const one = "/settings/user/{key}";
  const idOf = ({ caller }: ApiCall) => userOf(caller).userId;
  return [
    {
      method: "GET",
      path: "/settings/user/list",
      summary: "List settings of the current user",
      access: "credential",
      answer: { status: 200, schema: z.array(userSettingSchema) },
      handle: async (call) => ({ status: 200, body: (await listSettings(db, idOf(call))).map(userSettingView) }),
    },
    {
      method: "GET",
      path: "/settings/user/own/{key}",
      summary: "Get a setting of the current user",
      access: "credential",
      answer: { status: 200, schema: userSettingSchema },
      handle: async (call) => ({ status: 200, body: userSettingView(await find(db, idOf(call), keyIn(call))) }),
    },
    {
      method: "GET",
      path: "/settings/user/system/{key}",
      summary: "Get a public setting of the server",
      access: "credential",
      answer: { status: 200, schema: valueSchema },
      handle: (call) => readOne(db, call),
    },
    {
      method: "GET",
      path: one,
      summary: "Get a setting of the current user, or else the server's",
      access: "credential",
      answer: { status: 200, schema: valueSchema.extend({ source: z.enum(["user", "system"]) }) },
      async handle(call) {
        const key = keyIn(call);
        const [own] = await findSettings(db, idOf(call), [key]);
        const [stored = own] = own === undefined ? await readable(db, call, [key]) : [];
        if (stored === undefined) throw notFound(key);
        return { status: 200, body: { key, value: stored.value, source: own === undefined ? "system" : "user" } };
      },
    },
    {
      method: "PUT",
      path: one,
      summary: "Set a setting of the current user",
      access: "credential",
      body: userSchema,
      answer: { status: 200, schema: userSettingSchema },
      async handle(call) {
        const place = { userId: idOf(call), key: parse(z.object({ key }), { key: keyIn(call) }).key };
        const sent = parse(userSchema, await call.body());
        const author = authorOf(call);
        const changed = await updateSetting(db, place, sent, author);
        if (changed !== undefined) return { status: 200, body: userSettingView(changed) };
        await assertRoom(db, place.userId);
        // Somebody may have made it in between.
        const stored = await insertSetting(db, place, sent, author) ?? await updateSetting(db, place, sent, author);
        if (stored === undefined) throw notFound(place.key);
        return { status: 200, body: userSettingView(stored) };
      },
    },
    {
      method: "DELETE",
      path: one,
      summary: "Delete a setting of the current user",
      access: "credential",
      answer: { status: 204 },
      handle: async (call) => await remove(db, idOf(call), keyIn(call)),
    },
  ];
}

function forAll(db: Database["db"]): Route[] {
  return [
    {
      method: "POST",
      path: "/settings/batch",
      summary: "Get several settings of the server; those the caller may not read are left out",
      access: "public",
      body: batchSchema,
      answer: { status: 200, schema: z.array(valueSchema) },
      async handle(call) {
        const { keys } = parse(batchSchema, await call.body());
        const found = await readable(db, call, keys.filter((key) => KEY.test(key)));
        return { status: 200, body: found.map(({ key, value }) => ({ key, value })) };
      },
    },
    {
      method: "GET",
      path: "/settings/{key}",
      summary: "Get a setting of the server: public ones for everybody, all for admins",
      access: "public",
      answer: { status: 200, schema: valueSchema },
      handle: (call) => readOne(db, call),
    },
  ];
}

async function readOne(db: Database["db"], call: ApiCall) {
  const key = keyIn(call);
  const [stored] = await readable(db, call, [key]);
  if (stored === undefined) throw notFound(key);
  return { status: 200, body: { key, value: stored.value } };
}

async function readable(db: Database["db"], { caller }: ApiCall, keys: readonly string[]): Promise<CustomSetting[]> {
  return (await findSettings(db, SERVER, keys)).filter(({ isPublic }) => isPublic || isAdmin(caller));
}

async function find(db: Database["db"], userId: string, key: string): Promise<CustomSetting> {
  const [stored] = await findSettings(db, userId, [key]);
  if (stored === undefined) throw notFound(key);
  return stored;
}

async function remove(db: Database["db"], userId: string, key: string) {
  if (!await deleteSetting(db, { userId, key })) throw notFound(key);
  return { status: 204 };
}

async function assertRoom(db: Database["db"], userId: string): Promise<void> {
  const max = userId === SERVER ? MAX_COUNT.server : MAX_COUNT.user;
  if (await countSettings(db, userId) < max) return;
  const whose = userId === SERVER ? "the server" : "a user";
  throw invalidBody(WORDS.noun, [`${whose} may have ${max} settings; delete one first`]);
}

function inColumns({ value_type, is_public, is_secret: _is_secret, ...same }: {
  readonly value?: unknown;
  readonly value_type?: string | undefined;
  readonly description?: string | null | undefined;
  readonly is_public?: boolean | undefined;
  readonly is_secret?: false | undefined;
  readonly metadata?: unknown;
}) {
  return { ...same, valueType: value_type, isPublic: is_public };
}

function settingView(stored: CustomSetting): SettingView {
  return {
    id: stored.id,
    key: stored.key,
    value: stored.value,
    value_type: stored.valueType,
    description: stored.description,
    is_public: stored.isPublic,
    metadata: stored.metadata,
    created_by: stored.createdBy,
    updated_by: stored.updatedBy,
    created_at: stored.createdAt.toISOString(),
    updated_at: stored.updatedAt.toISOString(),
  };
}

function userSettingView(stored: CustomSetting): UserSettingView {
  return {
    id: stored.id,
    key: stored.key,
    value: stored.value,
    description: stored.description,
    user_id: stored.userId,
    created_at: stored.createdAt.toISOString(),
    updated_at: stored.updatedAt.toISOString(),
  };
}

function keyIn({ params }: ApiCall): string {
  const key = params["key"] ?? "";
  if (!KEY.test(key)) throw notFound(key);
  return key;
}

function notFound(key: string): PlatformError {
  return new PlatformError("NOT_FOUND", `Setting "${key.slice(0, 80).replaceAll("\0", "")}" not found`);
}

function parse<Schema extends z.ZodObject>(schema: Schema, sent: unknown): z.output<Schema> {
  return parsedBody(schema, sent, WORDS);
}
