/**
 * One sandbox, seen from the platform: loads a version into it, sends requests through it, notices its end.
 *
 * Every frame that comes out of a sandbox may have been forged by user code: sizes, ids, order and types are checked,
 * and a violation ends the sandbox. What it may send that answers no request is limited by the work it makes here.
 *
 * Owns: the platform's end of the socket, the requests under way in this sandbox, when it has to end.
 * Does not own: starting the process (./sandbox_process.ts), the shape of payloads (./sandbox_frames.ts), the words for
 * its end (./death_reasons.ts), the work that its frames may make (./frame_budget.ts), how many sandboxes there are
 * (./sandbox_pool.ts).
 *
 * @module
 */
import { PlatformError } from "@fluxbase/contract";
import { BodyOutbox, cancelQuietly } from "../../sandbox_runtime/body.ts";
import type { LoadMessage } from "../../sandbox_runtime/bootstrap.ts";
import {
  ABORT_REASON,
  BODY_CHUNK_MAX_BYTES,
  BODY_WINDOW_BYTES,
  FLAG,
  FRAME,
  FrameError,
  FrameWriter,
  OF_CALL,
  readFrames,
  withDepth,
} from "../../sandbox_runtime/frames.ts";
import { SlotTable } from "../../sandbox_runtime/slot_table.ts";
import { type Fence, FENCES } from "../../sandbox_runtime/harden.ts";
import { type HeadLimits, headProblem, isToken } from "../../sandbox_runtime/header_rules.ts";
import type { ChunkCollector } from "../core/chunk_collector.ts";
import { clientClosed } from "../core/client_closed.ts";
import { InvariantError } from "../core/invariant.ts";
import {
  bodyTooLarge,
  type Exchange,
  type ExchangeHolder,
  type LogLine,
  responseTooLarge,
  type SandboxRequest,
  type Waiting,
} from "./exchange.ts";
import { describeExit, invalidResponse, loopBlocked, notReading, outOfMemory, protocolError } from "./death_reasons.ts";
import { FRAME_COST_US, FrameBudget } from "./frame_budget.ts";
import { type AnswerCall, OwnCalls } from "./own_calls.ts";
import {
  type Failure,
  parseClose,
  parseCredit,
  parseFailure,
  parseLogLine,
  parseMessage,
  parseReady,
  parseRefused,
  parseResponse,
  type ResponseFrame,
  violation,
} from "./sandbox_frames.ts";
import { readUsage, readWaitedMs } from "./process_usage.ts";
import type { ProcessExit, SandboxProcess } from "./sandbox_process.ts";
import { moveTo, type SandboxState } from "./sandbox_state.ts";
import { CLOSE_CODE, SocketLink } from "./socket_link.ts";

export interface SandboxLimits {
  readonly memoryMiB: number;
  /** No pong for this long while requests run: the event loop is blocked. */
  readonly eventLoopBlockedMs: number;
  readonly logLineBytes: number;
  readonly logLinesCount: number;
  readonly head: HeadLimits;
  readonly scratchBytes: number;
  readonly webSocketLifeMs: number;
}

/** What the owner of a sandbox is told. */
export interface SandboxEvents {
  /** There is room for another request. */
  released(sandbox: Sandbox): void;
  /** `unstarted`: requests that it had been sent and had not begun with. */
  died(sandbox: Sandbox, reason: PlatformError, unstarted: readonly Exchange[]): void;
  /** A log line of code that runs outside any request. */
  logged(sandbox: Sandbox, line: LogLine): void;
  /** Its function was not allowed to connect to this address. */
  refused(sandbox: Sandbox, address: string): void;
  /** Whether its function may log so many bytes more now. */
  mayLog(sandbox: Sandbox, byteCount: number): boolean;
}

export interface SandboxOptions {
  readonly limits: SandboxLimits;
  /** Answers what the function asks of the platform itself; null where it may not ask. */
  readonly answerCall: AnswerCall | null;
  readonly garbage: ChunkCollector;
  now(): number;
}

export interface Charge {
  readonly sinceMs: number;
  readonly nowMs: number;
  readonly cpuMs: number;
  readonly memoryMiB: number;
}

/** From this part of its memory on, a sandbox has as good as none left. */
export const MEMORY_HIGH_PART = 0.9;
/** One that is busy for long above this part looks for garbage: a tenth of the heap is from before any user code. */
const HEAP_FULL_PART = 0.8;
/** So many times the limit a sandbox may be silent that waits for a processor. */
const STARVED_MAX_FACTOR = 5;
/** After its time is over a handler may take this long to settle before its sandbox takes no new requests. */
const SETTLE_GRACE_MS = 1_000;
/** A handler whose time is over and whose event loop does not answer is killed after this. */
const BLOCKED_GRACE_MS = 250;
const PING_EVERY_MS = 100;
/** A sandbox that has not answered a ping for this long gets no new requests where there are others. */
const STUCK_MS = 100;
const WATCH_AFTER_MS = 20;
const LOG_BYTES_PER_LINE_OVERHEAD = 32 * 1024;

/** What a sandbox may leave unread. Windows of credit keep below it, unless credit is given for what was not read. */
const UNREAD_MAX_BYTES = 64 * 1024 * 1024;

const encoder = new TextEncoder();

export class Sandbox implements ExchangeHolder {
  readonly pid: number;
  readonly scratchDir: string | null;
  readonly limits: SandboxLimits;
  readonly startedMs: number;
  /** When the last request ended, for the choice of whom to end first. */
  idleSinceMs: number;
  servedCount = 0;
  /** Memory of the process before any user code, that which it shares with its zygote included. */
  memoryBaselineMiB = 0;
  /** The part of it that it shares with nobody. */
  readonly ownMiB: number;
  /** After this many requests it takes no more, and ends when they are over. */
  requestsMaxCount = Infinity;

  readonly #process: SandboxProcess;
  readonly #events: SandboxEvents;
  readonly #now: () => number;
  readonly #writer: FrameWriter;
  readonly #exchanges = new SlotTable<Exchange>();
  readonly #uploads = new Map<number, BodyOutbox>();
  readonly #ownCalls: OwnCalls | undefined;
  readonly #garbage: ChunkCollector;
  readonly #frameBudget: FrameBudget;
  readonly #ready = Promise.withResolvers<void>();
  readonly #gone = Promise.withResolvers<void>();
  #fences: readonly Fence[] = [];
  #state: SandboxState = "starting";
  #loading: PromiseWithResolvers<void> | undefined;
  #killReason: PlatformError | undefined;
  #pingSentMs: number | undefined;
  /** How long it had waited for a processor when its silence was noticed. */
  #waitedBeforeMs: number | undefined;
  #lastPongMs: number;
  #outsideLineCount = 0;
  #functionName = "";

  /** Resolves when the sandbox has said that it is ready to load a bundle. */
  static async start(process: SandboxProcess, events: SandboxEvents, options: SandboxOptions): Promise<Sandbox> {
    const sandbox = new Sandbox(process, events, options);
    void sandbox.#read();
    await sandbox.#ready.promise;
    return sandbox;
  }

  private constructor(
    process: SandboxProcess,
    events: SandboxEvents,
    { limits, answerCall, garbage, now }: SandboxOptions,
  ) {
    this.pid = process.pid;
    this.scratchDir = process.scratchDir;
    this.ownMiB = process.ownMiB;
    this.limits = limits;
    this.#process = process;
    this.#events = events;
    this.#garbage = garbage;
    this.#now = now;
    this.startedMs = this.idleSinceMs = this.#lastPongMs = now();
    this.#frameBudget = new FrameBudget(this.startedMs);
    this.#writer = new FrameWriter(process.connection, () => process.kill());
    this.#ownCalls = answerCall === null ? undefined : new OwnCalls(this.#writer, answerCall);
  }

  get state(): SandboxState {
    return this.#state;
  }
  get fences(): readonly Fence[] {
    return this.#fences;
  }
  /** Requests under way, background work included. */
  get load(): number {
    return this.#exchanges.size;
  }
  /** Its event loop has been busy for a while: a request sent now would wait. */
  get isStuck(): boolean {
    return this.#pingSentMs !== undefined && this.#now() - this.#pingSentMs > STUCK_MS;
  }
  /** Of the requests under way. */
  *clients(): Iterable<Waiting> {
    for (const { request, isEndless } of this.#exchanges.values()) yield { client: request.client, isEndless };
  }
  /** Shares what the process took since `sinceMs` among the requests under way, by how long each of them has run. */
  charge({ sinceMs, nowMs, cpuMs, memoryMiB }: Charge): void {
    if (this.#exchanges.size === 0) return;
    const ran = [...this.#exchanges.values()]
      .map((exchange) => ({ exchange, ms: nowMs - Math.max(sinceMs, exchange.sentMs ?? nowMs) }));
    const total = ran.reduce((sum, { ms }) => sum + ms, 0);
    for (const { exchange, ms } of ran) {
      const usage = exchange.usage ??= { cpuMs: 0, memoryMiB: 0 };
      if (total > 0) usage.cpuMs += Math.min(ms, cpuMs) * ms / total;
      usage.memoryMiB = Math.max(usage.memoryMiB, memoryMiB);
    }
  }
  /** The execution that a request of this sandbox is; undefined for one that is over or was never sent. */
  executionOf(requestId: number): string | undefined {
    return this.#exchanges.get(requestId)?.request.executionId;
  }
  /** Resolves when the process is gone. */
  get gone(): Promise<void> {
    return this.#gone.promise;
  }

  /** Evaluates a bundle; rejects with BUNDLE_FAILED if its top level throws or has no handler. */
  async loadBundle(bundle: string, message: LoadMessage): Promise<void> {
    this.#state = moveTo(this.#state, "loading");
    this.#loading = Promise.withResolvers();
    this.#functionName = message.functionName;
    this.#writer.begin(FRAME.LOAD, 0);
    this.#writer.sizedText(JSON.stringify(message));
    this.#writer.bytes(encoder.encode(bundle));
    this.#writer.end();
    await this.#loading.promise;
  }

  send(exchange: Exchange, sentMs: number): void {
    if (this.#state !== "ready") {
      throw new InvariantError("send-to-unready-sandbox", `Cannot send a request to a sandbox that is ${this.#state}`);
    }
    const { request } = exchange;
    const id = this.#exchanges.add(exchange);
    this.servedCount += 1;
    exchange.holder = this;
    exchange.id = id;
    exchange.ordinal = this.servedCount;
    exchange.sentMs = sentMs;
    exchange.sandboxAgeMs = sentMs - this.startedMs;
    exchange.deadlineMs = sentMs + request.timeoutMs;
    if (this.#exchanges.size === 1) this.#lastPongMs = sentMs;

    const { body } = request;
    const flags = body === null ? 0 : body instanceof Uint8Array ? FLAG.inlineBody : FLAG.streamedBody;
    this.#writer.begin(FRAME.REQUEST, id);
    this.#writer.u8(withDepth(flags, request.depth));
    this.#writer.sizedList(headOf(request));
    if (body instanceof Uint8Array) this.#writer.bytes(body);
    this.#writer.end();
    if (body instanceof ReadableStream) void this.#upload(exchange, body);
    if (this.servedCount >= this.requestsMaxCount) this.drain();
  }

  /** The client has gone: tells the handler; the exchange ends when the handler has. */
  abandon(exchange: Exchange): void {
    if (this.#exchanges.get(exchange.id) !== exchange) return;
    exchange.fail(clientClosed());
    this.#abort(exchange.id, ABORT_REASON.clientGone);
  }

  /** No new requests; ends the process when those under way are over. Open WebSockets get their function's time. */
  drain(): void {
    if (this.#state === "dead" || this.#state === "draining") return;
    this.#state = moveTo(this.#state, "draining");
    const nowMs = this.#now();
    for (const exchange of this.#exchanges.values()) {
      if (exchange.socket === undefined) continue;
      exchange.deadlineMs = Math.min(exchange.deadlineMs, nowMs + exchange.request.timeoutMs);
    }
    this.#endIfDrained();
  }

  kill(reason: PlatformError): void {
    this.#killReason ??= reason;
    this.#process.kill();
  }

  /** Looks at every clock of this sandbox; called every few milliseconds while requests are under way. */
  tick(nowMs: number): void {
    // A bundle may be larger, and is read before anything else happens.
    if (this.#writer.waitingBytes > UNREAD_MAX_BYTES && this.#state !== "loading") {
      this.kill(notReading(UNREAD_MAX_BYTES));
    }
    if (this.#exchanges.size === 0) return;
    for (const exchange of this.#exchanges.values()) {
      if (!exchange.isWatched && nowMs - (exchange.sentMs ?? nowMs) >= WATCH_AFTER_MS) exchange.watchClient();
      exchange.socket?.tick();
      exchange.tellLogs(nowMs);
      if (nowMs < exchange.deadlineMs) continue;
      if (!exchange.isTimedOut) this.#timeOut(exchange);
      else if (nowMs - exchange.deadlineMs > SETTLE_GRACE_MS) this.#giveUp(exchange);
    }
    this.#checkEventLoop(nowMs);
  }

  #timeOut(exchange: Exchange): void {
    exchange.isTimedOut = true;
    if (exchange.socket !== undefined) {
      const code = this.#state === "draining" ? CLOSE_CODE.serviceRestart : CLOSE_CODE.goingAway;
      return exchange.socket.end(code, "The connection has reached its time");
    }
    const { timeoutMs } = exchange.request;
    exchange.fail(
      new PlatformError("WALL_LIMIT", `The function did not finish within ${timeoutMs} ms, its time limit`, {
        details: { limit: timeoutMs },
      }),
    );
    this.#abort(exchange.id, ABORT_REASON.timeout);
    this.#ping(this.#now());
  }

  /** The handler ignores that its time is over: it may keep its memory, but gets no company. */
  #giveUp(exchange: Exchange): void {
    this.#finish(exchange);
    this.drain();
  }

  #checkEventLoop(nowMs: number): void {
    if (this.#pingSentMs === undefined) {
      if (nowMs - this.#lastPongMs >= PING_EVERY_MS) this.#ping(nowMs);
      return;
    }
    const silentMs = nowMs - this.#pingSentMs;
    if (silentMs < BLOCKED_GRACE_MS) return;
    this.#waitedBeforeMs ??= readWaitedMs(this.pid);
    const hasTimedOut = [...this.#exchanges.values()].some((exchange) => exchange.isTimedOut);
    const limitMs = hasTimedOut ? BLOCKED_GRACE_MS : this.limits.eventLoopBlockedMs;
    if (silentMs < limitMs) return;
    // A machine that is too busy to let it run is not its fault; but nothing keeps a request for ever.
    const usedMs = silentMs - (readWaitedMs(this.pid) - this.#waitedBeforeMs);
    if (usedMs >= limitMs || silentMs >= limitMs * STARVED_MAX_FACTOR) {
      this.kill(this.#whyBlocked(limitMs, Math.round(Math.max(usedMs, limitMs))));
    }
  }

  /** A heap that is nearly full blocks the event loop too: V8 looks for garbage for seconds before it gives up. */
  #whyBlocked(limitMs: number, usedMs: number): PlatformError {
    const usedMiB = (readUsage(this.pid)?.privateMiB ?? 0) - this.memoryBaselineMiB;
    const { memoryMiB } = this.limits;
    if (usedMiB < memoryMiB * HEAP_FULL_PART) return loopBlocked(limitMs, usedMs);
    return outOfMemory(memoryMiB, `the JavaScript heap is full, and looking for garbage took ${usedMs} ms`);
  }

  #ping(nowMs: number): void {
    if (this.#pingSentMs !== undefined) return;
    this.#pingSentMs = nowMs;
    this.#waitedBeforeMs = undefined;
    this.#writer.begin(FRAME.PING, 0);
    this.#writer.end();
  }

  #abort(id: number, reason: number): void {
    this.#writer.begin(FRAME.ABORT, id);
    this.#writer.u8(reason);
    this.#writer.end();
  }

  #credit(id: number, byteCount: number): void {
    this.#writer.begin(FRAME.CREDIT, id);
    this.#writer.u32(byteCount);
    this.#writer.end();
  }

  /** Sends a request body as far as the sandbox gives credit. */
  async #upload(exchange: Exchange, body: ReadableStream<Uint8Array>): Promise<void> {
    const { id, request: { requestBodyMaxBytes } } = exchange;
    const outbox = new BodyOutbox((piece) => {
      this.#writer.begin(FRAME.BODY, id);
      this.#writer.bytes(piece);
      this.#writer.end();
    });
    this.#uploads.set(id, outbox);
    const reader = body.getReader();
    let sentBytes = 0;
    try {
      const isComplete = await outbox.pump(reader, (chunk) => {
        const bytes = chunk as Uint8Array;
        exchange.bytesIn = sentBytes += bytes.length;
        this.#garbage.passed(bytes.length);
        if (sentBytes > requestBodyMaxBytes) throw bodyTooLarge(requestBodyMaxBytes);
        return bytes;
      });
      if (!isComplete) return;
      this.#writer.begin(FRAME.BODY_END, id);
      this.#writer.end();
    } catch (error) {
      // Else the client's connection broke while it sent the body.
      exchange.fail(error instanceof PlatformError ? error : clientClosed());
      this.#abort(id, ABORT_REASON.bodyFailed);
    } finally {
      this.#uploads.delete(id);
      await cancelQuietly(reader);
    }
  }

  async #read(): Promise<void> {
    const error = await readFrames(
      this.#process.connection,
      (type, id, payload) => this.#onFrame(type, id, payload),
      { pace: () => this.#frameBudget.pace(this.#now) },
    ).then(() => undefined, (error: unknown) => error);
    this.#process.kill();
    // Should its end not be told, it is over all the same.
    const exit = await this.#process.exit.catch((cause: unknown): ProcessExit => ({
      code: -1,
      signal: null,
      output: String(cause),
      startedCount: null,
    }));
    this.#onExit(exit, error);
  }

  #onFrame(type: number, id: number, payload: Uint8Array): void {
    if (type === FRAME.RESPONSE) return this.#onResponse(this.#exchangeOf(id), payload);
    this.#frameBudget.add(FRAME_COST_US.any + payload.length * FRAME_COST_US.perByte);
    switch (type) {
      case FRAME.LOG:
        return this.#onLog(id, payload);
      case FRAME.REFUSED:
        return this.#events.refused(this, parseRefused(payload));
      case FRAME.DONE:
        return this.#onDone(this.#exchangeOf(id));
      case FRAME.PONG:
        return this.#onPong();
      case FRAME.BODY:
        return this.#onBody(this.#exchangeOf(id), payload);
      case FRAME.BODY_END:
        return this.#exchangeOf(id)?.endBody();
      case FRAME.CREDIT:
        return this.#onCredit(id, payload);
      case FRAME.ABORT:
        return this.#onAbort(id, payload);
      case FRAME.FAILED:
        return this.#onFailed(this.#exchangeOf(id), payload);
      case FRAME.MESSAGE:
        return this.#onMessage(this.#exchangeOf(id), payload);
      case FRAME.CLOSE:
        return this.#onClose(this.#exchangeOf(id), payload);
      case FRAME.READY:
        if (!this.#mayMoveFrom("starting", "READY")) return;
        this.#becomeBlank(parseReady(payload));
        return this.#ready.resolve();
      case FRAME.LOADED:
        if (!this.#mayMoveFrom("loading", "LOADED")) return;
        this.#state = moveTo(this.#state, "ready");
        return this.#loading?.resolve();
      case FRAME.LOAD_FAILED:
        if (!this.#mayMoveFrom("loading", "LOAD_FAILED")) return;
        this.#frameBudget.add(payload.length * FRAME_COST_US.perParsedByte);
        return this.#loading?.reject(this.#loadError(parseFailure(payload)));
      default:
        return this.#onCallFrame(type, id, payload);
    }
  }

  /** Without its figures (/proc is mounted with hidepid, or there is none) no limit of memory holds but the process's own. */
  #becomeBlank(found: readonly Fence[]): void {
    const usage = readUsage(this.pid);
    this.#fences = FENCES.filter((fence) => fence === "metered" ? usage !== undefined : found.includes(fence));
    this.memoryBaselineMiB = usage?.privateMiB ?? 0;
    this.#state = moveTo(this.#state, "blank");
  }

  #onCallFrame(type: number, id: number, payload: Uint8Array): void {
    if (this.#ownCalls === undefined || this.#state === "starting") throw violation(`a frame of type ${type}`);
    switch (type) {
      case FRAME.REQUEST | OF_CALL:
        this.#frameBudget.add(FRAME_COST_US.call + payload.length * FRAME_COST_US.perParsedByte);
        return this.#ownCalls.onRequest(id, payload);
      case FRAME.BODY | OF_CALL:
        return this.#ownCalls.onBody(id, payload);
      case FRAME.BODY_END | OF_CALL:
        return this.#ownCalls.onBodyEnd(id);
      case FRAME.CREDIT | OF_CALL:
        return this.#ownCalls.onCredit(id, payload);
      case FRAME.ABORT | OF_CALL:
        return this.#ownCalls.onAbort(id);
      default:
        throw violation(`a frame of type ${type}`);
    }
  }

  #mayMoveFrom(state: SandboxState, frame: string): boolean {
    // One that was told to end in the meantime may still report.
    if (this.#state === "draining") return false;
    if (this.#state !== state) throw violation(`${frame} while it was ${this.#state}`);
    return true;
  }

  /** Undefined for a request that is over: its last frames may cross with ours. */
  #exchangeOf(id: number): Exchange | undefined {
    if (id === 0) throw violation("a frame for request 0");
    return this.#exchanges.get(id);
  }

  #onResponse(exchange: Exchange | undefined, payload: Uint8Array): void {
    if (exchange === undefined) {
      this.#frameBudget.add(FRAME_COST_US.any + payload.length * FRAME_COST_US.perByte);
      return;
    }
    if (exchange.hasResponse) throw violation("a second RESPONSE");
    exchange.hasResponse = true;
    const response = parseResponse(payload);
    // The caller was told something else in the meantime: only the end matters.
    if (!exchange.isAnswered) this.#answer(exchange, response);
    if (response.flags & FLAG.done) this.#finish(exchange);
  }

  #answer(exchange: Exchange, { flags, status, headers, sizeBytes, body, bodyBytes }: ResponseFrame): void {
    const { id, request } = exchange;
    const limit = request.responseBodyMaxBytes;
    // The harness has looked at them, but what comes out of a sandbox is not always the harness's.
    const problem = headers === null ? undefined : headProblem(headers, this.limits.head);
    if (problem !== undefined) {
      exchange.fail(invalidResponse(this.#functionName, problem));
      return this.#abort(id, ABORT_REASON.bodyUnwanted);
    }
    if (flags & FLAG.webSocket) {
      if (!request.isUpgrade) throw violation("a WebSocket for a request that did not ask for one");
      const protocol = headers?.[1] ?? "";
      if (protocol !== "" && !isToken(protocol)) throw violation("a WebSocket with a protocol that is no token");
      exchange.deadlineMs = this.#now() + this.limits.webSocketLifeMs;
      return exchange.answer({ status, headers: [], body: null, socket: this.#linkSocket(id, protocol) });
    }
    if (flags & FLAG.streamedBody) {
      if (flags & FLAG.knownSize && sizeBytes > limit) {
        exchange.fail(responseTooLarge(limit, sizeBytes));
        return this.#abort(id, ABORT_REASON.bodyUnwanted);
      }
      return exchange.answerWithStream({ status, headers }, BODY_WINDOW_BYTES, {
        credit: (byteCount) => this.#credit(id, byteCount),
        unwanted: () => this.abandon(exchange),
      });
    }
    if (bodyBytes > limit) exchange.fail(responseTooLarge(limit, bodyBytes));
    else exchange.answer({ status, headers, body: bodyBytes === 0 ? null : body }, bodyBytes);
  }

  #linkSocket(id: number, protocol: string): SocketLink {
    return new SocketLink(protocol, {
      message: (bytes, isText) => {
        this.#writer.begin(FRAME.MESSAGE, id);
        this.#writer.u8(isText ? 1 : 0);
        this.#writer.bytes(bytes);
        this.#writer.end();
      },
      close: (code, reason) => {
        this.#writer.begin(FRAME.CLOSE, id);
        this.#writer.u16(code);
        this.#writer.text(reason);
        this.#writer.end();
      },
      credit: (byteCount) => this.#credit(id, byteCount),
    });
  }

  #onBody(exchange: Exchange | undefined, payload: Uint8Array): void {
    if (payload.length > BODY_CHUNK_MAX_BYTES) throw violation("a BODY that is too large");
    if (exchange === undefined || !exchange.isStreaming) return;
    this.#garbage.passed(payload.length);
    const cut = exchange.pushBody(payload.slice());
    if (exchange.isOverWindow) throw violation("more body than it had credit for");
    if (cut === undefined) return;
    exchange.fail(cut);
    this.#abort(exchange.id, ABORT_REASON.bodyUnwanted);
  }

  #onFailed(exchange: Exchange | undefined, payload: Uint8Array): void {
    if (exchange === undefined) return;
    this.#frameBudget.add(payload.length * FRAME_COST_US.perParsedByte);
    const { message, stack, isOutOfMemory } = parseFailure(payload.subarray(1));
    const error = isOutOfMemory
      ? outOfMemory(this.limits.memoryMiB, message)
      : new PlatformError("FUNCTION_ERROR", message, { cause: stack });
    exchange.fail(error, stack);
    if ((payload[0] ?? 0) & FLAG.done) this.#finish(exchange);
  }

  #onDone(exchange: Exchange | undefined): void {
    if (exchange === undefined) return;
    if (!exchange.isAnswered || exchange.isStreaming) throw violation("DONE before the answer was complete");
    this.#finish(exchange);
  }

  #onPong(): void {
    if (this.#pingSentMs === undefined) throw violation("a PONG that nobody asked for");
    const wasStuck = this.isStuck;
    this.#pingSentMs = undefined;
    this.#lastPongMs = this.#now();
    if (wasStuck && this.#state === "ready") this.#events.released(this);
  }

  #onCredit(id: number, payload: Uint8Array): void {
    const byteCount = parseCredit(payload);
    this.#uploads.get(id)?.credited(byteCount);
    this.#exchanges.get(id)?.socket?.taken(byteCount);
  }

  #onMessage(exchange: Exchange | undefined, payload: Uint8Array): void {
    this.#frameBudget.add(payload.length * FRAME_COST_US.perParsedByte);
    if (exchange?.socket === undefined) return;
    const { message, byteCount } = parseMessage(payload);
    if (!exchange.socket.sent(message, byteCount)) throw violation("more messages than it had credit for");
  }

  #onClose(exchange: Exchange | undefined, payload: Uint8Array): void {
    const { code, reason } = parseClose(payload);
    exchange?.socket?.functionClosed(code, reason);
  }

  #onAbort(id: number, payload: Uint8Array): void {
    if (payload[0] === ABORT_REASON.bodyUnwanted) return this.#uploads.get(id)?.stop();
    const exchange = this.#exchangeOf(id);
    if (payload[0] !== ABORT_REASON.responseFailed || exchange === undefined) return;
    exchange.fail(new PlatformError("FUNCTION_ERROR", "The function failed while it was sending its response"));
  }

  #onLog(id: number, payload: Uint8Array): void {
    this.#frameBudget.add(FRAME_COST_US.logLine + payload.length * FRAME_COST_US.perParsedByte);
    const { logLineBytes, logLinesCount } = this.limits;
    if (payload.length > logLineBytes + LOG_BYTES_PER_LINE_OVERHEAD) throw violation("a LOG that is too large");
    const exchange = id === 0 ? undefined : this.#exchangeOf(id);
    // One more than the limit: the last says that lines are missing.
    const count = exchange === undefined ? this.#outsideLineCount += 1 : exchange.loggedCount + 1;
    if (count > logLinesCount + 1) return;
    if (!this.#events.mayLog(this, payload.length)) return;
    const line = parseLogLine(payload);
    if (exchange === undefined) this.#events.logged(this, line);
    else exchange.log(line);
  }

  #finish(exchange: Exchange): void {
    if (!this.#exchanges.delete(exchange.id)) return;
    this.#uploads.get(exchange.id)?.stop();
    if (this.#exchanges.size === 0) this.idleSinceMs = this.#now();
    exchange.finish();
    if (this.#state === "ready") this.#events.released(this);
    else this.#endIfDrained();
  }

  #endIfDrained(): void {
    if (this.#state !== "draining" || this.#exchanges.size > 0) return;
    this.kill(new PlatformError("SANDBOX_DIED", "The sandbox was replaced"));
  }

  #onExit(exit: ProcessExit, readError: unknown): void {
    const reason = this.#killReason ??
      (readError instanceof FrameError ? protocolError(readError) : describeExit(exit, this.limits));
    this.#state = moveTo(this.#state, "dead");
    this.#ready.reject(reason);
    this.#ready.promise.catch(() => {});
    this.#loading?.reject(reason);
    this.#loading?.promise.catch(() => {});
    const unstarted: Exchange[] = [];
    for (const exchange of [...this.#exchanges.values()]) {
      if (isUnstarted(exchange, exit)) {
        this.#exchanges.delete(exchange.id);
        unstarted.push(exchange);
        continue;
      }
      exchange.fail(reason);
      this.#finish(exchange);
    }
    this.#ownCalls?.end();
    closeQuietly(this.#process.connection);
    this.#events.died(this, reason, unstarted);
    this.#gone.resolve();
  }

  #loadError({ message, stack, isOutOfMemory }: Failure): PlatformError {
    if (isOutOfMemory) return outOfMemory(this.limits.memoryMiB, message);
    return new PlatformError("BUNDLE_FAILED", `Cannot load the function: ${message}`, { cause: stack });
  }
}

/** No handler has seen it, and all of it is still here. */
function isUnstarted({ ordinal, isAnswered, request }: Exchange, { startedCount }: ProcessExit): boolean {
  return startedCount !== null && ordinal > startedCount && !isAnswered && !(request.body instanceof ReadableStream);
}

/** What `parseCall` reads. */
function headOf({ executionId, method, url, callerJson, headerPairs }: SandboxRequest): string[] {
  return [executionId, method, url, callerJson].concat(headerPairs);
}

function closeQuietly(connection: Deno.UnixConn): void {
  try {
    connection.close();
  } catch {
    // Closed by the other side.
  }
}
