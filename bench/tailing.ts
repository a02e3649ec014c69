/**
 * From `console.log` of a function on one server to who follows the log on another one of the same database.
 *
 * @module
 */
import { join } from "node:path";
import { delay } from "../packages/server/src/core/clock.ts";
import { deploy, invoke, type RunningPlatform, startBeside } from "./server.ts";
import { percentile, type Row } from "./suite.ts";

const LINES_COUNT = 40;
const PAUSE_MS = 100;
const TAIL_MAX_MS = 1_000;
const OPEN_MAX_MS = 10_000;
/** The line says when it was written. */
const TELLER = "export default () => { console.log(Date.now()); return 1; }";

export async function tailing(databaseUrl: string, dir: string): Promise<Row[]> {
  await using a = await startBeside(databaseUrl, join(dir, "a"));
  await using b = await startBeside(databaseUrl, join(dir, "b"));
  const times = await tailTimes({ a, b }, LINES_COUNT);
  const [p50, p95] = [percentile(times, 50), percentile(times, 95)];
  return [{
    what: `from console.log on one server to a follower on another, ${times.length} of ${LINES_COUNT} lines: p95`,
    target: `≤ ${TAIL_MAX_MS} ms`,
    measured: `${p95} ms (p50 ${p50} ms)`,
    isMet: times.length >= LINES_COUNT && p95 <= TAIL_MAX_MS,
  }];
}

/** Of lines that a function writes on A, until they are with who follows on B. */
export async function tailTimes(
  { a, b }: { readonly a: RunningPlatform; readonly b: RunningPlatform },
  linesCount: number,
): Promise<number[]> {
  await deploy(a, "teller", TELLER);
  await call(a);
  const times: number[] = [];
  const left = new AbortController();
  const following = follow(b, { signal: left.signal, heard: (atMs) => times.push(Date.now() - atMs) });
  const givenUpMs = performance.now() + OPEN_MAX_MS;
  while (times.length === 0 && performance.now() < givenUpMs) {
    await call(a);
    await delay(PAUSE_MS);
  }
  times.length = 0;
  for (let line = 0; line < linesCount; line += 1) {
    await call(a);
    await delay(PAUSE_MS);
  }
  await delay(TAIL_MAX_MS);
  left.abort();
  await following;
  return times;
}

async function call(platform: RunningPlatform): Promise<void> {
  const response = await invoke(platform, "teller/invoke");
  await response.body?.cancel();
}

async function follow(
  { url, serviceRoleKey }: RunningPlatform,
  { signal, heard }: { signal: AbortSignal; heard(atMs: number): void },
): Promise<void> {
  try {
    const response = await fetch(`${url}/api/v1/functions/teller/logs?follow=true&tail=0`, {
      headers: { authorization: `Bearer ${serviceRoleKey}` },
      signal,
    });
    let text = "";
    for await (const chunk of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
      const events = (text + chunk).split("\n\n");
      text = events.pop() ?? "";
      for (const event of events) {
        const [, data] = /^data: (.*)$/m.exec(event) ?? [];
        const atMs = data === undefined ? NaN : Number(JSON.parse(data).message);
        if (Number.isFinite(atMs)) heard(atMs);
      }
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}
