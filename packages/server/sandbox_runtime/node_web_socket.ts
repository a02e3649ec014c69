/**
 * A WebSocket that a server of Node has accepted: its frames are read and written here, as a client does, and its messages
 * travel on like those of `Deno.upgradeWebSocket`.
 *
 * @module
 */
import { SOCKET_MESSAGE_MAX_BYTES } from "./frames.ts";
import { isSendableCode } from "./handshake.ts";
import { type FunctionRequest } from "./request.ts";
import { FunctionSocket } from "./socket.ts";
import type { Duplex } from "node:stream";

export type Upgrade = (
  request: FunctionRequest,
  options: { readonly protocol?: string },
) => { readonly socket: FunctionSocket; readonly response: Response };

interface Accepted {
  readonly socket: Duplex;
  /** What came behind the head of the answer. */
  readonly head: Uint8Array;
  readonly protocol: string | undefined;
}

const OP = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;
const FINAL = 0x80;
const MASKED = 0x80;
const PROTOCOL_ERROR = 1002;
const TOO_BIG = 1009;
const NO_CODE = 1005;
const BROKEN = 1006;
const CONTROL = 8;
const CONTROL_MAX_BYTES = 125;
const encoder = new TextEncoder();
const decoder = new TextDecoder();
const strictDecoder = new TextDecoder("utf-8", { fatal: true });

/** The answer that makes the request a WebSocket. */
export function joinWebSocket(
  { socket, head, protocol }: Accepted,
  request: FunctionRequest,
  upgrade: Upgrade,
): Response {
  const { socket: outer, response } = upgrade(request, protocol === undefined ? {} : { protocol });
  const write = (opcode: number, payload: Uint8Array) => {
    if (socket.writable) socket.write(frameOf(opcode, payload));
  };
  const reader = new FrameReader({
    message: (bytes, isText) => outer.send(isText ? decoder.decode(bytes) : bytes),
    ping: (bytes) => write(OP.pong, bytes),
    close(code, reason) {
      FunctionSocket.endWith(outer, code === NO_CODE ? 1000 : code, reason);
      write(OP.close, codePayload(code === NO_CODE ? 1000 : code, ""));
      socket.end();
    },
  });
  outer.binaryType = "arraybuffer";
  outer.onopen = () => {
    if (head.length > 0) reader.push(head);
    socket.on("data", (chunk: Uint8Array) => reader.push(chunk));
  };
  outer.onmessage = ({ data }) =>
    typeof data === "string"
      ? write(OP.text, encoder.encode(data))
      : write(OP.binary, new Uint8Array(data as ArrayBuffer));
  outer.onclose = ({ code, reason }) => {
    if (code === BROKEN) return void socket.destroy();
    write(OP.close, code === NO_CODE ? new Uint8Array() : codePayload(code, reason));
    socket.end();
  };
  socket.on("close", () => FunctionSocket.endWith(outer, 1011, "The function has closed the connection"));
  socket.on("error", () => {});
  return response;
}

/** What is no text is left out: shown as one, it may be too long. */
function textOf(bytes: Uint8Array): string {
  try {
    return strictDecoder.decode(bytes);
  } catch {
    return "";
  }
}

function codePayload(code: number, reason: string): Uint8Array {
  const text = encoder.encode(reason);
  const payload = new Uint8Array(2 + text.length);
  new DataView(payload.buffer).setUint16(0, code);
  payload.set(text, 2);
  return payload;
}

/** Masked, as a client must; with a mask of zeros, since nothing in between could be confused. */
function frameOf(opcode: number, payload: Uint8Array): Uint8Array {
  const extra = payload.length < 126 ? 0 : payload.length < 65_536 ? 2 : 8;
  const frame = new Uint8Array(2 + extra + 4 + payload.length);
  const view = new DataView(frame.buffer);
  frame[0] = FINAL | opcode;
  frame[1] = MASKED | (extra === 0 ? payload.length : extra === 2 ? 126 : 127);
  if (extra === 2) view.setUint16(2, payload.length);
  if (extra === 8) view.setBigUint64(2, BigInt(payload.length));
  frame.set(payload, 2 + extra + 4);
  return frame;
}

interface FrameEvents {
  message(bytes: Uint8Array, isText: boolean): void;
  ping(bytes: Uint8Array): void;
  close(code: number, reason: string): void;
}

class FrameReader {
  readonly #events: FrameEvents;
  #rest: Uint8Array = new Uint8Array();
  #parts: Uint8Array[] = [];
  #partsBytes = 0;
  #isText = false;
  #isOver = false;

  constructor(events: FrameEvents) {
    this.#events = events;
  }

  push(chunk: Uint8Array): void {
    if (this.#isOver) return;
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    let start = 0;
    for (let end = this.#frame(bytes, start); end !== undefined; end = this.#frame(bytes, start)) start = end;
    this.#rest = bytes.subarray(start);
  }

  /** Where the frame that begins at `start` ends; undefined while it is not there whole. */
  #frame(bytes: Uint8Array, start: number): number | undefined {
    const view = new DataView(bytes.buffer, bytes.byteOffset + start, bytes.length - start);
    if (this.#isOver || view.byteLength < 2) return undefined;
    const [first, second] = [view.getUint8(0), view.getUint8(1)];
    const size = second & 0x7f;
    const at = size < 126 ? 2 : size === 126 ? 4 : 10;
    if (view.byteLength < at) return undefined;
    const length = size < 126 ? size : size === 126 ? view.getUint16(2) : Number(view.getBigUint64(2));
    if ((second & MASKED) !== 0) return this.#end(PROTOCOL_ERROR, "a server must not mask its frames");
    if ((first & CONTROL) !== 0 && length > CONTROL_MAX_BYTES) {
      return this.#end(PROTOCOL_ERROR, "a frame of control is too long");
    }
    if (length + this.#partsBytes > SOCKET_MESSAGE_MAX_BYTES) {
      return this.#end(TOO_BIG, `a message may have at most ${SOCKET_MESSAGE_MAX_BYTES} bytes`);
    }
    if (view.byteLength < at + length) return undefined;
    this.#take(first, bytes.slice(start + at, start + at + length));
    return start + at + length;
  }

  #take(first: number, payload: Uint8Array): void {
    switch (first & 0xf) {
      case OP.ping:
        return this.#events.ping(payload);
      case OP.pong:
        return;
      case OP.close: {
        const code = payload.length < 2 ? NO_CODE : (payload[0] ?? 0) << 8 | (payload[1] ?? 0);
        if (code !== NO_CODE && !isSendableCode(code)) {
          return void this.#end(PROTOCOL_ERROR, `no end closes with ${code}`);
        }
        return void this.#end(code, textOf(payload.subarray(2)));
      }
      case OP.text:
      case OP.binary:
        this.#isText = (first & 0xf) === OP.text;
    }
    this.#parts.push(payload);
    this.#partsBytes += payload.length;
    if ((first & FINAL) === 0) return;
    const whole = this.#parts.length === 1 ? payload : Buffer.concat(this.#parts);
    this.#parts = [];
    this.#partsBytes = 0;
    this.#events.message(whole, this.#isText);
  }

  #end(code: number, reason: string): undefined {
    this.#isOver = true;
    this.#events.close(code, reason);
  }
}
