/**
 * Lines of a log, as they were written.
 *
 * @module
 */
import type { LogEntry } from "@fluxbase/sdk";
import { Link } from "@tanstack/react-router";
import { ArrowUpRight } from "lucide-react";
import { clockTime, exactTime } from "./time.tsx";
import "./log_lines.css";

export function LogLines(
  { lines, label, linked = false }: {
    readonly lines: readonly LogEntry[];
    readonly label: string;
    /** To the execution of each. */
    readonly linked?: boolean;
  },
) {
  return (
    <ol className="log" aria-label={label} tabIndex={0}>
      {lines.map((line) => <LogLine key={line.id} line={line} linked={linked} />)}
    </ol>
  );
}

function LogLine({ line, linked }: { readonly line: LogEntry; readonly linked: boolean }) {
  const { timestamp, level, message, execution_id: id, namespace, function_name: name } = line;
  return (
    <li className="log-line" data-level={level}>
      <time dateTime={timestamp} data-tip={exactTime(timestamp)}>{clockTime(timestamp)}</time>
      <span className="log-level">{level}</span>
      <span className="log-text">
        {message}
      </span>
      {linked && id !== null && namespace !== null && name !== null && (
        <Link
          className="log-link"
          to="/functions/$namespace/$name/executions/$id"
          params={{ namespace, name, id }}
          aria-label="Its execution"
          data-tip="Its execution"
        >
          <ArrowUpRight className="icon" aria-hidden />
        </Link>
      )}
    </li>
  );
}
