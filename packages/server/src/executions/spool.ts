/**
 * Keeps what is recorded on disk until the database has it, so that neither the end of this process nor the absence of
 * the database loses it. Bounded.
 *
 * Owns: the files and who may read them back.
 * Does not own: that nothing is written twice (batches have ids, ../storage/executions.ts).
 *
 * A file holds what was recorded between two writes to the database and goes when that has worked. What is left of a
 * process that died is read back by the next one: a lock, which ends with its holder, tells the living from the dead.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { join } from "node:path";
import type { ExecutionRecord, FunctionLineRecord } from "../storage/executions.ts";
import type { MinuteCounts } from "../storage/metrics.ts";
import { StartError } from "../storage/start_error.ts";

export type SpoolEntry = ExecutionRecord | FunctionLineRecord | MinuteCounts;

export interface SpooledBatch {
  readonly id: string;
  readonly entries: readonly SpoolEntry[];
}

/** What was appended between two cuts. */
export interface SpoolFile {
  /** The database has all of it. */
  remove(): Promise<void>;
  /** To be read back by `drain`. */
  setAside(): void;
}

export interface Spool {
  /** Entries of one batch follow each other. False when the disk has no room, or more than enough is kept already. */
  append(batches: readonly SpooledBatch[]): Promise<boolean>;
  /** What is appended from now on goes to another file. Undefined: nothing was. */
  cut(): SpoolFile | undefined;
  hasAside(): boolean;
  /** Hands out what was set aside, oldest first; what `write` took is not handed out again. Rejects as `write` does. */
  drain(write: (batch: SpooledBatch) => Promise<void>): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

const MAX_BYTES = 256 * 1024 * 1024;
const CHUNK_BYTES = 64 * 1024;
const LINE_FEED = 10;
const LOCK_NAME = "lock";
const encoder = new TextEncoder();
const decoder = new TextDecoder();

interface AsideFile {
  readonly path: string;
  readonly bytes: number;
  /** Up to here it is written. */
  offset: number;
}

/** A folder of a process, and that nobody else reads what is in it. */
interface Home {
  readonly path: string;
  readonly lock: Deno.FsFile;
}

/** @throws {StartError} when `dir` cannot be used */
export async function openSpool(dir: string): Promise<Spool> {
  const { own, heirlooms } = await openHomes(dir);
  const homes = [...heirlooms, own];
  const aside: AsideFile[] = (await Promise.all(heirlooms.map(filesOf))).flat();
  let current: { readonly path: string; readonly file: Deno.FsFile; bytes: number } | undefined;
  let filesCount = 0;

  async function openNext() {
    filesCount += 1;
    const path = join(own.path, String(filesCount).padStart(10, "0"));
    return { path, file: await Deno.open(path, { createNew: true, write: true, mode: 0o600 }), bytes: 0 };
  }

  return {
    async append(batches) {
      const text = batches.flatMap(({ id, entries }) => entries.map((entry) => `${id} ${JSON.stringify(entry)}\n`));
      if (text.length === 0) return true;
      const bytes = encoder.encode(text.join(""));
      const keptBytes = aside.reduce((sum, file) => sum + file.bytes, current?.bytes ?? 0);
      if (keptBytes + bytes.length > MAX_BYTES) return false;
      try {
        current ??= await openNext();
      } catch {
        return false;
      }
      try {
        for (let sent = 0; sent < bytes.length;) sent += await current.file.write(bytes.subarray(sent));
      } catch {
        // Half of it would be taken for the whole.
        await current.file.truncate(current.bytes).catch(() => {});
        await current.file.seek(current.bytes, Deno.SeekMode.Start).catch(() => {});
        return false;
      }
      current.bytes += bytes.length;
      return true;
    },
    cut() {
      if (current === undefined) return undefined;
      const { path, file, bytes } = current;
      current = undefined;
      file.close();
      return {
        remove: () => Deno.remove(path).catch(() => {}),
        setAside: () => void aside.push({ path, bytes, offset: 0 }),
      };
    },
    hasAside: () => aside.length > 0,
    async drain(write) {
      for (let file = aside[0]; file !== undefined; file = aside[0]) {
        await writeFile(file, write);
        await Deno.remove(file.path).catch(() => {});
        aside.shift();
      }
    },
    async [Symbol.asyncDispose]() {
      current?.file.close();
      for (const { path, lock } of homes) {
        const isEmpty = !aside.some((file) => file.path.startsWith(path)) &&
          !(current?.path.startsWith(path) ?? false);
        if (isEmpty) await Deno.remove(path, { recursive: true }).catch(() => {});
        lock.close();
      }
    },
  };
}

async function openHomes(dir: string): Promise<{ own: Home; heirlooms: Home[] }> {
  try {
    await Deno.mkdir(dir, { recursive: true, mode: 0o700 });
    const heirlooms = await takeOver(dir);
    return { own: await makeHome(dir), heirlooms };
  } catch (error) {
    throw new StartError(
      `Cannot keep executions in "${dir}": ${
        error instanceof Error ? error.message : error
      }; check who owns the folder and whether its disk is full`,
    );
  }
}

async function makeHome(dir: string): Promise<Home> {
  for (;;) {
    const path = join(dir, crypto.randomUUID());
    await Deno.mkdir(path, { mode: 0o700 });
    const lock = await lockOf(path);
    if (lock !== undefined) return { path, lock };
    // Another one took it for the folder of a dead process before it had a lock, and cleans it away.
  }
}

/** The folders of processes that are gone. */
async function takeOver(dir: string): Promise<Home[]> {
  const homes: Home[] = [];
  for await (const { name, isDirectory } of Deno.readDir(dir)) {
    if (!isDirectory) continue;
    const path = join(dir, name);
    const lock = await lockOf(path);
    if (lock !== undefined) homes.push({ path, lock });
  }
  return homes;
}

async function lockOf(home: string): Promise<Deno.FsFile | undefined> {
  try {
    const file = await Deno.open(join(home, LOCK_NAME), { create: true, write: true, mode: 0o600 });
    if (await file.tryLock(true)) return file;
    file.close();
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return undefined;
}

async function filesOf({ path }: Home): Promise<AsideFile[]> {
  const files: AsideFile[] = [];
  for await (const { name } of Deno.readDir(path)) {
    if (name === LOCK_NAME) continue;
    const file = join(path, name);
    files.push({ path: file, bytes: (await Deno.stat(file)).size, offset: 0 });
  }
  return files.sort((a, b) => a.path < b.path ? -1 : 1);
}

/** One batch in memory at a time. */
async function writeFile(file: AsideFile, write: (batch: SpooledBatch) => Promise<void>): Promise<void> {
  let batch: { readonly id: string; readonly entries: SpoolEntry[] } | undefined;
  for await (const { text, start } of linesOf(file.path, file.offset)) {
    const line = parseLine(text);
    if (line === undefined) continue;
    if (batch !== undefined && batch.id !== line.id) {
      await write(batch);
      file.offset = start;
      batch = undefined;
    }
    batch ??= { id: line.id, entries: [] };
    batch.entries.push(line.entry);
  }
  if (batch !== undefined) await write(batch);
}

async function* linesOf(path: string, offset: number): AsyncGenerator<{ text: string; start: number }> {
  using file = await Deno.open(path);
  await file.seek(offset, Deno.SeekMode.Start);
  const chunk = new Uint8Array(CHUNK_BYTES);
  let parts: Uint8Array[] = [];
  let start = offset;
  for (let count = await file.read(chunk); count !== null; count = await file.read(chunk)) {
    let from = 0;
    for (let end = chunk.indexOf(LINE_FEED); end !== -1 && end < count; end = chunk.indexOf(LINE_FEED, from)) {
      const line = Buffer.concat([...parts, chunk.subarray(from, end)]);
      yield { text: decoder.decode(line), start };
      start += line.length + 1;
      parts = [];
      from = end + 1;
    }
    parts.push(chunk.slice(from, count));
  }
}

/** Undefined for a line that was cut short. */
function parseLine(line: string): { readonly id: string; readonly entry: SpoolEntry } | undefined {
  const space = line.indexOf(" ");
  try {
    return { id: line.slice(0, space), entry: JSON.parse(line.slice(space + 1)) };
  } catch {
    return undefined;
  }
}
