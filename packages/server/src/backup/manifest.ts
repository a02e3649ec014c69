/**
 * The first entry of a backup: what it is of, and what is needed to use it.
 *
 * @module
 */
import { z } from "zod";
import type { DatabaseContents } from "../storage/dump/contents.ts";
import { StartError } from "../storage/start_error.ts";

export const MANIFEST = "manifest.json";
const FORMAT = 1;

export interface Manifest {
  readonly format: typeof FORMAT;
  readonly release: string;
  readonly created_at: string;
  /** Every one of these keys is needed to read what is encrypted. */
  readonly key_ids: readonly string[];
  readonly platform: DatabaseContents;
  /** Null: users' tables are in the platform's database. */
  readonly users: DatabaseContents | null;
}

/** SQL names stand in statements as they are: a backup is as trusted as whoever may change the database. */
const contents: z.ZodType<DatabaseContents> = z.object({
  name: z.string(),
  id: z.string().regex(/^\d+$/),
  owner: z.string(),
  serverVersion: z.number(),
  tables: z.array(z.object({ name: z.string(), columns: z.string(), bytes: z.number() })),
  sequences: z.array(z.object({ name: z.string(), value: z.string(), isCalled: z.boolean() })),
  views: z.array(z.string()),
  roles: z.array(z.object({
    name: z.string(),
    inherits: z.boolean(),
    bypassesPolicies: z.boolean(),
    connectionLimit: z.number(),
    settings: z.array(z.string()),
  })),
});

const manifest: z.ZodType<Manifest> = z.object({
  format: z.literal(FORMAT),
  release: z.string(),
  created_at: z.string(),
  key_ids: z.array(z.string()),
  platform: contents,
  users: contents.nullable(),
});

export function writeManifest(facts: Omit<Manifest, "format">): string {
  return JSON.stringify({ format: FORMAT, ...facts }, null, 2);
}

export function readManifest(text: string): Manifest {
  try {
    return manifest.parse(JSON.parse(text));
  } catch {
    throw new StartError("Cannot restore the backup: it was made by another release that writes backups differently");
  }
}
