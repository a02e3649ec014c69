/**
 * Counts what happens, per function, version, trigger and minute, until it is written.
 *
 * @module
 */
import type { ErrorCode, TriggerType } from "@fluxbase/contract";
import type { ExecutionRecord } from "../storage/executions.ts";
import { added, EVERY_FUNCTION, type MinuteCounts, type MinuteKey, toMicroseconds } from "../storage/metrics.ts";
import { BUCKET_COUNT, CLASS_COUNT, CODE_COUNT, COUNT, STATUS_COUNT } from "./count_names.ts";
import { bucketOf } from "./histogram.ts";

const MINUTE_MS = 60_000;

/** Fields for what every call adds to; a map for the rest. */
class Entry {
  calls = 0;
  durationMs = 0;
  queueMs = 0;
  bytesIn = 0;
  bytesOut = 0;
  memoryMiB = 0;
  readonly others = new Map<string, number>();

  readonly functionId: string;
  readonly version: number;
  readonly triggerType: TriggerType | "";
  readonly minuteMs: number;

  constructor({ functionId, version, triggerType, minuteMs }: MinuteKey) {
    this.functionId = functionId;
    this.version = version;
    this.triggerType = triggerType;
    this.minuteMs = minuteMs;
  }

  add(name: string, count: number): void {
    this.others.set(name, (this.others.get(name) ?? 0) + count);
  }

  counts(): Record<string, number> {
    const counts: Record<string, number> = Object.fromEntries(this.others);
    const { calls, durationMs, queueMs, bytesIn, bytesOut } = this;
    if (calls > 0) {
      Object.assign(counts, {
        [COUNT.calls]: calls,
        [COUNT.durationMs]: toMicroseconds(durationMs),
        [COUNT.queueMs]: toMicroseconds(queueMs),
        [COUNT.bytesIn]: bytesIn,
        [COUNT.bytesOut]: bytesOut,
      });
    }
    return counts;
  }
}

/** A call that became no execution. */
export interface Refusal {
  readonly functionId: string;
  readonly version: number;
  readonly triggerType: TriggerType;
  readonly atMs: number;
  readonly code: ErrorCode;
}

/** What a sandbox took between two looks at it. */
export interface Usage {
  readonly functionId: string;
  readonly version: number;
  readonly atMs: number;
  readonly cpuMs: number;
  readonly memoryMiB: number;
}

export interface MinuteBook {
  add(record: ExecutionRecord): void;
  addRefusal(refusal: Refusal): void;
  addUsage(usage: Usage): void;
  readonly isEmpty: boolean;
  /** Takes everything out, with the sums over all functions. */
  take(): MinuteCounts[];
}

export function createMinuteBook(): MinuteBook {
  let entries = new Map<string, Entry>();
  // In a flood most calls are of the function and the minute that the one before was of.
  let last: Entry | undefined;

  function entryFor(functionId: string, version: number, triggerType: TriggerType | "", atMs: number): Entry {
    const minuteMs = atMs - atMs % MINUTE_MS;
    if (
      last !== undefined && last.functionId === functionId && last.minuteMs === minuteMs && last.version === version &&
      last.triggerType === triggerType
    ) return last;
    const key = `${functionId} ${version} ${triggerType} ${minuteMs}`;
    let entry = entries.get(key);
    if (entry === undefined) entries.set(key, entry = new Entry({ functionId, version, triggerType, minuteMs }));
    return last = entry;
  }

  return {
    add(record) {
      const { functionId, version, triggerType, startedAtMs, status, statusCode, errorCode, linesBefore = 0 } = record;
      const entry = entryFor(functionId, version, triggerType, startedAtMs);
      entry.calls += 1;
      entry.durationMs += record.durationMs;
      entry.queueMs += record.queueMs;
      entry.bytesIn += record.bytesIn;
      entry.bytesOut += record.bytesOut;
      entry.add(STATUS_COUNT[status], 1);
      entry.add(CLASS_COUNT[Math.floor((statusCode ?? 0) / 100)] ?? "h:0", 1);
      entry.add(BUCKET_COUNT[bucketOf(record.durationMs)] ?? "d:0", 1);
      if (record.coldStart) entry.add(COUNT.coldStarts, 1);
      if (errorCode !== null) entry.add(CODE_COUNT[errorCode], 1);
      const lineCount = linesBefore + record.logs.length;
      if (lineCount > 0) entry.add(COUNT.logLines, lineCount);
    },
    addRefusal({ functionId, version, triggerType, atMs, code }) {
      const entry = entryFor(functionId, version, triggerType, atMs);
      entry.add(code === "RATE_LIMITED" ? COUNT.rateLimited : COUNT.refused, 1);
      entry.add(CODE_COUNT[code], 1);
    },
    addUsage({ functionId, version, atMs, cpuMs, memoryMiB }) {
      const entry = entryFor(functionId, version, "", atMs);
      entry.memoryMiB = Math.max(entry.memoryMiB, memoryMiB);
      if (cpuMs > 0) entry.add(COUNT.cpuMs, cpuMs);
    },
    get isEmpty() {
      return entries.size === 0;
    },
    take() {
      const taken = [...entries.values()].map((entry) => ({
        functionId: entry.functionId,
        version: entry.version,
        triggerType: entry.triggerType,
        minuteMs: entry.minuteMs,
        memoryMiB: entry.memoryMiB,
        counts: entry.counts(),
      }));
      entries = new Map();
      last = undefined;
      const sums = taken.map((counts) => ({ ...counts, functionId: EVERY_FUNCTION, version: 0 }));
      return [...taken, ...added(sums)];
    },
  };
}
