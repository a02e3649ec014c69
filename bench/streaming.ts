/**
 * Large bodies both ways, and many streams at once.
 *
 * @module
 */
import { join } from "node:path";
import { deploy, invoke, type RunningPlatform, startPlatform } from "./server.ts";
import { median, memoryMiB, type Row, type Suite } from "./suite.ts";

const BODY_MB = 100;
const STREAMS_COUNT = 1_000;
const FIRST_BYTE_ROUNDS_COUNT = 50;
const MB = 1_000_000;

/** Sends numbers that neither repeat soon nor compress; the other side makes the same again. */
const NUMBERS = `function* chunks(count) {
  let seed = 1;
  for (let index = 0; index < count; index++) {
    const chunk = new Uint32Array(16_384);
    for (let at = 0; at < chunk.length; at++) chunk[at] = seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    yield new Uint8Array(chunk.buffer);
  }
}
function checker() {
  let seed = 1, sofar = 0, word = new Uint8Array(4);
  return {
    get size() { return sofar; },
    isSame(bytes) {
      for (const byte of bytes) {
        if (sofar % 4 === 0) { seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0; new DataView(word.buffer).setUint32(0, seed, true); }
        if (word[sofar % 4] !== byte) return false;
        sofar++;
      }
      return true;
    },
  };
}`;
const CHUNK_BYTES = 65_536;
const CHUNKS_COUNT = Math.ceil(BODY_MB * MB / CHUNK_BYTES);
const WARM_CHUNKS_COUNT = 32;

const DOWN = `${NUMBERS}
export default { fetch(req) {
  const all = chunks(Number(new URL(req.url).searchParams.get("chunks")));
  return new Response(new ReadableStream({ pull(c) { const { done, value } = all.next(); if (done) c.close(); else c.enqueue(value); } }));
} };`;
const UP = `${NUMBERS}
export default { async fetch(req) {
  const check = checker();
  for await (const chunk of req.body) if (!check.isSame(chunk)) return new Response("different");
  return new Response(String(check.size));
} };`;
const EVENTS = `export default { fetch() {
  let timer;
  return new Response(new ReadableStream({
    start(c) { const send = () => c.enqueue(new TextEncoder().encode("data: tick\\n\\n")); send(); timer = setInterval(send, 1000); },
    cancel() { clearInterval(timer); },
  }), { headers: { "content-type": "text/event-stream" } });
} };`;

interface Numbers {
  chunks(count: number): Generator<Uint8Array<ArrayBuffer>>;
  checker(): { readonly size: number; isSame(bytes: Uint8Array): boolean };
}

/** The largest memory that a process has while something runs, in MiB. */
async function peakMiB(pid: number, work: () => Promise<void>): Promise<number> {
  let peak = 0;
  let isOver = false;
  const watching = (async () => {
    while (!isOver) {
      peak = Math.max(peak, await memoryMiB(pid, "Rss"));
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  })();
  await work();
  isOver = true;
  await watching;
  return peak;
}

export const streaming: Suite = {
  name: "streaming",
  async run(dir) {
    await using platform = await startPlatform(join(dir, "data"), {
      FLUXBASE_LIMITS_REQUEST_BODY_BYTES: String(2 * BODY_MB * MB),
    });
    return [...await bodies(platform, dir), ...await events(platform)];
  },
};

async function bodies(platform: RunningPlatform, dir: string): Promise<Row[]> {
  const file = join(dir, "numbers.mjs");
  await Deno.writeTextFile(file, `${NUMBERS}\nexport { checker, chunks };`);
  const { checker, chunks }: Numbers = await import(`file://${file}`);
  const fields = { timeout: 60, max_response_bytes: 2 * BODY_MB * MB };
  await deploy(platform, "down", DOWN, fields);
  await deploy(platform, "up", UP, fields);

  async function down(count: number): Promise<void> {
    const check = checker();
    for await (const chunk of (await invoke(platform, `down/invoke?chunks=${count}`)).body ?? []) {
      if (!check.isSame(chunk)) throw new Error("The body that came down differs");
    }
    if (check.size !== count * CHUNK_BYTES) throw new Error(`The body that came down has ${check.size} bytes`);
  }
  async function up(count: number): Promise<void> {
    const body = ReadableStream.from(chunks(count));
    const text = await (await invoke(platform, "up/invoke", { method: "POST", body })).text();
    if (text !== String(count * CHUNK_BYTES)) throw new Error(`The body that went up arrived as: ${text}`);
  }
  const rows: Row[] = [];
  for (const [way, work] of [["down", down], ["up", up]] as const) {
    // A little first, so that what is measured is the body, and not the code that runs for the first time.
    await work(WARM_CHUNKS_COUNT);
    const before = await memoryMiB(platform.pid, "Rss");
    const growth = await peakMiB(platform.pid, () => work(CHUNKS_COUNT)) - before;
    rows.push({
      what: `${BODY_MB} MB ${way}, byte by byte the same: growth of the server`,
      target: "≤ 64 MiB",
      measured: `${Math.max(0, growth).toFixed(0)} MiB`,
      isMet: growth <= 64,
    });
  }
  return rows;
}

async function events(platform: RunningPlatform): Promise<Row[]> {
  await deploy(platform, "events", EVENTS, { timeout: 60 });
  const firstBytes: number[] = [];
  for (let round = 0; round < FIRST_BYTE_ROUNDS_COUNT; round += 1) {
    const leaving = new AbortController();
    const started = performance.now();
    const reader = (await invoke(platform, "events/invoke", { signal: leaving.signal })).body?.getReader();
    await reader?.read();
    firstBytes.push(performance.now() - started);
    await reader?.cancel();
  }
  const streams = await Promise.all(Array.from({ length: STREAMS_COUNT }, async () => {
    const response = await invoke(platform, "events/invoke");
    return { isOpen: response.status === 200, reader: response.body?.getReader() };
  }));
  const ticks = await Promise.all(streams.map(async ({ isOpen, reader }) => {
    for (let count = 0; isOpen && count < 3; count += 1) if ((await reader?.read())?.done !== false) return false;
    return isOpen;
  }));
  const aliveCount = ticks.filter(Boolean).length;
  await Promise.all(streams.map(({ reader }) => reader?.cancel()));
  return [
    {
      what: "first byte of an event stream",
      target: "≤ 5 ms",
      measured: `p50 ${median(firstBytes).toFixed(1)} ms`,
      isMet: median(firstBytes) <= 5,
    },
    {
      what: "event streams open at once, each with three events",
      target: String(STREAMS_COUNT),
      measured: String(aliveCount),
      isMet: aliveCount === STREAMS_COUNT,
    },
  ];
}
