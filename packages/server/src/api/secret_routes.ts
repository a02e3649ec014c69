/**
 * Routes that manage secrets: those of the server, and those of the user who asks. No answer has a value.
 *
 * @module
 */
import { namespaceProblem, PlatformError } from "@fluxbase/contract";
import { z } from "zod";
import { userOf } from "../auth/caller.ts";
import { assertMay, concealed } from "../auth/permissions.ts";
import { type SecretScope, type SecretStore, SERVER } from "../secrets/secret_store.ts";
import type { Database } from "../storage/db.ts";
import { deleteSecret, findSecret, listSecrets, type StoredSecret } from "../storage/secrets.ts";
import { parseQuery } from "./query.ts";
import { type Access, type ApiCall, type Audit, authorOf, type Route } from "./route.ts";
import { secretSchema } from "./schemas.ts";
import {
  invalidSecret as invalid,
  isWithin,
  outside,
  parseSecret as parseBody,
  SECRET_KEY as KEY,
  secretFields,
  secretNotFound as notFound,
  secretView,
} from "./secret_fields.ts";

const NAMESPACES_MAX_COUNT = 50;
const namespaces = z.array(z.string().refine((name) => namespaceProblem(name) === undefined, "must be a namespace"))
  .min(1, "must not be empty; null is all of them").max(NAMESPACES_MAX_COUNT, `must be at most ${NAMESPACES_MAX_COUNT}`)
  .nullable().optional();
const createSchema = z.strictObject({ ...secretFields, namespaces });
const updateSchema = createSchema.partial();
const placeQuery = z.object({
  namespaces: z.string().max(4_000, "must have at most 4,000 characters").transform((text) => text.split(","))
    .optional(),
});

interface Family {
  /** Of one secret, and of the list. */
  readonly one: string;
  readonly lists: readonly string[];
  readonly words: string;
  readonly read: Access;
  readonly write: Access;
  /** @throws {PlatformError} where the caller has none */
  owner(call: ApiCall, scope: "secrets:read" | "secrets:write"): string;
}

/** A list of names, null for all, undefined where nothing was said. */
type Asked = readonly string[] | null | undefined;

const FAMILIES: readonly Family[] = [
  {
    one: "/admin/settings/custom/secret",
    lists: ["/admin/settings/custom/secrets"],
    words: "secret of the server",
    read: "secrets:read",
    write: "secrets:write",
    owner: () => SERVER,
  },
  {
    one: "/settings/secret",
    lists: ["/settings/secret", "/settings/secrets"],
    words: "secret of the user who asks",
    read: "credential",
    write: "credential",
    owner({ caller }, scope) {
      if (caller.kind !== "key" || caller.userId === null) return userOf(caller).userId;
      assertMay(caller, scope);
      if (caller.namespaces === null) return caller.userId;
      throw new PlatformError(
        "FORBIDDEN",
        "Cannot do this with a key that is limited to namespaces: secrets of a user are for the functions of all",
      );
    },
  },
];

export interface SecretRouteParts {
  readonly db: Database["db"];
  readonly secrets: SecretStore;
}

export function secretRoutes({ db, secrets }: SecretRouteParts): Route[] {
  return FAMILIES.flatMap(({ one, lists, words, read, write, owner }): Route[] => {
    /**
     * Which of the secrets with one name: that of the namespaces in the query or the body; without, of all of the
     * caller's namespaces together.
     */
    function scopeOf(call: ApiCall, scope: "secrets:read" | "secrets:write", sent?: Asked): SecretScope {
      const asked = askedFor(call, sent);
      const userOrServer = owner(call, scope);
      if (userOrServer !== SERVER && asked) throw invalid(['"namespaces" cannot be set for a user\'s own secret']);
      const { namespaces } = call.caller;
      const chosen = asked === undefined ? namespaces : asked;
      return { owner: userOrServer, namespaces: chosen === null ? null : [...new Set(chosen)].sort() };
    }

    /** Of one that should be there; outside the caller's namespaces it is not. */
    function placeIn(call: ApiCall, scope: "secrets:read" | "secrets:write", sent?: Asked) {
      const key = keyIn(call);
      const { owner, namespaces } = scopeOf(call, scope, sent);
      if (!isWithin(call, namespaces)) throw concealed(notFound(key));
      return { owner, namespaces, key };
    }

    async function find(call: ApiCall, sent?: Asked): Promise<StoredSecret> {
      const { owner: userId, namespaces, key } = placeIn(call, "secrets:read", sent);
      const stored = await findSecret(db, { userId, namespaces, key });
      if (stored === undefined) throw notFound(key);
      return stored;
    }

    async function create(call: ApiCall) {
      owner(call, "secrets:write");
      const { key, value, description = null, namespaces } = parseBody(createSchema, await call.body());
      const scope = scopeOf(call, "secrets:write", namespaces);
      if (!isWithin(call, scope.namespaces)) throw outside(call);
      const stored = await secrets.create(scope, { key, value, description }, authorOf(call));
      return { status: 201, body: secretView(stored) };
    }

    async function update(call: ApiCall) {
      owner(call, "secrets:write");
      const { key: sent, namespaces, ...change } = parseBody(updateSchema, await call.body());
      const { key, ...scope } = placeIn(call, "secrets:write", namespaces);
      if (sent !== undefined && sent !== key) throw invalid([`"key" cannot change: this is "${key}"`]);
      const stored = await secrets.update(scope, key, change, authorOf(call));
      if (stored === undefined) throw notFound(key);
      return { status: 200, body: secretView(stored) };
    }

    async function remove(call: ApiCall) {
      const { owner: userId, namespaces, key } = placeIn(call, "secrets:write");
      if (!await deleteSecret(db, { userId, namespaces, key })) throw notFound(key);
      await secrets.refresh(userId);
      return { status: 204 };
    }

    const target: Audit["target"] = ({ key, namespaces }) =>
      typeof key === "string"
        ? `secret ${key}${Array.isArray(namespaces) ? ` of ${namespaces.join(", ")}` : ""}`
        : undefined;
    const updating: Audit = {
      before: async (call) => secretView(await find(call, parseBody(updateSchema, await call.body()).namespaces)),
      target,
    };
    const removing: Audit = { before: async (call) => secretView(await find(call)), target };
    const answer = { status: 200, schema: secretSchema };
    return [
      ...lists.map((path): Route => ({
        method: "GET",
        path,
        summary: `List ${words}s, without values`,
        access: read,
        answer: { status: 200, schema: z.array(secretSchema) },
        handle: async (call) => ({
          status: 200,
          body: (await listSecrets(db, {
            userId: owner(call, "secrets:read"),
            within: call.caller.namespaces,
          })).map(secretView),
        }),
      })),
      {
        method: "POST",
        path: one,
        summary: `Create a ${words}`,
        access: write,
        audit: { target },
        body: createSchema,
        answer: { status: 201, schema: secretSchema },
        handle: create,
      },
      {
        method: "GET",
        path: `${one}/{key}`,
        summary: `Get a ${words}, without its value`,
        access: read,
        query: placeQuery,
        answer,
        handle: async (call) => ({ status: 200, body: secretView(await find(call)) }),
      },
      {
        method: "PUT",
        path: `${one}/{key}`,
        summary: `Update value or description of a ${words}`,
        access: write,
        audit: updating,
        query: placeQuery,
        body: updateSchema,
        answer,
        handle: update,
      },
      {
        method: "DELETE",
        path: `${one}/{key}`,
        summary: `Delete a ${words}`,
        access: write,
        audit: removing,
        query: placeQuery,
        answer: { status: 204 },
        handle: remove,
      },
    ];
  });
}

/** @throws {PlatformError} when query and body name different ones */
function askedFor({ query }: ApiCall, sent: Asked): Asked {
  const { namespaces: named } = parseQuery(placeQuery, query);
  if (named === undefined) return sent;
  const wrong = named.find((name) => namespaceProblem(name) !== undefined);
  if (wrong !== undefined) {
    throw invalid([`"namespaces" names ${JSON.stringify(wrong.slice(0, 80))}: it is no namespace`]);
  }
  if (sent !== undefined && sent?.toSorted().join() !== named.toSorted().join()) {
    throw invalid(['"namespaces" is one thing in the body and another in the query']);
  }
  return named;
}

function keyIn({ params }: ApiCall): string {
  const key = params["key"] ?? "";
  if (!KEY.test(key)) throw notFound(key);
  return key;
}
