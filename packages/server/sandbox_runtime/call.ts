/**
 * One request inside the sandbox: what came in its REQUEST frame and what has become of it.
 *
 * @module
 */
import type { BodyInbox } from "./body.ts";
import { readList } from "./frames.ts";

/** Who calls, as the platform worked it out; absent fields mean an anonymous caller. */
export interface CallerFacts {
  readonly user_id?: string;
  readonly user_email?: string;
  readonly user_role?: string;
  readonly session_id?: string;
  /** More claims of the token. */
  readonly user_claims?: Readonly<Record<string, unknown>>;
}

/** What made the platform call the function. */
export interface TriggerFacts {
  readonly type: string;
  readonly [fact: string]: unknown;
}

export interface Call {
  readonly id: number;
  readonly executionId: string;
  readonly method: string;
  readonly url: string;
  readonly caller: CallerFacts;
  /** How many functions called one another before it. */
  readonly depth: number;
  /** Of the user who calls. */
  readonly userSecrets: Readonly<Record<string, string>> | undefined;
  readonly trigger: TriggerFacts;
  /** Name, value, name, value, … as they came, names in lower case. */
  readonly headerPairs: readonly string[];
  /** The whole body, or a stream of it, or null when there is none. */
  body: Uint8Array<ArrayBuffer> | BodyInbox | null;
  /** Made when somebody asks for the signal. */
  abort: AbortController | undefined;
  isAborted: boolean;
  abortReason: unknown;
  /** Promises given to waitUntil that have not settled. */
  backgroundCount: number;
  /** True once the response has left whole. */
  answered: boolean;
  logLineCount: number;
  /** Made when somebody asks whether the answer has left. */
  completion: PromiseWithResolvers<void> | undefined;
  /** Told of a rejection on its behalf that nobody handles, by who can answer for it. */
  onUnhandled: ((reason: unknown) => void) | undefined;
}

type CallerMessage = CallerFacts & {
  readonly user_secrets?: Readonly<Record<string, string>>;
  readonly trigger?: TriggerFacts;
};

const HTTP: TriggerFacts = Object.freeze({ type: "http" });
const NOBODY: { readonly facts: CallerFacts; readonly userSecrets: undefined; readonly trigger: TriggerFacts } = Object
  .freeze({ facts: Object.freeze({}), userSecrets: undefined, trigger: HTTP });

/** Identity is shown in many places, secrets in one. */
function callerOf({ user_secrets: userSecrets, trigger = HTTP, ...facts }: CallerMessage) {
  return { facts, userSecrets, trigger };
}

/** Reads the head of a REQUEST frame: execution id, method, URL, caller as JSON, then names and values of headers. */
export function parseCall(id: number, head: Uint8Array, { body, depth }: Pick<Call, "body" | "depth">): Call {
  const texts = readList(head);
  const [executionId = "", method = "", url = "", caller = ""] = texts;
  const { facts, userSecrets, trigger } = caller === "" ? NOBODY : callerOf(JSON.parse(caller));
  return {
    id,
    executionId,
    method,
    url,
    caller: facts,
    depth,
    userSecrets,
    trigger,
    headerPairs: texts.slice(4),
    body,
    abort: undefined,
    isAborted: false,
    abortReason: undefined,
    backgroundCount: 0,
    answered: false,
    logLineCount: 0,
    completion: undefined,
    onUnhandled: undefined,
  };
}

/** The signal that fires when the client goes away or the time is over. */
export function signalOf(call: Call): AbortSignal {
  if (call.abort === undefined) {
    call.abort = new AbortController();
    if (call.isAborted) call.abort.abort(call.abortReason);
  }
  return call.abort.signal;
}

export function abortCall(call: Call, reason: unknown): void {
  if (call.isAborted) return;
  call.isAborted = true;
  call.abortReason = reason;
  call.abort?.abort(reason);
}

/** Settles when the answer has left whole; rejects when it did not. */
export function completionOf(call: Call): Promise<void> {
  if (call.completion === undefined) {
    call.completion = Promise.withResolvers();
    // Whoever asks may look away.
    call.completion.promise.catch(() => {});
    if (call.answered) call.completion.resolve();
  }
  return call.completion.promise;
}
