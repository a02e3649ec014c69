/**
 * In development: what functions do is told on the server's own log, too.
 *
 * @module
 */
import type { LogLevel } from "@fluxbase/contract";
import type { Log } from "../core/log.ts";
import type { ExecutionLog } from "./execution_log.ts";

/** Whose line it is, where only an id is known. */
export type NameOf = (functionId: string) => string;

export function echoToServerLog(executions: ExecutionLog, log: Log, nameOf: NameOf): ExecutionLog {
  function tell(name: string, level: LogLevel, message: string, facts: Readonly<Record<string, unknown>> | null): void {
    // The server's own lines of that level may be switched off.
    log[level === "debug" ? "info" : level](`${name}: ${printable(message)}`, facts ?? {});
  }
  return {
    ...executions,
    record(entry) {
      executions.record(entry);
      const name = `${entry.namespace}/${entry.functionName}`;
      for (const { level, message, fields } of entry.logs) {
        tell(name, level, message, fields === null ? null : { fields });
      }
      const facts = { status: entry.statusCode ?? "none", ms: Math.round(entry.durationMs) };
      if (entry.errorMessage === null) tell(name, "info", `${entry.method} answered`, facts);
      else {
        const text = entry.errorStack ?? entry.errorMessage;
        const isTold = entry.logs.at(-1)?.message === text;
        tell(name, "error", isTold ? `${entry.method} failed` : text, { ...facts, code: entry.errorCode });
      }
    },
    recordLine(line) {
      executions.recordLine(line);
      tell(nameOf(line.functionId), line.level, line.message, line.fields === null ? null : { fields: line.fields });
    },
  };
}

/** A function must not paint on the terminal, nor write lines that look like the server's. */
function printable(text: string): string {
  return text.trimEnd().replaceAll(/\r?\n/g, "\n    ")
    // deno-lint-ignore no-control-regex
    .replaceAll(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, "\ufffd");
}
