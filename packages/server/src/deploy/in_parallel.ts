/**
 * Works on many things, a few at once.
 *
 * @module
 */
/** Results in the order of the items. `work` must not throw: what was begun would go on alone. */
export async function inParallel<Item, Result>(
  items: readonly Item[],
  atOnceCount: number,
  work: (item: Item) => Promise<Result>,
): Promise<Result[]> {
  const results = new Array<Result>(items.length);
  const left = items.entries();
  async function lane(): Promise<void> {
    for (const [index, item] of left) results[index] = await work(item);
  }
  await Promise.all(Array.from({ length: Math.min(atOnceCount, items.length) }, lane));
  return results;
}
