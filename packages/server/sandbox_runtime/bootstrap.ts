// deno-lint-ignore-file no-console -- inside a sandbox the console is the log of the execution
/**
 * The main module of a sandbox: gives up what user code must not have, then loads one bundle and answers requests.
 *
 * Owns: the order in which a sandbox comes to life, and this side's end of the frames.
 * Does not own: how frames look (./frames.ts), what a handler gets and may return (./request.ts, ./result.ts).
 *
 * Nothing here trusts user code, but user code can ruin this process: the platform checks every frame it gets.
 *
 * @module
 */
import { type BodyInbox, BodyOutbox, cancelQuietly, type ChunkReader, createBodyInbox } from "./body.ts";
import { abortCall, type Call, parseCall } from "./call.ts";
import { captureConsole, type CapturedLine } from "./console.ts";
import { namesCall, showCallInEnvironment } from "./call_env.ts";
import { currentCall, runAs } from "./current_call.ts";
import {
  ABORT_REASON,
  beginResponse,
  depthOf,
  FLAG,
  FRAME,
  FrameWriter,
  HEADER_BYTES,
  INLINE_BODY_MAX_BYTES,
  LOAD_MAX_BYTES,
  OF_CALL,
  PROTOCOL_VERSION,
  readFrames,
} from "./frames.ts";
import { installCaches } from "./caches.ts";
import { removeDescriptorAccess } from "./descriptors.ts";
import { beforeFirstUse, followObject, guardBuiltIns } from "./built_ins.ts";
import { endProcess, replaceExit } from "./exit.ts";
import { describeFailure } from "./failure.ts";
import { mapTmp } from "./scratch_paths.ts";
import { createSecrets } from "./secrets.ts";
import { defineGlobals, HandlerContext, removeUnsafeGlobals } from "./globals.ts";
import { createDenoServers } from "./deno_serve.ts";
import { captureFetchEvents } from "./fetch_events.ts";
import { type FoundHandler, loadHandler } from "./handler.ts";
import { type HardenOptions, hardenProcess, mapSharedPage } from "./harden.ts";
import { nameRefusedHeaders } from "./header_messages.ts";
import { type HeadLimits, headProblem } from "./header_rules.ts";
import { lacksFiles } from "./landlock.ts";
import { hideUser } from "./machine.ts";
import { DATABASE_HOST, installDatabase } from "./database.ts";
import { captureNodeServers } from "./node_servers.ts";
import { OwnServer } from "./own_server.ts";
import { LambdaEvent } from "./lambda_event.ts";
import { DefaultRequest, FunctionRequest, GuideRequest } from "./request.ts";
import { forgetRandomness, replaceRandom } from "./randomness.ts";
import { type Answer, toAnswer } from "./result.ts";
import { watchRefusals } from "./refusals.ts";
import { SlotTable } from "./slot_table.ts";
import { Jobs } from "./ticks.ts";
import { createUpgrade, FunctionSocket, socketOf } from "./socket.ts";
import { installStaticFiles, splitStaticFiles } from "./static_files.ts";
import { Servers } from "./servers.ts";
import { showUserStacks, splitSourceMap } from "./stack.ts";
import { type Birth, waitForBirth } from "./zygote.ts";

/** The one command line argument, as JSON. */
export interface BootOptions extends HardenOptions {
  readonly socketPath: string;
  /**
   * A file of one page in which the sandbox counts the requests that it has begun with; null: the process is a zygote,
   * and each of its copies a sandbox.
   */
  readonly startedCountPath: string | null;
}

/** The first part of LOAD, as JSON with its size before it; the bundle follows as it is stored. */
export interface LoadMessage {
  readonly functionName: string;
  readonly namespace: string;
  readonly version: number;
  readonly env: Readonly<Record<string, string>>;
  /** Of the server. */
  readonly secrets: Readonly<Record<string, string>>;
  /** Origins under which the server itself is known. */
  readonly ownOrigins: readonly string[];
  /** Hosts elsewhere that are told which trace a request belongs to. */
  readonly traceHosts: readonly string[];
  readonly logLineBytes: number;
  readonly logLinesCount: number;
  readonly head: HeadLimits;
}

// Captured before user code runs: a function that replaces a global confuses only itself.
const { stringify, parse } = JSON;
const revoke = Deno.permissions.revokeSync.bind(Deno.permissions);
const encoder = new TextEncoder();
const decoder = new TextDecoder();

const calls = new SlotTable<Call>();
const inboxes = new Map<number, BodyInbox>();
const sockets = new Map<number, FunctionSocket>();
const outboxes = new Map<number, BodyOutbox>();
let handler: FoundHandler | undefined;
let servers = new Servers();
const jobs = new Jobs();
let secrets = createSecrets({});
let identity = { functionName: "", namespace: "", version: 0 };
let logLimits = { lineBytes: 65_536, linesCount: 1_000 };
let headLimits: HeadLimits = { headersCount: 1_000, headBytes: 65_536 };
let lastLogFlushMs = 0;
/** Modules of Node that have servers. */
const NODE_SERVERS = ["http", "https", "http2", "net", "tls"];
/** Lines of code that runs outside any request; bounded like those of one request. */
let outsideLineCount = 0;

const options: BootOptions = parse(Deno.args[0] ?? "{}");
/** Its first number is how many requests have been begun with, for the platform to read when this process is dead. */
let startedCount: Int32Array = new Int32Array(1);
let writer = new FrameWriter(
  { read: () => Promise.resolve(null), write: (bytes) => Promise.resolve(bytes.length) },
  () => {},
);

const WARM_BUNDLES = [
  `export default (req) => ({ status: 200, headers: { "content-type": "application/json" }, body: req.body });`,
  `export default { fetch: async (req) => new Response(await req.text(), { headers: { "content-type": "text/plain" } }) };`,
];

const WARM_ROUNDS_COUNT = 20;

const ownServer = new OwnServer(() => writer);

/** Runs what every first request would otherwise compile, with frames that go nowhere: 8 to 9 ms less on a cold call. */
async function warmUp(): Promise<void> {
  const request = warmRequest();
  // All copies of a zygote have what it has learned.
  const roundsCount = options.startedCountPath === null ? WARM_ROUNDS_COUNT : 1;
  for (const code of WARM_BUNDLES) {
    handler = await loadHandler(code, { servers, jobs, failedLate });
    servers = new Servers();
    for (let round = 0; round < roundsCount; round += 1) {
      onRequest(0, request);
      while (calls.size > 0) await new Promise((resolve) => setTimeout(resolve, 0));
    }
  }
  handler = undefined;
}

/** The payload of a REQUEST frame. */
function warmRequest(): Uint8Array {
  let frame = new Uint8Array(0);
  const sink = new FrameWriter({
    read: () => Promise.resolve(null),
    write(bytes) {
      frame = bytes.slice(HEADER_BYTES);
      return Promise.resolve(bytes.length);
    },
  }, () => {});
  sink.begin(FRAME.REQUEST, 0);
  sink.u8(FLAG.inlineBody);
  sink.sizedList(["warm", "POST", "http://localhost/?a=b", "", "content-type", "application/json"]);
  sink.text("{}");
  sink.end();
  sink.flush();
  return frame;
}

function onFrame(type: number, id: number, payload: Uint8Array): void {
  switch (type) {
    case FRAME.REQUEST:
      return onRequest(id, payload);
    case FRAME.BODY:
      return void inboxes.get(id)?.push(payload.slice());
    case FRAME.BODY_END:
      inboxes.get(id)?.end();
      inboxes.delete(id);
      return;
    case FRAME.CREDIT:
      return onCredit(id, payload);
    case FRAME.MESSAGE: {
      const socket = sockets.get(id);
      return socket && FunctionSocket.receive(socket, payload);
    }
    case FRAME.CLOSE:
      return onClose(id, payload);
    case FRAME.ABORT:
      return onAbort(id, payload[0] ?? 0);
    case FRAME.PING:
      writer.begin(FRAME.PONG, 0);
      return writer.end();
    case FRAME.LOAD:
      void onLoad(payload);
      return;
    case FRAME.RESPONSE | OF_CALL:
      return ownServer.onResponse(id, payload);
    case FRAME.BODY | OF_CALL:
      return ownServer.onBody(id, payload);
    case FRAME.BODY_END | OF_CALL:
      return ownServer.onBodyEnd(id);
    case FRAME.CREDIT | OF_CALL:
      return ownServer.onCredit(id, readCredit(payload));
    case FRAME.ABORT | OF_CALL:
      return ownServer.onAbort(id, payload[0] ?? 0);
  }
}

async function onLoad(payload: Uint8Array): Promise<void> {
  const bundleStart = 4 + new DataView(payload.buffer, payload.byteOffset).getUint32(0, true);
  const message: LoadMessage = parse(decoder.decode(payload.subarray(4, bundleStart)));
  const { code: whole, sourceMap } = splitSourceMap(decoder.decode(payload.subarray(bundleStart)));
  const { code, files } = splitStaticFiles(whole);
  identity = { functionName: message.functionName, namespace: message.namespace, version: message.version };
  logLimits = { lineBytes: message.logLineBytes, linesCount: message.logLinesCount };
  headLimits = message.head;
  for (const [name, value] of Object.entries(message.env)) Deno.env.set(name, value);
  secrets = createSecrets(message.secrets);
  defineGlobals(identity, secrets, trackBackground);
  if (options.hasNetwork) {
    ownServer.install(message.ownOrigins, message.traceHosts);
    installDatabase(() => ownServer.open(`http://${DATABASE_HOST}/`), {
      usesNode: /["']node:(net|tls)["']/.test(code),
    });
  }
  if (files !== undefined) installStaticFiles(files, { usesNode: /["'](?:node:)?fs\b/.test(code) });
  const scratchDir = message.env["TMPDIR"];
  if (scratchDir !== undefined && code.includes("/tmp")) {
    const { changed } = mapTmp(scratchDir, { usesNode: /["'](?:node:)?fs\b/.test(code) });
    for (const [specifier, names] of Object.entries(changed)) followObject(specifier, names);
  }
  if (namesCall(code)) showCallInEnvironment();
  showUserStacks(sourceMap);

  const upgradeWebSocket = createUpgrade({
    message: sendMessage,
    close: sendClose,
    credit: sendCredit,
    ended: endSocket,
  });
  const cron = (...values: unknown[]) => jobs.add(values);
  const replaced = { ...createDenoServers(servers), upgradeWebSocket, cron };
  for (const [name, value] of Object.entries(replaced)) {
    Object.defineProperty(Deno, name, { value, writable: true, configurable: true });
  }
  captureFetchEvents(servers);
  beforeFirstUse(NODE_SERVERS, () => captureNodeServers(servers, upgradeWebSocket));
  try {
    handler = await loadHandler(code, { servers, jobs, failedLate });
    sendJson(FRAME.LOADED, 0, {});
  } catch (error) {
    sendJson(FRAME.LOAD_FAILED, 0, describeFailure(error));
  }
}

/** In the place where this would have ended a process of Deno: no request is answered as if nothing had been. */
function failedLate(error: unknown): void {
  console.error("The function failed after its server had started:", error);
  handler = {
    face: "web",
    handle() {
      throw error;
    },
  };
}

function onRequest(id: number, payload: Uint8Array): void {
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  const flags = payload[0] ?? 0;
  const bodyStart = 5 + view.getUint32(1, true);
  let body: Call["body"] = null;
  if (flags & FLAG.inlineBody) {
    body = payload.slice(bodyStart);
  } else if (flags & FLAG.streamedBody) {
    body = openInbox(id);
  }
  startedCount[0] = (startedCount[0] ?? 0) + 1;
  const call = parseCall(id, payload.subarray(5, bodyStart), { body, depth: depthOf(flags) });
  calls.set(id, call);
  void runAs(call, answerCall);
}

function openInbox(id: number): BodyInbox {
  const inbox = createBodyInbox({
    credit(byteCount) {
      writeCredit(id, byteCount);
    },
    unwanted() {
      inboxes.delete(id);
      sendAbort(id, ABORT_REASON.bodyUnwanted);
    },
  });
  inboxes.set(id, inbox);
  return inbox;
}

async function answerCall(call: Call): Promise<void> {
  try {
    const result = await runHandler(call);
    // Ended by Deno.exit.
    if (call.answered) return;
    const socket = socketOf(result);
    if (socket !== undefined) return openSocket(call, socket);
    const sent = sendAnswer(call, toAnswer(result));
    if (sent !== undefined) await sent;
  } catch (error) {
    failCall(call, error);
  }
}

/** Answers with an error, once; an answer that has begun is cut. */
function failCall(call: Call, error: unknown): void {
  if (call.answered) return;
  call.answered = true;
  call.completion?.reject(error);
  outboxes.get(call.id)?.stop();
  sockets.delete(call.id);
  writer.begin(FRAME.FAILED, call.id);
  writer.u8(call.backgroundCount === 0 ? FLAG.done : 0);
  writer.text(stringify(describeFailure(error)));
  writer.end();
  if (call.backgroundCount === 0) forget(call);
}

const FACES = { guide: GuideRequest, both: DefaultRequest, lambda: LambdaEvent };

function runHandler(call: Call): unknown {
  if (handler === undefined) throw new Error("Cannot run a request before a bundle is loaded");
  const context = new HandlerContext(call, identity, { secrets, track: trackBackground });
  if (call.trigger.type === "cron") {
    const ticking = handler.tick?.(call.trigger, context);
    if (ticking !== undefined) return ticking;
  }
  if (handler.face === "web") return handler.handle(new FunctionRequest(call), context);
  const Face = FACES[handler.face];
  if (call.body === null || call.body instanceof Uint8Array) return handler.handle(new Face(call), context);
  // Their body can be read as text at once, so all of it must be here first.
  const { handle } = handler;
  return new Response(call.body.stream).bytes().then((bytes) => {
    call.body = bytes;
    return handle(new Face(call), context);
  });
}

/** Sends a small answer at once; returns a promise only for a stream. */
function sendAnswer(call: Call, answer: Answer): Promise<void> | undefined {
  const { headers, body } = answer;
  try {
    assertMayLeave(headers);
  } catch (error) {
    if (body instanceof ReadableStream) void body.cancel().catch(() => {});
    throw error;
  }
  if (body instanceof ReadableStream) return sendStream(call, answer, body.getReader());
  return sendWhole(call, answer, body);
}

function assertMayLeave(headers: Answer["headers"]): void {
  const problem = headProblem(headers, headLimits);
  if (problem === undefined) return;
  throw new TypeError(`Cannot send the answer of function "${identity.functionName}" with ${problem}`);
}

function sendWhole(call: Call, answer: Answer, body: string | Uint8Array | null): Promise<void> | undefined {
  // A character is at most three bytes.
  if (typeof body === "string" && body.length * 3 > INLINE_BODY_MAX_BYTES) body = encoder.encode(body);
  if (body instanceof Uint8Array && body.length > INLINE_BODY_MAX_BYTES) return sendInChunks(call, answer, body);
  const done = call.backgroundCount === 0;
  const flags = FLAG.inlineBody | (done ? FLAG.done : 0);
  if (typeof body === "string") {
    sendHead(call, answer, flags | FLAG.textBody);
    writer.text(body);
  } else {
    sendHead(call, answer, flags);
    if (body !== null) writer.bytes(body);
  }
  writer.end();
  call.answered = true;
  call.completion?.resolve();
  if (done) forget(call);
  return undefined;
}

function sendHead(call: Call, { status, headers }: Answer, flags: number, sizeBytes = 0): void {
  const isJson = headers.length === 2 && headers[1] === "application/json" &&
    headers[0]?.toLowerCase() === "content-type";
  const head = { type: FRAME.RESPONSE, id: call.id, flags: isJson ? flags | FLAG.jsonHead : flags, status, sizeBytes };
  beginResponse(writer, head, isJson ? [] : headers);
}

async function sendInChunks(call: Call, answer: Answer, bytes: Uint8Array): Promise<void> {
  sendHead(call, answer, FLAG.streamedBody | FLAG.knownSize, bytes.length);
  writer.end();
  await sendBody(call, (outbox) => outbox.send(bytes));
}

/** Turns of the microtask queue in which the end of a body that was never a real stream shows. */
const END_SHOWS_WITHIN_TURNS = 8;

async function sendStream(call: Call, answer: Answer, reader: ChunkReader): Promise<void> {
  let first: ReadableStreamReadResult<unknown>;
  try {
    first = await reader.read();
  } catch (error) {
    console.error("Response stream failed:", error);
    throw error;
  }
  if (first.done) return await sendWhole(call, answer, null);
  const second = reader.read();
  // The body of `new Response("text")` comes as one chunk and its end: it travels whole, its size known beforehand.
  let isWhole = false;
  second.then(({ done }) => isWhole = done, () => {});
  for (let turn = 0; turn < END_SHOWS_WITHIN_TURNS && !isWhole; turn += 1) await undefined;
  if (isWhole) return await sendWhole(call, answer, bytesOf(first.value));

  sendHead(call, answer, FLAG.streamedBody);
  writer.end();
  await sendBody(call, async (outbox) => {
    const isComplete = await outbox.send(bytesOf(first.value)) && await sendSecond(outbox);
    if (!isComplete) await cancelQuietly(reader, call.abortReason);
    return isComplete;
  });

  async function sendSecond(outbox: BodyOutbox): Promise<boolean> {
    const { done, value } = await second;
    return done || (await outbox.send(bytesOf(value)) && await outbox.pump(reader, bytesOf));
  }
}

/** Sends what `produce` puts into the outbox, as fast as the platform gives credit. */
async function sendBody(call: Call, produce: (outbox: BodyOutbox) => Promise<boolean>): Promise<void> {
  const outbox = new BodyOutbox((piece) => {
    writer.begin(FRAME.BODY, call.id);
    writer.bytes(piece);
    writer.end();
  });
  if (call.isAborted) outbox.stop();
  outboxes.set(call.id, outbox);
  try {
    const isComplete = await produce(outbox);
    writer.begin(FRAME.BODY_END, call.id);
    writer.end();
    if (isComplete) call.completion?.resolve();
    else call.completion?.reject(call.abortReason);
  } catch (error) {
    console.error("Response stream failed:", error);
    sendAbort(call.id, ABORT_REASON.responseFailed);
    call.completion?.reject(error);
  } finally {
    outboxes.delete(call.id);
    call.answered = true;
    if (call.backgroundCount === 0) sendDone(call);
  }
}

function bytesOf(chunk: unknown): Uint8Array {
  if (chunk instanceof Uint8Array) return chunk;
  if (typeof chunk === "string") return encoder.encode(chunk);
  throw new TypeError("Cannot stream a chunk that is neither bytes nor text");
}

function onCredit(id: number, payload: Uint8Array): void {
  const byteCount = readCredit(payload);
  const socket = sockets.get(id);
  if (socket !== undefined) FunctionSocket.credited(socket, byteCount);
  else outboxes.get(id)?.credited(byteCount);
}

function readCredit(payload: Uint8Array): number {
  return new DataView(payload.buffer, payload.byteOffset).getUint32(0, true);
}

/** The answer that makes a request a WebSocket; the request lasts as long as the socket. */
function openSocket(call: Call, socket: FunctionSocket): void {
  if (!FunctionSocket.isOf(socket, call)) throw new TypeError("Cannot answer with the WebSocket of another request");
  const headers: Answer["headers"] = socket.protocol === "" ? [] : ["sec-websocket-protocol", socket.protocol];
  assertMayLeave(headers);
  sockets.set(call.id, socket);
  sendHead(call, { status: 101, headers, body: null }, FLAG.webSocket);
  writer.end();
  FunctionSocket.open(socket);
}

function onClose(id: number, payload: Uint8Array): void {
  const socket = sockets.get(id);
  if (socket === undefined) return;
  const code = new DataView(payload.buffer, payload.byteOffset).getUint16(0, true);
  FunctionSocket.closed(socket, code, decoder.decode(payload.subarray(2)));
}

function sendMessage({ id }: Call, bytes: Uint8Array, isText: boolean): void {
  writer.begin(FRAME.MESSAGE, id);
  writer.u8(isText ? 1 : 0);
  writer.bytes(bytes);
  writer.end();
}

function sendClose({ id }: Call, code: number, reason: string): void {
  writer.begin(FRAME.CLOSE, id);
  writer.u16(code);
  writer.text(reason);
  writer.end();
}

function sendCredit({ id }: Call, byteCount: number): void {
  writeCredit(id, byteCount);
}

function writeCredit(id: number, byteCount: number): void {
  writer.begin(FRAME.CREDIT, id);
  writer.u32(byteCount);
  writer.end();
}

function endSocket(call: Call): void {
  sockets.delete(call.id);
  call.answered = true;
  if (call.backgroundCount === 0) sendDone(call);
}

const ABORT_MESSAGES: Readonly<Record<number, string>> = {
  [ABORT_REASON.clientGone]: "The client closed the connection",
  [ABORT_REASON.timeout]: "The time limit of this invocation is over",
  [ABORT_REASON.bodyFailed]: "The request body ended early",
};

function onAbort(id: number, reason: number): void {
  const call = calls.get(id);
  if (call === undefined) return;
  const name = reason === ABORT_REASON.timeout ? "TimeoutError" : "AbortError";
  const error = new DOMException(ABORT_MESSAGES[reason] ?? "The invocation was aborted", name);
  inboxes.get(id)?.fail(error);
  inboxes.delete(id);
  if (reason === ABORT_REASON.bodyFailed) return;
  // Listeners of the signal run as part of the request: what they log is its own.
  runAs(call, () => abortCall(call, error));
  outboxes.get(id)?.stop();
}

/** Work that outlives the response; the sandbox is not recycled before it has settled. */
function trackBackground(call: Call | undefined, work: unknown): void {
  const watched = Promise.resolve(work).catch((error) => console.error("Background work failed:", error));
  if (call === undefined) return;
  call.backgroundCount += 1;
  void watched.finally(() => {
    call.backgroundCount -= 1;
    if (call.backgroundCount === 0 && call.answered) sendDone(call);
  });
}

function sendDone(call: Call): void {
  writer.begin(FRAME.DONE, call.id);
  writer.end();
  forget(call);
}

function forget(call: Call): void {
  calls.delete(call.id);
  const inbox = inboxes.get(call.id);
  if (inbox === undefined) return;
  inboxes.delete(call.id);
  sendAbort(call.id, ABORT_REASON.bodyUnwanted);
}

function sendAbort(id: number, reason: number): void {
  writer.begin(FRAME.ABORT, id);
  writer.u8(reason);
  writer.end();
}

function sendLogLine(line: CapturedLine, call: Call | undefined): void {
  const count = call === undefined ? outsideLineCount += 1 : call.logLineCount += 1;
  if (count > logLimits.linesCount + 1) return;
  const isOverCount = count > logLimits.linesCount;
  const message = isOverCount
    ? `[log truncated: more than ${logLimits.linesCount} lines]`
    : truncate(line.message, logLimits.lineBytes);
  sendJson(FRAME.LOG, call?.id ?? 0, isOverCount ? { ...line, message, fields: null } : { ...line, message });
  // A line written just before an endless loop must still get out, so a line after a quiet time leaves at once.
  if (line.atMs - lastLogFlushMs < 10) return;
  lastLogFlushMs = line.atMs;
  writer.flush();
}

function truncate(text: string, maxBytes: number): string {
  if (text.length * 3 <= maxBytes) return text;
  const bytes = encoder.encode(text.length > maxBytes ? text.slice(0, maxBytes) : text);
  if (bytes.length <= maxBytes && text.length <= maxBytes) return text;
  return `${decoder.decode(bytes.subarray(0, maxBytes))} [line truncated at ${maxBytes} bytes]`;
}

function sendRefusal(address: string): void {
  writer.begin(FRAME.REFUSED, 0);
  writer.text(address);
  writer.end();
}

function sendJson(type: number, id: number, value: unknown): void {
  writer.begin(type, id);
  writer.text(stringify(value));
  writer.end();
}

/** What a sandbox that is no copy is born with. */
async function bornAlone(startedCountPath: string): Promise<Birth> {
  const { uid, parentPid, socketPath } = options;
  return {
    startedCount: mapSharedPage(startedCountPath) ?? startedCount,
    connection: await connect({ transport: "unix", path: socketPath }),
    uid,
    parentPid,
  };
}

// Last in the file, so that every constant above exists before the first frame arrives.
const { connect } = Deno;
for (const name of Object.keys(Deno.env.toObject())) Deno.env.delete(name);
const confinement = await lacksFiles() ? ["landlock"] : [];
await warmUp();
removeUnsafeGlobals();
installCaches();
nameRefusedHeaders();
removeDescriptorAccess();
guardBuiltIns();
hideUser();
watchRefusals(sendRefusal, options);
replaceExit(failCall);
replaceRandom();
captureConsole(sendLogLine);
globalThis.addEventListener("unhandledrejection", (event) => {
  event.preventDefault();
  servers.note(event.reason);
  currentCall()?.onUnhandled?.(event.reason);
  console.error("Unhandled rejection:", event.reason);
});
globalThis.addEventListener("error", (event) => {
  event.preventDefault();
  servers.note(event.error ?? event.message);
  console.error("Uncaught error:", event.error ?? event.message);
});

const { socketPath, startedCountPath } = options;
const birth = startedCountPath === null ? await waitForBirth(options) : await bornAlone(startedCountPath);
const { connection } = birth;
startedCount = birth.startedCount;
startedCount[0] = 0;
forgetRandomness();
const { uid, parentPid } = birth;
const fences = [...hardenProcess({ ...options, uid, parentPid }), ...confinement];
revoke({ name: "ffi" });
// The socket's: it is connected.
revoke({ name: "read", path: socketPath });
revoke({ name: "write", path: socketPath });
writer = new FrameWriter(connection, () => endProcess(0));
sendJson(FRAME.READY, 0, { protocol: PROTOCOL_VERSION, fences });
await readFrames(connection, onFrame, { frameMaxBytes: LOAD_MAX_BYTES });
endProcess(0);
