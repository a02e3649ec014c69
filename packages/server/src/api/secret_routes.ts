/**
 * Routes that manage secrets: those of the server, and those of the user who asks. No answer has a value.
 *
 * @module
 */
import { PlatformError, type SecretView } from "@fluxbase/contract";
import { z } from "zod";
import { userOf } from "../auth/caller.ts";
import { assertMay } from "../auth/permissions.ts";
import { type SecretStore, SERVER, VALUE_MAX_CHARACTERS } from "../secrets/secret_store.ts";
import type { Database } from "../storage/db.ts";
import { deleteSecret, findSecret, listSecrets, type StoredSecret } from "../storage/secrets.ts";
import { type Access, type ApiCall, type Audit, authorOf, type Route } from "./route.ts";
import { secretSchema } from "./schemas.ts";

const KEY = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$/;

const noNul = (value: string) => !value.includes("\0") && value.isWellFormed();
const value = z.string().min(1, "must not be empty")
  .max(VALUE_MAX_CHARACTERS, `must have at most ${VALUE_MAX_CHARACTERS} characters`)
  .refine(noNul, "must not contain NUL or unpaired surrogates");
const description = z.string().max(1_000, "must have at most 1,000 characters").refine(noNul, "must not contain NUL")
  .nullable().optional();
const key = z.string().regex(KEY, "must be 1 to 128 letters, digits, `_`, `.` or `-`, the first a letter or digit");
const createSchema = z.strictObject({ key, value, description });
const updateSchema = z.strictObject({ key, value, description }).partial();

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

const FAMILIES: readonly Family[] = [
  {
    one: "/admin/settings/custom/secret",
    lists: ["/admin/settings/custom/secrets"],
    words: "secret of the server",
    read: "secrets:read",
    write: "secrets:write",
    owner({ caller }) {
      if (caller.namespaces === null) return SERVER;
      throw new PlatformError(
        "FORBIDDEN",
        "Cannot do this with a key that is limited to namespaces: secrets are for all",
      );
    },
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
      return caller.userId;
    },
  },
];

export interface SecretRouteParts {
  readonly db: Database["db"];
  readonly secrets: SecretStore;
}

export function secretRoutes({ db, secrets }: SecretRouteParts): Route[] {
  return FAMILIES.flatMap(({ one, lists, words, read, write, owner }): Route[] => {
    async function find(call: ApiCall): Promise<StoredSecret> {
      const key = keyIn(call);
      const stored = await findSecret(db, { userId: owner(call, "secrets:read"), key });
      if (stored === undefined) throw notFound(key);
      return stored;
    }

    async function create(call: ApiCall) {
      const place = owner(call, "secrets:write");
      const { key, value, description = null } = parseBody(createSchema, await call.body());
      const stored = await secrets.create(place, { key, value, description }, authorOf(call));
      return { status: 201, body: secretView(stored) };
    }

    async function update(call: ApiCall) {
      const place = owner(call, "secrets:write");
      const { key: sent, ...change } = parseBody(updateSchema, await call.body());
      const key = keyIn(call);
      if (sent !== undefined && sent !== key) throw invalid([`"key" cannot change: this is "${key}"`]);
      const stored = await secrets.update(place, key, change, authorOf(call));
      if (stored === undefined) throw notFound(key);
      return { status: 200, body: secretView(stored) };
    }

    async function remove(call: ApiCall) {
      const place = owner(call, "secrets:write");
      const key = keyIn(call);
      if (!await deleteSecret(db, { userId: place, key })) throw notFound(key);
      await secrets.refresh(place);
      return { status: 204 };
    }

    const target: Audit["target"] = ({ key }) => typeof key === "string" ? `secret ${key}` : undefined;
    const changing: Audit = { before: async (call) => secretView(await find(call)), target };
    const answer = { status: 200, schema: secretSchema };
    return [
      ...lists.map((path): Route => ({
        method: "GET",
        path,
        summary: `Lists every ${words}, without values`,
        access: read,
        answer: { status: 200, schema: z.array(secretSchema) },
        handle: async (call) => ({
          status: 200,
          body: (await listSecrets(db, owner(call, "secrets:read"))).map(secretView),
        }),
      })),
      {
        method: "POST",
        path: one,
        summary: `Makes a ${words}`,
        access: write,
        audit: { target },
        body: createSchema,
        answer: { status: 201, schema: secretSchema },
        handle: create,
      },
      {
        method: "GET",
        path: `${one}/{key}`,
        summary: `Reads what is known of a ${words}, without its value`,
        access: read,
        answer,
        handle: async (call) => ({ status: 200, body: secretView(await find(call)) }),
      },
      {
        method: "PUT",
        path: `${one}/{key}`,
        summary: `Changes value or description of a ${words}`,
        access: write,
        audit: changing,
        body: updateSchema,
        answer,
        handle: update,
      },
      {
        method: "DELETE",
        path: `${one}/{key}`,
        summary: `Deletes a ${words}`,
        access: write,
        audit: changing,
        answer: { status: 204 },
        handle: remove,
      },
    ];
  });
}

function secretView(stored: StoredSecret): SecretView {
  return {
    id: stored.id,
    key: stored.key,
    description: stored.description,
    user_id: stored.userId === SERVER ? null : stored.userId,
    created_by: stored.createdBy,
    updated_by: stored.updatedBy,
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
  return new PlatformError("SECRET_NOT_FOUND", `Secret "${key.slice(0, 80).replaceAll("\0", "")}" not found`);
}

function invalid(problems: readonly string[]): PlatformError {
  return new PlatformError("INVALID_ARGUMENT", `Cannot accept the secret: ${problems.join("; ")}`, {
    details: { problems },
  });
}

/** Never says what was sent. */
function parseBody<Schema extends z.ZodObject>(schema: Schema, sent: unknown): z.output<Schema> {
  const { data, error } = schema.safeParse(sent);
  if (data !== undefined) return data;
  throw invalid(
    (error?.issues ?? []).map((issue) =>
      issue.code === "unrecognized_keys"
        ? `${issue.keys.map((name) => JSON.stringify(name.slice(0, 80))).join(", ")} is no field of a secret`
        : issue.path.length === 0
        ? 'the body must be a JSON object, such as {"key": "stripe_api_key", "value": "…"}'
        : `"${issue.path.join(".")}" ${issue.code === "invalid_type" ? `must be a ${issue.expected}` : issue.message}`
    ),
  );
}
