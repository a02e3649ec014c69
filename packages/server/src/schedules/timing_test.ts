/**
 * When schedules are due: what the clocks of a zone do to them, by examples and against the stepping model.
 *
 * `npm run schedules` looks at ten whole years instead of the days around each change of the clocks.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { clockChanges, instantsByStepping } from "../../test/support/schedule_model.ts";
import { lastInstants, nextInstants } from "./timing.ts";

const IS_LONG = Deno.env.get("FLUXBASE_TEST_SCHEDULES") === "long";
const HOUR_MS = 3_600_000;
const FROM_MS = Date.UTC(2025, 0, 1);
const UNTIL_MS = Date.UTC(2035, 0, 1);
const ZONES = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"];

const next = (cron: string, timeZone: string, after: string, count: number) =>
  nextInstants({ cron, timeZone }, { afterMs: Date.parse(after), count }).map((ms) =>
    new Date(ms).toISOString().replace(":00.000Z", "Z")
  );

test("a local time that does not exist runs at the next one that does, and one that occurs twice runs once", () => {
  const cases: [cron: string, zone: string, after: string, instants: string[]][] = [
    ["30 2 * * *", "Europe/Berlin", "2026-03-28T12:00Z", ["2026-03-29T01:00Z", "2026-03-30T00:30Z"]],
    ["30 2 * * *", "Europe/Berlin", "2026-10-24T12:00Z", ["2026-10-25T00:30Z", "2026-10-26T01:30Z"]],
    ["*/20 2 * * *", "Europe/Berlin", "2026-03-28T12:00Z", ["2026-03-29T01:00Z", "2026-03-30T00:00Z"]],
    ["*/30 2 * * *", "Europe/Berlin", "2026-10-24T12:00Z", [
      "2026-10-25T00:00Z",
      "2026-10-25T00:30Z",
      "2026-10-26T01:00Z",
    ]],
    ["0 1-4 * * *", "Europe/Berlin", "2026-03-28T12:00Z", [
      "2026-03-29T00:00Z",
      "2026-03-29T01:00Z",
      "2026-03-29T02:00Z",
      "2026-03-29T23:00Z",
    ]],
    ["15 2 8 3 *", "America/New_York", "2026-01-01T00:00Z", ["2026-03-08T07:00Z", "2027-03-08T07:15Z"]],
    ["15 1 1 11 *", "America/New_York", "2026-01-01T00:00Z", ["2026-11-01T05:15Z", "2027-11-01T05:15Z"]],
    // The clocks there move by half an hour.
    ["15 2 * * *", "Australia/Lord_Howe", "2026-10-03T00:00Z", ["2026-10-03T15:30Z", "2026-10-04T15:15Z"]],
    ["45 1 * * *", "Australia/Lord_Howe", "2026-04-04T00:00Z", ["2026-04-04T14:45Z", "2026-04-05T15:15Z"]],
    // What runs in every hour goes on by elapsed time.
    ["30 * * * *", "Europe/Berlin", "2026-03-29T00:00Z", ["2026-03-29T00:30Z", "2026-03-29T01:30Z"]],
    ["0 * * * *", "Europe/Berlin", "2026-10-24T23:30Z", [
      "2026-10-25T00:00Z",
      "2026-10-25T01:00Z",
      "2026-10-25T02:00Z",
    ]],
    ["30 2 * * *", "Asia/Kolkata", "2026-03-28T12:00Z", ["2026-03-28T21:00Z", "2026-03-29T21:00Z"]],
  ];
  for (const [cron, zone, after, instants] of cases) {
    assert.deepEqual(next(cron, zone, after, instants.length), instants, `${cron} ${zone}`);
  }
});

test("the last instants of a span are those that are found forwards", () => {
  const timing = { cron: "*/20 1-3 * * *", timeZone: "Europe/Berlin" };
  for (const around of [Date.UTC(2026, 2, 29), Date.UTC(2026, 9, 25)]) {
    const span = { afterMs: around - 30 * HOUR_MS, untilMs: around + 30 * HOUR_MS };
    const forwards = nextInstants(timing, { afterMs: span.afterMs, count: 100 }).filter((ms) => ms <= span.untilMs);
    assert.deepEqual(lastInstants(timing, { ...span, count: 100 }), forwards);
    assert.deepEqual(lastInstants(timing, { ...span, count: 4 }), forwards.slice(-4));
    for (const untilMs of [around + 0.4 * HOUR_MS, around + 1.2 * HOUR_MS, around + 2 * HOUR_MS]) {
      assert.deepEqual(
        lastInstants(timing, { ...span, untilMs, count: 2 }),
        forwards.filter((ms) => ms <= untilMs).slice(-2),
      );
    }
  }
  assert.deepEqual(nextInstants({ cron: "0 0 31 2 *", timeZone: "UTC" }, { afterMs: FROM_MS, count: 1 }), []);
});

const pick = <T>(...values: readonly T[]) => fc.constantFrom(...values);
const number = (min: number, max: number) => fc.integer({ min, max }).map(String);
const range = (min: number, max: number) =>
  fc.tuple(fc.integer({ min, max }), fc.integer({ min, max })).map(([a, b]) => `${Math.min(a, b)}-${Math.max(a, b)}`);
const field = (min: number, max: number) => {
  const step = number(1, Math.max(2, Math.floor((max - min) / 2)));
  return fc.oneof(
    number(min, max),
    fc.array(number(min, max), { minLength: 2, maxLength: 3 }).map((list) => [...new Set(list)].join(",")),
    range(min, max),
    fc.tuple(range(min, max), step).map(([span, every]) => `${span}/${every}`),
    step.map((every) => `*/${every}`),
    fc.tuple(number(min, max), step).map(([from, every]) => `${from}/${every}`),
  );
};
const often = (rare: fc.Arbitrary<string>) => fc.oneof({ weight: 3, arbitrary: fc.constant("*") }, rare);
const schedule = fc.record({
  cron: fc.tuple(
    fc.oneof({ weight: 3, arbitrary: fc.constant("") }, number(0, 59), pick("*/20", "10,50")),
    field(0, 59),
    fc.oneof(fc.constant("*"), field(0, 4), field(0, 23)),
    often(fc.oneof(field(1, 28), pick("L", "29", "31", "30,31"))),
    often(fc.oneof(field(1, 12), pick("MAR", "OCT,NOV", "MAR-APR"))),
    often(fc.oneof(field(0, 6), pick("SUN", "MON-FRI", "7", "SAT,SUN"))),
  ).map((fields) => fields.join(" ").trim()),
  timeZone: pick(...ZONES),
});

test("schedules are due when a slow model of them says, over ten years", () => {
  const windows = new Map(ZONES.map((zone) => {
    const changes = clockChanges(zone, FROM_MS, UNTIL_MS);
    assert.equal(changes.length, zone === "Asia/Kolkata" ? 0 : 20, zone);
    const days = changes.length > 0 ? changes : Array.from({ length: 20 }, (_, i) => FROM_MS + i * 182 * 24 * HOUR_MS);
    return [zone, days.map((at) => [at - 6 * HOUR_MS, at + 26 * HOUR_MS] as const)];
  }));
  fc.assert(
    fc.property(schedule, fc.integer({ min: 0, max: 6 }), (one, turn) => {
      const spans = IS_LONG
        ? [[FROM_MS, UNTIL_MS] as const]
        : (windows.get(one.timeZone) ?? []).filter((_, index) => index % 7 === turn);
      for (const [fromMs, untilMs] of spans) {
        const wanted = instantsByStepping(one, fromMs, untilMs);
        const found = nextInstants(one, { afterMs: fromMs, count: wanted.length + 1 }).filter((ms) => ms <= untilMs);
        assert.deepEqual(found.map(iso), wanted.map(iso));
        assert.deepEqual(
          lastInstants(one, { afterMs: fromMs, untilMs, count: 30 }).map(iso),
          wanted.slice(-30).map(iso),
        );
      }
    }),
    { numRuns: IS_LONG ? 60 : 40, endOnFailure: true },
  );
});

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
