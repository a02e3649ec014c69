/**
 * One request on its way through a sandbox, seen from the platform.
 *
 *   waiting ──► sent ──► answered (response bytes or messages may still flow) ──► finished
 *      ▲          │
 *      └──────────┘ its sandbox died before it began with the request
 *
 * `response` settles once: with the head and body of the answer, or with the PlatformError the caller is told.
 * The observer's `finished` is called once, when nothing more will happen: body sent, background work done, or
 * everything cut.
 *
 * @module
 */
import { type LogLevel, PlatformError } from "@fluxbase/contract";
import { ByteBuffer, SMALL_CHUNK_BYTES } from "../../sandbox_runtime/byte_buffer.ts";
import { isEventStream } from "../core/event_stream.ts";
import { headerIn } from "../core/header_pairs.ts";
import type { SocketLink } from "./socket_link.ts";

/** A request as a sandbox gets it. */
export interface SandboxRequest {
  readonly executionId: string;
  readonly method: string;
  /** The public URL. */
  readonly url: string;
  /** The caller's identity as JSON, empty for an anonymous caller. */
  readonly callerJson: string;
  /** Name, value, name, value, …; names in lower case. */
  readonly headerPairs: readonly string[];
  readonly body: Uint8Array | ReadableStream<Uint8Array> | null;
  /** The client asks for a WebSocket. */
  readonly isUpgrade: boolean;
  /** How many functions called one another before it. */
  readonly depth: number;
  readonly timeoutMs: number;
  readonly requestBodyMaxBytes: number;
  readonly responseBodyMaxBytes: number;
  readonly client: Client;
}

/** Whoever waits for the answer. */
export interface Client {
  /** Aborts when it has gone. Asked for only when the answer takes a while: a quick one never pays for it. */
  signal(): AbortSignal;
  /** The other end of its connection; asked for now and then of those that wait. */
  peer(): string;
}

/** A client whose request is under way. */
export interface Waiting {
  readonly client: Client;
  /** It gets an event stream or a WebSocket, which have no end to wait for. */
  readonly isEndless: boolean;
}

export interface SandboxResponse {
  readonly status: number;
  /** Names and values in turn, or null for `content-type: application/json` alone. */
  readonly headers: readonly string[] | null;
  readonly body: Uint8Array<ArrayBuffer> | string | ReadableStream<Uint8Array<ArrayBuffer>> | null;
  /** The function's end of a WebSocket; its status is 101. */
  readonly socket?: SocketLink;
}

export interface LogLine {
  readonly atMs: number;
  readonly level: LogLevel;
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>> | null;
}

/** What a request waited for when its sandbox had to be made. */
export interface ColdStart {
  readonly beganMs: number;
  /** There was a process; at once where a blank sandbox was kept ahead. */
  readonly spawnedMs: number;
  /** It had loaded the version. */
  readonly loadedMs: number;
}

/** How an exchange ended; `error` is null when the function did its work. */
export interface Outcome {
  readonly status: number | null;
  readonly error: PlatformError | null;
  /** Stack of what the handler threw, in the user's source. */
  readonly stack: string | null;
  /** When a sandbox got the request; null when none ever did. */
  readonly sentMs: number | null;
  /** Null: its sandbox was there. */
  readonly coldStart: ColdStart | null;
  /** How old its sandbox was; null when no sandbox ever got it. */
  readonly sandboxAgeMs: number | null;
  /** The how manieth request of its sandbox it was, from 1. */
  readonly ordinal: number;
  /** When the head of the answer, or of an error, was there. */
  readonly answeredMs: number | null;
  /** When the answer was complete, background work left out. */
  readonly completedMs: number;
  /** Of the bodies, as far as they were sent. */
  readonly bytesIn: number;
  readonly bytesOut: number;
  /** What the sandbox took while it ran, shared with the requests beside it; null when nobody has looked. */
  readonly usage: ExchangeUsage | null;
  /** Lines that were told while it ran. */
  readonly linesBefore: number;
}

export interface ExchangeUsage {
  cpuMs: number;
  /** The most that its sandbox had, above what it has without a function. */
  memoryMiB: number;
}

/** Whoever wants to know the end. */
export interface ExchangeObserver {
  /** Lines of one that goes on; `beforeCount` were told before. */
  logged(lines: readonly LogLine[], beforeCount: number): void;
  /** `logs`: lines that were not told before. */
  finished(outcome: Outcome, logs: readonly LogLine[]): void;
}

/** Where an exchange is at the moment: in the queue of the pool, or in a sandbox. */
export interface ExchangeHolder {
  /** The client has gone. */
  abandon(exchange: Exchange): void;
}

/** A chunk in a queue takes so much besides its bytes: many small ones would take far more than the window says. */
const CHUNK_OVERHEAD_BYTES = 256;

const TELL_LOGS_AFTER_MS = 200;

export class Exchange {
  readonly request: SandboxRequest;
  readonly response: Promise<SandboxResponse>;
  readonly madeMs: number;
  /** How many lines it has written. */
  loggedCount = 0;
  holder: ExchangeHolder;
  /** Of the request in its sandbox; what is late for another one never means this one. */
  id = 0;
  /** The how manieth request of its sandbox it is, from 1. */
  ordinal = 0;
  sentMs: number | null = null;
  deadlineMs = Infinity;
  coldStart: ColdStart | null = null;
  /** Of its sandbox, when it got the request. */
  sandboxAgeMs: number | null = null;
  /** Its sandbox has sent a RESPONSE, which may have come too late. */
  hasResponse = false;
  /** How often it was taken from a sandbox that died. */
  moveCount = 0;
  /** True when the client's signal is listened to. */
  isWatched = false;
  /** True after the caller was told that the time is over, while the handler may still run. */
  isTimedOut = false;

  #resolve: (response: SandboxResponse) => void;
  #reject: (error: PlatformError) => void;
  #status: number | null = null;
  #error: PlatformError | null = null;
  #stack: string | null = null;
  /** In the order in which they arrived, those that were not told yet. */
  #logs: LogLine[] = [];
  /** When the first of them came. */
  #logsSinceMs = 0;
  #isAnswered = false;
  #isFinished = false;
  #outgoing: ReadableStreamDefaultController<Uint8Array<ArrayBuffer>> | undefined;
  /** Small chunks that have come while the stream was full. */
  #late: ByteBuffer | undefined;
  #socket: SocketLink | undefined;
  #isEventStream = false;
  #bodyBytes = 0;
  #completedMs: number | null = null;
  #answeredMs: number | null = null;
  /** Of a body that was sent in pieces. */
  bytesIn = 0;
  usage: ExchangeUsage | null = null;
  readonly #now: () => number;
  readonly #observer: ExchangeObserver;
  /** Bytes the sandbox may still send without new credit. */
  #window = 0;

  constructor(
    request: SandboxRequest,
    { now, observer, holder }: { now: () => number; observer: ExchangeObserver; holder: ExchangeHolder },
  ) {
    this.#now = now;
    this.#observer = observer;
    this.holder = holder;
    this.request = request;
    this.madeMs = now();
    const { promise, resolve, reject } = Promise.withResolvers<SandboxResponse>();
    this.response = promise;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  get isAnswered(): boolean {
    return this.#isAnswered;
  }
  get isStreaming(): boolean {
    return this.#outgoing !== undefined;
  }
  get socket(): SocketLink | undefined {
    return this.#socket;
  }

  get isEndless(): boolean {
    return this.#socket !== undefined || this.#isEventStream;
  }

  /** Listens for the client's end from now on. Costs 2 µs, a seventh of a whole request: quick answers do without. */
  watchClient(): void {
    this.isWatched = true;
    // Once the answer has begun, its stream tells whether the client is still there.
    if (this.#isAnswered) return;
    const signal = this.request.client.signal();
    const leave = () => this.#isAnswered || this.holder.abandon(this);
    if (signal.aborted) leave();
    else signal.addEventListener("abort", leave, { once: true });
  }

  answer(response: SandboxResponse, bodyBytes = 0): void {
    this.#isAnswered = true;
    this.#status = response.status;
    this.#bodyBytes = bodyBytes;
    this.#socket = response.socket;
    const nowMs = this.#now();
    this.#answeredMs = nowMs;
    if (!this.isStreaming && this.#socket === undefined) this.#completedMs = nowMs;
    this.#resolve(response);
  }

  /** Answers with a body that follows in chunks; `tell` gives credit back and says when nobody reads any more. */
  answerWithStream(
    head: Pick<SandboxResponse, "status" | "headers">,
    windowBytes: number,
    tell: { credit(byteCount: number): void; unwanted(): void },
  ): void {
    this.#window = windowBytes;
    this.#isEventStream = isEventStream(headerIn(head.headers ?? [], "content-type") ?? "");
    const body = new ReadableStream<Uint8Array<ArrayBuffer>>({
      start: (controller) => {
        this.#outgoing = controller;
      },
      pull: () => {
        this.#passLate();
        const used = windowBytes - this.#window;
        if (used === 0) return;
        this.#window = windowBytes;
        tell.credit(used);
      },
      cancel: () => {
        this.#outgoing = undefined;
        tell.unwanted();
      },
    }, { highWaterMark: windowBytes / 2, size: (chunk) => CHUNK_OVERHEAD_BYTES + (chunk?.byteLength ?? 0) });
    this.answer({ ...head, body });
  }

  /** Takes a chunk of the body; returns the error that cuts it, if any. */
  pushBody(chunk: Uint8Array<ArrayBuffer>): PlatformError | undefined {
    const limit = this.request.responseBodyMaxBytes;
    this.#bodyBytes += chunk.length;
    this.#window -= chunk.length;
    if (this.#bodyBytes > limit) return responseTooLarge(limit, this.#bodyBytes);
    if (chunk.length === 0 || this.#outgoing === undefined) return undefined;
    if (chunk.length < SMALL_CHUNK_BYTES && (this.#outgoing.desiredSize ?? 0) <= 0) {
      (this.#late ??= new ByteBuffer()).add(chunk);
      return undefined;
    }
    this.#passLate();
    this.#outgoing.enqueue(chunk);
    return undefined;
  }

  #passLate(): void {
    if (this.#late === undefined) return;
    this.#outgoing?.enqueue(this.#late.bytes);
    this.#late = undefined;
  }

  log(line: LogLine): void {
    if (this.#logs.length === 0) this.#logsSinceMs = this.#now();
    this.#logs.push(line);
    this.loggedCount += 1;
  }

  /** Those that were not told. */
  forgetLogs(): void {
    this.loggedCount -= this.#logs.length;
    this.#logs = [];
  }

  /** Lines of one that takes its time are told while it runs. */
  tellLogs(nowMs: number): void {
    if (this.#logs.length === 0 || nowMs - this.#logsSinceMs < TELL_LOGS_AFTER_MS) return;
    const lines = this.#logs;
    this.#logs = [];
    this.#observer.logged(lines, this.loggedCount - lines.length);
  }

  /** True when the sandbox sent more than it had credit for. */
  get isOverWindow(): boolean {
    return this.#window < 0;
  }

  endBody(): void {
    this.#completedMs = this.#now();
    this.#passLate();
    this.#outgoing?.close();
    this.#outgoing = undefined;
  }

  /** The caller gets this error, or a cut stream if the answer has begun; the exchange goes on until it is finished. */
  fail(error: PlatformError, stack: string | null = null): void {
    if (this.#error === null) {
      this.#error = error;
      this.#stack = stack;
      this.#completedMs = this.#now();
    }
    if (!this.#isAnswered) {
      this.#isAnswered = true;
      this.#status = error.status;
      this.#reject(error);
    }
    this.#outgoing?.error(error);
    this.#outgoing = undefined;
  }

  finish(): void {
    if (this.#isFinished) return;
    this.#isFinished = true;
    // A sandbox may say that it is done with what it has only begun.
    if (!this.#isAnswered || this.isStreaming) this.fail(brokenOff());
    this.#socket?.lost();
    const { body } = this.request;
    if (body instanceof ReadableStream && !body.locked) void body.cancel().catch(() => {});
    this.#observer.finished({
      status: this.#status,
      error: this.#error,
      stack: this.#stack,
      sentMs: this.sentMs,
      coldStart: this.coldStart,
      sandboxAgeMs: this.sandboxAgeMs,
      ordinal: this.ordinal,
      answeredMs: this.#answeredMs,
      completedMs: this.#completedMs ?? this.#now(),
      bytesIn: body instanceof Uint8Array ? body.length : this.bytesIn,
      bytesOut: this.#bodyBytes,
      usage: this.usage,
      linesBefore: this.loggedCount - this.#logs.length,
    }, this.#logs);
  }
}

export function responseTooLarge(limitBytes: number, usedBytes: number): PlatformError {
  return new PlatformError(
    "RESPONSE_TOO_LARGE",
    `Cannot send the response: it has ${usedBytes} bytes or more, and the limit of this function is ${limitBytes}`,
    { details: { limit: limitBytes, used: usedBytes } },
  );
}

function brokenOff(): PlatformError {
  return new PlatformError("SANDBOX_DIED", "The sandbox ended the request before its answer was complete");
}

export function bodyTooLarge(limitBytes: number): PlatformError {
  return new PlatformError("BODY_TOO_LARGE", `Cannot accept the request body: it is larger than ${limitBytes} bytes`, {
    details: { limit: limitBytes },
  });
}
