/**
 * Settings of OpenTelemetry, under the names that all programs know them by.
 *
 * @module
 */
import { SAMPLERS, type SignalTarget, type TelemetryConfig } from "../telemetry/telemetry_config.ts";
import { Secret } from "../core/secret.ts";
import { anyText, boolean, httpHeaders, httpUrl, integer, keyValues, oneOf, ratio } from "./parsers.ts";
import { type DefaultedSetting, type ReadSetting, type Setting, setting } from "./setting.ts";

type Signal = "traces" | "metrics" | "logs";

const MILLISECONDS = integer({ min: 1, max: 3_600_000 });
const COUNT = integer({ min: 1, max: 1_000_000 });

export const OTEL_SETTINGS = {
  endpoint: setting({
    env: "OTEL_EXPORTER_OTLP_ENDPOINT",
    yaml: "otel.endpoint",
    parser: httpUrl,
    default: null,
    example: "http://collector.internal:4318",
    about:
      "An OpenTelemetry collector, or whatever else takes OTLP by HTTP, that gets traces, metrics and the lines that functions log.",
  }),
  tracesEndpoint: endpointOf("traces"),
  metricsEndpoint: endpointOf("metrics"),
  logsEndpoint: endpointOf("logs"),
  tracesExporter: exporterOf("traces"),
  metricsExporter: exporterOf("metrics"),
  logsExporter: exporterOf("logs"),
  isDisabled: setting({
    env: "OTEL_SDK_DISABLED",
    yaml: "otel.disabled",
    parser: boolean,
    default: "false",
    example: "true",
    about: "Sends nothing, whatever the other settings say.",
  }),
  protocol: setting({
    env: "OTEL_EXPORTER_OTLP_PROTOCOL",
    yaml: "otel.protocol",
    parser: oneOf("http/protobuf"),
    default: "http/protobuf",
    example: "http/protobuf",
    about: "How it is sent. Collectors take it on port 4318; gRPC, on port 4317, is not there.",
  }),
  headers: setting<Secret>({
    env: "OTEL_EXPORTER_OTLP_HEADERS",
    yaml: "otel.headers",
    parser: httpHeaders,
    default: null,
    example: "authorization=Bearer%20token",
    about: "Headers that are sent along: name=value with commas, values percent-encoded.",
    isSecret: true,
  }),
  timeoutMs: setting({
    env: "OTEL_EXPORTER_OTLP_TIMEOUT",
    yaml: "otel.timeout",
    parser: MILLISECONDS,
    default: "10000",
    example: "5000",
    about: "For one delivery, in milliseconds.",
  }),
  compression: setting({
    env: "OTEL_EXPORTER_OTLP_COMPRESSION",
    yaml: "otel.compression",
    parser: oneOf("none", "gzip"),
    default: "none",
    example: "gzip",
    about: "Of what is sent.",
  }),
  serviceName: setting({
    env: "OTEL_SERVICE_NAME",
    yaml: "otel.service_name",
    parser: anyText,
    default: "fluxbase",
    example: "fluxbase-eu",
    about: "The name that all of it carries.",
  }),
  resource: setting({
    env: "OTEL_RESOURCE_ATTRIBUTES",
    yaml: "otel.resource_attributes",
    parser: keyValues,
    default: null,
    example: "deployment.environment.name=production",
    about: "More that all of it carries: name=value with commas, values percent-encoded.",
  }),
  sampler: setting({
    env: "OTEL_TRACES_SAMPLER",
    yaml: "otel.traces_sampler",
    parser: oneOf(...SAMPLERS),
    default: "parentbased_always_on",
    example: "parentbased_traceidratio",
    about:
      "Which calls have spans. With parentbased_ the caller's traceparent decides, and the rest of the name where there is none.",
  }),
  samplerRatio: setting({
    env: "OTEL_TRACES_SAMPLER_ARG",
    yaml: "otel.traces_sampler_arg",
    parser: ratio,
    default: "1",
    example: "0.1",
    about: "The part of all traces that traceidratio takes.",
  }),
  metricIntervalMs: setting({
    env: "OTEL_METRIC_EXPORT_INTERVAL",
    yaml: "otel.metric_export_interval",
    parser: MILLISECONDS,
    default: "60000",
    example: "15000",
    about: "Time between two deliveries of metrics, in milliseconds.",
  }),
  ...batchOf("span", "BSP", "5000"),
  ...batchOf("log", "BLRP", "1000"),
} as const;

function endpointOf(signal: Signal): Setting<string> {
  return setting({
    env: `OTEL_EXPORTER_OTLP_${signal.toUpperCase()}_ENDPOINT`,
    yaml: `otel.${signal}_endpoint`,
    parser: httpUrl,
    default: null,
    example: `http://collector.internal:4318/v1/${signal}`,
    about: `The whole URL for ${signal}. Default: /v1/${signal} of OTEL_EXPORTER_OTLP_ENDPOINT.`,
  });
}

function exporterOf(signal: Signal): DefaultedSetting<"otlp" | "none"> {
  return setting({
    env: `OTEL_${signal.toUpperCase()}_EXPORTER`,
    yaml: `otel.${signal}_exporter`,
    parser: oneOf("otlp", "none"),
    default: "otlp",
    example: "none",
    about: `Whether ${signal} are sent.`,
  });
}

type BatchKey = "DelayMs" | "QueueCount" | "BatchCount";

function batchOf<const T extends "span" | "log">(
  what: T,
  prefix: string,
  delayMs: string,
): Record<`${T}${BatchKey}`, DefaultedSetting<number>> {
  const yaml = `otel.${prefix.toLowerCase()}`;
  const settings: Record<BatchKey, DefaultedSetting<number>> = {
    DelayMs: setting({
      env: `OTEL_${prefix}_SCHEDULE_DELAY`,
      yaml: `${yaml}.schedule_delay`,
      parser: MILLISECONDS,
      default: delayMs,
      example: "500",
      about: `The longest that a ${what} waits to be sent, in milliseconds.`,
    }),
    QueueCount: setting({
      env: `OTEL_${prefix}_MAX_QUEUE_SIZE`,
      yaml: `${yaml}.max_queue_size`,
      parser: COUNT,
      default: "2048",
      example: "8192",
      about: `How many ${what}s may wait; what is more is left out, and the log says so.`,
    }),
    BatchCount: setting({
      env: `OTEL_${prefix}_MAX_EXPORT_BATCH_SIZE`,
      yaml: `${yaml}.max_export_batch_size`,
      parser: COUNT,
      default: "512",
      example: "1024",
      about: `How many ${what}s are sent at once.`,
    }),
  };
  return Object.fromEntries(Object.entries(settings).map(([key, value]) => [`${what}${key}`, value])) as never;
}

/** Null: nothing is sent. */
export function readTelemetry(get: ReadSetting): TelemetryConfig | null {
  const o = OTEL_SETTINGS;
  const endpoint = get(o.endpoint);
  const isDisabled = get(o.isDisabled);
  get(o.protocol);
  const headers = get(o.headers) ?? new Secret("{}");
  const [timeoutMs, compression] = [get(o.timeoutMs), get(o.compression)];

  function target(signal: Signal): SignalTarget | null {
    const own = get(o[`${signal}Endpoint`]);
    const isSent = get(o[`${signal}Exporter`]) === "otlp";
    const url = own ?? (endpoint === null ? null : `${endpoint}/v1/${signal}`);
    return url === null || !isSent || isDisabled ? null : { url, headers, timeoutMs, compression };
  }

  const config: TelemetryConfig = {
    traces: target("traces"),
    metrics: target("metrics"),
    logs: target("logs"),
    serviceName: get(o.serviceName),
    resource: get(o.resource) ?? {},
    sampler: get(o.sampler),
    samplerRatio: get(o.samplerRatio),
    metricIntervalMs: get(o.metricIntervalMs),
    spans: { delayMs: get(o.spanDelayMs), queueCount: get(o.spanQueueCount), batchCount: get(o.spanBatchCount) },
    lines: { delayMs: get(o.logDelayMs), queueCount: get(o.logQueueCount), batchCount: get(o.logBatchCount) },
  };
  return config.traces === null && config.metrics === null && config.logs === null ? null : config;
}
