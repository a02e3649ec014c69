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
import { FLAG, FRAME, FrameError, OF_CALL, PROTOCOL_VERSION, readFrames } from "../../sandbox_runtime/frames.ts";
import { FENCES } from "../../sandbox_runtime/harden.ts";
import { ChunkCollector } from "../core/chunk_collector.ts";
import { Exchange, type Outcome, type SandboxRequest } from "./exchange.ts";
import type { AnswerCall } from "./own_calls.ts";
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
  const process: SandboxProcess = { pid: Deno.pid, connection, scratchDir: dir, ownMiB: 5, exit: exit.promise, kill };
  return { peer, process, [Symbol.asyncDispose]: () => Deno.remove(dir, { recursive: true }) };
}

const EVENTS: SandboxEvents = { released() {}, died() {}, logged() {}, refused() {}, mayLog: () => true };

const LINES = { logLineBytes: 1_000, logLinesCount: LINES_COUNT, head: { headersCount: 100, headBytes: 10_000 } };
const OPTIONS = {
  limits: { ...LINES, memoryMiB: 64, eventLoopBlockedMs: 60_000, scratchBytes: 0, webSocketLifeMs: 60_000 },
  garbage: new ChunkCollector(),
  now: () => performance.now(),
};
const MESSAGE = {
  ...LINES,
  functionName: "f",
  namespace: "n",
  version: 1,
  env: {},
  secrets: {},
  ownOrigins: [],
  traceHosts: [],
};

function requestOf(isUpgrade: boolean): SandboxRequest {
  return {
    executionId: "x",
    method: "GET",
    url: "http://localhost/",
    callerJson: "",
    headerPairs: [],
    body: null,
    isUpgrade,
    depth: 0,
    timeoutMs: 60_000,
    requestBodyMaxBytes: 1_000,
    responseBodyMaxBytes: RESPONSE_MAX_BYTES,
    client: { signal: () => new AbortController().signal, peer: () => "127.0.0.1 1" },
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

/** As `sizedList` writes it, without the size in front. */
function listOf(texts: readonly string[]): Uint8Array {
  const numbers = Uint32Array.from([texts.length, ...texts.map(({ length }) => length)]);
  return Uint8Array.from([...new Uint8Array(numbers.buffer), ...encoder.encode(texts.join(""))]);
}

function callOf(texts: readonly string[], flags: number = FLAG.streamedBody): Uint8Array {
  const head = listOf(texts);
  return Uint8Array.from([flags, ...new Uint8Array(Uint32Array.of(1, head.length).buffer), ...head]);
}

function responseOf({ flags, status, sizeBytes, head, body }: {
  flags: number;
  status: number;
  sizeBytes: number;
  head: Uint8Array;
  body: Uint8Array;
}): Uint8Array {
  const payload = new Uint8Array(11 + head.length + body.length);
  const view = new DataView(payload.buffer);
  view.setUint8(0, flags);
  view.setUint16(1, status, true);
  view.setUint32(3, sizeBytes, true);
  view.setUint32(7, head.length, true);
  payload.set(head, 11);
  payload.set(body, 11 + head.length);
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
  head: fc.oneof(
    fc.constantFrom(
      [],
      ["content-type", "text/plain"],
      ["a", "b", "c"],
      ["x-a", "a\nset-cookie: a=1"],
      ["\u0000", "\u0000"],
      ["sec-websocket-protocol", "chat"],
      ["sec-websocket-protocol", "no token"],
    ).map(listOf),
    fc.uint8Array({ maxLength: 40 }),
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
  ["GET", "http://localhost/x"],
  ["POST", "http://a/", "x", "y"],
  ["get", "http://a/"],
  ["GET", "no url"],
  ["GET", "http://a/", "bad name", "y"],
  [],
).map((texts) => callOf(texts));

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
        ...OPTIONS,
        answerCall: () => Promise.resolve(new Response("own")),
      });
      await sandbox.loadBundle("", MESSAGE);

      const outcomes: Outcome[][] = [];
      const bodies: Promise<void>[] = [];
      const exchanges = Array.from({ length: REQUESTS_COUNT }, (_, index) => {
        const own: Outcome[] = [];
        outcomes.push(own);
        const observer = {
          logged() {},
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
  const sandbox = await Sandbox.start(process, EVENTS, { ...OPTIONS, answerCall: null });
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

/** A sandbox that has loaded and got one request; `died` is the reason of its end. */
async function startLoaded(
  { peer, process }: Awaited<ReturnType<typeof startPeer>>,
  { answerCall = null, reads = true }: { answerCall?: AnswerCall | null; reads?: boolean } = {},
) {
  const died = Promise.withResolvers<PlatformError>();
  const ready = encoder.encode(JSON.stringify({ protocol: PROTOCOL_VERSION, fences: FENCES }));
  await peer.write(frameOf(FRAME.READY, 0, ready));
  const events = { ...EVENTS, died: (_: Sandbox, reason: PlatformError) => died.resolve(reason) };
  const sandbox = await Sandbox.start(process, events, { ...OPTIONS, answerCall });
  const requestId = Promise.withResolvers<number>();
  if (reads) {
    void readFrames(peer, (type, id) => {
      if (type === FRAME.REQUEST) requestId.resolve(id);
    }).catch(() => {});
  }
  const loading = sandbox.loadBundle("", MESSAGE);
  await peer.write(frameOf(FRAME.LOADED, 0, encoder.encode("{}")));
  await loading;
  const exchange = new Exchange(requestOf(false), {
    now: () => performance.now(),
    observer: { logged() {}, finished() {} },
    holder: sandbox,
  });
  exchange.response.catch(() => {});
  sandbox.send(exchange, performance.now());
  return { sandbox, exchange, requestId: requestId.promise, died: died.promise };
}

async function reasonOf(died: Promise<PlatformError>): Promise<string> {
  const { code, cause } = await died;
  assert.equal(code, "SANDBOX_DIED");
  assert.ok(cause instanceof FrameError, String(cause));
  return cause.message;
}

Deno.test("a second RESPONSE ends the sandbox, also when the first was whole", async () => {
  await using stage = await startPeer();
  const { requestId, exchange, died } = await startLoaded(stage);
  const answer = frameOf(
    FRAME.RESPONSE,
    await requestId,
    responseOf({
      flags: FLAG.jsonHead | FLAG.inlineBody,
      status: 200,
      sizeBytes: 0,
      head: new Uint8Array(0),
      body: encoder.encode("1"),
    }),
  );
  await stage.peer.write(answer);
  assert.equal((await exchange.response).status, 200);
  await stage.peer.write(answer);
  assert.match(await reasonOf(died), /a second RESPONSE/);
});

Deno.test("a body in crumbs comes out whole, in few chunks", async () => {
  await using stage = await startPeer();
  const { requestId, exchange, sandbox } = await startLoaded(stage);
  const id = await requestId;
  const head = {
    flags: FLAG.jsonHead | FLAG.streamedBody,
    status: 200,
    sizeBytes: 0,
    head: new Uint8Array(0),
    body: new Uint8Array(0),
  };
  const crumbs = Array.from({ length: 60_000 }, (_, index) => frameOf(FRAME.BODY, id, Uint8Array.of(index % 251)));
  const nothing = frameOf(FRAME.BODY, id, new Uint8Array(0));
  const frames = [
    frameOf(FRAME.RESPONSE, id, responseOf(head)),
    ...crumbs,
    nothing,
    frameOf(FRAME.BODY_END, id, nothing.subarray(9)),
  ];
  const sent = Uint8Array.from(frames.flatMap((frame) => [...frame]));
  const { body } = await Promise.all([exchange.response, sendInPieces(stage.peer, sent, 0)]).then(([answer]) => answer);
  assert.ok(body instanceof ReadableStream);
  // Nobody reads yet, so everything has to be kept.
  await new Promise((resolve) => setTimeout(resolve, 300));
  let chunksCount = 0;
  const seen: number[] = [];
  for await (const chunk of body) {
    chunksCount += 1;
    seen.push(...chunk);
  }
  assert.deepEqual(seen, crumbs.map((_, index) => index % 251));
  assert.ok(chunksCount < 2_500, `${chunksCount} chunks`);
  sandbox.kill(new PlatformError("SANDBOX_DIED", "the test is over"));
  await sandbox.gone;
});

Deno.test("a sandbox that gives credit for what it does not read is ended before it fills the server", async () => {
  await using stage = await startPeer();
  const endless = () =>
    new ReadableStream<Uint8Array>({ pull: (controller) => controller.enqueue(new Uint8Array(65_536)) });
  const { sandbox, died } = await startLoaded(stage, {
    reads: false,
    answerCall: () => Promise.resolve(new Response(endless())),
  });
  const ticking = setInterval(() => sandbox.tick(performance.now()), 10);
  await stage.peer.write(frameOf(FRAME.REQUEST | OF_CALL, 1, callOf(["GET", "http://localhost/x"])));
  const credit = frameOf(FRAME.CREDIT | OF_CALL, 1, Uint8Array.of(255, 255, 255, 255));
  const crediting = (async () => {
    for (;;) {
      await stage.peer.write(credit);
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
  })().catch(() => {});
  assert.match(await reasonOf(died), /does not read/);
  await crediting;
  clearInterval(ticking);
});
