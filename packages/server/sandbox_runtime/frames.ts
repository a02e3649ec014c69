/**
 * The frames that the platform and a sandbox exchange over one unix socket.
 *
 *     u32 length of what follows · u8 type · u32 request id (0: the sandbox itself) · payload
 *
 * Integers are little endian. Texts are UTF-8. Many requests share the socket; per request the order is
 * REQUEST, then BODY* and BODY_END in both directions at once, LOG* and RESPONSE from the sandbox, DONE last.
 * A request that becomes a WebSocket has MESSAGE* in both directions after its RESPONSE, and one CLOSE from each side.
 * BODY frames of one request may be under way up to a window of BODY_WINDOW_BYTES; CREDIT gives bytes back.
 *
 * Owns: the layout of frames, writing them in batches, cutting a byte stream into them.
 * Does not own: what a frame means to either side (../src/sandbox/sandbox.ts, ./bootstrap.ts).
 *
 * @module
 */
/** Said in READY and compared by the platform: both sides come from one tree, so a difference is an error. */
export const PROTOCOL_VERSION = 5;

export const FRAME = {
  // platform → sandbox
  LOAD: 1,
  REQUEST: 2,
  PING: 3,
  // sandbox → platform
  READY: 16,
  LOADED: 17,
  LOAD_FAILED: 18,
  RESPONSE: 19,
  FAILED: 20,
  LOG: 21,
  DONE: 22,
  PONG: 23,
  /** A connection was refused to user code; the payload is its address. */
  REFUSED: 24,
  // both ways
  BODY: 32,
  BODY_END: 33,
  CREDIT: 34,
  /** The receiver should stop sending or using this body or request; the payload is an ABORT_REASON. */
  ABORT: 35,
  /** A message of a WebSocket: a byte that says whether it is text, then the bytes. */
  MESSAGE: 36,
  /** The end of a WebSocket: u16 code, then the reason. */
  CLOSE: 37,
} as const;

/**
 * Added to REQUEST, RESPONSE, BODY, BODY_END, CREDIT and ABORT when the frame is about a call that the function makes to
 * the platform itself. Then the sides have changed roles, and ids are the sandbox's.
 */
export const OF_CALL = 64;

export const ABORT_REASON = { clientGone: 0, timeout: 1, bodyFailed: 2, bodyUnwanted: 3, responseFailed: 4 } as const;

/** Flags of REQUEST and RESPONSE. */
export const FLAG = {
  /** The whole body stands behind the head. */
  inlineBody: 1,
  /** BODY frames follow. */
  streamedBody: 2,
  /** RESPONSE only: the head is empty and means `content-type: application/json`. */
  jsonHead: 4,
  /** RESPONSE only: nothing else follows for this request, no DONE either. */
  done: 8,
  /** RESPONSE only: the size field holds the length of the body that follows in BODY frames. */
  knownSize: 16,
  /** RESPONSE only: the inline body is text, so nothing is lost when it becomes a string. */
  textBody: 64,
  /** RESPONSE only: the request becomes a WebSocket; the head has its protocol, if any. */
  webSocket: 32,
} as const;

/**
 * How many functions called one another before this request: REQUEST only, in the upper half of the flags. A call of a
 * function to the server says that of the request it is made for.
 */
const DEPTH_SHIFT = 4;
export const DEPTH_MAX = 15;

export function withDepth(flags: number, depth: number): number {
  return flags | depth << DEPTH_SHIFT;
}

export function depthOf(flags: number): number {
  return flags >> DEPTH_SHIFT;
}

export const HEADER_BYTES = 9;
const LENGTH_BYTES = 4;
/** Largest frame that is accepted from a sandbox: a head of HEAD_MAX_BYTES plus an inline body, a log line. */
export const FRAME_MAX_BYTES = 2 * 1024 * 1024;
/** Largest frame that a sandbox accepts: a bundle with its source map and environment. */
export const LOAD_MAX_BYTES = 256 * 1024 * 1024;
/**
 * Request line and headers, or status and headers, of one message. The largest head that the settings allow
 * (`responseHeadBytes`, `responseHeadersCount`) fits, in letters of two bytes too: a test holds them together.
 */
export const HEAD_MAX_BYTES = 512 * 1024;
/** Methods that functions can call the platform with. */
export const CALL_METHOD = /^[A-Z]{1,20}$/;
/** A body up to this size travels inside its REQUEST or RESPONSE frame. */
export const INLINE_BODY_MAX_BYTES = 64 * 1024;
/** Larger pieces are cut. */
export const BODY_CHUNK_MAX_BYTES = 64 * 1024;
/** Body bytes one side may send before the other gives CREDIT. */
export const BODY_WINDOW_BYTES = 512 * 1024;
export const SOCKET_MESSAGE_MAX_BYTES = 1024 * 1024;
/** Bytes of messages one side may send before the other gives CREDIT. */
export const SOCKET_WINDOW_BYTES = 4 * SOCKET_MESSAGE_MAX_BYTES;

/** The socket's two calls that frames need; `Deno.UnixConn` has them. */
export interface ByteConnection {
  read(buffer: Uint8Array): Promise<number | null>;
  write(bytes: Uint8Array): Promise<number>;
}

const BATCH_BYTES = 256 * 1024;
/** Most sandboxes are called now and then, and never need more. */
const FIRST_BYTES = 8 * 1024;
/** A buffer that had to grow for streamed bodies is kept up to this size: making it anew is garbage of its size. */
const BATCH_KEPT_MAX_BYTES = 1024 * 1024;
const encoder = new TextEncoder();

/**
 * Collects frames and sends all that are waiting in one write.
 *
 * Two buffers take turns: while one is being written, frames go into the other. A fresh large buffer for each
 * write cost 80 % of the throughput when measured.
 */
export class FrameWriter {
  readonly #connection: ByteConnection;
  readonly #onError: (error: unknown) => void;
  #active: Uint8Array = new Uint8Array(FIRST_BYTES);
  #spare: Uint8Array = new Uint8Array(FIRST_BYTES);
  #view = new DataView(this.#active.buffer);
  #length = 0;
  #frameStart = 0;
  #writing = false;
  #writingBytes = 0;
  #flushIsDue = false;
  readonly #flushSoon = () => {
    this.#flushIsDue = false;
    this.flush();
  };

  constructor(connection: ByteConnection, onError: (error: unknown) => void) {
    this.#connection = connection;
    this.#onError = onError;
  }

  /** Written here, and not yet taken by the socket. */
  get waitingBytes(): number {
    return this.#length + this.#writingBytes;
  }

  begin(type: number, id: number): void {
    this.#reserve(HEADER_BYTES);
    this.#frameStart = this.#length;
    this.#view.setUint8(this.#length + LENGTH_BYTES, type);
    this.#view.setUint32(this.#length + LENGTH_BYTES + 1, id, true);
    this.#length += HEADER_BYTES;
  }

  u8(value: number): void {
    this.#reserve(1);
    this.#active[this.#length++] = value;
  }

  u16(value: number): void {
    this.#reserve(2);
    this.#view.setUint16(this.#length, value, true);
    this.#length += 2;
  }

  u32(value: number): void {
    this.#reserve(4);
    this.#view.setUint32(this.#length, value, true);
    this.#length += 4;
  }

  bytes(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#active.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  text(text: string): void {
    // A UTF-16 unit becomes at most 3 bytes of UTF-8.
    this.#reserve(text.length * 3);
    this.#length += encoder.encodeInto(text, this.#active.subarray(this.#length)).written;
  }

  /** A text with its length in bytes before it, so that something may follow. */
  sizedText(text: string): void {
    this.#reserve(4 + text.length * 3);
    const { written } = encoder.encodeInto(text, this.#active.subarray(this.#length + 4));
    this.#view.setUint32(this.#length, written, true);
    this.#length += 4 + written;
  }

  /**
   * Several texts with their size in bytes before them; `readList` reads what follows the size. Their lengths stand in
   * front of them, so no text can be taken for two, whatever it holds.
   *
   *     u32 count · u32 length of each in UTF-16 units · all texts, one after the other
   */
  sizedList(texts: readonly string[]): void {
    const joined = texts.join("");
    this.#reserve(8 + 4 * texts.length + joined.length * 3);
    const start = this.#length;
    const view = this.#view;
    view.setUint32(start + 4, texts.length, true);
    let at = start + 8;
    for (const text of texts) {
      view.setUint32(at, text.length, true);
      at += 4;
    }
    at += encoder.encodeInto(joined, this.#active.subarray(at)).written;
    view.setUint32(start, at - start - 4, true);
    this.#length = at;
  }

  /** Ends the frame; it leaves with the others of this turn of the event loop: a write for each cost 20 % when measured. */
  end(): void {
    this.#view.setUint32(this.#frameStart, this.#length - this.#frameStart - LENGTH_BYTES, true);
    if (this.#writing || this.#flushIsDue) return;
    this.#flushIsDue = true;
    setImmediate(this.#flushSoon);
  }

  /** Hands what is waiting to the socket now, unless a write is under way: its end will. */
  flush(): void {
    if (this.#writing || this.#length === 0) return;
    this.#writing = true;
    const batch = this.#active.subarray(0, this.#length);
    [this.#active, this.#spare] = [this.#spare, this.#active];
    this.#view = new DataView(this.#active.buffer);
    this.#length = 0;
    this.#send(batch);
  }

  #send(batch: Uint8Array): void {
    this.#writingBytes = batch.length;
    this.#connection.write(batch).then((written) => {
      if (written < batch.length) return this.#send(batch.subarray(written));
      this.#writing = false;
      this.#writingBytes = 0;
      if (this.#spare.length > BATCH_KEPT_MAX_BYTES) this.#spare = new Uint8Array(BATCH_BYTES);
      this.flush();
    }, this.#onError);
  }

  #reserve(byteCount: number): void {
    const needed = this.#length + byteCount;
    if (needed <= this.#active.length) return;
    const larger = new Uint8Array(Math.max(needed, this.#active.length * 2));
    larger.set(this.#active.subarray(0, this.#length));
    this.#active = larger;
    this.#view = new DataView(larger.buffer);
  }
}

/** The start of an answer; its parts are as they came. */
export interface ResponseHead {
  readonly flags: number;
  readonly status: number;
  /** Of a body that follows in BODY frames, if known. */
  readonly sizeBytes: number;
  readonly headBytes: number;
  /** Where an inline body begins. */
  readonly bodyStart: number;
}

const RESPONSE_HEADER_BYTES = 11;

/** Begins a RESPONSE and leaves it open for an inline body. `headers` are names and values in turn. */
export function beginResponse(
  writer: FrameWriter,
  { type, id, flags, status, sizeBytes }: {
    type: number;
    id: number;
    flags: number;
    status: number;
    sizeBytes: number;
  },
  headers: readonly string[],
): void {
  writer.begin(type, id);
  writer.u8(flags);
  writer.u16(status);
  writer.u32(sizeBytes);
  if (headers.length === 0) writer.u32(0);
  else writer.sizedList(headers);
}

/** A leading byte order mark belongs to its text. */
const exactDecoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** At most so many bytes follow the size that `sizedList` writes. */
export function listBytes(texts: readonly string[]): number {
  return texts.reduce((sum, text) => sum + 4 + 3 * text.length, 4);
}

/** @throws {FrameError} when the bytes are not what `sizedList` writes */
export function readList(bytes: Uint8Array): string[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const count = bytes.length < 4 ? 0 : view.getUint32(0, true);
  const textStart = 4 + 4 * count;
  if (bytes.length < 4 || textStart > bytes.length) throw new FrameError(`Cannot read a list of ${count} texts`);
  const joined = exactDecoder.decode(bytes.subarray(textStart));
  const texts = new Array<string>(count);
  let start = 0;
  for (let index = 0; index < count; index += 1) {
    const end = start + view.getUint32(4 + 4 * index, true);
    texts[index] = joined.slice(start, end);
    start = end;
  }
  if (start !== joined.length) throw new FrameError("Cannot read a list whose lengths do not fit its text");
  return texts;
}

/** @throws {FrameError} when the payload is too short for what it says */
export function readResponseHead(payload: Uint8Array): ResponseHead {
  if (payload.length < RESPONSE_HEADER_BYTES) throw new FrameError("Cannot read a RESPONSE that is so short");
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  const headBytes = view.getUint32(7, true);
  const bodyStart = RESPONSE_HEADER_BYTES + headBytes;
  if (headBytes > HEAD_MAX_BYTES || bodyStart > payload.length) {
    throw new FrameError(`Cannot read a RESPONSE with a head of ${headBytes} bytes`);
  }
  return {
    flags: view.getUint8(0),
    status: view.getUint16(1, true),
    sizeBytes: view.getUint32(3, true),
    headBytes,
    bodyStart,
  };
}

/** Names and values in turn. */
export function readHeaders(payload: Uint8Array, { headBytes, bodyStart }: ResponseHead): string[] {
  if (headBytes === 0) return [];
  const parts = readList(payload.subarray(bodyStart - headBytes, bodyStart));
  if (parts.length % 2 !== 0) throw new FrameError("Cannot read headers without values");
  return parts;
}

export class FrameError extends Error {
  override readonly name = "FrameError";
}

/** Gets each frame. `payload` is valid only during the call: copy what must stay. */
export type FrameHandler = (type: number, id: number, payload: Uint8Array) => void;

export interface ReadOptions {
  readonly frameMaxBytes?: number;
  /** Asked after what one read brought; a promise holds up the next read, and so the sender. */
  pace?(): Promise<void> | undefined;
}

/**
 * Reads frames until the other side closes.
 *
 * A length is checked as soon as it is there, and the buffer grows only with what has arrived: whoever announces a large
 * frame gets no memory for that alone.
 *
 * @throws {FrameError} when the bytes are not frames; whatever `onFrame` throws
 */
export async function readFrames(
  connection: ByteConnection,
  onFrame: FrameHandler,
  { frameMaxBytes = FRAME_MAX_BYTES, pace }: ReadOptions = {},
): Promise<void> {
  let buffer = new Uint8Array(FIRST_BYTES);
  let view = new DataView(buffer.buffer);
  let start = 0;
  let end = 0;
  while (true) {
    const read = await connection.read(buffer.subarray(end));
    if (read === null) return;
    end += read;
    while (end - start >= LENGTH_BYTES) {
      const length = view.getUint32(start, true);
      if (length < HEADER_BYTES - LENGTH_BYTES || length > frameMaxBytes) {
        throw new FrameError(`Cannot read a frame of ${length} bytes: it must be from 5 to ${frameMaxBytes}`);
      }
      const next = start + LENGTH_BYTES + length;
      if (next > end) break;
      onFrame(
        view.getUint8(start + LENGTH_BYTES),
        view.getUint32(start + LENGTH_BYTES + 1, true),
        buffer.subarray(start + HEADER_BYTES, next),
      );
      start = next;
    }
    const held = pace?.();
    if (held !== undefined) await held;
    if (start === end) {
      // Who fills it has more to say than it holds.
      const isFull = end === buffer.length;
      start = end = 0;
      if (isFull ? buffer.length < BATCH_BYTES : buffer.length > BATCH_BYTES) {
        buffer = new Uint8Array(Math.min(2 * buffer.length, BATCH_BYTES));
        view = new DataView(buffer.buffer);
      }
      continue;
    }
    if (end < buffer.length) continue;
    // Full: the rest of a frame moves to the front, or into a larger buffer if this one is small or filled by it.
    const isLarger = start === 0 || buffer.length < BATCH_BYTES;
    const target = isLarger ? new Uint8Array(2 * buffer.length) : buffer;
    target.set(buffer.subarray(start, end));
    end -= start;
    start = 0;
    if (target !== buffer) {
      buffer = target;
      view = new DataView(buffer.buffer);
    }
  }
}
