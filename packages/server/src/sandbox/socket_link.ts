/**
 * The function's end of one WebSocket, seen from the platform: messages travel as frames, the client's connection is
 * the gateway's.
 *
 * Both directions are bounded. What the client sends is counted until the sandbox has taken it; what the function
 * sends is given credit when the client's connection has room again.
 *
 * @module
 */
import { SOCKET_MESSAGE_MAX_BYTES, SOCKET_WINDOW_BYTES } from "../../sandbox_runtime/frames.ts";

export type SocketMessage = string | Uint8Array<ArrayBuffer>;

/** The client's connection. */
export interface SocketClient {
  send(message: SocketMessage): void;
  close(code: number, reason: string): void;
  /** Bytes that were sent and have not left yet. */
  readonly bufferedBytes: number;
}

/** The way to the sandbox. */
export interface SocketFrames {
  message(bytes: Uint8Array, isText: boolean): void;
  close(code: number, reason: string): void;
  credit(byteCount: number): void;
}

/** Codes of RFC 6455, section 7.4. */
export const CLOSE_CODE = { goingAway: 1001, tooBig: 1009, internalError: 1011, serviceRestart: 1012 } as const;

/** Messages, however small, that wait for the client's connection. */
const UNCREDITED_MAX_COUNT = 250_000;
/** Above this the client's connection is full, and the function gets no credit. */
const CLIENT_BUFFER_BYTES = 512 * 1024;

const encoder = new TextEncoder();

export class SocketLink {
  readonly protocol: string;
  readonly #frames: SocketFrames;
  #client: SocketClient | undefined;
  /** What the function sent before the client's connection was open. */
  #early: SocketMessage[] = [];
  #earlyClose: [code: number, reason: string] | undefined;
  /** Bytes from the client that the sandbox has not taken. */
  #unreadBytes = 0;
  /** Bytes from the function for which it has got no credit back. */
  #uncreditedBytes = 0;
  #uncreditedCount = 0;
  #isClosed = false;

  constructor(protocol: string, frames: SocketFrames) {
    this.protocol = protocol;
    this.#frames = frames;
  }

  /** The client's connection is open. */
  attach(client: SocketClient): void {
    this.#client = client;
    for (const message of this.#early) client.send(message);
    this.#early = [];
    if (this.#earlyClose !== undefined) client.close(...this.#earlyClose);
  }

  /** From the client. */
  received(message: SocketMessage): void {
    if (this.#isClosed) return;
    const isText = typeof message === "string";
    const bytes = isText ? encoder.encode(message) : message;
    if (bytes.length > SOCKET_MESSAGE_MAX_BYTES) {
      return this.#refuse(CLOSE_CODE.tooBig, `A message may have at most ${SOCKET_MESSAGE_MAX_BYTES} bytes`);
    }
    this.#unreadBytes += bytes.length;
    if (this.#unreadBytes > SOCKET_WINDOW_BYTES) {
      return this.#refuse(CLOSE_CODE.internalError, "The function does not keep up with the messages");
    }
    this.#frames.message(bytes, isText);
  }

  /** The client closed, or its connection broke. */
  clientClosed(code: number, reason: string): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#frames.close(code, reason);
  }

  /** From the function. False: more than it had credit for. */
  sent(message: SocketMessage, byteCount: number): boolean {
    this.#uncreditedBytes += byteCount;
    this.#uncreditedCount += 1;
    if (this.#uncreditedBytes > SOCKET_WINDOW_BYTES || this.#uncreditedCount > UNCREDITED_MAX_COUNT) return false;
    if (this.#client === undefined) this.#early.push(message);
    else if (!this.#isClosed) this.#client.send(message);
    return true;
  }

  /** The sandbox has handed so many bytes to the function. */
  taken(byteCount: number): void {
    this.#unreadBytes = Math.max(0, this.#unreadBytes - byteCount);
  }

  functionClosed(code: number, reason: string): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    if (this.#client === undefined) this.#earlyClose = [code, reason];
    else this.#client.close(code, reason);
  }

  /** Ends both sides. */
  end(code: number, reason: string): void {
    if (this.#isClosed) return;
    this.#refuse(code, reason);
  }

  /** The sandbox is gone. */
  lost(): void {
    this.functionClosed(CLOSE_CODE.internalError, "The function ended");
  }

  /** Called again and again: gives credit when the client's connection has room. */
  tick(): void {
    if (this.#uncreditedCount === 0 || (this.#client?.bufferedBytes ?? Infinity) > CLIENT_BUFFER_BYTES) return;
    this.#frames.credit(this.#uncreditedBytes);
    this.#uncreditedBytes = this.#uncreditedCount = 0;
  }

  #refuse(code: number, reason: string): void {
    this.#isClosed = true;
    this.#client?.close(code, reason);
    this.#frames.close(code, reason);
  }
}
