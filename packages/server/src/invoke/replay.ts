/**
 * Runs a captured request again, on any version, and compares the answers.
 *
 * The function sees who called then, by facts without a token. What was taken out of the request stays out.
 *
 * @module
 */
import { PlatformError, type ReplayAnswer, type ReplayComparison } from "@fluxbase/contract";
import { type CallerKind, heldCaller } from "../auth/caller.ts";
import type { Catalog, LiveFunction } from "../catalog/catalog.ts";
import type { Answer, AnswerDigest, CapturedRequest, Captures } from "../executions/captures.ts";
import type { Db } from "../storage/db.ts";
import { findVersion } from "../storage/versions.ts";
import { answerOfError } from "./answers.ts";
import { internalCall } from "./internal_call.ts";
import { pairsOf } from "../core/header_pairs.ts";
import { shownBody } from "../core/shown_body.ts";
import { type InvokeParts, runFor } from "./invoke.ts";
import { readAnswer } from "./read_answer.ts";

export interface ReplayParts {
  readonly db: Db;
  readonly catalog: Catalog;
  readonly captures: Captures;
  readonly place: { readonly baseUrl: string };
  readonly invokeParts: InvokeParts;
}

export interface ReplayWish {
  readonly executionId: string;
  readonly functionId: string;
  /** Undefined: the live one. */
  readonly version: number | undefined;
  readonly signal: AbortSignal;
}

/** Of an answer that comes in pieces. */
const ANSWER_MAX_BYTES = 1024 * 1024;
/** Of an answer. */
const SHOWN_MAX_BYTES = 64 * 1024;

/** @throws {PlatformError} NOT_CAPTURED, FUNCTION_NOT_FOUND, VERSION_NOT_FOUND */
export async function replay(wish: ReplayWish, parts: ReplayParts): Promise<ReplayAnswer> {
  const { captures, catalog } = parts;
  const live = catalog.findById(wish.functionId);
  if (live === undefined) {
    throw new PlatformError("FUNCTION_NOT_FOUND", "Cannot run the execution again: its function has been deleted");
  }
  const captured = await captures.find(wish.executionId);
  if (captured === undefined) throw notCaptured(live.name);
  if (captured.isCut) {
    throw new PlatformError(
      "NOT_CAPTURED",
      "Cannot run the execution again: the body of its request was longer than 256 KB, or was not read to its end, so it was not kept",
    );
  }
  const fn = wish.version === undefined ? live : await ofVersion(parts.db, live, wish.version);
  const executionId = crypto.randomUUID();
  const { answer, shown } = await run(
    captured,
    { fn, executionId, replayOf: wish.executionId, signal: wish.signal },
    parts,
  );
  const digest = await captures.digestOf(answer);
  return {
    execution_id: executionId,
    replay_of: wish.executionId,
    version: fn.liveVersion ?? 0,
    status_code: answer.status,
    error_code: answer.code,
    headers: pairsOf(answer.headers ?? ["content-type", "application/json"]),
    body: shown,
    removed: captured.removed,
    comparison: compare(captured.answer, digest),
  };
}

interface Run {
  readonly fn: LiveFunction;
  readonly executionId: string;
  readonly replayOf: string;
  readonly signal: AbortSignal;
}

async function run(
  captured: CapturedRequest,
  { fn, executionId, replayOf, signal }: Run,
  { invokeParts, place }: ReplayParts,
): Promise<{ answer: Answer; shown: ReplayAnswer["body"] }> {
  const { caller, headers } = captured;
  const call = internalCall({
    fn,
    executionId,
    trigger: "replay",
    replayOf,
    method: captured.method,
    url: new URL(place.baseUrl).origin + captured.target,
    path: captured.path,
    headers: Object.fromEntries(pairsOf(headers)),
    body: captured.body,
    timeoutMs: fn.settings.timeoutMs,
    signal,
  });
  try {
    const who = heldCaller({ ...caller, kind: caller.kind as CallerKind });
    const response = await runFor(call, who, invokeParts);
    const { bytes, isCut } = await readAnswer(response, { maxBytes: ANSWER_MAX_BYTES, rest: "cancel" });
    const answer = {
      status: response.status,
      code: null,
      headers: response.headers,
      body: response.body instanceof ReadableStream ? undefined : bytes,
    };
    return { answer, shown: shownBody(bytes, { isCut, maxBytes: SHOWN_MAX_BYTES }) };
  } catch (error) {
    if (!(error instanceof PlatformError)) throw error;
    const message = new TextEncoder().encode(error.message);
    return { answer: answerOfError(error), shown: shownBody(message, { isCut: false, maxBytes: SHOWN_MAX_BYTES }) };
  }
}

async function ofVersion(db: Db, live: LiveFunction, number: number): Promise<LiveFunction> {
  if (number === live.liveVersion) return live;
  const version = await findVersion(db, live.id, number);
  if (version === undefined) {
    throw new PlatformError(
      "VERSION_NOT_FOUND",
      `Cannot run the execution again: "${live.name}" has no version ${number}`,
    );
  }
  if (version.bundleBytes === null) {
    throw new PlatformError("BUNDLE_FAILED", `Cannot run the execution again: version ${number} did not build`);
  }
  const { settings, envSealed, problems } = version;
  return { ...live, liveVersion: number, settings, envSealed, problems, canary: null };
}

function compare(first: AnswerDigest, second: AnswerDigest): ReplayComparison {
  const before = new Map(first.headers);
  const after = new Map(second.headers);
  const names = [...new Set([...before.keys(), ...after.keys()])].sort();
  const differing = names.filter((name) => before.get(name) !== after.get(name));
  const status = { before: first.status, after: second.status, same: first.status === second.status };
  const code = { before: first.code, after: second.code, same: first.code === second.code };
  const body = first.body === null || second.body === null
    ? { before_bytes: first.body?.bytes ?? null, after_bytes: second.body?.bytes ?? null, same: null }
    : {
      before_bytes: first.body.bytes,
      after_bytes: second.body.bytes,
      same: first.body.digest === second.body.digest,
    };
  return {
    same: status.same && code.same && differing.length === 0 && body.same !== false,
    status,
    error_code: code,
    headers: { same: differing.length === 0, differing },
    body,
  };
}

function notCaptured(name: string): PlatformError {
  return new PlatformError(
    "NOT_CAPTURED",
    `Cannot run the execution again: its request was not kept; say "@fluxbase:capture errors" or "all" in "${name}", and what comes then can be`,
  );
}
