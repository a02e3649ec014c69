/**
 * Parameters of a query, checked against the schema that the route publishes.
 *
 * @module
 */
import { PlatformError } from "@fluxbase/contract";
import { z } from "zod";

/** An integer parameter with a default; what is out of range is an error, not silently another number. */
export function integerParam({ min, max, otherwise }: { min: number; max: number; otherwise: number }) {
  return z.coerce.number().int().min(min).max(max).default(otherwise);
}

export const instantParam = z.iso.datetime({ offset: true }).optional();

/** @throws {PlatformError} INVALID_ARGUMENT naming every parameter that is wrong */
export function parseQuery<Schema extends z.ZodObject>(schema: Schema, query: URLSearchParams): z.output<Schema> {
  const given = Object.fromEntries([...query].filter(([name, value]) => name in schema.shape && value !== ""));
  const parsed = schema.safeParse(given);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map(({ path, message }) => `"${path.join(".")}" is wrong: ${message}`);
  throw new PlatformError("INVALID_ARGUMENT", `Cannot use the query of the URL: ${problems.join("; ")}`, {
    details: { problems },
  });
}
