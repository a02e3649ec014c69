/**
 * What is under way, by number: a table whose slots are used again and again.
 *
 * Instead of a Map: a Map that lives long and whose entries do not is copied to a fresh table every few dozen
 * insertions, and the tables left behind, once old, keep every entry they held alive until a full collection. Measured
 * at 36,000 requests a second: scavenges of 5 ms instead of 0.3, and a full collection twice a second.
 *
 * A number is a slot and how often the slot was used, so the number of what is over never means something else.
 *
 * @module
 */
const SLOT_BITS = 12;
const SLOTS_MAX_COUNT = 2 ** SLOT_BITS;
const SLOT_MASK = SLOTS_MAX_COUNT - 1;
const USES_MAX_COUNT = 2 ** (32 - SLOT_BITS) - 1;

export class SlotTable<T> {
  readonly #ids: number[] = [];
  readonly #values: (T | undefined)[] = [];
  #size = 0;
  #cursor = 0;

  get size(): number {
    return this.#size;
  }

  /** Puts the value into a free slot and returns its number, from 1 to 2^32 - 1. */
  add(value: T): number {
    const slot = this.#freeSlot();
    const uses = ((this.#ids[slot] ?? 0) >>> SLOT_BITS) % USES_MAX_COUNT + 1;
    const id = (uses << SLOT_BITS | slot) >>> 0;
    this.set(id, value);
    return id;
  }

  #freeSlot(): number {
    const { length } = this.#values;
    if (this.#size === length) {
      if (length === SLOTS_MAX_COUNT) throw new RangeError(`Cannot keep more than ${length} things under way`);
      return length;
    }
    while (this.#values[this.#cursor] !== undefined) this.#cursor = (this.#cursor + 1) % length;
    return this.#cursor;
  }

  /** For the side that gets its numbers from the other: replaces whatever is in the slot. */
  set(id: number, value: T): void {
    const slot = id & SLOT_MASK;
    if (this.#values[slot] === undefined) this.#size += 1;
    this.#ids[slot] = id;
    this.#values[slot] = value;
  }

  get(id: number): T | undefined {
    const slot = id & SLOT_MASK;
    return this.#ids[slot] === id ? this.#values[slot] : undefined;
  }

  delete(id: number): boolean {
    const slot = id & SLOT_MASK;
    if (this.#ids[slot] !== id || this.#values[slot] === undefined) return false;
    this.#values[slot] = undefined;
    this.#size -= 1;
    return true;
  }

  *values(): Generator<T> {
    for (const value of this.#values) if (value !== undefined) yield value;
  }
}
