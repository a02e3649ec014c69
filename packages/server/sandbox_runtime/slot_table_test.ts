/**
 * The table of what is under way behaves as a Map would, and its numbers never come back soon.
 *
 * @module
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { SlotTable } from "./slot_table.ts";

Deno.test("it holds what a Map would hold", () => {
  fc.assert(fc.property(fc.array(fc.oneof(fc.constant("add"), fc.nat(40)), { maxLength: 300 }), (moves) => {
    const table = new SlotTable<{ id: number }>();
    const model = new Map<number, { id: number }>();
    for (const move of moves) {
      if (move === "add") {
        const entry = { id: 0 };
        entry.id = table.add(entry);
        assert.ok(entry.id >= 1 && entry.id <= 0xffff_ffff && !model.has(entry.id));
        model.set(entry.id, entry);
      } else {
        const id = [...model.keys()][Number(move) % Math.max(1, model.size)] ?? 0;
        assert.equal(table.delete(id), model.delete(id));
        assert.equal(table.get(id), undefined);
      }
      assert.equal(table.size, model.size);
    }
    assert.deepEqual(new Set(table.values()), new Set(model.values()));
    for (const [id, entry] of model) assert.equal(table.get(id), entry);
  }));
});

Deno.test("a number that is over means nothing for a million uses of its slot", () => {
  const table = new SlotTable<number>();
  const first = table.add(0);
  table.delete(first);
  for (let use = 0; use < 10_000; use += 1) {
    const id = table.add(use);
    assert.notEqual(id, first);
    assert.equal(table.get(first), undefined);
    table.delete(id);
  }
});
