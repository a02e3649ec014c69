/**
 * JSON-RPC with a language server over its input and output, as the Language Server Protocol frames it.
 *
 * Owns: framing, which answer belongs to which question, deadlines. What comes is taken as hostile: it is bounded, and a
 * message that is none ends the process.
 *
 * @module
 */
import type { ConfinedProcess } from "../processes/confined_process.ts";

export interface Rpc {
  /** @throws {Error} with a sentence: the server refused, took too long, or is gone */
  ask(method: string, params: unknown): Promise<unknown>;
  tell(method: string, params: unknown): void;
  /** Resolves with why there will be no more answers. */
  readonly ended: Promise<string>;
  end(why: string): void;
}

export interface RpcOptions {
  /** For one answer. The first ones may take several times as long: nothing is read yet. */
  readonly deadlineMs: number;
}

const FIRST_COUNT = 3;
const FIRST_PATIENCE = 4;

const HEAD_MAX_BYTES = 1024;
const MESSAGE_MAX_BYTES = 32 * 1024 * 1024;
/** What the process may leave unread before it counts as stuck. */
const UNREAD_MAX_BYTES = 64 * 1024 * 1024;

interface Waiting {
  resolve(result: unknown): void;
  reject(error: Error): void;
  readonly timer: ReturnType<typeof setTimeout>;
}

export function startRpc(child: ConfinedProcess, { deadlineMs }: RpcOptions): Rpc {
  const waiting = new Map<number, Waiting>();
  const ended = Promise.withResolvers<string>();
  let isOver = false;
  let nextId = 1;
  let unreadBytes = 0;
  let answeredCount = 0;
  void child.stderr.cancel();
  void read();
  void child.ended.then(() => end("The language service ended by itself: it may have used up its memory"));

  async function read(): Promise<void> {
    try {
      for await (const message of messagesOf(child.stdout)) take(message);
    } catch (error) {
      end(error instanceof Error ? error.message : String(error));
    }
  }

  function take(message: unknown): void {
    const { id, method, result, error } = message as Readonly<Record<string, unknown>>;
    if (typeof method === "string") {
      // It asks for settings and to be told of files: there is nothing to say.
      if (id !== undefined) send({ id, result: null });
      return;
    }
    const asked = waiting.get(Number(id));
    if (asked === undefined) return;
    waiting.delete(Number(id));
    clearTimeout(asked.timer);
    answeredCount += 1;
    if (error === undefined) asked.resolve(result);
    else asked.reject(new Error("The language service has no answer to this"));
  }

  function send(message: object): void {
    if (isOver) return;
    const body = new TextEncoder().encode(JSON.stringify({ jsonrpc: "2.0", ...message }));
    const head = new TextEncoder().encode(`Content-Length: ${body.length}\r\n\r\n`);
    const bytes = new Uint8Array(head.length + body.length);
    bytes.set(head);
    bytes.set(body, head.length);
    unreadBytes += bytes.length;
    if (unreadBytes > UNREAD_MAX_BYTES) return end("The language service does not read what it is sent");
    const { length } = bytes;
    void child.write(bytes).then(() => unreadBytes -= length);
  }

  function end(why: string): void {
    if (isOver) return;
    isOver = true;
    child.kill();
    for (const { reject, timer } of waiting.values()) {
      clearTimeout(timer);
      reject(new Error(why));
    }
    waiting.clear();
    ended.resolve(why);
  }

  return {
    ask(method, params) {
      const id = nextId++;
      return new Promise((resolve, reject) => {
        if (isOver) return reject(new Error("The language service is gone"));
        const limitMs = answeredCount < FIRST_COUNT ? FIRST_PATIENCE * deadlineMs : deadlineMs;
        const timer = setTimeout(
          () => end(`The language service took longer than ${limitMs / 1000} s: the types may be too deep`),
          limitMs,
        );
        waiting.set(id, { resolve, reject, timer });
        send({ id, method, params });
      });
    },
    tell: (method, params) => send({ method, params }),
    ended: ended.promise,
    end,
  };
}

/** @throws {Error} with a sentence, for what is no message */
async function* messagesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<unknown> {
  let buffer: Uint8Array = new Uint8Array();
  let wanted: number | undefined;
  for await (const chunk of stream) {
    buffer = joined(buffer, chunk);
    while (true) {
      if (wanted === undefined) {
        const end = headEnd(buffer);
        if (end < 0 && buffer.length > HEAD_MAX_BYTES) throw new Error("The language service sent what is no message");
        if (end < 0) break;
        wanted = lengthIn(new TextDecoder().decode(buffer.subarray(0, end)));
        buffer = buffer.subarray(end + 4);
      }
      if (buffer.length < wanted) break;
      const message: unknown = JSON.parse(new TextDecoder().decode(buffer.subarray(0, wanted)));
      buffer = buffer.subarray(wanted);
      wanted = undefined;
      if (typeof message === "object" && message !== null) yield message;
    }
  }
}

function lengthIn(head: string): number {
  const length = Number(/^content-length: *(\d{1,12})\s*$/im.exec(head)?.[1] ?? NaN);
  if (length <= MESSAGE_MAX_BYTES) return length;
  throw new Error("The language service sent a message that is too large");
}

function headEnd(bytes: Uint8Array): number {
  for (let index = 0; index + 3 < Math.min(bytes.length, HEAD_MAX_BYTES + 4); index += 1) {
    if (bytes[index] === 13 && bytes[index + 1] === 10 && bytes[index + 2] === 13 && bytes[index + 3] === 10) {
      return index;
    }
  }
  return -1;
}

/** A large message comes in many chunks: growing the buffer for each would take the square of its length. */
function joined(a: Uint8Array, b: Uint8Array): Uint8Array {
  if (a.length === 0) return b;
  const spare = a.buffer.byteLength - a.byteOffset - a.length;
  if (spare >= b.length) {
    const whole = new Uint8Array(a.buffer, a.byteOffset, a.length + b.length);
    whole.set(b, a.length);
    return whole;
  }
  const grown = new Uint8Array(new ArrayBuffer(2 * (a.length + b.length)), 0, a.length + b.length);
  grown.set(a);
  grown.set(b, a.length);
  return grown;
}
