/**
 * The whole life of one invocation, from the call to its record.
 *
 * Owns: the order of the checks.
 * Does not own: what is written about an invocation (./recording.ts), HTTP (../gateway/), sandboxes (../sandbox/), when records are written (../executions/).
 *
 * @module
 */
import { type CaptureMode, PlatformError } from "@fluxbase/contract";
import { DEPTH_MAX } from "../../sandbox_runtime/frames.ts";
import type { Authenticator } from "../auth/authenticator.ts";
import { ANONYMOUS, type Caller } from "../auth/caller.ts";
import { assertMay, concealed, isAdmin, may, reaches } from "../auth/permissions.ts";
import type { LiveFunction } from "../catalog/catalog.ts";
import { functionNotFound } from "../catalog/function_not_found.ts";
import type { Clock } from "../core/clock.ts";
import type { Capture, Captures } from "../executions/captures.ts";
import type { ExecutionLog } from "../executions/execution_log.ts";
import { bodyTooLarge, type SandboxResponse } from "../sandbox/exchange.ts";
import { mask } from "../secrets/masking.ts";
import type { SecretStore, SecretValues } from "../secrets/secret_store.ts";
import { type CallerLimits, tighter } from "../ratelimit/caller_limits.ts";
import type { RateLimiter } from "../ratelimit/rate_limiter.ts";
import type { SandboxPool } from "../sandbox/sandbox_pool.ts";
import type { Telemetry } from "../telemetry/telemetry.ts";
import type { Delivery, Webhooks } from "../webhooks/webhooks.ts";
import { asDatabaseError } from "../storage/db.ts";
import { prefersAsync, respondLater, type TaskQueue } from "./async_call.ts";
import type { Invocation, InvocationBody } from "./invocation.ts";
import { inFrames } from "./in_frames.ts";
import { answerOfError, answerOfResponse } from "./answers.ts";
import { hiddenOf, Recording, type RecordingStart } from "./recording.ts";
import type { VersionSource } from "./version_source.ts";

export interface InvokeParts {
  readonly clock: Clock;
  readonly authenticator: Authenticator;
  readonly sandboxes: SandboxPool;
  readonly versions: VersionSource;
  readonly secrets: SecretStore;
  readonly executions: ExecutionLog;
  readonly captures: Captures;
  /** Of functions that do not say themselves. */
  readonly capture: CaptureMode;
  readonly rateLimiter: RateLimiter;
  readonly callerLimits: CallerLimits;
  readonly webhooks: Webhooks;
  readonly tasks: TaskQueue;
  readonly place: { readonly baseUrl: string };
  /** Null where nothing is sent. */
  readonly telemetry: Pick<Telemetry, "begin"> | null;
  readonly requestBodyMaxBytes: number;
}

/** @throws {PlatformError} for every answer that the function did not give itself */
export async function invoke(call: Invocation, parts: InvokeParts): Promise<SandboxResponse> {
  const { fn } = call;
  const { settings } = fn;
  const { requestBodyMaxBytes } = parts;
  if (call.depth > DEPTH_MAX) throw callsTooDeep(fn);
  if (!fn.enabled) throw await refusalOfDisabled(call, parts);
  // The signature is the credential: others are the sender's business.
  const isSigned = settings.verify !== undefined;
  const authenticated = isSigned
    ? ANONYMOUS
    : settings.auth === "none"
    ? callerIfOurs(call, parts)
    : parts.authenticator.authenticate(call.headers);
  const caller = authenticated instanceof Promise ? await authenticated : authenticated;
  // No browser sends a credential with a preflight, and this function answers them itself.
  const isOpen = isSigned || settings.allowUnauthenticated || (settings.ownCors && call.method === "OPTIONS");
  if (!isOpen) {
    if (!reaches(caller, fn.namespace)) throw concealed(functionNotFound(fn.namespace, fn.name));
    assertMay(caller, "functions:invoke", fn.namespace);
  }
  if (settings.hooks !== undefined) assertMayAsk(caller, fn);
  const standing = parts.callerLimits.take(caller, call);
  call.standing = standing instanceof Promise ? await standing : standing;
  if (settings.rateLimits.length > 0) {
    const subject = caller.userId === null ? `address ${call.address()}` : `user ${caller.userId}`;
    call.standing = tighter(call.standing, await parts.rateLimiter.take(fn.id, subject, settings.rateLimits));
  }
  if (call.bodyBytes !== undefined && call.bodyBytes > requestBodyMaxBytes) throw bodyTooLarge(requestBodyMaxBytes);

  const delivery = settings.verify === undefined ? undefined : await received(call, parts, settings.verify);
  if (delivery?.isRepeated) return HANDLED_BEFORE;
  // A preflight wants its answer now, whoever asks.
  const isAsync = call.method !== "OPTIONS" && (settings.respondAsync === true || prefersAsync(call.headers));
  if (isAsync) return await later(call, caller, parts, delivery);
  return await runFor(call, caller, parts, delivery);
}

/** Once it is stored, a delivery counts as handled: the task is what is tried again. */
async function later(
  call: Invocation,
  caller: Caller,
  parts: InvokeParts,
  delivery: Delivery | undefined,
): Promise<SandboxResponse> {
  try {
    const response = await respondLater(call, caller, parts, delivery);
    await delivery?.settle(response.status);
    return response;
  } catch (error) {
    await delivery?.settle(null);
    throw asDatabaseError(error);
  }
}

/**
 * Runs it for a caller who may, and records it.
 *
 * @throws {PlatformError} for every answer that the function did not give itself
 */
export async function runFor(
  call: Invocation,
  caller: Caller,
  parts: InvokeParts,
  delivery?: Delivery,
): Promise<SandboxResponse> {
  const { fn } = call;
  const { settings } = fn;
  const { clock, requestBodyMaxBytes } = parts;
  const startedMs = clock.nowMs();
  const version = parts.versions.of(fn);
  const found = caller.userId === null ? undefined : parts.secrets.ofUser(caller.userId);
  const userSecrets = found instanceof Promise ? await found : found;
  const trace = parts.telemetry === null ? null : parts.telemetry.begin(call.headers);
  const start = { caller, startedAtMs: clock.epochMs(), startedMs, version, userSecrets, trace };
  call.isAdmitted = true;
  const recording = new Recording(parts.executions, call, start);
  let body: InvocationBody;
  try {
    if (fn.liveVersion === null) throw neverBuilt(fn);
    const reading = delivery === undefined ? call.readBody() : inFrames(delivery.body);
    body = reading instanceof Promise ? await reading : reading;
  } catch (error) {
    recording.failedBeforeStart(error, clock.nowMs());
    await delivery?.settle(null);
    throw error;
  }
  const capture = captureFor(call, body, start, parts);
  recording.capture = capture;
  const exchange = parts.sandboxes.run(version, {
    executionId: call.executionId,
    method: call.method,
    url: call.url,
    callerJson: userSecrets === undefined ? caller.factsJson : withSecrets(caller.factsJson, userSecrets),
    headerPairs: call.headers.pairs,
    body: capture === undefined ? body : capture.body,
    isUpgrade: call.isUpgrade,
    depth: call.depth,
    timeoutMs: call.timeoutMs ?? settings.timeoutMs,
    requestBodyMaxBytes,
    responseBodyMaxBytes: settings.responseBodyBytes,
    client: call,
  }, recording);
  try {
    const response = await exchange.response;
    capture?.answered(answerOfResponse(response));
    await delivery?.settle(response.status);
    return response;
  } catch (error) {
    const told = withoutSecrets(error, hiddenOf(start));
    if (told instanceof PlatformError) capture?.answered(answerOfError(told));
    await delivery?.settle(null);
    throw told;
  }
}

/** What hooks of the authentication are asked about is nobody else's: passwords in the making, tokens, sessions. */
function captureFor(
  call: Invocation,
  body: InvocationBody,
  start: RecordingStart,
  { captures, capture }: InvokeParts,
): Capture | undefined {
  const { id: functionId, settings } = call.fn;
  const mode = settings.capture ?? capture;
  if (mode === "none" || settings.hooks !== undefined || call.isUpgrade || call.replayOf !== undefined) {
    return undefined;
  }
  const { executionId, method, url, path, headers } = call;
  const { caller: { kind, role, userId, keyId, factsJson }, startedAtMs } = start;
  return captures.begin({
    functionId,
    executionId,
    startedAtMs,
    mode,
    method,
    url,
    path,
    headerPairs: headers.pairs,
    body,
    caller: { kind, role, userId, keyId, facts: factsJson === "" ? {} : JSON.parse(factsJson) },
    hidden: () => hiddenOf(start),
  });
}

/** Credentials that are not ours are the function's business: a secret of a cron job, Basic, another issuer's token. */
async function callerIfOurs({ headers }: Invocation, { authenticator }: InvokeParts): Promise<Caller> {
  try {
    return await authenticator.authenticate(headers);
  } catch (error) {
    if (error instanceof PlatformError && error.code === "INVALID_CREDENTIAL") return ANONYMOUS;
    throw error;
  }
}

/** What the server asks about users is nobody else's to ask. @throws {PlatformError} FORBIDDEN */
function assertMayAsk(caller: Caller, { name }: LiveFunction): void {
  if (isAdmin(caller)) return;
  throw new PlatformError(
    "FORBIDDEN",
    `Cannot call function "${name}": it is a hook, which only the server, the service role and admins call`,
  );
}

function received(call: Invocation, { webhooks, versions, authenticator }: InvokeParts, rule: string) {
  return webhooks.receive(call, {
    rule,
    secrets: versions.of(call.fn).secrets(),
    timeoutMs: call.fn.settings.timeoutMs,
    async isOperator() {
      try {
        return may(await authenticator.authenticate(call.headers), "secrets:read", call.fn.namespace);
      } catch {
        return false;
      }
    },
  });
}

/** Senders repeat what they believe to be lost. */
const HANDLED_BEFORE: SandboxResponse = {
  status: 200,
  headers: null,
  body: JSON.stringify({ message: "This delivery was handled before: it did not run again" }),
};

/** Disabled or not, a function outside the caller's namespaces does not exist. */
async function refusalOfDisabled({ fn, headers }: Invocation, { authenticator }: InvokeParts): Promise<PlatformError> {
  try {
    const caller = await authenticator.authenticate(headers);
    if (!fn.settings.allowUnauthenticated && !reaches(caller, fn.namespace)) {
      return concealed(functionNotFound(fn.namespace, fn.name));
    }
  } catch {
    // That it is disabled is told before that a credential is wrong.
  }
  return disabled(fn);
}

/** Identity and secrets in one object: both are JSON objects, and neither is empty. */
function withSecrets(factsJson: string, secrets: SecretValues): string {
  return `${factsJson.slice(0, -1)},"user_secrets":${secrets.reveal()}}`;
}

/** What a function throws may hold what it has read. */
function withoutSecrets(error: unknown, hidden: readonly string[]): unknown {
  if (!(error instanceof PlatformError) || hidden.length === 0) return error;
  const { code, message, details, cause } = error;
  const stack = typeof cause === "string" ? mask(cause, hidden) : cause;
  return new PlatformError(code, mask(message, hidden), { details, cause: stack });
}

function disabled({ name }: LiveFunction): PlatformError {
  return new PlatformError(
    "FUNCTION_DISABLED",
    `Cannot call function "${name}": it is disabled; enable it with {"enabled": true}`,
  );
}

function callsTooDeep({ name }: LiveFunction): PlatformError {
  return new PlatformError(
    "CALL_LOOP",
    `Cannot call function "${name}": functions have called one another more than ${DEPTH_MAX} deep; look for one that calls itself`,
    { details: { limit: DEPTH_MAX } },
  );
}

function neverBuilt({ name, problems }: LiveFunction): PlatformError {
  const [first] = problems;
  return new PlatformError("BUNDLE_FAILED", `Cannot run function "${name}": ${first?.message ?? "it was not built"}`, {
    details: { problems },
  });
}
