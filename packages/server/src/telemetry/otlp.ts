/**
 * Sends to OpenTelemetry by its own packages: they choose which traces are recorded, collect, and deliver. When nobody
 * takes what is sent it is left out, and the server's log says so once a minute.
 *
 * @module
 */
import { diag, DiagLogLevel, ROOT_CONTEXT, type SpanContext, SpanKind, trace, TraceFlags } from "@opentelemetry/api";
import { type Logger, SeverityNumber } from "@opentelemetry/api-logs";
import { OTLPLogExporter } from "@opentelemetry/exporter-logs-otlp-proto";
import { OTLPMetricExporter } from "@opentelemetry/exporter-metrics-otlp-proto";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import { type Resource, resourceFromAttributes } from "@opentelemetry/resources";
import { BatchLogRecordProcessor, LoggerProvider } from "@opentelemetry/sdk-logs";
import { MeterProvider, PeriodicExportingMetricReader } from "@opentelemetry/sdk-metrics";
import {
  AlwaysOffSampler,
  AlwaysOnSampler,
  BatchSpanProcessor,
  ParentBasedSampler,
  type Sampler,
  SamplingDecision,
  TraceIdRatioBasedSampler,
} from "@opentelemetry/sdk-trace";
import type { LogLevel } from "@fluxbase/contract";
import {
  parseTraceparent,
  TRACE_HEADER,
  TRACE_STATE_HEADER,
  traceparentOf,
} from "../../sandbox_runtime/trace_context.ts";
import { withDeadline } from "../core/clock.ts";
import type { HeaderList } from "../core/header_list.ts";
import type { Log } from "../core/log.ts";
import type { ExecutionRecord, LogLineRecord } from "../storage/executions.ts";
import { metricProducer } from "./otlp_metrics.ts";
import { below, functionAttributes, hrTime, isSampled, newTraceId, type SpanIds, spansOf } from "./spans.ts";
import type { CallTrace, Course, FunctionName, Telemetry, TelemetryParts } from "./telemetry.ts";
import type { Batching, SamplerName, SignalTarget, TelemetryConfig } from "./telemetry_config.ts";

const SCOPE = "fluxbase";
const TROUBLE_MS = 60_000;
/** For what is still to be sent when the server stops. */
const LAST_MS = 5_000;
const SEVERITY: Readonly<Record<LogLevel, SeverityNumber>> = {
  debug: SeverityNumber.DEBUG,
  info: SeverityNumber.INFO,
  warn: SeverityNumber.WARN,
  error: SeverityNumber.ERROR,
};

export function startOtlp(config: TelemetryConfig, parts: TelemetryParts): Telemetry {
  tellTroubles(parts.log);
  const { traces, metrics, logs } = config;
  const resource = resourceFromAttributes({
    "service.version": parts.version,
    "service.instance.id": parts.node,
    ...config.resource,
    "service.name": config.serviceName,
  });
  const loggers = logs === null ? undefined : new LoggerProvider({
    resource,
    processors: [
      new BatchLogRecordProcessor({ exporter: new OTLPLogExporter(optionsOf(logs)), ...batchOf(config.lines) }),
    ],
  });
  const sender: Sender = {
    sampler: traces === null ? new AlwaysOffSampler() : samplerOf(config.sampler, config.samplerRatio),
    origin: { resource, instrumentationScope: { name: SCOPE, version: parts.version } },
    spans: traces === null
      ? undefined
      : new BatchSpanProcessor({ exporter: new OTLPTraceExporter(optionsOf(traces)), ...batchOf(config.spans) }),
    logger: loggers?.getLogger(SCOPE, parts.version),
    log: parts.log,
  };
  const meters = metrics === null ? undefined : startMeters(metrics, { config, parts, resource });
  return {
    begin: (headers) => begin(headers, sender),
    line: (line) => emit([line], line, sender),
    async [Symbol.asyncDispose]() {
      const shutdowns = [sender.spans, loggers, meters].map((part) => part?.shutdown());
      const tooSlow = () => new Error(`The collector did not take it within ${LAST_MS} ms`);
      try {
        await withDeadline(Promise.all(shutdowns), LAST_MS, tooSlow);
      } catch (error) {
        parts.log.warn("Cannot send the last of the telemetry", { error });
      }
    },
  };
}

function startMeters(
  target: SignalTarget,
  { config, parts, resource }: { config: TelemetryConfig; parts: TelemetryParts; resource: Resource },
): MeterProvider {
  const { metricIntervalMs } = config;
  const exporter = new OTLPMetricExporter(optionsOf(target));
  const reader = new PeriodicExportingMetricReader({
    exporter,
    exportIntervalMillis: metricIntervalMs,
    exportTimeoutMillis: Math.min(metricIntervalMs, target.timeoutMs),
    metricProducers: [metricProducer(parts, resource)],
  });
  return new MeterProvider({ resource, readers: [reader] });
}

interface Sender {
  readonly sampler: Sampler;
  readonly origin: Parameters<typeof spansOf>[3];
  readonly spans: BatchSpanProcessor | undefined;
  readonly logger: Logger | undefined;
  readonly log: Log;
}

function begin(headers: HeaderList, sender: Sender): CallTrace {
  const from = parseTraceparent(headers.get(TRACE_HEADER));
  const parent: SpanContext | undefined = from === null ? undefined : {
    traceId: from.traceId,
    spanId: from.spanId,
    traceFlags: from.isSampled ? TraceFlags.SAMPLED : TraceFlags.NONE,
    isRemote: true,
  };
  // Whoever makes no spans hands on what came.
  if (parent !== undefined && sender.spans === undefined) {
    return new Call({ call: parent, handler: parent, parent: undefined }, sender);
  }
  // It means nothing without the other.
  if (from === null) headers.delete(TRACE_STATE_HEADER);
  const traceId = parent?.traceId ?? newTraceId();
  const context = parent === undefined ? ROOT_CONTEXT : trace.setSpanContext(ROOT_CONTEXT, parent);
  const { decision } = sender.sampler.shouldSample(context, traceId, "call", SpanKind.SERVER, {}, []);
  const traceFlags = decision === SamplingDecision.RECORD_AND_SAMPLED ? TraceFlags.SAMPLED : TraceFlags.NONE;
  const call = below({ traceId, spanId: "", traceFlags });
  const handler = below(call);
  headers.set(TRACE_HEADER, traceparentOf({ traceId, spanId: handler.spanId, isSampled: isSampled(handler) }));
  return new Call({ call, handler, parent }, sender);
}

/** A class for the same reason as Recording (../invoke/recording.ts): no closures for each request. */
class Call implements CallTrace {
  readonly #ids: SpanIds;
  readonly #sender: Sender;

  constructor(ids: SpanIds, sender: Sender) {
    this.#ids = ids;
    this.#sender = sender;
  }

  get traceId(): string {
    return this.#ids.call.traceId;
  }

  logged(call: FunctionName & { readonly id: string }, lines: readonly LogLineRecord[]): void {
    emit(lines, { ...call, context: this.#ids.handler }, this.#sender);
  }

  ended(record: ExecutionRecord, course: Course): void {
    const { spans, origin, log } = this.#sender;
    this.logged(record, record.logs);
    if (spans === undefined || !isSampled(this.#ids.call)) return;
    try {
      for (const span of spansOf(record, course, this.#ids, origin)) spans.onEnd(span);
    } catch (error) {
      log.warn("Cannot make spans of an execution", { id: record.id, error });
    }
  }
}

type LineOwner = FunctionName & { readonly id?: string; readonly context?: SpanContext };

function emit(lines: readonly LogLineRecord[], owner: LineOwner, { logger, log }: Sender): void {
  if (logger === undefined || lines.length === 0) return;
  const own = {
    ...functionAttributes(owner),
    ...(owner.id === undefined ? {} : { "faas.invocation_id": owner.id }),
  };
  const context = owner.context === undefined ? ROOT_CONTEXT : trace.setSpanContext(ROOT_CONTEXT, owner.context);
  try {
    for (const { atMs, level, message, fields } of lines) {
      logger.emit({
        timestamp: hrTime(atMs),
        severityNumber: SEVERITY[level],
        severityText: level,
        body: message,
        attributes: { ...flat(fields), ...own },
        context,
      });
    }
  } catch (error) {
    log.warn("Cannot send lines of a function", { id: owner.id, error });
  }
}

/** What a function nests may be as deep as it likes, and is read with recursion. */
function flat(fields: LogLineRecord["fields"]): Record<string, string | number | boolean> {
  const values: Record<string, string | number | boolean> = {};
  for (const [name, value] of Object.entries(fields ?? {})) {
    const isPlain = typeof value === "string" || typeof value === "number" || typeof value === "boolean";
    values[name] = isPlain ? value : JSON.stringify(value);
  }
  return values;
}

function samplerOf(name: SamplerName, ratio: number): Sampler {
  const [, parentBased, rest = ""] = /^(parentbased_)?(.+)$/.exec(name) ?? [];
  const root = rest === "always_on"
    ? new AlwaysOnSampler()
    : rest === "always_off"
    ? new AlwaysOffSampler()
    : new TraceIdRatioBasedSampler(ratio);
  return parentBased === undefined ? root : new ParentBasedSampler({ root });
}

function optionsOf({ url, headers, timeoutMs, compression }: SignalTarget) {
  return { url, headers: JSON.parse(headers.reveal()), timeoutMillis: timeoutMs, compression: compression as never };
}

function batchOf({ delayMs, queueCount, batchCount }: Batching) {
  return {
    scheduledDelayMillis: delayMs,
    maxQueueSize: queueCount,
    maxExportBatchSize: Math.min(batchCount, queueCount),
  };
}

/** The packages tell their troubles to one place for the whole process. */
function tellTroubles(log: Log): void {
  let toldMs = -Infinity;
  function tell(message: string): void {
    if (performance.now() - toldMs < TROUBLE_MS) return;
    toldMs = performance.now();
    log.warn("Telemetry is left out: the collector does not take it", { reason: reasonOf(message) });
  }
  const ignore = () => {};
  diag.setLogger({ error: tell, warn: tell, info: ignore, debug: ignore, verbose: ignore }, {
    logLevel: DiagLogLevel.WARN,
    suppressOverrideMessage: true,
  });
}

/** They write errors as JSON, with stacks. */
function reasonOf(message: string): string {
  try {
    return String(JSON.parse(message).message ?? message);
  } catch {
    return message;
  }
}
