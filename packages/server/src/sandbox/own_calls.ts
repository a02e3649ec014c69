/**
 * Calls that a function makes to the platform itself: they come over the sandbox's own socket and are answered by the
 * server in this process, so they neither leave the machine nor need a connection.
 *
 * What comes out of the sandbox is hostile here too: the number of calls, their heads and their bodies are bounded.
 *
 * @module
 */
import { type BodyInbox, BodyOutbox, cancelQuietly, createBodyInbox } from "../../sandbox_runtime/body.ts";
import {
  ABORT_REASON,
  beginResponse,
  BODY_CHUNK_MAX_BYTES,
  CALL_METHOD,
  depthOf,
  FLAG,
  FRAME,
  type FrameWriter,
  HEAD_MAX_BYTES,
  OF_CALL,
  readList,
} from "../../sandbox_runtime/frames.ts";
import { parseCredit, violation } from "./sandbox_frames.ts";

/** The server, as a function of this process. */
export type AnswerCall = (request: Request, from: CallOrigin) => Promise<Response>;

export interface CallOrigin {
  /** How many functions called one another before. */
  readonly depth: number;
  /** The request of the sandbox that makes it, as the sandbox says; 0: none. */
  readonly requestId: number;
}

interface OwnCall {
  readonly abort: AbortController;
  readonly inbox: BodyInbox | undefined;
  outbox: BodyOutbox | undefined;
  /** Of its body, here and not yet read. */
  heldBytes: number;
}

/** Of one sandbox at once; more are answered 503. */
const CALLS_MAX_COUNT = 256;
/** Of the bodies of all calls of one sandbox, here and not yet read: less than all their windows together. */
const HELD_MAX_BYTES = 32 * 1024 * 1024;
/** There is no connection that could become a WebSocket, and no proxy that could say where a request comes from. */
const NOT_OF_FUNCTIONS = [
  "upgrade",
  "forwarded",
  "x-forwarded-for",
  "x-forwarded-host",
  "x-forwarded-port",
  "x-forwarded-proto",
  "x-real-ip",
  "x-client-ip",
  "true-client-ip",
  "cf-connecting-ip",
];
const BODILESS: ReadonlySet<string> = new Set(["GET", "HEAD"]);
/** Behind flags, the id of the request that makes it, and the length of the head. */
const HEAD_START = 9;

export class OwnCalls {
  readonly #writer: FrameWriter;
  readonly #answer: AnswerCall;
  readonly #calls = new Map<number, OwnCall>();
  #heldBytes = 0;

  constructor(writer: FrameWriter, answer: AnswerCall) {
    this.#writer = writer;
    this.#answer = answer;
  }

  onRequest(id: number, payload: Uint8Array): void {
    if (id === 0 || this.#calls.has(id)) throw violation("a call with an id that is in use");
    if (payload.length < HEAD_START) throw violation("a short call");
    const flags = payload[0] ?? 0;
    const view = new DataView(payload.buffer, payload.byteOffset);
    const headBytes = view.getUint32(5, true);
    const bodyStart = HEAD_START + headBytes;
    if (headBytes > HEAD_MAX_BYTES || bodyStart !== payload.length) throw violation("a call with a bad head");
    if (this.#calls.size >= CALLS_MAX_COUNT) return this.#refuse(id);
    const inbox = flags & FLAG.streamedBody
      ? createBodyInbox({
        credit: (byteCount) => {
          this.#hold(call, -byteCount);
          this.#credit(id, byteCount);
        },
        unwanted: () => this.#abort(id, ABORT_REASON.bodyUnwanted),
      })
      : undefined;
    const call: OwnCall = { abort: new AbortController(), inbox, outbox: undefined, heldBytes: 0 };
    const request = parseRequest(payload.subarray(HEAD_START), inbox?.stream ?? null, call.abort.signal);
    this.#calls.set(id, call);
    void this.#run(id, call, request, { depth: depthOf(flags) + 1, requestId: view.getUint32(1, true) });
  }

  onBody(id: number, payload: Uint8Array): void {
    if (payload.length > BODY_CHUNK_MAX_BYTES) throw violation("a BODY of a call that is too large");
    const call = this.#calls.get(id);
    if (call?.inbox === undefined) return;
    if (this.#heldBytes + payload.length > HELD_MAX_BYTES) {
      call.inbox.fail(new Error("The bodies of the function's calls are too large together"));
      return this.#abort(id, ABORT_REASON.bodyUnwanted);
    }
    this.#hold(call, payload.length);
    if (!call.inbox.push(payload.slice())) throw violation("more body of a call than it had credit for");
  }

  #hold(call: OwnCall, byteCount: number): void {
    call.heldBytes += byteCount;
    this.#heldBytes += byteCount;
  }

  onBodyEnd(id: number): void {
    this.#calls.get(id)?.inbox?.end();
  }

  onCredit(id: number, payload: Uint8Array): void {
    const byteCount = parseCredit(payload);
    this.#calls.get(id)?.outbox?.credited(byteCount);
  }

  /** The function does not want the answer any more. */
  onAbort(id: number): void {
    const call = this.#calls.get(id);
    if (call === undefined) return;
    const reason = new DOMException("The function gave its call up", "AbortError");
    call.abort.abort(reason);
    call.inbox?.fail(reason);
    call.outbox?.stop();
  }

  /** The sandbox is gone. */
  end(): void {
    for (const id of [...this.#calls.keys()]) this.onAbort(id);
    this.#calls.clear();
  }

  async #run(id: number, call: OwnCall, request: Request, from: CallOrigin): Promise<void> {
    try {
      await this.#send(id, call, await this.#answer(request, from));
    } catch {
      // The answer broke off: its body failed, or the call was given up.
      if (this.#calls.has(id)) this.#abort(id, ABORT_REASON.responseFailed);
    } finally {
      this.#calls.delete(id);
      this.#hold(call, -call.heldBytes);
    }
  }

  async #send(id: number, call: OwnCall, response: Response): Promise<void> {
    const headers = [...response.headers].flat();
    const { status, body } = response;
    beginResponse(
      this.#writer,
      {
        type: FRAME.RESPONSE | OF_CALL,
        id,
        flags: body === null ? FLAG.inlineBody : FLAG.streamedBody,
        status,
        sizeBytes: 0,
      },
      headers,
    );
    this.#writer.end();
    if (body === null) return;
    call.outbox = new BodyOutbox((piece) => {
      this.#writer.begin(FRAME.BODY | OF_CALL, id);
      this.#writer.bytes(piece);
      this.#writer.end();
    });
    const reader = body.getReader();
    try {
      const isComplete = await call.outbox.pump(reader, (chunk) => chunk as Uint8Array);
      if (!isComplete) return;
      this.#writer.begin(FRAME.BODY_END | OF_CALL, id);
      this.#writer.end();
    } finally {
      await cancelQuietly(reader);
    }
  }

  #refuse(id: number): void {
    const text = new TextEncoder().encode(`{"error":"Too many calls to the platform at once","code":"POOL_EXHAUSTED"}`);
    const head = { type: FRAME.RESPONSE | OF_CALL, id, flags: FLAG.inlineBody, status: 503, sizeBytes: 0 };
    beginResponse(this.#writer, head, ["content-type", "application/json"]);
    this.#writer.bytes(text);
    this.#writer.end();
  }

  #credit(id: number, byteCount: number): void {
    this.#writer.begin(FRAME.CREDIT | OF_CALL, id);
    this.#writer.u32(byteCount);
    this.#writer.end();
  }

  #abort(id: number, reason: number): void {
    this.#writer.begin(FRAME.ABORT | OF_CALL, id);
    this.#writer.u8(reason);
    this.#writer.end();
  }
}

/** The head is method, URL, then names and values of headers. */
function parseRequest(
  head: Uint8Array,
  body: ReadableStream<Uint8Array<ArrayBuffer>> | null,
  signal: AbortSignal,
): Request {
  const [method = "", url = "", ...pairs] = readList(head);
  if (!CALL_METHOD.test(method)) throw violation("a call with a bad method");
  try {
    const headers = new Headers();
    for (let index = 0; index + 1 < pairs.length; index += 2) {
      headers.append(pairs[index] ?? "", pairs[index + 1] ?? "");
    }
    for (const name of NOT_OF_FUNCTIONS) headers.delete(name);
    return new Request(url, { method, headers, body: BODILESS.has(method) ? null : body, signal });
  } catch {
    throw violation("a call that is no request");
  }
}
