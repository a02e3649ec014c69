/**
 * Which sandboxes end when another one needs their place.
 *
 * The one whose function is called least goes first; among equals the one that was idle longest. So a thousand functions
 * that are called once each take the places of each other, and not those of the functions that are called all the time.
 *
 * @module
 */
export interface Candidate<Item> {
  readonly item: Item;
  /** Calls of its function for each of the function's sandboxes; Infinity: only when nothing else is left. */
  readonly heat: number;
  readonly idleSinceMs: number;
  readonly memoryMiB: number;
}

export interface Need {
  readonly sandboxesCount: number;
  readonly memoryMiB: number;
}

/** The fewest that free what is needed, coldest first; none where even all of them would not do. */
export function chooseVictims<Item>(candidates: readonly Candidate<Item>[], need: Need): Item[] {
  const chosen: Item[] = [];
  let memoryMiB = 0;
  const isEnough = () => chosen.length >= need.sandboxesCount && memoryMiB >= need.memoryMiB;
  for (const candidate of candidates.toSorted(byWorth)) {
    if (isEnough()) break;
    chosen.push(candidate.item);
    memoryMiB += candidate.memoryMiB;
  }
  return isEnough() ? chosen : [];
}

function byWorth(a: Candidate<unknown>, b: Candidate<unknown>): number {
  // Two that are infinite differ by nothing, and not by NaN.
  if (a.heat !== b.heat) return a.heat < b.heat ? -1 : 1;
  return a.idleSinceMs - b.idleSinceMs;
}
