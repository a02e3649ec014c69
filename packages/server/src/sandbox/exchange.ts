/**
 * One request on its way through a sandbox, seen from the platform.
 *
 *   waiting ──► answered (response bytes may still flow) ──► finished
 *
 * `response` settles once: with the head and body of the answer, or with the PlatformError the caller is told.
 * the observer's `finished` is called once, when nothing more will happen: body sent, background work done, or everything cut.
 *
 * @module
 */
import { type LogLevel, PlatformError } from "@fluxbase/contract";

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
  readonly timeoutMs: number;
  readonly requestBodyMaxBytes: number;
  readonly responseBodyMaxBytes: number;
  readonly client: Client;
}

/** Whoever waits for the answer. */
export interface Client {
  /** Aborts when it has gone. Asked for only when the answer takes a while: a quick one never pays for it. */
  signal(): AbortSignal;
}

export interface SandboxResponse {
  readonly status: number;
  /** Names and values in turn, or null for `content-type: application/json` alone. */
  readonly headers: readonly string[] | null;
  readonly body: Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array<ArrayBuffer>> | null;
}

export interface LogLine {
  readonly atMs: number;
  readonly level: LogLevel;
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>> | null;
}

/** How an exchange ended; `error` is null when the function did its work. */
export interface Outcome {
  readonly status: number | null;
  readonly error: PlatformError | null;
  /** Stack of what the handler threw, in the user's source. */
  readonly stack: string | null;
  /** When the answer was complete, background work left out. */
  readonly completedMs: number;
}

/** Whoever wants to know the end. */
export interface ExchangeObserver {
  finished(outcome: Outcome, logs: readonly LogLine[]): void;
}

export class Exchange {
  readonly id: number;
  readonly request: SandboxRequest;
  readonly sentMs: number;
  readonly deadlineMs: number;
  readonly response: Promise<SandboxResponse>;
  /** In the order in which they arrived. */
  readonly logs: LogLine[] = [];
  /** True when the client's signal is listened to. */
  isWatched = false;
  /** True after the caller was told that the time is over, while the handler may still run. */
  isTimedOut = false;

  #resolve: (response: SandboxResponse) => void;
  #reject: (error: PlatformError) => void;
  #status: number | null = null;
  #error: PlatformError | null = null;
  #stack: string | null = null;
  #isAnswered = false;
  #isFinished = false;
  #outgoing: ReadableStreamDefaultController<Uint8Array<ArrayBuffer>> | undefined;
  #bodyBytes = 0;
  #bodyLimit: number;
  #completedMs = 0;
  readonly #now: () => number;
  readonly #observer: ExchangeObserver;
  /** Bytes the sandbox may still send without new credit. */
  #window = 0;

  constructor(
    id: number,
    request: SandboxRequest,
    { now, observer }: { now: () => number; observer: ExchangeObserver },
  ) {
    this.#now = now;
    this.#observer = observer;
    this.id = id;
    this.request = request;
    this.sentMs = now();
    this.deadlineMs = this.sentMs + request.timeoutMs;
    this.#bodyLimit = request.responseBodyMaxBytes;
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

  answer(response: SandboxResponse): void {
    this.#isAnswered = true;
    this.#status = response.status;
    if (!this.isStreaming) this.#completedMs = this.#now();
    this.#resolve(response);
  }

  /** Answers with a body that follows in chunks; `tell` gives credit back and says when nobody reads any more. */
  answerWithStream(
    head: Omit<SandboxResponse, "body">,
    windowBytes: number,
    tell: { credit(byteCount: number): void; unwanted(): void },
  ): void {
    this.#window = windowBytes;
    const body = new ReadableStream<Uint8Array<ArrayBuffer>>({
      start: (controller) => {
        this.#outgoing = controller;
      },
      pull: () => {
        const used = windowBytes - this.#window;
        if (used === 0) return;
        this.#window = windowBytes;
        tell.credit(used);
      },
      cancel: () => {
        this.#outgoing = undefined;
        tell.unwanted();
      },
    }, { highWaterMark: windowBytes / 2, size: (chunk) => chunk?.byteLength ?? 0 });
    this.answer({ ...head, body });
  }

  /** Takes a chunk of the body; returns the error that cuts it, if any. */
  pushBody(chunk: Uint8Array<ArrayBuffer>): PlatformError | undefined {
    this.#bodyBytes += chunk.length;
    this.#window -= chunk.length;
    if (this.#bodyBytes > this.#bodyLimit) return responseTooLarge(this.#bodyLimit);
    this.#outgoing?.enqueue(chunk);
    return undefined;
  }

  /** True when the sandbox sent more than it had credit for. */
  get isOverWindow(): boolean {
    return this.#window < 0;
  }

  endBody(): void {
    this.#completedMs = this.#now();
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
    this.#observer.finished({
      status: this.#status,
      error: this.#error,
      stack: this.#stack,
      completedMs: this.#completedMs,
    }, this.logs);
  }
}

export function responseTooLarge(limitBytes: number): PlatformError {
  return new PlatformError(
    "RESPONSE_TOO_LARGE",
    `Cannot send the response: it is larger than ${limitBytes} bytes, the limit of this function`,
    { details: { limit: limitBytes } },
  );
}
