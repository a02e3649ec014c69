/**
 * The rows of one table, as somebody sees them.
 *
 * @module
 */
import type { FluxbaseClient } from "@fluxbase/sdk";
import { useQueryClient } from "@tanstack/react-query";
import { Pencil, Plus, RotateCw, Rows3, Trash2 } from "lucide-react";
import { useState } from "react";
import {
  type Condition,
  keyOf,
  NOTHING_CHANGED,
  type Operator,
  OPERATORS,
  type PlacedRow,
  readRows,
  type Row,
  rowsOf,
  type TableFacts,
  textOf,
} from "../../data/tables.ts";
import { Button, IconButton } from "../../parts/button.tsx";
import { ConfirmAbout } from "../../parts/dialog.tsx";
import { SearchField, Select } from "../../parts/field.tsx";
import { usePages } from "../../parts/pages.ts";
import { RowMenu } from "../../parts/row_menu.tsx";
import { EmptyState, NothingFits } from "../../parts/states.tsx";
import { PagedTable } from "../../parts/table.tsx";
import { toast } from "../../parts/toasts.tsx";
import { RowDialog } from "./row_dialog.tsx";

const PAGE_COUNT = 50;
const SHOWN_CHARACTERS = 200;

export function Rows(
  { client, table, as }: {
    readonly client: FluxbaseClient;
    readonly table: TableFacts;
    readonly as: string | undefined;
  },
) {
  const queries = useQueryClient();
  const key = keyOf(table);
  const [column, setColumn] = useState(table.columns[0]?.name ?? "");
  const [operator, setOperator] = useState<Operator>("eq");
  const [value, setValue] = useState("");
  const [edited, setEdited] = useState<Row | "new" | null>(null);
  const [toDelete, setToDelete] = useState<Row | null>(null);
  const condition: Condition | undefined = operator === "null" || value !== ""
    ? { column, operator, value }
    : undefined;
  const queryKey = ["rows", table.schema, table.name, as ?? ""];
  const refresh = () => queries.invalidateQueries({ queryKey });
  const { isServed } = table;
  const pages = usePages<PlacedRow>({
    queryKey: [...queryKey, condition],
    size: isServed ? PAGE_COUNT : Number.MAX_SAFE_INTEGER,
    // As whoever was chosen, and not as the session.
    read: async (_, page) =>
      isServed ? await readRows(client, table, { ...page, condition }) : await readWithSql(client, table),
    cursorOf: ({ cursor }) => cursor,
  });
  const canChange = isServed && table.kind === "table" && key.length > 0;
  const isOfRow = (row: Row) => key.map((name) => `${name}=${textOf(row[name])}`).join(", ");
  return (
    <div className="stack">
      {!isServed && (
        <p className="muted">
          The first {PAGE_COUNT} rows, read only: the server does not serve the schema {table.schema}. Add it to{" "}
          <code>FLUXBASE_DATABASE_SCHEMAS</code> to filter and edit.
        </p>
      )}
      {isServed && (
        <div className="filters">
          <Select
            label="Column"
            value={column}
            options={table.columns.map(({ name }) => [name, name] as const)}
            onChange={setColumn}
          />
          <Select label="Compared by" value={operator} options={OPERATORS} onChange={setOperator} />
          {operator !== "null" && <SearchField label="Value" value={value} onChange={setValue} />}
          <span className="spread row">
            <IconButton icon={RotateCw} label="Read again" onClick={() => void refresh()} />
            {canChange && <Button icon={Plus} onClick={() => setEdited("new")}>New row</Button>}
          </span>
        </div>
      )}
      <PagedTable
        label={`Rows of ${table.name}`}
        columns={[...table.columns.map(({ name }) => ({ name })), { name: "More", unseen: true }]}
        pages={pages}
        empty={condition === undefined
          ? (
            <EmptyState icon={Rows3} title={as === undefined ? "No rows" : `${as} sees no rows`}>
              {as !== undefined && "Row level security may keep them back."}
            </EmptyState>
          )
          : <NothingFits what="row" />}
        row={({ row, cursor }) => (
          <tr key={cursor}>
            {table.columns.map(({ name }) => (
              <td key={name}>
                <Cell value={row[name]} />
              </td>
            ))}
            <td className="end">
              {canChange && (
                <RowMenu
                  label={`More about ${isOfRow(row)}`}
                  entries={[
                    { text: "Edit …", icon: Pencil, onSelect: () => setEdited(row) },
                    { text: "Delete …", icon: Trash2, danger: true, onSelect: () => setToDelete(row) },
                  ]}
                />
              )}
            </td>
          </tr>
        )}
      />
      <RowDialog client={client} table={table} edited={edited} onClose={() => setEdited(null)} onSaved={refresh} />
      <ConfirmAbout
        title="Delete this row?"
        about={toDelete === null ? "" : `${table.name}: ${isOfRow(toDelete)}`}
        action="Delete"
        danger
        subject={toDelete}
        onClose={() => setToDelete(null)}
        onConfirm={async (row) => {
          let query = rowsOf(client, table).delete();
          for (const name of key) query = query.filter(name, "eq", textOf(row[name]));
          const { data, error } = await query.select();
          if (error !== null) throw error;
          if (data.length === 0) throw new Error(NOTHING_CHANGED);
          toast.done("Deleted the row");
          await refresh();
        }}
      />
    </div>
  );
}

function Cell({ value }: { readonly value: unknown }) {
  if (value === null || value === undefined) return <span className="muted small">null</span>;
  const text = textOf(value);
  const isCut = text.length > SHOWN_CHARACTERS;
  return <span className="cell-value mono">{isCut ? `${text.slice(0, SHOWN_CHARACTERS)}…` : text}</span>;
}

/** The schema has no rows over HTTP. */
async function readWithSql(client: FluxbaseClient, { schema, name }: TableFacts): Promise<PlacedRow[]> {
  const quoted = [schema, name].map((part) => `"${part.replaceAll('"', '""')}"`).join(".");
  const { rows } = await client.admin.database.query(`select * from ${quoted} limit ${PAGE_COUNT}`);
  return rows.map((row, index) => ({ row, cursor: String(index) }));
}
