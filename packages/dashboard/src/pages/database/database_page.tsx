/**
 * Main task: look at rows and change one, as the server or as somebody who uses it.
 *
 * @module
 */
import type { FluxbaseClient } from "@fluxbase/sdk";
import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { Database, ShieldCheck, Table2, View } from "lucide-react";
import { useState } from "react";
import { FIRST_SCHEMA, type TableFacts, tablesQuery } from "../../data/tables.ts";
import { Page } from "../../parts/page.tsx";
import { Segments } from "../../parts/segments.tsx";
import { EmptyState, ErrorState, Skeleton } from "../../parts/states.tsx";
import { useClient } from "../../session/use_session.ts";
import { ActAs, type Acting } from "./act_as.tsx";
import { Migrations } from "./migrations.tsx";
import { Rows } from "./rows.tsx";
import { SqlConsole } from "./sql_console.tsx";
import "./database.css";

const TABS = [["rows", "Rows"], ["sql", "SQL"], ["migrations", "Migrations"]] as const;
type Tab = typeof TABS[number][0];

export function DatabasePage() {
  const own = useClient();
  const { tab: wanted } = useSearch({ from: "/shell/database" });
  const navigate = useNavigate({ from: "/database" });
  const [acting, setActing] = useState<Acting | null>(null);
  const tab: Tab = TABS.map(([name]) => name).find((name) => name === wanted) ?? "rows";
  const client = acting?.client ?? own;
  return (
    <Page
      title="Database"
      wide
      actions={
        <Segments
          label="Part"
          value={tab}
          options={TABS}
          onChange={(value) => void navigate({ search: (now) => ({ ...now, tab: value === "rows" ? "" : value }) })}
        />
      }
    >
      {tab === "rows" && <Tables client={client} acting={acting} onAct={setActing} />}
      {tab === "sql" && <SqlConsole />}
      {tab === "migrations" && <Migrations />}
    </Page>
  );
}

function Tables(
  { client, acting, onAct }: {
    readonly client: FluxbaseClient;
    readonly acting: Acting | null;
    readonly onAct: (acting: Acting | null) => void;
  },
) {
  const own = useClient();
  const { table: named } = useSearch({ from: "/shell/database" });
  const { data, error, refetch } = useQuery(tablesQuery(own));
  if (error && data === undefined) return <ErrorState error={error} onRetry={() => void refetch()} />;
  if (data === undefined) return <Skeleton />;
  if (data.length === 0) {
    return (
      <div className="table-frame">
        <EmptyState icon={Database} title="No tables yet">
          Make one under SQL, or with a migration: <code>fluxbase db migrate</code>.
        </EmptyState>
      </div>
    );
  }
  const chosen = data.find((table) => pathOf(table) === named) ?? data[0];
  return (
    <div className="database">
      <nav className="table-list" aria-label="Tables">
        {data.map((table) => <TableLink key={pathOf(table)} table={table} isChosen={table === chosen} />)}
      </nav>
      {chosen !== undefined && (
        <div className="stack">
          <ActAs acting={acting} onChange={onAct} isSecured={chosen.isSecured} />
          <Rows key={`${pathOf(chosen)} ${acting?.email ?? ""}`} client={client} table={chosen} as={acting?.email} />
        </div>
      )}
    </div>
  );
}

function TableLink({ table, isChosen }: { readonly table: TableFacts; readonly isChosen: boolean }) {
  const Icon = table.kind === "view" ? View : Table2;
  return (
    <Link
      to="/database"
      search={{ table: pathOf(table) }}
      className="nav-link"
      data-status={isChosen ? "active" : "other"}
      aria-current={isChosen ? "page" : undefined}
      activeProps={{}}
    >
      <Icon className="icon" aria-hidden />
      <span className="cell-value">{table.schema === FIRST_SCHEMA ? table.name : pathOf(table)}</span>
      {table.isSecured && <ShieldCheck className="icon spread muted" aria-label="row level security" />}
    </Link>
  );
}

function pathOf({ schema, name }: TableFacts): string {
  return `${schema}.${name}`;
}
