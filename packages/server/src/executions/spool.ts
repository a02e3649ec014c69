/**
 * Keeps execution records in a file while Postgres is away, as JSON lines; bounded.
 *
 * @module
 */
import { join } from "node:path";
import type { ExecutionRecord, FunctionLineRecord } from "../storage/executions.ts";

export type SpoolEntry = ExecutionRecord | FunctionLineRecord;

export interface Spool {
  /** Appends; false when the file is full or cannot be written. */
  append(entries: readonly SpoolEntry[]): Promise<boolean>;
  /** Hands out what is kept, oldest first, in batches; the file goes away when `write` took all of it. */
  drain(write: (entries: readonly SpoolEntry[]) => Promise<void>): Promise<void>;
}

const MAX_BYTES = 256 * 1024 * 1024;
const BATCH_COUNT = 1_000;

export function openSpool(dir: string): Spool {
  const file = join(dir, "executions.spool.jsonl");
  let bytes: number | undefined;

  async function sizeOfFile(): Promise<number> {
    try {
      return (await Deno.stat(file)).size;
    } catch {
      return 0;
    }
  }

  return {
    async append(entries) {
      const text = entries.map((entry) => `${JSON.stringify(entry)}\n`).join("");
      bytes ??= await sizeOfFile();
      if (bytes + text.length > MAX_BYTES) return false;
      try {
        await Deno.writeTextFile(file, text, { append: true, mode: 0o600 });
      } catch {
        return false;
      }
      bytes += text.length;
      return true;
    },
    async drain(write) {
      bytes ??= await sizeOfFile();
      if (bytes === 0) return;
      const lines = (await Deno.readTextFile(file)).split("\n");
      const entries = lines.flatMap(parseEntry);
      for (let start = 0; start < entries.length; start += BATCH_COUNT) {
        await write(entries.slice(start, start + BATCH_COUNT));
      }
      await Deno.remove(file);
      bytes = 0;
    },
  };
}

/** A line that was cut short by a crash is skipped. */
function parseEntry(line: string): SpoolEntry[] {
  try {
    return line === "" ? [] : [JSON.parse(line) as SpoolEntry];
  } catch {
    return [];
  }
}
