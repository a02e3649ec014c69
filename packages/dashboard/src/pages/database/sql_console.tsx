/**
 * SQL as the role that functions use, and what was run before.
 *
 * @module
 */
import type { SqlAnswer } from "@fluxbase/sdk";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { Play } from "lucide-react";
import { useState } from "react";
import { TABLES_KEY, textOf } from "../../data/tables.ts";
import { Button } from "../../parts/button.tsx";
import { Field, Select } from "../../parts/field.tsx";
import { ErrorNote } from "../../parts/states.tsx";
import { durationText } from "../../parts/time.tsx";
import { SERVER_URL } from "../../server.ts";
import { useClient } from "../../session/use_session.ts";

const KEY = `fluxbase.sql.${SERVER_URL}`;
const KEPT_COUNT = 50;
const SHOWN_ROWS_COUNT = 500;
const SHOWN_CHARACTERS = 70;

export function SqlConsole() {
  const client = useClient();
  const queries = useQueryClient();
  const [history, setHistory] = useState(readHistory);
  const [sql, setSql] = useState(history[0] ?? "select now();");
  const run = useMutation({
    mutationFn: async (text: string) => {
      const startedMs = performance.now();
      const answer = await client.admin.database.query(text);
      return { answer, ms: performance.now() - startedMs };
    },
    onSettled: (_data, _error, text) => {
      setHistory(keepHistory(text));
      // It may have made or dropped some.
      void queries.invalidateQueries({ queryKey: TABLES_KEY });
    },
  });
  const start = () => {
    if (sql.trim() !== "" && !run.isPending) run.mutate(sql);
  };
  return (
    <div className="stack">
      <Field
        label="SQL"
        hint="It runs as the role of your functions. Several statements are one transaction; the rows of the last one are shown."
      >
        {(facts) => (
          <textarea
            {...facts}
            className="textarea mono sql-text"
            rows={8}
            spellCheck={false}
            value={sql}
            onChange={(event) => setSql(event.currentTarget.value)}
            onKeyDown={(event) => {
              if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
                event.preventDefault();
                start();
              }
            }}
          />
        )}
      </Field>
      <div className="filters">
        <Button kind="primary" icon={Play} busy={run.isPending} onClick={start}>Run</Button>
        <kbd className="muted">Ctrl Enter</kbd>
        {history.length > 0 && (
          <span className="spread">
            <Select
              label="Run before"
              value=""
              options={[
                ["", "Run before …"],
                ...history.map((text, index) => [String(index), shortened(text)] as const),
              ]}
              onChange={(index) => setSql(history[Number(index)] ?? sql)}
            />
          </span>
        )}
      </div>
      <ErrorNote error={run.error} />
      {run.data !== undefined && <Result answer={run.data.answer} ms={run.data.ms} />}
    </div>
  );
}

function Result(
  { answer: { command, row_count, columns, rows }, ms }: { readonly answer: SqlAnswer; readonly ms: number },
) {
  return (
    <>
      <p className="muted" role="status">
        {command} {row_count}, {durationText(ms)}
        {rows.length > SHOWN_ROWS_COUNT && `; the first ${SHOWN_ROWS_COUNT} rows are shown`}
      </p>
      {columns.length > 0 && (
        <div className="table-frame" tabIndex={0} role="group" aria-label="Result">
          <table className="table">
            <thead>
              <tr>{columns.map((name, index) => <th key={index} scope="col">{name}</th>)}</tr>
            </thead>
            <tbody>
              {rows.slice(0, SHOWN_ROWS_COUNT).map((row, index) => (
                <tr key={index}>
                  {columns.map((name, place) => (
                    <td key={place}>
                      {row[name] === null || row[name] === undefined
                        ? <span className="muted small">null</span>
                        : <span className="cell-value mono">{textOf(row[name])}</span>}
                    </td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </>
  );
}

function shortened(text: string): string {
  const line = text.replaceAll(/\s+/g, " ").trim();
  return line.length > SHOWN_CHARACTERS ? `${line.slice(0, SHOWN_CHARACTERS)}…` : line;
}

/** Newest first; of this browser. */
function readHistory(): readonly string[] {
  try {
    const kept: unknown = JSON.parse(localStorage.getItem(KEY) ?? "[]");
    return Array.isArray(kept) ? kept.filter((one) => typeof one === "string") : [];
  } catch {
    return [];
  }
}

function keepHistory(text: string): readonly string[] {
  const next = [text, ...readHistory().filter((one) => one !== text)].slice(0, KEPT_COUNT);
  try {
    localStorage.setItem(KEY, JSON.stringify(next));
  } catch {
    // It is gone with the page then.
  }
  return next;
}
