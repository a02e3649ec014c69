/**
 * An answer as text, whatever it says that it is: nothing in it is run or drawn.
 *
 * @module
 */
import { useState } from "react";
import type { CallRecord, TestAnswer } from "../../data/test_calls.ts";
import { Badge, type Tone } from "../../parts/badge.tsx";
import { CopyButton } from "../../parts/copyable.tsx";
import { LogLines } from "../../parts/log_lines.tsx";
import { Segments } from "../../parts/segments.tsx";
import { bytesText, durationText } from "../../parts/time.tsx";

type Side = "body" | "headers" | "logs";

export function AnswerView(
  { answer, record }: { readonly answer: TestAnswer; readonly record: CallRecord | undefined },
) {
  const [side, setSide] = useState<Side>("body");
  const [isRaw, setRaw] = useState(false);
  const { status, statusText, headers, text, byteCount, isWhole, headMs, totalMs } = answer;
  const pretty = isWhole && !isRaw ? prettyOf(text) : undefined;
  const lines = record?.lines ?? [];
  return (
    <section className="test-answer" aria-label="Answer">
      <div className="test-facts" role="status">
        <Badge tone={toneOf(status)}>{status} {statusText}</Badge>
        <span className="number">{durationText(isWhole ? totalMs : headMs)}</span>
        <span className="muted number">{bytesText(byteCount)}</span>
        {!isWhole && <span className="muted">more is coming …</span>}
      </div>
      {record && <Split record={record} />}
      <div className="row">
        <Segments
          label="Show"
          value={side}
          options={[
            ["body", "Body"],
            ["headers", `Headers ${headers.length}`],
            ["logs", `Logs ${record ? lines.length : "…"}`],
          ]}
          onChange={setSide}
        />
        {side === "body" && text !== undefined && (
          <span className="spread row">
            {prettyOf(text) !== undefined && (
              <button
                type="button"
                className="segment"
                aria-pressed={isRaw}
                onClick={() => setRaw(!isRaw)}
              >
                Raw
              </button>
            )}
            <CopyButton text={text} label="Copy the body" />
          </span>
        )}
      </div>
      {side === "body" && (
        <pre className="code-block test-body" data-wrap tabIndex={0} aria-label="Body of the answer">
          {text === undefined ? `${bytesText(byteCount)} that are not text` : pretty ?? text}
        </pre>
      )}
      {side === "headers" && (
        <pre className="code-block test-body" data-wrap tabIndex={0} aria-label="Headers of the answer">
          {headers.map(([name, value]) => `${name}: ${value}`).join("\n")}
        </pre>
      )}
      {side === "logs" &&
        (lines.length === 0
          ? <p className="muted small">{record ? "No log lines." : "Waiting for the record of the call …"}</p>
          : (
            <div className="code-block test-log">
              <LogLines lines={lines} label="Log lines of the call" />
            </div>
          ))}
    </section>
  );
}

/** Where its time went. */
function Split({ record: { execution } }: { readonly record: CallRecord }) {
  const { queue_ms: waiting, duration_ms: whole, cold_start: isCold, version } = execution;
  const handler = Math.max(0, (whole ?? 0) - waiting);
  return (
    <>
      <div className="test-split" aria-hidden="true">
        <span data-part="waiting" style={{ flexGrow: waiting }} />
        <span data-part="handler" style={{ flexGrow: handler }} />
      </div>
      <p className="small muted number">
        {isCold ? "Cold start" : "Waiting"} {durationText(waiting)} · handler {durationText(handler)} · version{" "}
        {version}
      </p>
    </>
  );
}

function toneOf(status: number): Tone {
  return status >= 500 ? "bad" : status >= 400 ? "warn" : "good";
}

/** Undefined for what is no JSON, and for what would not change. */
function prettyOf(text: string | undefined): string | undefined {
  if (text === undefined || !/^\s*[[{]/.test(text)) return undefined;
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return undefined;
  }
}
