/**
 * Log lines as they are written, as server-sent events: the last ones of before first, then each as it comes.
 *
 * A line has the event `message` with a LogEntry. For who reads too slowly a bounded number of lines waits; where some
 * were not kept, the event `left_out` says how many there are at most.
 *
 * @module
 */
import type { LogEntry } from "@fluxbase/contract";
import { delay } from "../core/clock.ts";
import type { LogTail } from "../executions/log_tail.ts";
import type { StoredLogLine } from "../storage/executions.ts";

export interface FollowOptions {
  readonly tail: LogTail;
  /** Undefined: lines of more than one function. */
  readonly functionId: string | undefined;
  /** The credential: nobody takes the places of all others. */
  readonly who: string;
  wants(line: StoredLogLine): boolean;
  view(line: StoredLogLine): LogEntry;
  /** The last lines of before, newest first, page by page. */
  past(): AsyncIterable<readonly StoredLogLine[]>;
  /** Rejects when it may not follow any more. */
  assertStillMay(): Promise<void>;
  readonly signal: AbortSignal;
}

/** Of the past, and of what waits for who reads. */
const KEPT_MAX_BYTES = 8 * 1024 * 1024;
const LINE_OVERHEAD_BYTES = 300;
const CHUNK_CHARACTERS = 64 * 1024;
const CHECK_EVERY_MS = 500;
const PING_EVERY_MS = 15_000;
const encoder = new TextEncoder();

/** @throws {PlatformError} RATE_LIMITED */
export async function followLogs(options: FollowOptions): Promise<ReadableStream<Uint8Array>> {
  const left = new AbortController();
  const stopped = AbortSignal.any([options.signal, left.signal]);
  const waiting = new WaitingLines(options.view);
  const place = await options.tail.follow({
    who: options.who,
    functionId: options.functionId,
    take(lines, leftOutCount) {
      if (leftOutCount > 0) waiting.leaveOut(leftOutCount);
      for (const line of lines) if (options.wants(line)) waiting.add(line);
    },
  });

  async function watch(): Promise<void> {
    await waiting.begin(options.past());
    for (let pingedMs = Date.now();;) {
      await delay(CHECK_EVERY_MS, stopped);
      await options.assertStillMay();
      if (Date.now() - pingedMs < PING_EVERY_MS) continue;
      pingedMs = Date.now();
      waiting.ping();
    }
  }

  void watch().catch(() => {}).finally(() => waiting.end()).finally(() => place[Symbol.asyncDispose]());
  return new ReadableStream<Uint8Array>({
    start: (controller) => controller.enqueue(encoder.encode(": following\n\n")),
    async pull(controller) {
      const text = await waiting.next();
      if (text !== undefined) controller.enqueue(encoder.encode(text));
      else if (!left.signal.aborted) controller.close();
    },
    cancel: () => left.abort(),
  });
}

/** A number: so many are left out here. */
type Item = StoredLogLine | number;

class WaitingLines {
  readonly #view: (line: StoredLogLine) => LogEntry;
  #items: Item[] = [];
  #bytes = 0;
  #hasBegun = false;
  #hasEnded = false;
  #isPingDue = false;
  /** Ids of the past: what is written now may be there already. */
  #past: ReadonlySet<string> = new Set();
  #change = Promise.withResolvers<void>();

  constructor(view: (line: StoredLogLine) => LogEntry) {
    this.#view = view;
  }

  add(line: StoredLogLine): void {
    if (this.#past.has(this.#view(line).id)) return;
    if (this.#bytes > KEPT_MAX_BYTES) return this.leaveOut(1);
    this.#bytes += bytesOf(line);
    this.#items.push(line);
    this.#tell();
  }

  leaveOut(count: number): void {
    const last = this.#items.at(-1);
    if (typeof last === "number") this.#items[this.#items.length - 1] = last + count;
    else this.#items.push(count);
    this.#tell();
  }

  ping(): void {
    this.#isPingDue = true;
    this.#tell();
  }

  /** Puts the past before everything else. */
  async begin(pages: AsyncIterable<readonly StoredLogLine[]>): Promise<void> {
    const past: StoredLogLine[] = [];
    let bytes = 0;
    let leftOutCount = 0;
    for await (const page of pages) {
      for (const line of page) {
        bytes += bytesOf(line);
        if (bytes <= KEPT_MAX_BYTES) past.push(line);
        else leftOutCount += 1;
      }
      if (bytes > KEPT_MAX_BYTES) break;
    }
    const ids = new Set(past.map((line) => this.#view(line).id));
    const since = this.#items.filter((item) => typeof item === "number" || !ids.has(this.#view(item).id));
    this.#items = [...leftOutCount > 0 ? [leftOutCount] : [], ...past.reverse(), ...since];
    this.#bytes += Math.min(bytes, KEPT_MAX_BYTES);
    this.#past = ids;
    this.#hasBegun = true;
    this.#tell();
  }

  end(): void {
    this.#hasEnded = true;
    this.#tell();
  }

  #tell(): void {
    this.#change.resolve();
  }

  /** What is to be sent next; undefined at the end. */
  async next(): Promise<string | undefined> {
    while (!this.#hasEnded && (!this.#hasBegun || (this.#items.length === 0 && !this.#isPingDue))) {
      this.#change = Promise.withResolvers();
      await this.#change.promise;
    }
    if (this.#items.length > 0 && this.#hasBegun) return this.#takeItems();
    if (this.#hasEnded) return undefined;
    this.#isPingDue = false;
    return ": still here\n\n";
  }

  #takeItems(): string {
    let text = "";
    let count = 0;
    for (const item of this.#items) {
      if (text.length > CHUNK_CHARACTERS) break;
      count += 1;
      if (typeof item === "number") text += `event: left_out\ndata: ${JSON.stringify({ lines: item })}\n\n`;
      else {
        this.#bytes -= bytesOf(item);
        const entry = this.#view(item);
        text += `id: ${entry.id}\ndata: ${JSON.stringify(entry)}\n\n`;
      }
    }
    this.#items.splice(0, count);
    return text;
  }
}

function bytesOf({ message, fields }: StoredLogLine): number {
  return LINE_OVERHEAD_BYTES + message.length + (fields === null ? 0 : JSON.stringify(fields).length);
}
