/**
 * A body by its schema, and what is wrong with it: every problem at once, and never what was sent.
 *
 * @module
 */
import { PlatformError } from "@fluxbase/contract";
import type { z } from "zod";
import { unknownField } from "../core/nearest.ts";

/** What the body is, as messages call it. */
export interface BodyWords {
  readonly noun: string;
  /** As JSON. */
  readonly example: string;
}

/** @throws {PlatformError} INVALID_ARGUMENT */
export function parsedBody<Schema extends z.ZodObject>(
  schema: Schema,
  sent: unknown,
  { noun, example }: BodyWords,
): z.output<Schema> {
  const { data, error } = schema.safeParse(sent);
  if (data !== undefined) return data;
  throw invalidBody(
    noun,
    (error?.issues ?? []).map((issue) =>
      issue.code === "unrecognized_keys"
        ? issue.keys.map((name) => unknownField(name, issue.path.length === 0 ? Object.keys(schema.shape) : [])).join(
          "; ",
        )
        : issue.path.length === 0
        ? `the body must be a JSON object, such as ${example}`
        : `"${issue.path.join(".")}" ${issue.code === "invalid_type" ? `must be a ${issue.expected}` : issue.message}`
    ),
  );
}

export function invalidBody(noun: string, problems: readonly string[]): PlatformError {
  return new PlatformError("INVALID_ARGUMENT", `Cannot accept the ${noun}: ${problems.join("; ")}`, {
    details: { problems },
  });
}
