/**
 * More functions than sandboxes, called at a steady rate whatever the answers: what is served, and how much of it warm.
 *
 * @module
 */
import { join } from "node:path";
import { deployMany } from "./cold_many.ts";
import { deploy, invoke, type RunningPlatform, startPlatform } from "./server.ts";
import { median, percentile, type Row, type Suite } from "./suite.ts";

const FUNCTIONS_COUNT = 200;
const SANDBOXES_COUNT = 100;
const PER_SEC = 100;
const SECONDS = 20;
/** Of the load with a long tail: the n-th function is called 1/n as often as the first. */
const TAIL_FUNCTIONS_COUNT = 2_000;
const TAIL_PER_SEC = 150;
const TAIL_P99_MS = 400;
/** Called all the time while each of the others is called once. */
const BUSY_COUNT = 20;
/** Of a call that nobody answers. */
const GIVE_UP_MS = 15_000;
const HELLO = `let count = 0; export default () => ({ status: 200, body: String(count++ > 0 ? "warm" : "cold") });`;

interface Answers {
  readonly warmCount: number;
  readonly coldCount: number;
  readonly failedCount: number;
  readonly times: readonly number[];
  /** Of all answers that came, from the first call on. */
  readonly perSec: number;
}

/** Open loop: the next call does not wait for the one before. `pick` names the function of each call. */
async function loadOpen(
  platform: RunningPlatform,
  { perSec, seconds, pick }: { perSec: number; seconds: number; pick(index: number): string },
): Promise<Answers> {
  const counts = { warm: 0, cold: 0, failed: 0 };
  const times: number[] = [];
  const calls: Promise<void>[] = [];
  const startMs = performance.now();
  for (let index = 0; index < perSec * seconds; index += 1) {
    const dueMs = startMs + index * 1_000 / perSec;
    const waitMs = dueMs - performance.now();
    if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
    calls.push((async () => {
      const begunMs = performance.now();
      try {
        const response = await invoke(platform, `${pick(index)}/invoke`, { signal: AbortSignal.timeout(GIVE_UP_MS) });
        const text = await response.text();
        if (text !== "warm" && text !== "cold") throw new Error(text);
        counts[text] += 1;
        times.push(performance.now() - begunMs);
      } catch {
        counts.failed += 1;
      }
    })());
  }
  await Promise.all(calls);
  return {
    warmCount: counts.warm,
    coldCount: counts.cold,
    failedCount: counts.failed,
    times,
    perSec: times.length / (performance.now() - startMs) * 1_000,
  };
}

/** The same numbers in every run. */
function createRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

const share = (part: number, of: number) => `${(100 * part / Math.max(1, of)).toFixed(0)} %`;

function rowOf(what: string, target: string, isMet: (answers: Answers) => boolean, answers: Answers): Row {
  const { warmCount, coldCount, failedCount, times, perSec } = answers;
  const servedCount = warmCount + coldCount;
  return {
    what,
    target,
    measured: `${perSec.toFixed(0)} served/s, ${share(failedCount, servedCount + failedCount)} failed, ` +
      `${share(warmCount, servedCount)} warm, p50 ${median(times).toFixed(0)} ms, p99 ${
        percentile(times, 99).toFixed(0)
      } ms`,
    isMet: isMet(answers),
  };
}

/** The number of a function by a draw from 0 to 1, where the n-th has a part of 1/n. */
function createZipf(count: number): (draw: number) => number {
  let sum = 0;
  const upTo = Array.from({ length: count }, (_, index) => sum += 1 / (index + 1));
  return (draw) => Math.max(0, upTo.findIndex((part) => part >= draw * sum));
}

async function longTail(dir: string): Promise<Row[]> {
  await using platform = await startPlatform(join(dir, "tail"));
  const names = Array.from({ length: TAIL_FUNCTIONS_COUNT }, (_, index) => `tail-${index}`);
  await deployMany(platform, names, HELLO);
  const random = createRandom(2);
  const numberOf = createZipf(names.length);
  const answers = await loadOpen(platform, {
    perSec: TAIL_PER_SEC,
    seconds: SECONDS,
    pick: () => names[numberOf(random())] ?? "",
  });
  return [
    rowOf(
      `${TAIL_FUNCTIONS_COUNT} functions, the n-th called 1/n as often as the first, ${TAIL_PER_SEC} calls/s`,
      `0 failed, p99 ≤ ${TAIL_P99_MS} ms`,
      ({ failedCount, times }) => failedCount === 0 && percentile(times, 99) <= TAIL_P99_MS,
      answers,
    ),
  ];
}

export const crowded: Suite = {
  name: "crowded",
  run: async (dir) => [...await fewSandboxes(dir), ...await longTail(dir)],
};

async function fewSandboxes(dir: string): Promise<Row[]> {
  await using platform = await startPlatform(join(dir, "data"), {
    FLUXBASE_LIMITS_SANDBOX_COUNT: String(SANDBOXES_COUNT),
  });
  const names = Array.from({ length: FUNCTIONS_COUNT }, (_, index) => `crowd-${index}`);
  for (const name of names) await deploy(platform, name, HELLO);
  const random = createRandom(1);
  const nameAt = (index: number) => names[index % names.length] ?? "";
  const noneFailed = ({ failedCount }: Answers) => failedCount === 0;
  const uniform = await loadOpen(platform, {
    perSec: PER_SEC,
    seconds: SECONDS,
    pick: () => nameAt(Math.floor(random() * FUNCTIONS_COUNT)),
  });
  const few = () => nameAt(Math.floor(random() * BUSY_COUNT));
  const after = await loadOpen(platform, { perSec: PER_SEC, seconds: 3, pick: few });
  const scan = await loadOpen(platform, {
    perSec: PER_SEC / 2,
    seconds: SECONDS / 2,
    pick: (index) => index % 3 === 2 ? nameAt(BUSY_COUNT + Math.floor(index / 3)) : few(),
  });
  const what = `${FUNCTIONS_COUNT} functions, ${SANDBOXES_COUNT} sandboxes`;
  return [
    rowOf(`${what}: ${PER_SEC} calls/s to all alike`, "0 failed", noneFailed, uniform),
    rowOf(`right after it: the same to ${BUSY_COUNT} of them`, "0 failed", noneFailed, after),
    rowOf(
      `two thirds of the calls to ${BUSY_COUNT}, the others to each of the rest in turn`,
      "0 failed, ≥ 66 % warm",
      (answers) => noneFailed(answers) && answers.warmCount >= 0.66 * (answers.warmCount + answers.coldCount),
      scan,
    ),
  ];
}
