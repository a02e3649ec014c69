/**
 * Holes in the denied ranges: exactly the addresses of the holes become reachable.
 *
 * @module
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { DENIED_IPV4, denyNetList, parseHole } from "./egress.ts";

function contains(list: string, address: number): boolean {
  return list.split(",").filter((range) => !range.startsWith("[")).some((range) => {
    const [base = "", bits = "32"] = range.split("/");
    const size = 2 ** (32 - Number(bits));
    const start = toNumber(base);
    assert.equal(start % size, 0, `${range} does not start on its own boundary`);
    return address >= start && address < start + size;
  });
}

const toNumber = (text: string) => text.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);
const toText = (value: number) => [24, 16, 8, 0].map((shift) => Math.floor(value / 2 ** shift) % 256).join(".");
const anyAddress = fc.integer({ min: 0, max: 2 ** 32 - 1 });
const hole = fc.record({
  base: fc.oneof(anyAddress, fc.constantFrom(...DENIED_IPV4.map((range) => toNumber(range.split("/")[0] ?? "")))),
  bits: fc.integer({ min: 6, max: 32 }),
});

Deno.test("what is denied is what was denied before and lies in no hole", () => {
  const before = denyNetList([]);
  fc.assert(
    fc.property(fc.array(hole, { maxLength: 4 }), fc.array(anyAddress, { maxLength: 20 }), (holes, extra) => {
      const list = denyNetList(holes.map(({ base, bits }) => `${toText(base)}/${bits}`));
      const edges = holes.flatMap(({ base, bits }) => {
        const size = 2 ** (32 - bits);
        const start = Math.floor(base / size) * size;
        return [start - 1, start, start + size - 1, start + size].filter((value) => value >= 0 && value < 2 ** 32);
      });
      for (const address of [...edges, ...extra]) {
        const isInHole = holes.some(({ base, bits }) => {
          const size = 2 ** (32 - bits);
          return Math.floor(base / size) === Math.floor(address / size);
        });
        assert.equal(contains(list, address), contains(before, address) && !isInHole, toText(address));
      }
    }),
  );
});

Deno.test("addresses of the machine itself are denied, unless a hole opens them", () => {
  const [own, other, range] = ["93.184.216.34", "93.184.216.35", "168.63.129.16"].map(toNumber) as [
    number,
    number,
    number,
  ];
  const list = denyNetList([], ["93.184.216.34", "10.0.0.7"]);
  assert.deepEqual([own, other, range].map((address) => contains(list, address)), [true, false, true]);
  const opened = denyNetList(["93.184.216.34"], ["93.184.216.34"]);
  assert.equal(contains(opened, own), false);
});

Deno.test("a hole is a range, an address or a host, the last two with a port or without", () => {
  const good: [string, string, number | null][] = [
    ["10.0.0.0/24", "addresses", null],
    ["10.1.2.3", "addresses", null],
    ["10.1.2.3:5432", "addresses", 5432],
    ["db.internal", "host", null],
    ["db.internal:5432", "host", 5432],
    ["localhost", "host", null],
  ];
  for (const [text, kind, port] of good) {
    const parsed = parseHole(text);
    assert.deepEqual([parsed?.kind, parsed?.port], [kind, port], text);
  }
  for (
    const text of [
      "",
      "10.0.0.0/33",
      "10.0.0.256",
      "1.2.3",
      "10.0.0.0/24:80",
      "[::1]",
      "fd00::1",
      "a b",
      "host:0",
      "host:65536",
      "-x.y",
    ]
  ) assert.equal(parseHole(text), undefined, text);
});
