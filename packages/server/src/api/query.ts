/**
 * Parameters of a query, checked against the schema that the route publishes.
 *
 * @module
 */
import { PlatformError } from "@fluxbase/contract";
import { z } from "zod";

/** An integer parameter with a default; what is out of range is an error, not silently another number. */
export function integerParam({ min, max, otherwise }: { min: number; max: number; otherwise: number }) {
  const rule = `must be an integer from ${min} to ${max}`;
  return z.coerce.number(rule).int(rule).min(min, rule).max(max, rule).default(otherwise);
}

/** How many at most; without, as many as there are. */
export function pageParam(max: number) {
  const rule = `must be an integer from 1 to ${max}`;
  return z.coerce.number(rule).int(rule).min(1, rule).max(max, rule).optional();
}

export function numberParam(rule: string) {
  return z.coerce.number(rule).int(rule).min(1, rule).max(2_147_483_647, rule).optional();
}

export const instantParam = z.iso.datetime({
  offset: true,
  error: "must be an instant such as 2026-01-31T12:00:00Z",
}).optional();

/** A name or id to compare with: Postgres knows no NUL. */
export const textParam = z.string().max(200, "must have at most 200 characters")
  .refine((value) => !value.includes("\0"), "must not contain NUL").optional();

export function choiceParam<const Value extends string>(values: readonly Value[]) {
  return z.enum(values, { error: `must be one of ${values.join(", ")}` }).optional();
}

/** @throws {PlatformError} INVALID_ARGUMENT naming every parameter that is wrong */
export function parseQuery<Schema extends z.ZodObject>(schema: Schema, query: URLSearchParams): z.output<Schema> {
  const given = Object.fromEntries([...query].filter(([name, value]) => name in schema.shape && value !== ""));
  const parsed = schema.safeParse(given);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map(({ path, message }) => `"${path.join(".")}" ${message}`);
  throw new PlatformError("INVALID_ARGUMENT", `Cannot use the query of the URL: ${problems.join("; ")}`, {
    details: { problems },
  });
}
