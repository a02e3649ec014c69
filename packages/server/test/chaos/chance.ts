/**
 * Chance that can be had again: the same seed gives the same faults in the same order.
 *
 * @module
 */
export interface Chance {
  /** From 0 up to 1. */
  next(): number;
  among<Item>(items: readonly Item[]): Item;
}

/** mulberry32 */
export function createChance(seed: number): Chance {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
  return {
    next,
    among(items) {
      const item = items[Math.floor(next() * items.length)];
      if (item === undefined) throw new RangeError("Cannot choose among nothing");
      return item;
    },
  };
}
