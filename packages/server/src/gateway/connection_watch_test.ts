/**
 * When a connection has to go: pure rules, with time as an argument.
 *
 * @module
 */
import assert from "node:assert/strict";
import { type Verdict, verdictOf } from "./connection_watch.ts";

const limits = {
  requestHeadMs: 10,
  idleConnectionMs: 100,
  stalledAnswerMs: 50,
  connectionsPerAddressCount: 1,
  connectionsCount: 1,
};

Deno.test("a connection is kept while something is under way, and given its time for everything else", () => {
  const awaiting = { answeredMs: null, awaitedMs: 0, takenMs: 0 };
  const answered = { answeredMs: 0, awaitedMs: null, takenMs: 0 };
  const cases: [Parameters<typeof verdictOf>[0], { isBusy: boolean; hasUnsent: boolean }, number, Verdict][] = [
    [awaiting, { isBusy: false, hasUnsent: false }, 10, "keep"],
    [awaiting, { isBusy: false, hasUnsent: false }, 11, "no request"],
    [awaiting, { isBusy: true, hasUnsent: false }, 9_999, "keep"],
    [answered, { isBusy: false, hasUnsent: false }, 100, "keep"],
    [answered, { isBusy: false, hasUnsent: false }, 101, "idle"],
    [answered, { isBusy: true, hasUnsent: false }, 9_999, "keep"],
    [answered, { isBusy: true, hasUnsent: true }, 50, "keep"],
    [answered, { isBusy: true, hasUnsent: true }, 51, "stalled"],
  ];
  for (const [one, now, nowMs, verdict] of cases) assert.equal(verdictOf(one, now, { nowMs, limits }), verdict);
});
