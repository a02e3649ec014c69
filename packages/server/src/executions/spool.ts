/**
 * Keeps execution records in a file while Postgres is away, as JSON lines; bounded.
 *
 * @module
 */
import { join } from "node:path";
import type { ExecutionRecord } from "../storage/executions.ts";

export interface Spool {
  /** Appends; false when the file is full or cannot be written. */
  append(records: readonly ExecutionRecord[]): Promise<boolean>;
  /** Hands out what is kept, oldest first, in batches; the file goes away when `write` took all of it. */
  drain(write: (records: readonly ExecutionRecord[]) => Promise<void>): Promise<void>;
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
    async append(records) {
      const text = records.map((record) => `${JSON.stringify(record)}\n`).join("");
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
      const records = lines.flatMap(parseRecord);
      for (let start = 0; start < records.length; start += BATCH_COUNT) {
        await write(records.slice(start, start + BATCH_COUNT));
      }
      await Deno.remove(file);
      bytes = 0;
    },
  };
}

/** A line that was cut short by a crash is skipped. */
function parseRecord(line: string): ExecutionRecord[] {
  try {
    return line === "" ? [] : [JSON.parse(line) as ExecutionRecord];
  } catch {
    return [];
  }
}
