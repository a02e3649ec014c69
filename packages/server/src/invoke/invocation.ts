/**
 * One call of a function, as everything on its way knows it.
 *
 * @module
 */
import type { TriggerType } from "@fluxbase/contract";
import type { LiveFunction } from "../catalog/catalog.ts";
import type { Standing } from "../core/error_response.ts";
import type { HeaderList } from "../core/header_list.ts";
import type { Client } from "../sandbox/exchange.ts";

export interface Invocation extends Client {
  /** Of the execution: the server makes it. */
  readonly executionId: string;
  /** The client's own; null when it brought none. */
  readonly givenRequestId: string | null;
  readonly fn: LiveFunction;
  readonly trigger: TriggerType;
  readonly method: string;
  /** Public. */
  readonly url: string;
  /** What follows the function's own path. */
  readonly path: string;
  readonly headers: HeaderList;
  /** Bytes the client announced; undefined when it did not say. */
  readonly bodyBytes: number | undefined;
  /** The client asks for a WebSocket. */
  readonly isUpgrade: boolean;
  /** How many functions called one another before it. */
  readonly depth: number;
  /** It is an attempt of a task. */
  readonly task: TaskFacts | null;
  /** The execution that made it, if one did. */
  readonly parentId?: string | undefined;
  /** The execution that it runs again. */
  readonly replayOf?: string | undefined;
  /** Of the client, as rate limits count it. */
  address(): string;
  /** The other end of its connection. */
  peer(): string;
  /** Set when there is an execution: what comes before it is a refusal. */
  isAdmitted: boolean;
  /** Less than the function's own. */
  readonly timeoutMs?: number;
  /** Set by what counts it; tells the caller how often it may still call. */
  standing: Standing | undefined;
  /** How it is to be answered later. @throws {PlatformError} INVALID_ARGUMENT */
  asyncWish(): AsyncWish;
  /** Called once, after every check: the body, whole when it is small. */
  readBody(): InvocationBody | Promise<InvocationBody>;
  /** Instead: all of the body, for whoever verifies it. */
  readWhole(maxBytes: number): Promise<Uint8Array<ArrayBuffer>>;
}

export interface TaskFacts {
  readonly id: string;
  readonly attempt: number;
}

export type InvocationBody = Uint8Array | ReadableStream<Uint8Array> | null;

/** What a client says of a call that is to be answered later. */
export interface AsyncWish {
  readonly runAt: Date | null;
  readonly retries: number | undefined;
  readonly key: string | null;
}
