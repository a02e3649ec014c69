/**
 * What editors need to know of functions: their globals, and the request of a handler that says nothing of its type.
 *
 * @module
 */

/** Beside functions as `fluxbase.d.ts`. */
export const DECLARATIONS =
  `/** What functions find in their global scope. Written by \`fluxbase functions new\`; may be written again. */

/** What a handler without types gets: a web Request that is also a plain object. */
type FluxbaseRequest = Request & {
  /** The whole body as text. */
  readonly body: string;
  /** By name in small letters, and with the methods of Headers. */
  readonly headers: Headers & Record<string, string>;
  /** Of the query. */
  readonly params: Record<string, string>;
  readonly user_id?: string;
  readonly user_email?: string;
  readonly user_role?: string;
  readonly session_id?: string;
  /** Of the token, beside those of the server. */
  readonly user_claims?: Readonly<Record<string, unknown>>;
};

/** What a handler without types may return. */
interface FluxbaseResponse {
  status?: number;
  headers?: Record<string, string>;
  /** What is no text is sent as JSON. */
  body?: unknown;
}

/** The second argument of a handler. */
interface FluxbaseContext {
  readonly functionName: string;
  readonly namespace: string;
  readonly version: number;
  readonly executionId: string;
  /** Null for a caller without a user. */
  readonly user: {
    readonly id: string;
    readonly email: string | null;
    readonly role: string | null;
    readonly claims: Readonly<Record<string, unknown>>;
  } | null;
  /** Where the call belongs among others (traceparent); null where nobody traces. */
  readonly trace: {
    readonly traceId: string;
    /** Of this call: the parent of what it leads to. */
    readonly spanId: string;
    readonly sampled: boolean;
    readonly traceparent: string;
    readonly tracestate: string | null;
  } | null;
  /** What called: a client, or a task, a schedule or a hook of the server. */
  readonly trigger: {
    readonly type: "http" | "task" | "cron" | "hook" | "test";
    /** Of a call that is a task. */
    readonly task_id?: string;
    readonly attempt?: number;
    /** Of a schedule: its name, and the instant that the call is for. */
    readonly schedule?: string;
    readonly scheduled_at?: string;
    readonly cron?: string | null;
  };
  readonly env: Readonly<Record<string, string>>;
  readonly secrets: FluxbaseSecrets;
  /** Fires when the client goes away or the time is over. */
  readonly signal: AbortSignal;
  readonly log: Console;
  /** Keeps the sandbox for this work after the answer has left. */
  readonly waitUntil: (work: Promise<unknown>) => void;
}

type FluxbaseHandler = (req: FluxbaseRequest, context: FluxbaseContext) => unknown;

interface FluxbaseSecrets {
  /** The user's, else the server's. */
  get(key: string): string | undefined;
  /** As \`get\`, and throws where there is none. */
  getRequired(key: string): string;
  getUser(key: string): string | undefined;
  getSystem(key: string): string | undefined;
}

declare const secrets: FluxbaseSecrets;

declare const Fluxbase: {
  waitUntil(work: Promise<unknown>): void;
  getExecutionContext(): {
    readonly functionName: string;
    readonly namespace: string;
    readonly version: number;
    readonly executionId: string;
    readonly user_id?: string;
    readonly user_email?: string;
    readonly user_role?: string;
  };
  /** The body, as JSON where it is. */
  // deno-lint-ignore no-explicit-any
  getPayload(): any;
  reportProgress(percent: number, message?: string): void;
  isCancelled(): boolean;
};

declare const EdgeRuntime: { waitUntil(work: Promise<unknown>): void };
`;
