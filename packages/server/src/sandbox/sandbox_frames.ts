/**
 * What comes out of a sandbox, checked: every payload may have been forged by user code.
 *
 * Owns: the shape of each payload. Does not own: whether a frame may come now (./sandbox.ts).
 *
 * @module
 */
import { LOG_LEVELS, type LogLevel } from "@fluxbase/contract";
import { type Fence, FENCES } from "../../sandbox_runtime/harden.ts";
import {
  FLAG,
  FrameError,
  INLINE_BODY_MAX_BYTES,
  PROTOCOL_VERSION,
  readHeaders,
  readResponseHead,
  SOCKET_MESSAGE_MAX_BYTES,
} from "../../sandbox_runtime/frames.ts";
import type { LogLine } from "./exchange.ts";
import type { SocketMessage } from "./socket_link.ts";
import { isSendableCode } from "../../sandbox_runtime/handshake.ts";

const decoder = new TextDecoder();
const FAILURE_MAX_CHARACTERS = 16 * 1024;
const REASON_MAX_BYTES = 123;
/** A name of a host with brackets and a port. */
const ADDRESS_MAX_BYTES = 262;

export function violation(what: string): FrameError {
  return new FrameError(`Refused from the sandbox: ${what}`);
}

export function parseReady(payload: Uint8Array): readonly Fence[] {
  const { protocol, fences } = parseObject(payload, "READY");
  if (protocol !== PROTOCOL_VERSION) throw violation(`protocol ${protocol} instead of ${PROTOCOL_VERSION}`);
  return FENCES.filter((fence) => Array.isArray(fences) && fences.includes(fence));
}

export interface ResponseFrame {
  readonly flags: number;
  readonly status: number;
  /** Names and values in turn, or null for `content-type: application/json` alone. */
  readonly headers: readonly string[] | null;
  /** Of a body that follows in BODY frames, if known. */
  readonly sizeBytes: number;
  /** A string where the sandbox says that it is text. */
  readonly body: Uint8Array<ArrayBuffer> | string;
  readonly bodyBytes: number;
}

/** A body that begins with a byte order mark keeps it. */
const exactDecoder = new TextDecoder("utf-8", { ignoreBOM: true });

export function parseResponse(payload: Uint8Array): ResponseFrame {
  const head = readResponseHead(payload);
  const { flags, status, sizeBytes, bodyStart } = head;
  if (flags & FLAG.webSocket ? status !== 101 : status < 200 || status > 599) {
    throw violation(`a RESPONSE with status ${status}`);
  }
  const bodyBytes = payload.length - bodyStart;
  if (bodyBytes > INLINE_BODY_MAX_BYTES) throw violation("an inline body that is too large");
  const headers = flags & FLAG.jsonHead ? null : readHeaders(payload, head);
  // As a string it is two copies less on its way to the client.
  const body = flags & FLAG.textBody ? exactDecoder.decode(payload.subarray(bodyStart)) : payload.slice(bodyStart);
  return { flags, status, headers, sizeBytes, body, bodyBytes };
}

const isLogLevel = (value: unknown): value is LogLevel => LOG_LEVELS.some((level) => level === value);

/** A line that the harness would not have sent is made into one that it would have. */
export function parseLogLine(payload: Uint8Array): LogLine {
  const { atMs, level, message, fields } = parseObject(payload, "LOG");
  return {
    atMs: typeof atMs === "number" && Number.isFinite(atMs) && Math.abs(atMs) < 8.64e15 ? atMs : 0,
    level: isLogLevel(level) ? level : "info",
    message: typeof message === "string" ? message : "",
    fields: isRecord(fields) ? fields : null,
  };
}

export interface Failure {
  readonly message: string;
  readonly stack: string | null;
  /** Memory outside the heap was refused. */
  readonly isOutOfMemory: boolean;
}

export function parseFailure(payload: Uint8Array): Failure {
  const { message, stack, isOutOfMemory } = parseObject(payload, "FAILED");
  return {
    message: typeof message === "string" ? message.slice(0, FAILURE_MAX_CHARACTERS) : "The function failed",
    stack: typeof stack === "string" ? stack.slice(0, FAILURE_MAX_CHARACTERS) : null,
    isOutOfMemory: isOutOfMemory === true,
  };
}

const ADDRESS = /^[\w.:[\]-]{1,262}$/;

export function parseRefused(payload: Uint8Array): string {
  const address = payload.length > ADDRESS_MAX_BYTES ? "" : decoder.decode(payload);
  if (!ADDRESS.test(address)) throw violation("a REFUSED without an address");
  return address;
}

export function parseCredit(payload: Uint8Array): number {
  if (payload.length !== 4) throw violation("a CREDIT of the wrong size");
  return new DataView(payload.buffer, payload.byteOffset).getUint32(0, true);
}

export function parseMessage(payload: Uint8Array): { readonly message: SocketMessage; readonly byteCount: number } {
  const byteCount = payload.length - 1;
  if (byteCount < 0 || byteCount > SOCKET_MESSAGE_MAX_BYTES) throw violation(`a MESSAGE of ${byteCount} bytes`);
  const bytes = payload.slice(1);
  return { message: payload[0] === 1 ? decoder.decode(bytes) : bytes, byteCount };
}

export function parseClose(payload: Uint8Array): { readonly code: number; readonly reason: string } {
  if (payload.length < 2 || payload.length > 2 + REASON_MAX_BYTES) throw violation("a CLOSE of the wrong size");
  const code = new DataView(payload.buffer, payload.byteOffset).getUint16(0, true);
  if (!isSendableCode(code)) throw violation(`a CLOSE with code ${code}`);
  return { code, reason: decoder.decode(payload.subarray(2)) };
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
