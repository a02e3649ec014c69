/**
 * The function's end of a WebSocket: an object with the face of `WebSocket`, whose messages travel in frames.
 *
 * The connection itself is the platform's, which speaks the protocol with the client.
 *
 * @module
 */
import type { Call } from "./call.ts";
import { runAs } from "./current_call.ts";
import { SOCKET_MESSAGE_MAX_BYTES, SOCKET_WINDOW_BYTES } from "./frames.ts";
import { asksForWebSocket, lookupIn } from "./handshake.ts";
import { isToken } from "./header_rules.ts";
import { FunctionRequest } from "./request.ts";

/** The way out of the sandbox. */
export interface SocketSender {
  message(call: Call, bytes: Uint8Array, isText: boolean): void;
  close(call: Call, code: number, reason: string): void;
  credit(call: Call, byteCount: number): void;
  /** Nothing more will come from this socket. */
  ended(call: Call): void;
}

export interface UpgradeOptions {
  readonly protocol?: string;
}

const CONNECTING = 0;
const OPEN = 1;
const CLOSING = 2;
const CLOSED = 3;
const REASON_MAX_BYTES = 123;
const encoder = new TextEncoder();
const decoder = new TextDecoder();
const NativeResponse = Response;

type Handler<E extends Event> = ((event: E) => unknown) | null;

/** Beside the standard: nothing of it is meant for user code, which sees a WebSocket. */
export class FunctionSocket extends EventTarget {
  onopen: Handler<Event> = null;
  onmessage: Handler<MessageEvent> = null;
  onclose: Handler<CloseEvent> = null;
  onerror: Handler<Event> = null;
  readonly url: string;
  readonly protocol: string;
  readonly extensions = "";

  readonly #call: Call;
  readonly #sender: SocketSender;
  #binaryType: BinaryType = "blob";
  #readyState = CONNECTING;
  #credit = SOCKET_WINDOW_BYTES;
  #waiting: { readonly bytes: Uint8Array; readonly isText: boolean }[] = [];
  #bufferedAmount = 0;

  constructor(call: Call, sender: SocketSender, protocol: string) {
    super();
    this.url = call.url.replace(/^http/, "ws");
    this.protocol = protocol;
    this.#call = call;
    this.#sender = sender;
    this.addEventListener("open", (event) => this.onopen?.(event as Event));
    this.addEventListener("message", (event) => this.onmessage?.(event as MessageEvent));
    this.addEventListener("close", (event) => this.onclose?.(event as CloseEvent));
    this.addEventListener("error", (event) => this.onerror?.(event as Event));
  }

  get readyState(): number {
    return this.#readyState;
  }
  get bufferedAmount(): number {
    return this.#bufferedAmount;
  }
  get binaryType(): BinaryType {
    return this.#binaryType;
  }
  set binaryType(type: BinaryType) {
    if (type === "blob" || type === "arraybuffer") this.#binaryType = type;
  }

  send(data: string | ArrayBufferLike | ArrayBufferView | Blob): void {
    if (this.#readyState === CONNECTING) {
      throw new DOMException("Cannot send before the socket is open: wait for its open event", "InvalidStateError");
    }
    if (this.#readyState !== OPEN) return;
    if (data instanceof Blob) {
      void data.bytes().then((bytes) => this.#send(bytes, false));
    } else if (ArrayBuffer.isView(data)) {
      this.#send(new Uint8Array(data.buffer, data.byteOffset, data.byteLength).slice(), false);
    } else if (data instanceof ArrayBuffer || data instanceof SharedArrayBuffer) {
      this.#send(new Uint8Array(data).slice(), false);
    } else {
      this.#send(encoder.encode(String(data)), true);
    }
  }

  #send(bytes: Uint8Array, isText: boolean): void {
    if (bytes.length > SOCKET_MESSAGE_MAX_BYTES) {
      throw new RangeError(
        `Cannot send a message of ${bytes.length} bytes: it may have at most ${SOCKET_MESSAGE_MAX_BYTES}`,
      );
    }
    this.#waiting.push({ bytes, isText });
    this.#bufferedAmount += bytes.length;
    this.#flush();
  }

  #flush(): void {
    for (
      let next = this.#waiting[0];
      next !== undefined && next.bytes.length <= this.#credit;
      next = this.#waiting[0]
    ) {
      this.#waiting.shift();
      this.#credit -= next.bytes.length;
      this.#bufferedAmount -= next.bytes.length;
      this.#sender.message(this.#call, next.bytes, next.isText);
    }
    if (this.#readyState === CLOSING && this.#waiting.length === 0) this.#closing?.();
  }

  #closing: (() => void) | undefined;

  close(code?: number, reason = ""): void {
    const asked = code === undefined ? 1000 : Number(code);
    if (asked !== 1000 && !(asked >= 3000 && asked <= 4999)) {
      throw new DOMException(
        `Cannot close with code ${asked}: it must be 1000 or from 3000 to 4999`,
        "InvalidAccessError",
      );
    }
    const text = String(reason);
    if (encoder.encode(text).length > REASON_MAX_BYTES) {
      throw new DOMException(`Cannot close with a reason of more than ${REASON_MAX_BYTES} bytes`, "SyntaxError");
    }
    if (this.#readyState < CLOSING) this.#closeWith(asked, text);
  }

  #closeWith(code: number, reason: string): void {
    this.#readyState = CLOSING;
    // What was sent before still leaves before the end.
    this.#closing = () => {
      this.#closing = undefined;
      this.#sender.close(this.#call, code, reason);
      this.#end(code, reason, true);
    };
    this.#flush();
  }

  #end(code: number, reason: string, wasClean: boolean): void {
    if (this.#readyState === CLOSED) return;
    this.#readyState = CLOSED;
    this.#waiting = [];
    this.#emit(new CloseEvent("close", { code, reason, wasClean }));
    this.#sender.ended(this.#call);
  }

  /** Listeners run as part of the request: what they log is its own. */
  #emit(event: Event): void {
    runAs(this.#call, () => this.dispatchEvent(event));
  }

  // What follows is called by the harness, through functions that user code does not have.

  static isOf(socket: FunctionSocket, call: Call): boolean {
    return socket.#call === call;
  }

  static open(socket: FunctionSocket): void {
    if (socket.#readyState !== CONNECTING) return;
    socket.#readyState = OPEN;
    socket.#emit(new Event("open"));
  }

  static receive(socket: FunctionSocket, payload: Uint8Array): void {
    const bytes = payload.slice(1);
    socket.#sender.credit(socket.#call, bytes.length);
    if (socket.#readyState !== OPEN) return;
    const data = payload[0] === 1
      ? decoder.decode(bytes)
      : socket.#binaryType === "blob"
      ? new Blob([bytes])
      : bytes.buffer;
    socket.#emit(new MessageEvent("message", { data }));
  }

  static credited(socket: FunctionSocket, byteCount: number): void {
    socket.#credit += byteCount;
    socket.#flush();
  }

  /** Ends it with any code, as servers may that speak the protocol themselves. */
  static endWith(socket: FunctionSocket, code: number, reason: string): void {
    if (socket.#readyState >= CLOSING) return;
    socket.#closeWith(code, reason);
  }

  /** The client has closed, or is gone. */
  static closed(socket: FunctionSocket, code: number, reason: string): void {
    socket.#end(code, reason, code !== 1006);
  }
}

Object.setPrototypeOf(FunctionSocket.prototype, WebSocket.prototype);
for (const [name, value] of Object.entries({ CONNECTING, OPEN, CLOSING, CLOSED })) {
  Object.defineProperty(FunctionSocket.prototype, name, { value, enumerable: true });
}

const upgrades = new WeakMap<Response, FunctionSocket>();

/** The socket that becomes this answer's, if `Deno.upgradeWebSocket` made it. */
export function socketOf(response: unknown): FunctionSocket | undefined {
  return response instanceof NativeResponse ? upgrades.get(response) : undefined;
}

/** Stands in for `Deno.upgradeWebSocket`. */
export function createUpgrade(sender: SocketSender) {
  return function upgradeWebSocket(request: unknown, options: UpgradeOptions = {}) {
    if (!(request instanceof FunctionRequest)) {
      throw new TypeError("Cannot upgrade this request: give the request that the handler got, not a copy");
    }
    const call = FunctionRequest.callOf(request);
    // As it came: the headers that the handler sees may have been changed.
    const head = lookupIn(call.headerPairs);
    if (!asksForWebSocket(head)) {
      throw new TypeError('Cannot upgrade this request: it came without the header "upgrade: websocket"');
    }
    const asked = (head.get("sec-websocket-protocol") ?? "").split(",").map((name) => name.trim());
    const { protocol = "" } = options;
    if (protocol !== "" && !isToken(protocol)) {
      throw new TypeError(`Cannot choose protocol ${JSON.stringify(protocol)}: HTTP does not allow this name`);
    }
    if (protocol !== "" && !asked.includes(protocol)) {
      throw new TypeError(`Cannot choose protocol "${protocol}": the client asks for ${asked.join(", ") || "none"}`);
    }
    const socket = new FunctionSocket(call, sender, protocol);
    // Its status is the platform's business; a Response of 101 cannot be made by hand.
    const response = new NativeResponse(null);
    upgrades.set(response, socket);
    return { socket, response };
  };
}
