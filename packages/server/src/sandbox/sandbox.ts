/**
 * One sandbox, seen from the platform: loads a version into it, sends requests through it, notices its end.
 *
 * Every frame that comes out of a sandbox may have been forged by user code: sizes, ids, order and types are checked,
 * and a violation ends the sandbox.
 *
 * Owns: the platform's end of the socket, the requests under way in this sandbox, the reason of its death.
 * Does not own: starting the process (./sandbox_process.ts), how many there are (./sandbox_pool.ts).
 *
 * @module
 */
import { LOG_LEVELS, type LogLevel, PlatformError } from "@fluxbase/contract";
import type { LoadMessage } from "../../sandbox_runtime/bootstrap.ts";
import {
  ABORT_REASON,
  BODY_CHUNK_MAX_BYTES,
  BODY_WINDOW_BYTES,
  FLAG,
  FRAME,
  FrameError,
  FrameWriter,
  HEAD_MAX_BYTES,
  INLINE_BODY_MAX_BYTES,
  PROTOCOL_VERSION,
  readFrames,
} from "../../sandbox_runtime/frames.ts";
import { SlotTable } from "../../sandbox_runtime/slot_table.ts";
import type { Fence } from "../../sandbox_runtime/harden.ts";
import { InvariantError } from "../core/invariant.ts";
import { Exchange, type ExchangeObserver, type LogLine, responseTooLarge, type SandboxRequest } from "./exchange.ts";
import type { ProcessExit, SandboxProcess } from "./sandbox_process.ts";
import { moveTo, type SandboxState } from "./sandbox_state.ts";

export interface SandboxLimits {
  readonly memoryMiB: number;
  /** No pong for this long while requests run: the event loop is blocked. */
  readonly eventLoopBlockedMs: number;
  readonly logLineBytes: number;
  readonly logLinesCount: number;
}

/** What the owner of a sandbox is told. */
export interface SandboxEvents {
  /** A request is over: there is room for another. */
  released(sandbox: Sandbox): void;
  died(sandbox: Sandbox, reason: PlatformError): void;
  /** A log line of code that runs outside any request. */
  logged(sandbox: Sandbox, line: LogLine): void;
}

interface Upload {
  credit: number;
  wake: (() => void) | undefined;
  isWanted: boolean;
}

/** After its time is over a handler may take this long to settle before its sandbox takes no new requests. */
const SETTLE_GRACE_MS = 1_000;
/** A handler whose time is over and whose event loop does not answer is killed after this. */
const BLOCKED_GRACE_MS = 250;
const PING_EVERY_MS = 500;
/** Listening for the client's end costs 2 µs, a seventh of a whole request: quick answers do without. */
const WATCH_AFTER_MS = 20;
const LOG_BYTES_PER_LINE_OVERHEAD = 32 * 1024;

const decoder = new TextDecoder();
const encoder = new TextEncoder();

export class Sandbox {
  readonly pid: number;
  readonly uid: number | null;
  readonly dir: string;
  readonly fences: readonly Fence[];
  readonly limits: SandboxLimits;
  readonly startedMs: number;
  /** When the last request ended, for the choice of whom to end first. */
  idleSinceMs: number;
  servedCount = 0;
  /** After this many requests it takes no more, and ends when they are over. */
  requestsMaxCount = Infinity;

  readonly #process: SandboxProcess;
  readonly #events: SandboxEvents;
  readonly #now: () => number;
  readonly #writer: FrameWriter;
  readonly #exchanges = new SlotTable<Exchange>();
  readonly #uploads = new Map<number, Upload>();
  #state: SandboxState = "blank";
  #loading: PromiseWithResolvers<void> | undefined;
  #killReason: PlatformError | undefined;
  #pingSentMs: number | undefined;
  #lastPongMs: number;
  #outsideLineCount = 0;
  readonly #gone = Promise.withResolvers<void>();

  /** Resolves when the sandbox has said that it is ready to load a bundle. */
  static async start(
    process: SandboxProcess,
    events: SandboxEvents,
    options: { limits: SandboxLimits; now: () => number },
  ): Promise<Sandbox> {
    const ready = Promise.withResolvers<readonly Fence[]>();
    let sandbox: Sandbox | undefined = undefined;
    const reading = readFrames(process.connection, (type, id, payload) => {
      if (sandbox !== undefined) return sandbox.#onFrame(type, id, payload);
      ready.resolve(parseReady(type, payload));
    });
    const ended = reading.then(() => undefined, (error: unknown) => error);
    void ended.then(async (error) => {
      process.kill();
      const exit = await process.exit;
      ready.reject(describeExit(exit, options.limits));
      if (sandbox !== undefined) sandbox.#onExit(exit, error);
    });
    const fences = await ready.promise;
    sandbox = new Sandbox(process, fences, events, options);
    return sandbox;
  }

  private constructor(
    process: SandboxProcess,
    fences: readonly Fence[],
    events: SandboxEvents,
    { limits, now }: { limits: SandboxLimits; now: () => number },
  ) {
    this.pid = process.pid;
    this.uid = process.uid;
    this.dir = process.dir;
    this.fences = fences;
    this.limits = limits;
    this.#process = process;
    this.#events = events;
    this.#now = now;
    this.startedMs = this.idleSinceMs = this.#lastPongMs = now();
    this.#writer = new FrameWriter(process.connection, () => process.kill());
  }

  get state(): SandboxState {
    return this.#state;
  }
  /** Requests under way, background work included. */
  get load(): number {
    return this.#exchanges.size;
  }
  /** Resolves when the process is gone. */
  get gone(): Promise<void> {
    return this.#gone.promise;
  }

  /** Evaluates a bundle; rejects with BUNDLE_FAILED if its top level throws or has no handler. */
  async loadBundle(bundle: string, message: LoadMessage): Promise<void> {
    this.#state = moveTo(this.#state, "loading");
    this.#loading = Promise.withResolvers();
    this.#writer.begin(FRAME.LOAD, 0);
    this.#writer.sizedText(JSON.stringify(message));
    this.#writer.bytes(encoder.encode(bundle));
    this.#writer.end();
    await this.#loading.promise;
  }

  send(request: SandboxRequest, observer: ExchangeObserver): Exchange {
    if (this.#state !== "ready") {
      throw new InvariantError("send-to-unready-sandbox", `Cannot send a request to a sandbox that is ${this.#state}`);
    }
    const exchange = this.#exchanges.add((id) => new Exchange(id, request, { now: this.#now, observer }));
    const { id } = exchange;
    if (this.#exchanges.size === 1) this.#lastPongMs = exchange.sentMs;
    this.servedCount += 1;

    const { body } = request;
    const flags = body === null ? 0 : body instanceof Uint8Array ? FLAG.inlineBody : FLAG.streamedBody;
    this.#writer.begin(FRAME.REQUEST, id);
    this.#writer.u8(flags);
    this.#writer.sizedText(headOf(request));
    if (body instanceof Uint8Array) this.#writer.bytes(body);
    this.#writer.end();
    if (body instanceof ReadableStream) void this.#upload(exchange, body);
    if (this.servedCount >= this.requestsMaxCount) this.drain();
    return exchange;
  }

  /** Once the answer has begun, its stream tells whether the client is still there. */
  #watchClient(exchange: Exchange): void {
    exchange.isWatched = true;
    if (exchange.isAnswered) return;
    const signal = exchange.request.client.signal();
    const leave = () => exchange.isAnswered || this.abandon(exchange);
    if (signal.aborted) leave();
    else signal.addEventListener("abort", leave, { once: true });
  }

  /** The client has gone: tells the handler; the exchange ends when the handler has. */
  abandon(exchange: Exchange): void {
    if (this.#exchanges.get(exchange.id) === undefined) return;
    exchange.fail(
      new PlatformError("CLIENT_CLOSED_REQUEST", "The client closed the connection before the answer was complete"),
    );
    this.#abort(exchange.id, ABORT_REASON.clientGone);
  }

  /** No new requests; ends the process when those under way are over. */
  drain(): void {
    if (this.#state === "dead" || this.#state === "draining") return;
    this.#state = moveTo(this.#state, "draining");
    if (this.#exchanges.size === 0) this.kill(new PlatformError("SANDBOX_DIED", "The sandbox was replaced"));
  }

  kill(reason: PlatformError): void {
    this.#killReason ??= reason;
    this.#process.kill();
  }

  /** Looks at every clock of this sandbox; called every few milliseconds while requests are under way. */
  tick(nowMs: number): void {
    if (this.#exchanges.size === 0) return;
    for (const exchange of this.#exchanges.values()) {
      if (!exchange.isWatched && nowMs - exchange.sentMs >= WATCH_AFTER_MS) this.#watchClient(exchange);
      if (nowMs < exchange.deadlineMs) continue;
      if (!exchange.isTimedOut) this.#timeOut(exchange);
      else if (nowMs - exchange.deadlineMs > SETTLE_GRACE_MS) this.#giveUp(exchange);
    }
    this.#checkEventLoop(nowMs);
  }

  #timeOut(exchange: Exchange): void {
    exchange.isTimedOut = true;
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
    const hasTimedOut = [...this.#exchanges.values()].some((exchange) => exchange.isTimedOut);
    if (!hasTimedOut && silentMs < this.limits.eventLoopBlockedMs) return;
    this.kill(
      new PlatformError(
        "CPU_LIMIT",
        `The function blocked its event loop for ${Math.round(silentMs)} ms and was killed`,
        {
          details: {
            limit: hasTimedOut ? BLOCKED_GRACE_MS : this.limits.eventLoopBlockedMs,
            used: Math.round(silentMs),
          },
        },
      ),
    );
  }

  #ping(nowMs: number): void {
    if (this.#pingSentMs !== undefined) return;
    this.#pingSentMs = nowMs;
    this.#writer.begin(FRAME.PING, 0);
    this.#writer.end();
  }

  #abort(id: number, reason: number): void {
    this.#writer.begin(FRAME.ABORT, id);
    this.#writer.u8(reason);
    this.#writer.end();
  }

  /** Sends a request body in pieces, as far as the sandbox gives credit. */
  async #upload(exchange: Exchange, body: ReadableStream<Uint8Array>): Promise<void> {
    const { id, request } = exchange;
    const upload: Upload = { credit: BODY_WINDOW_BYTES, wake: undefined, isWanted: true };
    this.#uploads.set(id, upload);
    const reader = body.getReader();
    let sentBytes = 0;
    try {
      while (upload.isWanted) {
        const { done, value } = await reader.read();
        if (done) break;
        sentBytes += value.length;
        if (sentBytes > request.requestBodyMaxBytes) {
          exchange.fail(bodyTooLarge(request.requestBodyMaxBytes));
          this.#abort(id, ABORT_REASON.bodyFailed);
          return;
        }
        for (let start = 0; start < value.length && upload.isWanted; start += BODY_CHUNK_MAX_BYTES) {
          const piece = value.subarray(start, start + BODY_CHUNK_MAX_BYTES);
          while (upload.credit < piece.length && upload.isWanted) {
            await new Promise<void>((resolve) => upload.wake = resolve);
          }
          upload.credit -= piece.length;
          this.#writer.begin(FRAME.BODY, id);
          this.#writer.bytes(piece);
          this.#writer.end();
        }
      }
      if (upload.isWanted) {
        this.#writer.begin(FRAME.BODY_END, id);
        this.#writer.end();
      }
    } catch {
      // The client's connection broke while it sent the body.
      this.#abort(id, ABORT_REASON.bodyFailed);
    } finally {
      this.#uploads.delete(id);
      if (sentBytes > request.requestBodyMaxBytes || !upload.isWanted) await cancelQuietly(reader);
    }
  }

  #stopUpload(id: number): void {
    const upload = this.#uploads.get(id);
    if (upload === undefined) return;
    upload.isWanted = false;
    upload.wake?.();
  }

  #onFrame(type: number, id: number, payload: Uint8Array): void {
    switch (type) {
      case FRAME.RESPONSE:
        return this.#onResponse(this.#exchangeOf(id), payload);
      case FRAME.LOG:
        return this.#onLog(id, payload);
      case FRAME.DONE:
        return this.#onDone(this.#exchangeOf(id));
      case FRAME.PONG:
        this.#pingSentMs = undefined;
        this.#lastPongMs = this.#now();
        return;
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
      case FRAME.LOADED:
        if (this.#state !== "loading") throw violation("LOADED twice");
        this.#state = moveTo(this.#state, "ready");
        return this.#loading?.resolve();
      case FRAME.LOAD_FAILED:
        if (this.#state !== "loading") throw violation("LOAD_FAILED twice");
        return this.#loading?.reject(loadError(parseFailure(payload)));
      default:
        throw violation(`a frame of type ${type}`);
    }
  }

  /** Undefined for a request that is over: its last frames may cross with ours. */
  #exchangeOf(id: number): Exchange | undefined {
    if (id === 0) throw violation("a frame for request 0");
    return this.#exchanges.get(id);
  }

  #onResponse(exchange: Exchange | undefined, payload: Uint8Array): void {
    if (exchange === undefined || exchange.isTimedOut) return this.#ignoreLate(exchange, payload);
    if (exchange.isAnswered && exchange.isStreaming) throw violation("a second RESPONSE");
    if (payload.length < 11) throw violation("a short RESPONSE");
    const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
    const flags = view.getUint8(0);
    const status = view.getUint16(1, true);
    const sizeBytes = view.getUint32(3, true);
    const headBytes = view.getUint32(7, true);
    const bodyStart = 11 + headBytes;
    if (headBytes > HEAD_MAX_BYTES || bodyStart > payload.length) throw violation("a RESPONSE with a bad head");
    if (status < 200 || status > 599) throw violation(`a RESPONSE with status ${status}`);
    const headers = flags & FLAG.jsonHead ? null : parseHead(payload.subarray(11, bodyStart));
    const limit = exchange.request.responseBodyMaxBytes;
    if (exchange.isAnswered) return flags & FLAG.done ? this.#finish(exchange) : undefined;

    if (flags & FLAG.streamedBody) {
      if (flags & FLAG.knownSize && sizeBytes > limit) {
        exchange.fail(responseTooLarge(limit));
        return this.#abort(exchange.id, ABORT_REASON.bodyUnwanted);
      }
      const { id } = exchange;
      return exchange.answerWithStream({ status, headers }, BODY_WINDOW_BYTES, {
        credit: (byteCount) => {
          this.#writer.begin(FRAME.CREDIT, id);
          this.#writer.u32(byteCount);
          this.#writer.end();
        },
        unwanted: () => this.abandon(exchange),
      });
    }
    const body = payload.slice(bodyStart);
    if (body.length > INLINE_BODY_MAX_BYTES) throw violation("an inline body that is too large");
    if (body.length > limit) exchange.fail(responseTooLarge(limit));
    else exchange.answer({ status, headers, body: body.length === 0 ? null : body });
    if (flags & FLAG.done) this.#finish(exchange);
  }

  /** An answer after the caller was told that the time is over: only its end matters. */
  #ignoreLate(exchange: Exchange | undefined, payload: Uint8Array): void {
    if (exchange !== undefined && (payload[0] ?? 0) & FLAG.done) this.#finish(exchange);
  }

  #onBody(exchange: Exchange | undefined, payload: Uint8Array): void {
    if (exchange === undefined) return;
    if (payload.length > BODY_CHUNK_MAX_BYTES) throw violation("a BODY that is too large");
    if (!exchange.isStreaming) return;
    const cut = exchange.pushBody(payload.slice());
    if (exchange.isOverWindow) throw violation("more body than it had credit for");
    if (cut === undefined) return;
    exchange.fail(cut);
    this.#abort(exchange.id, ABORT_REASON.bodyUnwanted);
  }

  #onFailed(exchange: Exchange | undefined, payload: Uint8Array): void {
    if (exchange === undefined) return;
    const { message, stack } = parseFailure(payload.subarray(1));
    exchange.fail(new PlatformError("FUNCTION_ERROR", message, { cause: stack }), stack);
    if ((payload[0] ?? 0) & FLAG.done) this.#finish(exchange);
  }

  #onDone(exchange: Exchange | undefined): void {
    if (exchange === undefined) return;
    if (!exchange.isAnswered || exchange.isStreaming) throw violation("DONE before the answer was complete");
    this.#finish(exchange);
  }

  #onCredit(id: number, payload: Uint8Array): void {
    const upload = this.#uploads.get(id);
    if (upload === undefined) return;
    if (payload.length !== 4) throw violation("a CREDIT of the wrong size");
    const given = new DataView(payload.buffer, payload.byteOffset).getUint32(0, true);
    // More than the window means that user code forged it; our memory is bounded by what the client sends anyway.
    upload.credit = Math.min(BODY_WINDOW_BYTES, upload.credit + given);
    upload.wake?.();
  }

  #onAbort(id: number, payload: Uint8Array): void {
    if (payload[0] === ABORT_REASON.bodyUnwanted) return this.#stopUpload(id);
    const exchange = this.#exchangeOf(id);
    if (payload[0] !== ABORT_REASON.responseFailed || exchange === undefined) return;
    exchange.fail(new PlatformError("FUNCTION_ERROR", "The function failed while it was sending its response"));
  }

  #onLog(id: number, payload: Uint8Array): void {
    if (payload.length > this.limits.logLineBytes + LOG_BYTES_PER_LINE_OVERHEAD) {
      throw violation("a LOG that is too large");
    }
    const line = parseLogLine(payload);
    const exchange = id === 0 ? undefined : this.#exchangeOf(id);
    if (exchange === undefined) {
      this.#outsideLineCount += 1;
      if (this.#outsideLineCount <= this.limits.logLinesCount) this.#events.logged(this, line);
      return;
    }
    const { logs } = exchange;
    // One more than the limit: the last says that lines are missing.
    if (logs.length <= this.limits.logLinesCount) logs.push(line);
  }

  #finish(exchange: Exchange): void {
    if (!this.#exchanges.delete(exchange.id)) return;
    this.#stopUpload(exchange.id);
    if (this.#exchanges.size === 0) this.idleSinceMs = this.#now();
    exchange.finish();
    if (this.#state === "draining") {
      if (this.#exchanges.size === 0) this.kill(new PlatformError("SANDBOX_DIED", "The sandbox was replaced"));
    } else if (this.#state === "ready") {
      this.#events.released(this);
    }
  }

  #onExit(exit: ProcessExit, readError: unknown): void {
    const reason = this.#killReason ??
      (readError instanceof FrameError ? protocolError(readError) : describeExit(exit, this.limits));
    this.#state = moveTo(this.#state, "dead");
    this.#loading?.reject(reason);
    this.#loading?.promise.catch(() => {});
    for (const exchange of [...this.#exchanges.values()]) {
      exchange.fail(reason);
      this.#finish(exchange);
    }
    closeQuietly(this.#process.connection);
    this.#events.died(this, reason);
    this.#gone.resolve();
  }
}

export function bodyTooLarge(limitBytes: number): PlatformError {
  return new PlatformError("BODY_TOO_LARGE", `Cannot accept the request body: it is larger than ${limitBytes} bytes`, {
    details: { limit: limitBytes },
  });
}

/** One text with a line for each part; no part can hold a line end: methods, URLs and header values refuse them. */
function headOf({ executionId, method, url, callerJson, headerPairs }: SandboxRequest): string {
  const start = `${executionId}\n${method}\n${url}\n${callerJson}`;
  return headerPairs.length === 0 ? start : `${start}\n${headerPairs.join("\n")}`;
}

function parseHead(bytes: Uint8Array): readonly string[] {
  const parts = bytes.length === 0 ? [] : decoder.decode(bytes).split("\n");
  if (parts.length % 2 !== 0) throw violation("headers without values");
  return parts;
}

function parseReady(type: number, payload: Uint8Array): readonly Fence[] {
  if (type !== FRAME.READY) throw violation(`a frame of type ${type} before READY`);
  const { protocol, fences } = JSON.parse(decoder.decode(payload));
  if (protocol !== PROTOCOL_VERSION) throw violation(`protocol ${protocol} instead of ${PROTOCOL_VERSION}`);
  return fences;
}

const isLogLevel = (value: unknown): value is LogLevel => LOG_LEVELS.some((level) => level === value);

function parseLogLine(payload: Uint8Array): LogLine {
  const value = parseObject(payload, "LOG");
  const { atMs, level, message, fields } = value;
  return {
    atMs: typeof atMs === "number" && Number.isFinite(atMs) && Math.abs(atMs) < 8.64e15 ? atMs : 0,
    level: isLogLevel(level) ? level : "info",
    message: typeof message === "string" ? message : "",
    fields: isRecord(fields) ? fields : null,
  };
}

interface Failure {
  readonly message: string;
  readonly stack: string | null;
}

const FAILURE_MAX_CHARACTERS = 16 * 1024;

function parseFailure(payload: Uint8Array): Failure {
  const { message, stack } = parseObject(payload, "FAILED");
  return {
    message: typeof message === "string" ? message.slice(0, FAILURE_MAX_CHARACTERS) : "The function failed",
    stack: typeof stack === "string" ? stack.slice(0, FAILURE_MAX_CHARACTERS) : null,
  };
}

function parseObject(payload: Uint8Array, frame: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(decoder.decode(payload));
    if (isRecord(value)) return value;
  } catch {
    // Falls through to the violation.
  }
  throw violation(`a ${frame} that is not an object`);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function violation(what: string): FrameError {
  return new FrameError(`Refused from the sandbox: ${what}`);
}

function protocolError(error: Error): PlatformError {
  return new PlatformError("SANDBOX_DIED", "The sandbox broke the protocol and was killed", { cause: error });
}

function loadError({ message, stack }: Failure): PlatformError {
  return new PlatformError("BUNDLE_FAILED", `Cannot load the function: ${message}`, { cause: stack });
}

/** Why a process ended that the platform did not kill. */
function describeExit({ code, signal, output }: ProcessExit, limits: SandboxLimits): PlatformError {
  if (/heap limit|out of memory|OutOfMemory|memory allocation/i.test(output)) {
    return new PlatformError(
      "MEMORY_LIMIT",
      `The function used more than ${limits.memoryMiB} MB of memory and was stopped`,
      {
        details: { limit: limits.memoryMiB },
      },
    );
  }
  const how = signal === null ? `exited with code ${code}` : `was ended by ${signal}`;
  return new PlatformError("SANDBOX_DIED", `The sandbox ${how} before the function answered`, { cause: output });
}

function closeQuietly(connection: Deno.UnixConn): void {
  try {
    connection.close();
  } catch {
    // Closed by the other side.
  }
}

async function cancelQuietly(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<void> {
  try {
    await reader.cancel();
  } catch {
    // The client is gone already.
  }
}
