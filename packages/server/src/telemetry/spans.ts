/**
 * From a call that is over to its spans: one for the call, and below it what it waited for and what its handler did.
 *
 *     call ─┬─ queue         while no sandbox had it, if that took a while
 *           ├─ cold start ─┬─ spawn
 *           │              └─ load
 *           └─ handler       until the answer was complete
 *
 * They are made when all of it is known: on the way of a call there is nothing but the choice of three ids.
 *
 * @module
 */
import {
  type Attributes,
  type HrTime,
  type SpanContext,
  SpanKind,
  SpanStatusCode,
  TraceFlags,
} from "@opentelemetry/api";
import type { Resource } from "@opentelemetry/resources";
import type { ReadableSpan, TimedEvent } from "@opentelemetry/sdk-trace";
import type { ExecutionRecord } from "../storage/executions.ts";
import type { Course } from "./telemetry.ts";

/** Who belongs to whom. */
export interface SpanIds {
  readonly call: SpanContext;
  /** Of the handler: what the function calls in turn comes below it. */
  readonly handler: SpanContext;
  /** The caller's. */
  readonly parent: SpanContext | undefined;
}

export interface SpanOrigin {
  readonly resource: Resource;
  readonly instrumentationScope: ReadableSpan["instrumentationScope"];
}

/** A shorter wait has no span: a request to a warm sandbox only has its body read. */
const QUEUE_MIN_MS = 1;
/** What starts a function, in the words of the semantic conventions. */
const TRIGGERS: Readonly<Record<string, string>> = {
  http: "http",
  cron: "timer",
  hook: "datasource",
  queue: "pubsub",
  task: "pubsub",
};

export function spansOf(record: ExecutionRecord, course: Course, ids: SpanIds, origin: SpanOrigin): ReadableSpan[] {
  const { startedMs, sentMs, coldStart, completedMs } = course;
  const at = (ms: number) => hrTime(record.startedAtMs + Math.max(0, ms - startedMs));
  const spans: ReadableSpan[] = [];

  function add(
    name: string,
    fromMs: number,
    toMs: number,
    more: Partial<SpanFields> & Pick<SpanFields, "context">,
  ): void {
    spans.push(
      new EndedSpan({ name, startTime: at(fromMs), endTime: at(toMs), parent: ids.call, origin, ...more }),
    );
  }

  const failure = failureOf(record, at(completedMs));
  const isStarted = sentMs !== null;
  add(`${record.namespace}/${record.functionName}`, startedMs, completedMs, {
    context: ids.call,
    parent: ids.parent,
    kind: record.triggerType === "http" ? SpanKind.SERVER : SpanKind.CONSUMER,
    attributes: attributesOf(record, course),
    failure: isStarted && failure !== undefined ? { ...failure, event: undefined } : failure,
  });
  const waitedUntilMs = sentMs ?? completedMs;
  if (waitedUntilMs - startedMs >= QUEUE_MIN_MS) add("queue", startedMs, waitedUntilMs, { context: below(ids.call) });
  if (coldStart !== null) {
    const { beganMs, spawnedMs, loadedMs } = coldStart;
    const context = below(ids.call);
    add("cold start", beganMs, loadedMs, { context });
    add("spawn", beganMs, spawnedMs, { context: below(ids.call), parent: context });
    add("load", spawnedMs, loadedMs, { context: below(ids.call), parent: context });
  }
  if (isStarted) {
    const { answeredMs } = course;
    const events = answeredMs === null ? [] : [eventAt(at(answeredMs), "first byte", {})];
    add("handler", sentMs, completedMs, { context: ids.handler, events, failure });
  }
  return spans;
}

function attributesOf(record: ExecutionRecord, { url, userAgent }: Course): Attributes {
  const { protocol, hostname, port, pathname } = new URL(url);
  return {
    ...functionAttributes(record),
    "faas.invocation_id": record.id,
    "faas.trigger": TRIGGERS[record.triggerType] ?? "other",
    "faas.coldstart": record.coldStart,
    "http.request.method": record.method,
    "url.scheme": protocol.slice(0, -1),
    "url.path": pathname,
    "server.address": hostname,
    ...(port === "" ? {} : { "server.port": Number(port) }),
    "http.request.body.size": record.bytesIn,
    "http.response.body.size": record.bytesOut,
    ...(record.statusCode === null ? {} : { "http.response.status_code": record.statusCode }),
    ...(userAgent === null ? {} : { "user_agent.original": userAgent }),
    ...(record.userId === null ? {} : { "user.id": record.userId }),
    ...(record.requestId === null ? {} : { "fluxbase.request_id": record.requestId }),
    ...(record.errorCode === null ? {} : { "error.type": record.errorCode }),
    "fluxbase.status": record.status,
  };
}

export function functionAttributes(
  { namespace, functionName, version }: Pick<ExecutionRecord, "namespace" | "functionName" | "version">,
): Attributes {
  return { "faas.name": functionName, "faas.version": String(version), "fluxbase.namespace": namespace };
}

interface Failure {
  readonly message: string;
  readonly event: TimedEvent | undefined;
}

function failureOf(record: ExecutionRecord, time: HrTime): Failure | undefined {
  const { status, statusCode, errorMessage, errorCode, errorStack } = record;
  if (status === "success") return undefined;
  if (errorMessage === null) return { message: `status ${statusCode}`, event: undefined };
  return {
    message: errorMessage,
    event: eventAt(time, "exception", {
      "exception.type": errorCode ?? "Error",
      "exception.message": errorMessage,
      ...(errorStack === null ? {} : { "exception.stacktrace": errorStack }),
    }),
  };
}

function eventAt(time: HrTime, name: string, attributes: Attributes): TimedEvent {
  return { name, time, attributes, droppedAttributesCount: 0 };
}

interface SpanFields {
  readonly name: string;
  readonly context: SpanContext;
  readonly parent: SpanContext | undefined;
  readonly startTime: HrTime;
  readonly endTime: HrTime;
  readonly kind: SpanKind;
  readonly attributes: Attributes;
  readonly events: readonly TimedEvent[];
  readonly failure: Failure | undefined;
  readonly origin: SpanOrigin;
}

/** A span that is known only when it is over. */
class EndedSpan implements ReadableSpan {
  readonly name: string;
  readonly kind: SpanKind;
  readonly parentSpanContext?: SpanContext;
  readonly startTime: HrTime;
  readonly endTime: HrTime;
  readonly status: ReadableSpan["status"];
  readonly attributes: Attributes;
  readonly links = [];
  readonly events: TimedEvent[];
  readonly ended = true;
  readonly resource: Resource;
  readonly instrumentationScope: ReadableSpan["instrumentationScope"];
  readonly droppedAttributesCount = 0;
  readonly droppedEventsCount = 0;
  readonly droppedLinksCount = 0;
  readonly #context: SpanContext;

  constructor(
    { name, context, parent, startTime, endTime, kind, attributes, events, failure, origin }:
      & Omit<SpanFields, "kind" | "attributes" | "events" | "failure">
      & Partial<SpanFields>,
  ) {
    this.name = name;
    this.kind = kind ?? SpanKind.INTERNAL;
    if (parent !== undefined) this.parentSpanContext = parent;
    this.startTime = startTime;
    this.endTime = endTime;
    this.status = failure === undefined
      ? { code: SpanStatusCode.UNSET }
      : { code: SpanStatusCode.ERROR, message: failure.message };
    this.attributes = attributes ?? {};
    this.events = [...events ?? [], ...failure?.event === undefined ? [] : [failure.event]];
    this.resource = origin.resource;
    this.instrumentationScope = origin.instrumentationScope;
    this.#context = context;
  }

  get duration(): HrTime {
    const nanos = (this.endTime[0] - this.startTime[0]) * 1e9 + this.endTime[1] - this.startTime[1];
    return [Math.floor(nanos / 1e9), nanos % 1e9];
  }

  spanContext(): SpanContext {
    return this.#context;
  }
}

/** Another span of the same trace. */
export function below({ traceId, traceFlags }: SpanContext): SpanContext {
  return { traceId, spanId: newSpanId(), traceFlags };
}

/** Of UUIDs, which the runtime makes ahead: a twelfth of what random bytes as text take. */
export function newTraceId(): string {
  return crypto.randomUUID().replaceAll("-", "");
}

function newSpanId(): string {
  const id = crypto.randomUUID();
  return id.slice(0, 8) + id.slice(-8);
}

export function isSampled({ traceFlags }: SpanContext): boolean {
  return (traceFlags & TraceFlags.SAMPLED) !== 0;
}

export function hrTime(epochMs: number): HrTime {
  const sec = Math.floor(epochMs / 1_000);
  return [sec, Math.round((epochMs - sec * 1_000) * 1e6)];
}
