/**
 * A route of the control plane as data: who may use it, what it takes, what it answers.
 *
 * The table of all routes is the source of the router, of the access checks and of the OpenAPI document.
 *
 * @module
 */
import type { z } from "zod";
import type { HeaderLookup } from "../core/header_list.ts";
import type { Caller } from "../auth/caller.ts";
import type { Origin } from "../ratelimit/caller_limits.ts";
import type { Scope } from "../auth/permissions.ts";

/** "credential": anybody who shows a valid one. "admin": the service role and admins. */
export type Access = "public" | "credential" | "admin" | Scope;

export interface Route {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** Below `/api/v1`, parameters as `{name}`, and `{name*}` for one that may hold slashes. */
  readonly path: string;
  /** Not below `/api/v1`, but at the root of the server. */
  readonly isAtRoot?: true;
  readonly summary: string;
  readonly access: Access;
  /** Parameters of the query; unknown ones are ignored. */
  readonly query?: z.ZodObject;
  /** For the document: handlers parse `call.body()` themselves. */
  readonly body?: z.ZodType;
  /** For the document: the answer that is not an error. */
  readonly answer: { readonly status: number; readonly schema?: z.ZodType };
  /** What the audit log keeps besides that the call was made; without, nothing of what it changed. */
  readonly audit?: Audit;
  /** How an error looks to clients that expect another shape; the status and headers are what they are. */
  readonly shapeError?: (error: ErrorFacts) => object;
  handle(call: ApiCall): ApiAnswer | Promise<ApiAnswer>;
}

export interface ErrorFacts {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
}

/** Views as the API shows them, without values of secrets. The body of the answer is the one after. */
export interface Audit {
  /** What is there before; undefined or a rejection where there is nothing. */
  readonly before?: (call: ApiCall) => Promise<object | undefined>;
  /** Only that the call was made: its answer is no view of what it changed. */
  readonly withoutChanges?: true;
  /** What it is about, from a view or the parameters of the path. */
  target(facts: Readonly<Record<string, unknown>>): string | undefined;
}

export interface ApiCall {
  readonly caller: Caller;
  /** Who it is by now, for answers that last. Rejects when the credential is good no more. */
  callerNow(): Promise<Caller>;
  readonly requestId: string;
  readonly origin: Origin;
  /** Decoded path parameters. */
  readonly params: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
  readonly method: string;
  readonly headers: HeaderLookup;
  /** The parsed JSON body, as often as it is asked for. */
  body(): Promise<unknown>;
  /** The body as it was sent; empty without one. */
  text(): Promise<string>;
}

/** Who is written down as the author of a change. */
export function authorOf({ caller }: ApiCall): string | null {
  return caller.userId ?? caller.keyId ?? caller.role;
}

/** The body is sent as JSON; undefined sends none. */
export interface ApiAnswer {
  readonly status: number;
  readonly body?: unknown;
  /** Instead of a body: what is JSON already, with a type among the headers. */
  readonly text?: string | ReadableStream<Uint8Array>;
  /** Instead of all others: the connection becomes a WebSocket of this protocol. */
  readonly socket?: { readonly protocol: string; attach(socket: WebSocket): void };
  readonly headers?: readonly (readonly [string, string])[];
}
