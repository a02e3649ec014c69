/**
 * Who gets the next sandbox that starts: a few start at once, the others stand in line.
 *
 * Standing in line costs nobody anything. Room is made when a start begins, and for that start alone, so however many
 * wait, no more warm sandboxes end than cold ones begin. Who has got one goes to the end of the line.
 *
 * Owns: the line, how many start at once, the pause after a start that failed, how long the line takes.
 * Does not own: what room is and who gives way (./sandbox_pool.ts, ./victims.ts).
 *
 * @module
 */
export interface StartQueueOptions<Key> {
  /** More at once would only make each of them later. */
  readonly atOnceCount: number;
  now(): number;
  /** How many more sandboxes it needs; 0 takes it out of the line. */
  neededCount(key: Key): number;
  /** False: it has as many as it may have, and stays in line. */
  mayHaveMore(key: Key): boolean;
  /** Uses a sandbox that has started ahead; false when there is none. */
  takeReady(key: Key): boolean;
  /** Whether one more may exist for it; ends others where that is what it takes. May make it need nothing any more. */
  makeRoom(key: Key): boolean;
  /** Settles when the sandbox has started, or rejects. */
  start(key: Key): Promise<void>;
  /** Nobody in line can use what is free now. */
  onSpare(): void;
}

export interface StartQueue<Key> {
  /** Stands in line, if it needs anything, and begins what can begin. */
  add(key: Key): void;
  remove(key: Key): void;
  /** Begins what can begin now. */
  advance(): void;
  /** Called again and again: goes on after a pause. */
  tick(): void;
  readonly hasSlot: boolean;
  /** Starts something beside the line; takes one of the slots. */
  run(start: () => Promise<void>): void;
  /** A sandbox could not start, or was lost before it was of use: starts pause, longer each time. */
  failed(): void;
  /** In a row. */
  readonly failuresCount: number;
  /** How long one that needs so many sandboxes will wait for the last of them. */
  expectedWaitMs(key: Key, neededCount: number): number;
  /** Resolves when nothing is being started. */
  settle(): Promise<void>;
}

/** Of a start, before any was seen. */
const FIRST_GUESS_MS = 100;
/** How much the newest start counts in what the next ones are expected to take. */
const NEWEST_PART = 0.1;
const PAUSE_MS = 50;
const PAUSE_MAX_MS = 2_000;

export function createStartQueue<Key>(options: StartQueueOptions<Key>): StartQueue<Key> {
  const { atOnceCount, now } = options;
  const line = new Set<Key>();
  const running = new Set<Promise<void>>();
  let startMs = FIRST_GUESS_MS;
  let failuresCount = 0;
  let pausedUntilMs = -Infinity;
  let isPaused = false;
  let isAdvancing = false;

  const hasSlot = () => running.size < atOnceCount && now() >= pausedUntilMs;

  function failed(): void {
    failuresCount += 1;
    isPaused = true;
    pausedUntilMs = now() + Math.min(PAUSE_MAX_MS, PAUSE_MS * 2 ** failuresCount);
  }

  function run(start: () => Promise<void>): void {
    const begunMs = now();
    const work = start().then(() => {
      failuresCount = 0;
      startMs += (now() - begunMs - startMs) * NEWEST_PART;
    }, failed).then(() => {
      running.delete(work);
      advance();
    });
    running.add(work);
  }

  /** One turn for each that stands in line; true when anything began. */
  function goThrough(): boolean {
    let hasRoom = true;
    let hasBegun = false;
    for (const key of [...line]) {
      if (options.neededCount(key) === 0) {
        line.delete(key);
        continue;
      }
      if (!options.mayHaveMore(key)) continue;
      if (!options.takeReady(key)) {
        if (!hasRoom || !hasSlot()) continue;
        if (!options.makeRoom(key)) {
          // Unless it has given up, nobody behind it would get room either.
          hasRoom = options.neededCount(key) === 0;
          continue;
        }
        run(() => options.start(key));
      }
      hasBegun = true;
      line.delete(key);
      line.add(key);
    }
    return hasBegun;
  }

  function advance(): void {
    // What it calls may call it.
    if (isAdvancing) return;
    isAdvancing = true;
    try {
      while (line.size > 0 && goThrough());
      if (hasSlot()) options.onSpare();
    } finally {
      isAdvancing = false;
    }
  }

  return {
    add(key) {
      if (options.neededCount(key) === 0) return;
      line.add(key);
      advance();
    },
    remove: (key) => void line.delete(key),
    advance,
    tick() {
      if (!isPaused || now() < pausedUntilMs) return;
      isPaused = false;
      advance();
    },
    get hasSlot() {
      return hasSlot();
    },
    run,
    failed,
    get failuresCount() {
      return failuresCount;
    },
    expectedWaitMs(key, neededCount) {
      let aheadCount = running.size;
      // They take turns.
      for (const other of line) if (other !== key) aheadCount += Math.min(neededCount, options.neededCount(other));
      return Math.max(0, pausedUntilMs - now()) + (aheadCount + neededCount) / atOnceCount * startMs;
    },
    async settle() {
      while (running.size > 0) await Promise.all(running);
    },
  };
}
