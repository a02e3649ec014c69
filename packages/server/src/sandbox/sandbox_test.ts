/**
 * The platform's end of a sandbox against a peer that says what it likes: valid frames, mutated ones, random bytes.
 *
 * Whatever comes, every request is answered once with something HTTP allows, its record is made once, limits hold, and
 * the sandbox is ended when it breaks the protocol.
 *
 * @module
 */
import assert from "node:assert/strict";
import { PlatformError } from "@fluxbase/contract";
import fc from "fast-check";
import { FLAG, FRAME, OF_CALL, PROTOCOL_VERSION, readFrames } from "../../sandbox_runtime/frames.ts";
import { FENCES } from "../../sandbox_runtime/harden.ts";
import { ChunkGarbage } from "../core/chunk_garbage.ts";
import { Exchange, type Outcome, type SandboxRequest } from "./exchange.ts";
import { Sandbox, type SandboxEvents } from "./sandbox.ts";
import type { ProcessExit, SandboxProcess } from "./sandbox_process.ts";

const encoder = new TextEncoder();
const REQUESTS_COUNT = 4;
const RESPONSE_MAX_BYTES = 100_000;
const LINES_COUNT = 5;

/** The other end of the socket, and what the platform may do to the process behind it. */
async function startPeer() {
  const dir = await Deno.makeTempDir();
  const path = `${dir}/s`;
  const listener = Deno.listen({ transport: "unix", path });
  const [peer, connection] = await Promise.all([Deno.connect({ transport: "unix", path }), listener.accept()]);
  listener.close();
  const exit = Promise.withResolvers<ProcessExit>();
  let isOpen = true;
  function kill() {
    if (!isOpen) return;
    isOpen = false;
    peer.close();
    exit.resolve({ code: 0, signal: "SIGKILL", output: "", startedCount: null });
  }
  const process: SandboxProcess = { pid: Deno.pid, connection, scratchDir: dir, exit: exit.promise, kill };
  return { peer, process, [Symbol.asyncDispose]: () => Deno.remove(dir, { recursive: true }) };
}

const EVENTS: SandboxEvents = { released() {}, died() {}, logged() {}, mayLog: () => true };

function requestOf(isUpgrade: boolean): SandboxRequest {
  return {
    executionId: "x",
    method: "GET",
    url: "http://localhost/",
    callerJson: "",
    headerPairs: [],
    body: null,
    isUpgrade,
    timeoutMs: 60_000,
    requestBodyMaxBytes: 1_000,
    responseBodyMaxBytes: RESPONSE_MAX_BYTES,
    client: { signal: () => new AbortController().signal },
  };
}

function frameOf(type: number, id: number, payload: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(9 + payload.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 5 + payload.length, true);
  view.setUint8(4, type);
  view.setUint32(5, id, true);
  bytes.set(payload, 9);
  return bytes;
}

function responseOf({ flags, status, sizeBytes, head, body }: {
  flags: number;
  status: number;
  sizeBytes: number;
  head: string;
  body: Uint8Array;
}): Uint8Array {
  const headBytes = encoder.encode(head);
  const payload = new Uint8Array(11 + headBytes.length + body.length);
  const view = new DataView(payload.buffer);
  view.setUint8(0, flags);
  view.setUint16(1, status, true);
  view.setUint32(3, sizeBytes, true);
  view.setUint32(7, headBytes.length, true);
  payload.set(headBytes, 11);
  payload.set(body, 11 + headBytes.length);
  return payload;
}

/** Whose id a frame has: that of a request under way, none, or anybody's. */
const owner = fc.oneof(
  { weight: 8, arbitrary: fc.nat(REQUESTS_COUNT - 1).map((index) => ({ index })) },
  { weight: 1, arbitrary: fc.constant({ id: 0 }) },
  { weight: 1, arbitrary: fc.nat(0xffff_ffff).map((id) => ({ id })) },
);
const bytes = fc.uint8Array({ maxLength: 200 });
const response = fc.record({
  flags: fc.oneof(
    fc.constantFrom(1, 2, 5, 9, 13, 18, 32, 65, 77, FLAG.jsonHead | FLAG.inlineBody | FLAG.done),
    fc.nat(255),
  ),
  status: fc.oneof({ weight: 6, arbitrary: fc.integer({ min: 200, max: 599 }) }, fc.constant(101), fc.nat(65_535)),
  sizeBytes: fc.oneof(fc.constant(0), fc.nat(0xffff_ffff)),
  head: fc.constantFrom(
    "",
    "content-type\ntext/plain",
    "a\nb\nc",
    "x-a\n\nset-cookie\na=1",
    "\u0000\n\u0000",
    "sec-websocket-protocol\nchat",
  ),
  body: fc.oneof(bytes, fc.constant(new Uint8Array(65_536)), fc.constant(new Uint8Array(65_537))),
}).map(responseOf);
const json = fc.oneof(
  fc.json(),
  fc.constant(`{"message":"m","stack":null}`),
  fc.constant(`{"atMs":1,"level":"info","message":"line","fields":{"a":1}}`),
  fc.constant(`{"atMs":1e300,"level":"__proto__","message":7,"fields":[]}`),
).map((text) => encoder.encode(text));
const u32 = fc.oneof(fc.constant(65_536), fc.nat(0xffff_ffff)).map((value) =>
  new Uint8Array(new Uint32Array([value]).buffer)
);
const failed = json.map((text) => new Uint8Array([8, ...text]));
const message = fc.tuple(fc.constantFrom(0, 1, 2), bytes).map(([kind, rest]) => new Uint8Array([kind, ...rest]));
const close = fc.tuple(fc.constantFrom(1000, 1005, 3000, 4999, 5000), bytes).map(([code, rest]) =>
  new Uint8Array([code & 255, code >> 8, ...rest.slice(0, 130)])
);
const call = fc.constantFrom(
  "GET\nhttp://localhost/x",
  "POST\nhttp://a/\nx\ny",
  "get\nhttp://a/",
  "GET\nno url",
  "GET\nhttp://a/\nbad name\ny",
)
  .map((head) =>
    new Uint8Array([2, ...new Uint8Array(new Uint32Array([head.length]).buffer), ...encoder.encode(head)])
  );

const frame = fc.oneof(
  { weight: 6, arbitrary: fc.tuple(fc.constant(FRAME.RESPONSE), response) },
  { weight: 2, arbitrary: fc.tuple(fc.constantFrom(FRAME.LOG, FRAME.READY, FRAME.LOADED, FRAME.LOAD_FAILED), json) },
  { weight: 2, arbitrary: fc.tuple(fc.constant(FRAME.FAILED), failed) },
  { weight: 2, arbitrary: fc.tuple(fc.constantFrom(FRAME.CREDIT, FRAME.CREDIT | OF_CALL), u32) },
  { weight: 3, arbitrary: fc.tuple(fc.constantFrom(FRAME.BODY, FRAME.BODY | OF_CALL), bytes) },
  { weight: 2, arbitrary: fc.tuple(fc.constant(FRAME.MESSAGE), message) },
  { weight: 1, arbitrary: fc.tuple(fc.constant(FRAME.CLOSE), close) },
  { weight: 2, arbitrary: fc.tuple(fc.constant(FRAME.REQUEST | OF_CALL), call) },
  {
    weight: 3,
    arbitrary: fc.tuple(
      fc.constantFrom(FRAME.DONE, FRAME.PONG, FRAME.BODY_END, FRAME.BODY_END | OF_CALL),
      fc.constant(new Uint8Array(0)),
    ),
  },
  {
    weight: 1,
    arbitrary: fc.tuple(fc.constantFrom(FRAME.ABORT, FRAME.ABORT | OF_CALL), fc.uint8Array({ maxLength: 2 })),
  },
  { weight: 1, arbitrary: fc.tuple(fc.nat(255), bytes) },
);
/** What is done to the bytes before they leave. */
const mutation = fc.oneof(
  { weight: 5, arbitrary: fc.constant(undefined) },
  { weight: 1, arbitrary: fc.record({ at: fc.nat(5_000), value: fc.nat(255) }) },
);
const attack = fc.record({
  frames: fc.array(fc.tuple(frame, owner), { minLength: 1, maxLength: 25 }),
  mutation,
  cut: fc.nat(400),
});

Deno.test("a sandbox may send anything: every request ends once and properly, and limits hold", async () => {
  await fc.assert(
    fc.asyncProperty(attack, async ({ frames, mutation, cut }) => {
      await using stage = await startPeer();
      const { peer, process } = stage;
      const ids: number[] = [];
      const hasAllRequests = Promise.withResolvers<void>();
      const reading = readFrames(peer, (type, id) => {
        if (type === FRAME.LOAD) void peer.write(frameOf(FRAME.LOADED, 0, encoder.encode("{}")));
        if (type === FRAME.REQUEST && ids.push(id) === REQUESTS_COUNT) hasAllRequests.resolve();
      }).catch(() => {});
      void peer.write(
        frameOf(FRAME.READY, 0, encoder.encode(JSON.stringify({ protocol: PROTOCOL_VERSION, fences: FENCES }))),
      );
      const sandbox = await Sandbox.start(process, EVENTS, {
        limits: {
          memoryMiB: 64,
          eventLoopBlockedMs: 60_000,
          logLineBytes: 1_000,
          logLinesCount: LINES_COUNT,
          head: { headersCount: 100, headBytes: 10_000 },
          scratchBytes: 0,
          webSocketLifeMs: 60_000,
        },
        answerCall: () => Promise.resolve(new Response("own")),
        garbage: new ChunkGarbage(),
        now: () => performance.now(),
      });
      await sandbox.loadBundle("", {
        functionName: "f",
        namespace: "n",
        version: 1,
        env: {},
        secrets: {},
        ownOrigins: [],
        logLineBytes: 1_000,
        logLinesCount: LINES_COUNT,
        head: { headersCount: 100, headBytes: 10_000 },
      });

      const outcomes: Outcome[][] = [];
      const bodies: Promise<void>[] = [];
      const exchanges = Array.from({ length: REQUESTS_COUNT }, (_, index) => {
        const own: Outcome[] = [];
        outcomes.push(own);
        const observer = {
          finished(outcome: Outcome, lines: readonly unknown[]) {
            assert.ok(lines.length <= LINES_COUNT + 1);
            own.push(outcome);
          },
        };
        const exchange = new Exchange(requestOf(index === 0), {
          now: () => performance.now(),
          observer,
          holder: sandbox,
        });
        sandbox.send(exchange, performance.now());
        bodies.push(consume(exchange));
        return exchange;
      });
      await hasAllRequests.promise;
      assert.equal(exchanges.length, REQUESTS_COUNT);

      const parts = frames.map(([[type, payload], to]) =>
        frameOf(type, "id" in to ? to.id : ids[to.index] ?? 0, payload)
      );
      const sent = Uint8Array.from(parts.flatMap((part) => [...part]));
      if (mutation !== undefined) sent[mutation.at % sent.length] = mutation.value;
      await sendInPieces(peer, sent, cut);
      sandbox.kill(new PlatformError("SANDBOX_DIED", "the test is over"));
      await sandbox.gone;
      await Promise.all([...bodies, reading]);
      for (const own of outcomes) assert.equal(own.length, 1);
    }),
    { numRuns: 300 },
  );
});

/** Reads the answer as a gateway would. */
async function consume(exchange: Exchange): Promise<void> {
  let response: Awaited<Exchange["response"]>;
  try {
    response = await exchange.response;
  } catch (error) {
    assert.ok(error instanceof PlatformError);
    return;
  }
  const { status, body, socket } = response;
  assert.ok(status === 101 ? socket !== undefined : status >= 200 && status <= 599);
  if (!(body instanceof ReadableStream)) return assert.ok((body?.length ?? 0) <= RESPONSE_MAX_BYTES);
  let byteCount = 0;
  try {
    for await (const chunk of body) byteCount += chunk.length;
  } catch (error) {
    assert.ok(error instanceof PlatformError);
  }
  assert.ok(byteCount <= RESPONSE_MAX_BYTES);
}

async function sendInPieces(peer: Deno.UnixConn, bytes: Uint8Array, cut: number): Promise<void> {
  try {
    for (const piece of [bytes.subarray(0, cut), bytes.subarray(cut)]) {
      for (let start = 0; start < piece.length;) start += await peer.write(piece.subarray(start));
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
  } catch {
    // The platform has hung up.
  }
}

Deno.test("frames that answer nothing are held up, those of others are not", async () => {
  await using flooding = await startPeer();
  const { peer, process } = flooding;
  void peer.write(
    frameOf(FRAME.READY, 0, encoder.encode(JSON.stringify({ protocol: PROTOCOL_VERSION, fences: FENCES }))),
  );
  const sandbox = await Sandbox.start(process, EVENTS, {
    limits: {
      memoryMiB: 64,
      eventLoopBlockedMs: 60_000,
      logLineBytes: 1_000,
      logLinesCount: LINES_COUNT,
      head: { headersCount: 100, headBytes: 10_000 },
      scratchBytes: 0,
      webSocketLifeMs: 60_000,
    },
    answerCall: null,
    garbage: new ChunkGarbage(),
    now: () => performance.now(),
  });
  // Ids that mean nothing: late frames look like this, so none of them is a violation.
  const frame = frameOf(FRAME.DONE, 4096, new Uint8Array(0));
  const frames = new Uint8Array(frame.length * 5_000).map((_, index) => frame[index % frame.length] ?? 0);
  let sentBytes = 0;
  const flood = (async () => {
    for (;;) sentBytes += await peer.write(frames.subarray(sentBytes % frames.length));
  })().catch(() => {});
  const started = performance.now();
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  const seconds = (performance.now() - started) / 1_000;
  const sentCount = sentBytes / frame.length;
  // The budget is 250,000 a second after a burst of 100,000; buffers on the way hold some more.
  assert.ok(sentCount < 250_000 * seconds + 400_000, `${sentCount} frames in ${seconds} s`);
  sandbox.kill(new PlatformError("SANDBOX_DIED", "the test is over"));
  await Promise.all([sandbox.gone, flood]);
});
