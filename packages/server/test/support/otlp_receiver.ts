/**
 * Takes what is sent to OpenTelemetry, and reads it by the official protocol buffers.
 *
 * @module
 */
import generated from "@opentelemetry/otlp-proto-exporter-base/build/src/generated/root.js";

export interface ReceivedSpan {
  readonly name: string;
  readonly kind: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string;
  readonly startNanos: bigint;
  readonly endNanos: bigint;
  readonly attributes: Attributes;
  readonly events: readonly { readonly name: string; readonly attributes: Attributes }[];
  readonly status: { readonly code?: string; readonly message?: string };
  readonly resource: Attributes;
}

export interface ReceivedLine {
  readonly body: string;
  readonly severity: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly attributes: Attributes;
}

export interface ReceivedPoint {
  readonly metric: string;
  readonly unit: string;
  readonly kind: "sum" | "gauge" | "histogram";
  readonly attributes: Attributes;
  /** Of a histogram: how many there were. */
  readonly value: number;
}

type Attributes = Readonly<Record<string, string | number | boolean>>;

export interface OtlpReceiver extends AsyncDisposable {
  readonly url: string;
  readonly spans: readonly ReceivedSpan[];
  readonly lines: readonly ReceivedLine[];
  /** Of the latest delivery. */
  readonly points: readonly ReceivedPoint[];
  /** Of all requests. */
  readonly authorizations: ReadonlySet<string | null>;
}

// deno-lint-ignore no-explicit-any -- generated code without types
const services = (generated as any).opentelemetry.proto.collector;
const REQUESTS: Readonly<Record<string, string>> = {
  "/v1/traces": "trace",
  "/v1/metrics": "metrics",
  "/v1/logs": "logs",
};

export function startOtlpReceiver(): OtlpReceiver {
  const spans: ReceivedSpan[] = [];
  const lines: ReceivedLine[] = [];
  let points: ReceivedPoint[] = [];
  const authorizations = new Set<string | null>();
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, async (request) => {
    const service = REQUESTS[new URL(request.url).pathname];
    const isRight = request.headers.get("content-type") === "application/x-protobuf";
    if (service === undefined || !isRight) return new Response(null, { status: 400 });
    authorizations.add(request.headers.get("authorization"));
    const name = `Export${service[0]?.toUpperCase()}${service.slice(1)}ServiceRequest`;
    const Request = services[service].v1[name];
    const isZipped = request.headers.get("content-encoding") === "gzip";
    const body = isZipped ? request.body?.pipeThrough(new DecompressionStream("gzip")) : request.body;
    const read = Request.decode(await new Response(body).bytes());
    const message = Request.toObject(read, { longs: String, enums: String, defaults: false });
    if (service === "trace") spans.push(...message.resourceSpans.flatMap(spansOf));
    if (service === "logs") lines.push(...message.resourceLogs.flatMap(linesOf));
    if (service === "metrics") points = message.resourceMetrics.flatMap(pointsOf);
    return new Response(new Uint8Array(), { headers: { "content-type": "application/x-protobuf" } });
  });
  return {
    url: `http://127.0.0.1:${server.addr.port}`,
    spans,
    lines,
    get points() {
      return points;
    },
    authorizations,
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}

// deno-lint-ignore no-explicit-any
type Read = any;

function spansOf({ resource, scopeSpans }: Read): ReceivedSpan[] {
  return scopeSpans.flatMap(({ spans }: Read) => spans).map((span: Read) => ({
    name: span.name,
    kind: span.kind,
    traceId: hex(span.traceId),
    spanId: hex(span.spanId),
    parentSpanId: hex(span.parentSpanId),
    startNanos: BigInt(span.startTimeUnixNano),
    endNanos: BigInt(span.endTimeUnixNano),
    attributes: attributesOf(span.attributes),
    events: (span.events ?? []).map((event: Read) => ({
      name: event.name,
      attributes: attributesOf(event.attributes),
    })),
    status: span.status ?? {},
    resource: attributesOf(resource.attributes),
  }));
}

function linesOf({ scopeLogs }: Read): ReceivedLine[] {
  return scopeLogs.flatMap(({ logRecords }: Read) => logRecords).map((line: Read) => ({
    body: line.body.stringValue,
    severity: line.severityNumber,
    traceId: hex(line.traceId),
    spanId: hex(line.spanId),
    attributes: attributesOf(line.attributes),
  }));
}

function pointsOf({ scopeMetrics }: Read): ReceivedPoint[] {
  return scopeMetrics.flatMap(({ metrics }: Read) => metrics).flatMap((metric: Read) =>
    (["sum", "gauge", "histogram"] as const).flatMap((kind) =>
      (metric[kind]?.dataPoints ?? []).map((point: Read) => ({
        metric: metric.name,
        unit: metric.unit,
        kind,
        attributes: attributesOf(point.attributes),
        value: Number(kind === "histogram" ? point.count : point.asDouble ?? point.asInt),
      }))
    )
  );
}

function attributesOf(pairs: readonly { key: string; value: Record<string, unknown> }[] = []): Attributes {
  return Object.fromEntries(pairs.map(({ key, value }) => {
    const [kind, found] = Object.entries(value)[0] ?? [];
    return [key, kind === "intValue" ? Number(found) : found as string | number | boolean];
  }));
}

function hex(bytes: Uint8Array | undefined): string {
  return new Uint8Array(bytes ?? []).toHex();
}
