/**
 * Where a page ends, as a client hands it back for the next one.
 *
 * @module
 */
import { z } from "zod";

/** In microseconds, of a time that Postgres knows. */
const instant = z.string().regex(/^\d{1,17}$/);
/** Postgres knows no NUL. */
const id = z.string().max(200).refine((value) => !value.includes("\0"));

export const executionMark = z.tuple([instant, id]).transform(([startedAtUs, id]) => ({ startedAtUs, id }));
export const logMark = z.tuple([instant, id, z.int().min(0).max(2_147_483_647)])
  .transform(([loggedAtUs, executionId, lineNumber]) => ({ loggedAtUs, executionId, lineNumber }));

export const userMark = z.tuple([instant, z.uuid()]).transform(([createdAtUs, id]) => ({ createdAtUs, id }));
export const taskMark = z.tuple([instant, z.uuid()]).transform(([createdAtUs, id]) => ({ createdAtUs, id }));

export function cursorOf(...parts: readonly (string | number)[]): string {
  return new TextEncoder().encode(JSON.stringify(parts)).toBase64({ alphabet: "base64url", omitPadding: true });
}

/** A parameter of a query. */
export function cursorParam<Mark>(mark: z.ZodType<Mark>) {
  return z.string().max(1_000, "must have at most 1000 characters").transform((text, context) => {
    const { data } = mark.safeParse(partsOf(text));
    if (data !== undefined) return data;
    context.addIssue({ code: "custom", message: 'must be the "cursor" of an entry of the page before' });
    return z.NEVER;
  }).optional();
}

function partsOf(cursor: string): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(Uint8Array.fromBase64(cursor, { alphabet: "base64url" })));
  } catch {
    return undefined;
  }
}
