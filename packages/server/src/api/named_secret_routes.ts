/**
 * Secrets of the server by name or id, with versions and an end: what clients know as `/secrets`.
 *
 * They are the ones of ./secret_routes.ts, seen in another way. No answer has a value.
 *
 * @module
 */
import { namespaceProblem, PlatformError, type SecretStats, type SecretVersionView } from "@fluxbase/contract";
import { z } from "zod";
import { concealed } from "../auth/permissions.ts";
import { type SecretStore, SERVER } from "../secrets/secret_store.ts";
import type { Database } from "../storage/db.ts";
import {
  deleteSecret,
  findSecret,
  findSecretById,
  listSecrets,
  listSecretVersions,
  type StoredSecret,
} from "../storage/secrets.ts";
import { choiceParam, parseQuery, textParam } from "./query.ts";
import { type ApiCall, type Audit, authorOf, type Route } from "./route.ts";
import { secretSchema } from "./schemas.ts";
import {
  invalidSecret,
  isWithin,
  outside,
  parseSecret,
  secretFields,
  secretNotFound,
  secretView,
} from "./secret_fields.ts";

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const VERSION = /^[1-9]\d{0,8}$/;
/** What the statistics call soon. */
const SOON_MS = 7 * 86_400_000;

const SCOPES = ["global", "namespace"] as const;
const { key: name, value, description } = secretFields;
const changeable = {
  description,
  expires_at: z.iso.datetime({ offset: true, error: "must be an instant such as 2030-01-31T12:00:00Z" })
    .transform((text) => new Date(text)).refine((at) => at.getTime() > Date.now(), "must be in the future")
    .nullable().optional(),
};
const createSchema = z.strictObject({
  name,
  value,
  ...changeable,
  scope: z.enum(SCOPES, 'must be "global" or "namespace"').optional(),
  namespace: z.string().refine((text) => namespaceProblem(text) === undefined, "must be a namespace").optional(),
});
const updateSchema = z.strictObject({ value: value.optional(), ...changeable });
const listQuery = z.object({ scope: choiceParam(SCOPES), namespace: textParam });
const placeQuery = z.object({ namespace: textParam });

const versionSchema = z.object({
  id: z.string(),
  secret_id: z.string(),
  version: z.int(),
  created_at: z.iso.datetime(),
  created_by: z.string().nullable(),
}) satisfies z.ZodType<SecretVersionView>;

const statsSchema = z.object({
  total: z.int(),
  expiring_soon: z.int(),
  expired: z.int(),
}) satisfies z.ZodType<SecretStats>;

export interface NamedSecretParts {
  readonly db: Database["db"];
  readonly secrets: SecretStore;
}

/** How a secret is found: by its name, which may stand for one in each namespace and one for all, or by its id. */
interface Way {
  readonly path: string;
  readonly query?: z.ZodObject;
  find(call: ApiCall): Promise<StoredSecret>;
}

export function namedSecretRoutes({ db, secrets }: NamedSecretParts): Route[] {
  const list = (call: ApiCall) => listSecrets(db, { userId: SERVER, within: call.caller.namespaces });

  async function listed(call: ApiCall): Promise<StoredSecret[]> {
    const { scope, namespace } = parseQuery(listQuery, call.query);
    const isAsked = ({ namespaces }: StoredSecret) =>
      (scope === undefined || (scope === "global") === (namespaces === null)) &&
      (namespace === undefined || namespaces?.includes(namespace) === true);
    return (await list(call)).filter(isAsked);
  }

  async function stats(call: ApiCall): Promise<SecretStats> {
    const nowMs = Date.now();
    const all = await list(call);
    const ends = all.flatMap(({ expiresAt }) => expiresAt === null ? [] : [expiresAt.getTime()]);
    const expired = ends.filter((endMs) => endMs <= nowMs).length;
    return {
      total: all.length,
      expiring_soon: ends.filter((endMs) => endMs <= nowMs + SOON_MS).length - expired,
      expired,
    };
  }

  async function create(call: ApiCall) {
    const { name, value, description, expires_at, scope, namespace } = parseSecret(createSchema, await call.body());
    if (scope === "namespace" && namespace === undefined) throw invalidSecret(['"namespace" is missing']);
    if (scope === "global" && namespace !== undefined) {
      throw invalidSecret(['"namespace" cannot stand beside the scope "global"']);
    }
    const namespaces = scope === "global" ? null : placeOf(call, namespace);
    if (!isWithin(call, namespaces)) throw outside(call);
    const secret = { key: name, value, description, expiresAt: expires_at };
    const stored = await secrets.create({ owner: SERVER, namespaces }, secret, authorOf(call));
    return { status: 201, body: secretView(stored) };
  }

  const ways: readonly Way[] = [
    {
      path: "/secrets/by-name/{name}",
      query: placeQuery,
      async find(call) {
        const key = call.params["name"] ?? "";
        const { namespace } = parseQuery(placeQuery, call.query);
        const namespaces = placeOf(call, namespace);
        if (!isWithin(call, namespaces)) throw concealed(secretNotFound(key));
        const stored = name.safeParse(key).success
          ? await findSecret(db, { userId: SERVER, namespaces, key })
          : undefined;
        if (stored === undefined) throw secretNotFound(key);
        return stored;
      },
    },
    {
      path: "/secrets/{id}",
      async find(call) {
        const id = call.params["id"] ?? "";
        const stored = UUID.test(id) ? await findSecretById(db, { userId: SERVER, id }) : undefined;
        if (stored === undefined) throw secretNotFound(id);
        if (!isWithin(call, stored.namespaces)) throw concealed(secretNotFound(id));
        return stored;
      },
    },
  ];

  async function update(call: ApiCall, { key, namespaces }: StoredSecret) {
    const { expires_at, ...change } = parseSecret(updateSchema, await call.body());
    const scope = { owner: SERVER, namespaces };
    const stored = await secrets.update(scope, key, { ...change, expiresAt: expires_at }, authorOf(call));
    if (stored === undefined) throw secretNotFound(key);
    return { status: 200, body: secretView(stored) };
  }

  async function rollBack(call: ApiCall, secret: StoredSecret) {
    const asked = call.params["version"] ?? "";
    if (!VERSION.test(asked)) {
      throw new PlatformError(
        "INVALID_ARGUMENT",
        `Cannot roll back to version ${JSON.stringify(asked.slice(0, 40))}: it must be a whole number from 1`,
      );
    }
    const stored = await secrets.rollBack(secret, Number(asked), authorOf(call));
    if (stored === undefined) throw secretNotFound(secret.key);
    return { status: 200, body: secretView(stored) };
  }

  async function remove(_call: ApiCall, { key, namespaces }: StoredSecret) {
    if (!await deleteSecret(db, { userId: SERVER, namespaces, key })) throw secretNotFound(key);
    await secrets.refresh(SERVER);
    return { status: 204 };
  }

  async function versions(_call: ApiCall, { id }: StoredSecret) {
    const body = (await listSecretVersions(db, id)).map(({ version, createdAt, createdBy }): SecretVersionView => ({
      id: `${id}:${version}`,
      secret_id: id,
      version,
      created_at: createdAt.toISOString(),
      created_by: createdBy,
    }));
    return { status: 200, body };
  }

  const answer = { status: 200, schema: secretSchema };
  return [
    {
      method: "GET",
      path: "/secrets",
      summary: "List secrets, without values",
      access: "secrets:read",
      query: listQuery,
      answer: { status: 200, schema: z.array(secretSchema) },
      handle: async (call) => ({ status: 200, body: (await listed(call)).map(secretView) }),
    },
    {
      method: "POST",
      path: "/secrets",
      summary: "Create a secret for all namespaces or for one",
      access: "secrets:write",
      audit: { target },
      body: createSchema,
      answer: { status: 201, schema: secretSchema },
      handle: create,
    },
    {
      method: "GET",
      path: "/secrets/stats",
      summary: "Count secrets: all, expiring within 7 days, expired",
      access: "secrets:read",
      answer: { status: 200, schema: statsSchema },
      handle: async (call) => ({ status: 200, body: await stats(call) }),
    },
    ...ways.flatMap(({ path, query, find }): Route[] => {
      const common = query === undefined ? {} : { query };
      const audit: Audit = { before: async (call) => secretView(await find(call)), target };
      const of =
        (work: (call: ApiCall, secret: StoredSecret) => ReturnType<Route["handle"]>) => async (call: ApiCall) =>
          await work(call, await find(call));
      return [
        {
          ...common,
          method: "GET",
          path,
          summary: "Get a secret, without its value",
          access: "secrets:read",
          answer,
          handle: of((_, secret) => ({ status: 200, body: secretView(secret) })),
        },
        {
          ...common,
          method: "PUT",
          path,
          summary: "Update value, description or expiry of a secret; a new value makes a new version",
          access: "secrets:write",
          audit,
          body: updateSchema,
          answer,
          handle: of(update),
        },
        {
          ...common,
          method: "DELETE",
          path,
          summary: "Delete a secret with all its versions",
          access: "secrets:write",
          audit,
          answer: { status: 204 },
          handle: of(remove),
        },
        {
          ...common,
          method: "GET",
          path: `${path}/versions`,
          summary: "List versions of a secret, without values",
          access: "secrets:read",
          answer: { status: 200, schema: z.array(versionSchema) },
          handle: of(versions),
        },
        {
          ...common,
          method: "POST",
          path: `${path}/rollback/{version}`,
          summary: "Roll a secret back to the value of an earlier version",
          access: "secrets:write",
          audit,
          answer,
          handle: of(rollBack),
        },
      ];
    }),
  ];
}

/** Without a namespace, the caller's: all of them, or those that the key is limited to. */
function placeOf({ caller }: ApiCall, namespace: string | undefined): readonly string[] | null {
  if (namespace !== undefined) return [namespace];
  return caller.namespaces === null ? null : [...new Set(caller.namespaces)].sort();
}

function target({ key, name, namespaces }: Readonly<Record<string, unknown>>): string | undefined {
  const named = key ?? name;
  if (typeof named !== "string") return undefined;
  return `secret ${named}${Array.isArray(namespaces) ? ` of ${namespaces.join(", ")}` : ""}`;
}
