/**
 * What the routes of secrets have in common: fields, how a secret looks, who may keep one where, and how it is refused.
 *
 * @module
 */
import { PlatformError, type SecretView } from "@fluxbase/contract";
import { z } from "zod";
import { reaches } from "../auth/permissions.ts";
import { SERVER, VALUE_MAX_CHARACTERS } from "../secrets/secret_store.ts";
import type { StoredSecret } from "../storage/secrets.ts";
import { invalidBody, parsedBody } from "./parsed_body.ts";
import type { ApiCall } from "./route.ts";

export const SECRET_KEY = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$/;
const KEY_RULE = "must be 1 to 128 letters, digits, `_`, `.` or `-`, the first a letter or digit";

const WORDS = { noun: "secret", example: '{"key": "stripe_api_key", "value": "…"}' };

const noNul = (value: string) => !value.includes("\0") && value.isWellFormed();

export const secretFields = {
  key: z.string().regex(SECRET_KEY, KEY_RULE),
  value: z.string().min(1, "must not be empty")
    .max(VALUE_MAX_CHARACTERS, `must have at most ${VALUE_MAX_CHARACTERS} characters`)
    .refine(noNul, "must not contain NUL or unpaired surrogates"),
  description: z.string().max(1_000, "must have at most 1,000 characters").refine(noNul, "must not contain NUL")
    .nullable().optional(),
};

export function secretView(stored: StoredSecret): SecretView {
  const { namespaces, expiresAt } = stored;
  const isOfServer = stored.userId === SERVER;
  return {
    id: stored.id,
    key: stored.key,
    name: stored.key,
    scope: !isOfServer ? "user" : namespaces === null ? "global" : "namespace",
    namespace: namespaces?.length === 1 ? namespaces[0] ?? null : null,
    namespaces,
    description: stored.description,
    version: stored.version,
    expires_at: expiresAt?.toISOString() ?? null,
    is_expired: expiresAt !== null && expiresAt.getTime() <= Date.now(),
    user_id: isOfServer ? null : stored.userId,
    created_by: stored.createdBy,
    updated_by: stored.updatedBy,
    created_at: stored.createdAt.toISOString(),
    updated_at: stored.updatedAt.toISOString(),
  };
}

/** Whether the caller may know of secrets of these namespaces. */
export function isWithin({ caller }: ApiCall, namespaces: readonly string[] | null): boolean {
  if (namespaces === null) return caller.namespaces === null;
  return namespaces.length > 0 && namespaces.every((namespace) => reaches(caller, namespace));
}

/** Says the same whether there is such a secret or not. */
export function outside({ caller }: ApiCall): PlatformError {
  return new PlatformError(
    "FORBIDDEN",
    `Cannot keep this secret: the credential is limited to ${
      caller.namespaces?.join(", ") || "no namespace at all"
    }, so "namespaces" must be of these`,
  );
}

export function secretNotFound(key: string): PlatformError {
  return new PlatformError("SECRET_NOT_FOUND", `Secret "${key.slice(0, 80).replaceAll("\0", "")}" not found`);
}

export function invalidSecret(problems: readonly string[]): PlatformError {
  return invalidBody(WORDS.noun, problems);
}

export function parseSecret<Schema extends z.ZodObject>(schema: Schema, sent: unknown): z.output<Schema> {
  return parsedBody(schema, sent, WORDS);
}
