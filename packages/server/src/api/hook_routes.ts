/**
 * Routes that show and switch what the server asks functions about.
 *
 * Which functions are asked is a setting of theirs (`hooks`); here is what works when one of them does not.
 *
 * @module
 */
import {
  ACCOUNT_EVENTS,
  type AccountEvent,
  AUTH_HOOKS,
  type AuthHook,
  type AuthHookView,
  type DbHookView,
  DEFAULT_NAMESPACE,
  PlatformError,
} from "@fluxbase/contract";
import { z } from "zod";
import type { Catalog, LiveFunction } from "../catalog/catalog.ts";
import { functionNotFound } from "../catalog/function_not_found.ts";
import { type DbHookRule, ROW_EVENTS } from "../storage/db_hooks.ts";
import { switchHookOff, switchHookOn } from "../storage/auth_hooks.ts";
import type { Db } from "../storage/db.ts";
import { type ApiCall, type Audit, authorOf, type Route } from "./route.ts";
import { authHookSchema, dbHookSchema } from "./schemas.ts";

export interface HookRouteParts {
  readonly db: Db;
  readonly accountEvents: AccountEvents;
  readonly catalog: Catalog;
  /** Undefined: there is no users' database. */
  readonly dbHooks: DbHooks | undefined;
}

/** Of events of the authentication (../hooks/account_events.ts). */
export interface AccountEvents {
  /** One for each event. */
  views(): Promise<AuthHookView[]>;
  look(): Promise<void>;
  retry(event: AccountEvent): Promise<number>;
}

/** Of hooks of tables (../hooks/db_hooks.ts). */
export interface DbHooks {
  list(): Promise<DbHookView[]>;
  find(id: string): Promise<DbHookView | undefined>;
  add(hook: DbHookRule & { readonly fn: LiveFunction; readonly where: string | null }): Promise<DbHookView>;
  remove(id: string): Promise<boolean>;
  retry(id: string): Promise<number>;
}

const name = z.string().min(1, "must not be empty").max(63, "must have at most 63 characters")
  .refine((value) => !value.includes("\0") && value.isWellFormed(), "must not contain NUL");
const dbHookInput = z.strictObject({
  function: z.string().max(200),
  namespace: z.string().max(200).default(DEFAULT_NAMESPACE),
  table: z.string().max(130).refine((value) => !value.includes("\0"), "must not contain NUL"),
  events: z.array(z.enum(ROW_EVENTS)).min(1, "must not be empty").transform((events) => [...new Set(events)].sort()),
  columns: z.array(name).min(1, "must not be empty; null is all of them").max(50, "must be at most 50").nullable()
    .default(null),
  where: z.string().max(2_000, "must have at most 2,000 characters")
    .refine((value) => !value.includes("\0") && value.isWellFormed(), "must not contain NUL").nullable().default(null),
  ordered: z.boolean().default(false),
});
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const switchSchema = z.strictObject({ enabled: z.boolean() });

export function hookRoutes({ db, accountEvents, catalog, dbHooks }: HookRouteParts): Route[] {
  const list = () => accountEvents.views();

  async function find(call: ApiCall): Promise<AuthHookView> {
    const event = eventIn(call);
    const found = (await list()).find((hook) => hook.event === event);
    if (found === undefined) throw noSuchEvent(event);
    return found;
  }

  async function change(call: ApiCall) {
    const event = eventIn(call);
    const { data } = switchSchema.safeParse(await call.body());
    if (data === undefined) {
      throw new PlatformError(
        "INVALID_ARGUMENT",
        'Cannot switch the hook: the body must be such as {"enabled": false}',
      );
    }
    if (data.enabled) await switchHookOn(db, event);
    else await switchHookOff(db, event, authorOf(call));
    await accountEvents.look();
    return { status: 200, body: await find(call) };
  }

  function ofTables(): DbHooks {
    if (dbHooks !== undefined) return dbHooks;
    throw new PlatformError(
      "FEATURE_DISABLED",
      "Hooks of tables are switched off: there is no database for users' tables",
    );
  }

  async function findDbHook({ params }: ApiCall): Promise<DbHookView> {
    const id = params["id"] ?? "";
    const found = UUID.test(id) ? await ofTables().find(id) : undefined;
    if (found === undefined) throw noSuchHook(id);
    return found;
  }

  async function add(call: ApiCall) {
    const { data, error } = dbHookInput.safeParse(await call.body());
    if (data === undefined) throw invalidHook(error);
    const { function: functionName, namespace, table: place, ...others } = data;
    const fn = catalog.find(namespace, functionName);
    if (fn === undefined) throw functionNotFound(namespace, functionName);
    const [schema, table] = place.includes(".")
      ? [place.slice(0, place.indexOf(".")), place.slice(place.indexOf(".") + 1)]
      : ["public", place];
    return { status: 201, body: await ofTables().add({ fn, schema, table, ...others, createdBy: authorOf(call) }) };
  }

  async function remove(call: ApiCall) {
    const { id } = await findDbHook(call);
    if (!await ofTables().remove(id)) throw noSuchHook(id);
    return { status: 204 };
  }

  async function retry(call: ApiCall) {
    const { id } = await findDbHook(call);
    return { status: 200, body: { retried: await ofTables().retry(id) } };
  }

  const ofHook: Audit["target"] = ({ table, function: called, id }) =>
    typeof table === "string"
      ? `hook of ${table} for ${called}`
      : typeof id === "string"
      ? `hook ${id.slice(0, 80)}`
      : undefined;
  const dbHook = { schema: dbHookSchema };
  async function retryEvent(call: ApiCall) {
    const event = ACCOUNT_EVENTS.find((one) => one === eventIn(call));
    if (event === undefined) {
      throw new PlatformError(
        "INVALID_ARGUMENT",
        `Cannot retry ${eventIn(call)}: functions are asked about it at once, or not at all`,
      );
    }
    return { status: 200, body: { retried: await accountEvents.retry(event) } };
  }

  const one = { status: 200, schema: authHookSchema };
  return [
    {
      method: "GET",
      path: "/admin/hooks/auth",
      summary: "List authentication events and the functions that each one calls",
      access: "admin",
      answer: { status: 200, schema: z.array(authHookSchema) },
      handle: async () => ({ status: 200, body: await list() }),
    },
    {
      method: "PATCH",
      path: "/admin/hooks/auth/{event}",
      summary: "Enable or disable an authentication event",
      access: "admin",
      audit: {
        before: find,
        target: ({ event }) => typeof event === "string" ? `hook ${event.slice(0, 80)}` : undefined,
      },
      body: switchSchema,
      answer: one,
      handle: change,
    },
    {
      method: "POST",
      path: "/admin/hooks/auth/{event}/retry",
      summary: "Retry dead authentication events",
      access: "admin",
      audit: { target: ({ event }) => typeof event === "string" ? `hook ${event.slice(0, 80)}` : undefined },
      answer: { status: 200, schema: z.object({ retried: z.int() }) },
      handle: retryEvent,
    },
    {
      method: "GET",
      path: "/admin/hooks/database",
      summary: "List database hooks with their waiting and dead events",
      access: "admin",
      answer: { status: 200, schema: z.array(dbHookSchema) },
      handle: async () => ({ status: 200, body: await ofTables().list() }),
    },
    {
      method: "POST",
      path: "/admin/hooks/database",
      summary: "Create a database hook: call a function when rows change",
      access: "admin",
      audit: { target: ofHook },
      body: dbHookInput,
      answer: { status: 201, ...dbHook },
      handle: add,
    },
    {
      method: "GET",
      path: "/admin/hooks/database/{id}",
      summary: "Get a database hook",
      access: "admin",
      answer: { status: 200, ...dbHook },
      handle: async (call) => ({ status: 200, body: await findDbHook(call) }),
    },
    {
      method: "DELETE",
      path: "/admin/hooks/database/{id}",
      summary: "Delete a database hook with its waiting events",
      access: "admin",
      audit: { before: findDbHook, target: ofHook },
      answer: { status: 204 },
      handle: remove,
    },
    {
      method: "POST",
      path: "/admin/hooks/database/{id}/retry",
      summary: "Retry dead events of a database hook",
      access: "admin",
      audit: { target: ofHook },
      answer: { status: 200, schema: z.object({ retried: z.int() }) },
      handle: retry,
    },
  ];
}

function noSuchHook(id: string): PlatformError {
  return new PlatformError("NOT_FOUND", `Hook "${id.slice(0, 80).replaceAll("\0", "")}" not found`);
}

function invalidHook(error: z.ZodError): PlatformError {
  const problems = error.issues.map(({ path, message }) => `"${path.join(".") || "body"}" ${message}`);
  return new PlatformError("INVALID_ARGUMENT", `Cannot set the hook: ${problems.join("; ")}`, {
    details: { problems },
  });
}

function eventIn({ params }: ApiCall): AuthHook | AccountEvent {
  const event = [...AUTH_HOOKS, ...ACCOUNT_EVENTS].find((one) => one === params["event"]);
  if (event === undefined) throw noSuchEvent(params["event"] ?? "");
  return event;
}

function noSuchEvent(event: string): PlatformError {
  return new PlatformError(
    "NOT_FOUND",
    `Hook "${event.slice(0, 80).replaceAll("\0", "")}" not found: the events are ${
      [...AUTH_HOOKS, ...ACCOUNT_EVENTS].join(", ")
    }`,
  );
}
