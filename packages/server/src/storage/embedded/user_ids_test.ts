/**
 * Kinds of root.
 *
 * @module
 */
import assert from "node:assert/strict";
import { hasCapabilities, mayBecome } from "./user_ids.ts";

const FULL = "CapEff:\t000001ffffffffff\n";
const NONE = "CapEff:\t0000000000000000\n";
/** As Docker gives them. */
const DOCKER = "CapEff:\t00000000a80425fb\n";
const WHOLE = "         0          0 4294967295\n";

Deno.test("root may become others with its capabilities, and only those that are mapped", () => {
  const cases: [status: string, map: string, first: number, count: number, expected: boolean][] = [
    [FULL, WHOLE, 100_000, 300, true],
    [DOCKER, WHOLE, 100_000, 300, true],
    [NONE, WHOLE, 100_000, 300, false],
    [FULL, "0 1000 1\n", 100_000, 300, false],
    [FULL, "0 100000 65536\n", 100_000, 300, false],
    [FULL, "0 100000 65536\n", 65_400, 300, false],
    [FULL, "0 100000 65536\n", 20_000, 300, true],
    [FULL, "0 1000 1\n1 100000 65535\n", 20_000, 300, true],
    ["", "", 100_000, 300, true],
  ];
  for (const [status, map, first, count, expected] of cases) {
    assert.equal(mayBecome({ first, count }, { status, maps: [map, map] }), expected, `${status}${map}${first}`);
  }
  assert.equal(mayBecome({ first: 5, count: 1 }, { status: FULL, maps: [WHOLE, "0 0 1\n"] }), false);
  assert.deepEqual([FULL, NONE].map((status) => hasCapabilities({ status, maps: [] })), [true, false]);
});
