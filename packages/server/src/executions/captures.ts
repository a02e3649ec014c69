/**
 * Keeps requests of functions that ask for it, so that they can be run again: without credentials, sealed, bounded.
 *
 * Owns: how much is kept and for how long, what is kept of the answer.
 * Does not own: what counts as a credential (./redaction.ts), running it again (../invoke/replay.ts).
 *
 * Of the answer there are only digests under the server's key: they say whether another answer is the same, and nothing
 * of what it was.
 *
 * @module
 */
import type { CaptureMode, ErrorCode, ExecutionStatus } from "@fluxbase/contract";
import type { Clock } from "../core/clock.ts";
import type { Log } from "../core/log.ts";
import { TokenBucket } from "../core/token_bucket.ts";
import { deleteCapture, findCapture, hasCapture, insertCapture, pruneCaptures } from "../storage/captures.ts";
import type { Db } from "../storage/db.ts";
import { redact } from "./redaction.ts";

type Body = Uint8Array | ReadableStream<Uint8Array> | null;

export interface CaptureStart {
  readonly functionId: string;
  readonly executionId: string;
  readonly startedAtMs: number;
  readonly mode: Exclude<CaptureMode, "none">;
  readonly method: string;
  /** The public one. */
  readonly url: string;
  /** What follows the function's own path. */
  readonly path: string;
  readonly headerPairs: readonly string[];
  readonly body: Body;
  readonly caller: HeldCaller;
  /** Secrets of the platform that it has seen, asked for when it is over. */
  hidden(): readonly string[];
}

/** Facts, and nothing that proves them. */
export interface HeldCaller {
  readonly kind: string;
  readonly role: string | null;
  readonly userId: string | null;
  readonly keyId: string | null;
  readonly facts: Readonly<Record<string, unknown>>;
}

/** What the caller got. */
export interface Answer {
  readonly status: number;
  readonly code: ErrorCode | null;
  /** Name, value, …; null for `content-type: application/json` alone. */
  readonly headers: readonly string[] | null;
  /** Undefined: it was sent in pieces, which nobody keeps. */
  readonly body: Uint8Array | string | null | undefined;
}

export interface AnswerDigest {
  readonly status: number;
  readonly code: ErrorCode | null;
  /** Name and digest of each, by name. */
  readonly headers: readonly (readonly [string, string])[];
  readonly body: { readonly bytes: number; readonly digest: string } | null;
}

export interface CapturedRequest {
  readonly method: string;
  /** Path and query. */
  readonly target: string;
  readonly path: string;
  readonly headers: readonly string[];
  readonly body: Uint8Array<ArrayBuffer>;
  /** It had more, or was not read to its end. */
  readonly isCut: boolean;
  readonly removed: readonly string[];
  readonly caller: HeldCaller;
  readonly answer: AnswerDigest;
}

export interface Capture {
  /** Instead of the one that it was made with. */
  readonly body: Body;
  /** The caller has its answer. */
  answered(answer: Answer): void;
  /** The execution is over. */
  finished(status: ExecutionStatus): void;
}

export interface Captures {
  begin(start: CaptureStart): Capture;
  has(executionId: string): Promise<boolean>;
  find(executionId: string): Promise<CapturedRequest | undefined>;
  /** Resolves with whether there was one. */
  delete(executionId: string): Promise<boolean>;
  digestOf(answer: Answer): Promise<AnswerDigest>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** What of ../secrets/cipher.ts is needed. */
interface Sealer {
  seal(text: string, context: SealContext): Promise<Uint8Array>;
  open(sealed: Uint8Array, context: SealContext): Promise<string>;
  fingerprint(text: string): Promise<string>;
}

interface SealContext {
  readonly purpose: string;
  readonly owner: string;
  readonly name: string;
}

export interface CapturesOptions {
  readonly db: Db;
  readonly clock: Clock;
  readonly log: Log;
  readonly cipher: Sealer;
  readonly retentionDays: number;
  /** Of all functions, in the database. */
  readonly maxBytes: number;
}

const CAPTURED_BODY_MAX_BYTES = 256 * 1024;
const PER_FUNCTION_COUNT = 200;
/** Of one server; beyond it nothing is kept of calls. */
const BUDGET = { capacity: 64 * 1024 * 1024, refillPerSec: 512 * 1024 };
const OVERHEAD_BYTES = 4 * 1024;
const WRITING_MAX_COUNT = 16;
const PRUNE_MS = 60_000;
const DAY_MS = 86_400_000;

export function createCaptures({ db, clock, log, cipher, retentionDays, maxBytes }: CapturesOptions): Captures {
  const budget = new TokenBucket(clock.nowMs(), BUDGET);
  const writing = new Set<Promise<void>>();
  let isAway = false;
  let mayBeMuch = true;
  let pruning: Promise<void> = Promise.resolve();
  const pruner = setInterval(() => pruning = pruning.then(prune), PRUNE_MS);

  async function prune(): Promise<void> {
    if (!mayBeMuch) return;
    mayBeMuch = false;
    try {
      const before = new Date(clock.epochMs() - retentionDays * DAY_MS);
      await pruneCaptures(db, { before, perFunctionCount: PER_FUNCTION_COUNT, maxBytes });
    } catch (error) {
      mayBeMuch = true;
      log.warn("Cannot let go of old captured requests yet", { error });
    }
  }

  function keep(start: CaptureStart, collected: Collected, answer: Answer): void {
    if (writing.size >= WRITING_MAX_COUNT || maxBytes === 0) return;
    if (!budget.take(collected.bytes.length + OVERHEAD_BYTES, clock.nowMs())) return;
    const work = write(start, collected, answer).then(() => isAway = false, (error) => {
      if (!isAway) log.warn("Cannot keep captured requests", { error });
      isAway = true;
    }).then(() => void writing.delete(work));
    writing.add(work);
  }

  async function write(start: CaptureStart, { bytes, isCut }: Collected, answer: Answer): Promise<void> {
    const { pathname, search } = new URL(start.url);
    const request = { method: start.method, target: pathname + search, headerPairs: start.headerPairs, body: bytes };
    const hidden = start.hidden();
    const { target, headerPairs, body, removed } = redact(request, hidden);
    const path = redact({ ...request, target: start.path, headerPairs: [], body: new Uint8Array() }, hidden).target;
    const text = JSON.stringify({
      method: start.method,
      target,
      path,
      headers: headerPairs,
      body: body.toBase64(),
      isCut,
      removed,
      caller: start.caller,
      answer: await digestOf(answer),
    });
    await insertCapture(db, {
      executionId: start.executionId,
      functionId: start.functionId,
      startedAt: new Date(start.startedAtMs),
      sealed: await cipher.seal(text, contextOf(start)),
    });
    mayBeMuch = true;
  }

  async function digestOf({ status, code, headers, body }: Answer): Promise<AnswerDigest> {
    const pairs = headers ?? ["content-type", "application/json"];
    const named = new Map<string, string[]>();
    for (let index = 0; index + 1 < pairs.length; index += 2) {
      const name = (pairs[index] ?? "").toLowerCase();
      named.set(name, [...named.get(name) ?? [], pairs[index + 1] ?? ""]);
    }
    const digests = [...named].sort(([a], [b]) => a < b ? -1 : 1).map(async ([name, values]) =>
      [name, await cipher.fingerprint(values.join("\n"))] as const
    );
    return {
      status,
      code,
      headers: await Promise.all(digests),
      body: body === undefined ? null : await bodyDigest(body),
    };
  }

  async function bodyDigest(body: Uint8Array | string | null): Promise<{ bytes: number; digest: string }> {
    const bytes = typeof body === "string" ? new TextEncoder().encode(body) : Uint8Array.from(body ?? []);
    const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
    return { bytes: bytes.length, digest: await cipher.fingerprint(hash.toHex()) };
  }

  return {
    begin(start) {
      const collector = collect(start.body);
      let given: Answer | undefined;
      let status: ExecutionStatus | undefined;
      const settle = () => {
        if (given === undefined || status === undefined) return;
        if (start.mode === "all" || status !== "success") keep(start, collector.collected(), given);
      };
      return {
        body: collector.body,
        answered(answer) {
          given = answer;
          settle();
        },
        finished(ended) {
          status = ended;
          settle();
        },
      };
    },
    async has(executionId) {
      await Promise.all(writing);
      return await hasCapture(db, executionId);
    },
    async find(executionId) {
      // What this server is about to write, too.
      await Promise.all(writing);
      const stored = await findCapture(db, executionId);
      if (stored === undefined) return undefined;
      const { body, ...captured } = JSON.parse(await cipher.open(stored.sealed, contextOf(stored)));
      return { ...captured, body: Uint8Array.fromBase64(body) };
    },
    async delete(executionId) {
      await Promise.all(writing);
      return await deleteCapture(db, executionId);
    },
    digestOf,
    async [Symbol.asyncDispose]() {
      clearInterval(pruner);
      await Promise.all([pruning, ...writing]);
    },
  };
}

function contextOf({ executionId, functionId }: { executionId: string; functionId: string }): SealContext {
  return { purpose: "captured request", owner: functionId, name: executionId };
}

interface Collected {
  readonly bytes: Uint8Array;
  readonly isCut: boolean;
}

/** Looks at a body on its way. */
function collect(body: Body): { readonly body: Body; collected(): Collected } {
  const nothing = new Uint8Array();
  if (!(body instanceof ReadableStream)) {
    const isCut = body !== null && body.length > CAPTURED_BODY_MAX_BYTES;
    return { body, collected: () => ({ bytes: isCut || body === null ? nothing : body, isCut }) };
  }
  const chunks: Uint8Array[] = [];
  let length = 0;
  let isWhole = false;
  const passing = body.pipeThrough(
    new TransformStream<Uint8Array, Uint8Array>({
      transform(chunk, controller) {
        length += chunk.length;
        if (length <= CAPTURED_BODY_MAX_BYTES) chunks.push(chunk.slice());
        else chunks.length = 0;
        controller.enqueue(chunk);
      },
      flush: () => {
        isWhole = true;
      },
    }),
  );
  return {
    body: passing,
    collected() {
      if (!isWhole || length > CAPTURED_BODY_MAX_BYTES) return { bytes: nothing, isCut: true };
      const bytes = new Uint8Array(length);
      let at = 0;
      for (const chunk of chunks) {
        bytes.set(chunk, at);
        at += chunk.length;
      }
      return { bytes, isCut: false };
    },
  };
}
