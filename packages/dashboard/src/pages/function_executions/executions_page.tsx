/**
 * Main task: find the call that went wrong.
 *
 * @module
 */
import type { Execution, ExecutionStatus } from "@fluxbase/sdk";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { ListX, Workflow } from "lucide-react";
import { pathOf } from "../../data/functions.ts";
import { Badge } from "../../parts/badge.tsx";
import { Button } from "../../parts/button.tsx";
import { SearchField, Select } from "../../parts/field.tsx";
import { usePages } from "../../parts/pages.ts";
import { EmptyState } from "../../parts/states.tsx";
import { PagedTable } from "../../parts/table.tsx";
import { Ago, durationText } from "../../parts/time.tsx";
import { StatusBadge } from "./status_badge.tsx";
import "./executions.css";

const PAGE_COUNT = 50;
const LOOK_EVERY_MS = 5_000;
const HOUR_MS = 3_600_000;
const STATUSES = [
  ["", "Any status"],
  ["success", "Success"],
  ["error", "Error"],
  ["timeout", "Timeout"],
  ["killed", "Killed"],
] as const;
const TIMES = [["", "Any time"], ["1", "Last hour"], ["24", "Last 24 hours"], ["168", "Last 7 days"]] as const;
const COLUMNS = [
  { name: "Status" },
  { name: "Request" },
  { name: "Duration", end: true },
  { name: "Version" },
  { name: "Trigger" },
  { name: "Error" },
  { name: "Started" },
];

export function ExecutionsPage() {
  const { namespace, name } = useParams({ from: "/shell/functions/$namespace/$name" });
  const search: Search = useSearch({ from: "/shell/functions/$namespace/$name/executions" });
  const navigate = useNavigate({ from: "/functions/$namespace/$name/executions" });
  const set = (part: Search) => void navigate({ search: (now) => ({ ...now, ...part }), replace: true });
  const filter = filterOf(search);
  const pages = usePages<Execution>({
    queryKey: ["function", namespace, name, "executions", filter, search.hours ?? ""],
    size: PAGE_COUNT,
    read: (client, { cursor, limit }) =>
      client.functions.getExecutions(pathOf({ namespace, name }), {
        ...filter,
        ...sinceOf(search.hours),
        limit,
        ...(cursor === undefined ? {} : { cursor }),
      }),
    cursorOf: ({ cursor }) => cursor,
    refetchEveryMs: LOOK_EVERY_MS,
  });
  const isFiltered = Object.keys(search).length > 0;
  return (
    <div className="page">
      <div className="filters">
        <SearchField label="Search errors" value={search.text ?? ""} onChange={(text) => set({ text })} />
        <Select
          label="Status"
          value={STATUSES.find(([value]) => value === search.status)?.[0] ?? ""}
          options={STATUSES}
          onChange={(status) => set({ status })}
        />
        <Select
          label="Time"
          value={TIMES.find(([value]) => value === search.hours)?.[0] ?? ""}
          options={TIMES}
          onChange={(hours) => set({ hours })}
        />
        <input
          className="input executions-short"
          aria-label="Version"
          placeholder="Version"
          inputMode="numeric"
          defaultValue={search.version ?? ""}
          key={`version ${search.version ?? ""}`}
          onBlur={(event) => set({ version: event.currentTarget.value.replaceAll(/\D/g, "") })}
          onKeyDown={(event) => event.key === "Enter" && event.currentTarget.blur()}
        />
        <input
          className="input executions-short"
          aria-label="HTTP status"
          placeholder="HTTP"
          inputMode="numeric"
          maxLength={3}
          defaultValue={search.code ?? ""}
          key={`code ${search.code ?? ""}`}
          onBlur={(event) => set({ code: event.currentTarget.value.replaceAll(/\D/g, "") })}
          onKeyDown={(event) => event.key === "Enter" && event.currentTarget.blur()}
        />
        <Select
          label="Requests"
          value={search.captured === "true" ? "true" : ""}
          options={[["", "Any request"], ["true", "Kept for replay"]]}
          onChange={(captured) => set({ captured })}
        />
        {isFiltered && (
          <Button kind="quiet" icon={ListX} onClick={() => void navigate({ search: {}, replace: true })}>
            Show all
          </Button>
        )}
      </div>
      <PagedTable
        label="Executions"
        columns={COLUMNS}
        pages={pages}
        row={(one) => <ExecutionRow key={one.id} one={one} />}
        empty={isFiltered
          ? (
            <EmptyState icon={ListX} title="No matching execution">
              <Button onClick={() => void navigate({ search: {}, replace: true })}>Show all</Button>
            </EmptyState>
          )
          : (
            <EmptyState icon={Workflow} title="Not called yet">
              Each call of the function appears here. Try it in the Test panel beside its code.
            </EmptyState>
          )}
      />
    </div>
  );
}

function ExecutionRow({ one }: { readonly one: Execution }) {
  const { namespace, function_name: name, id } = one;
  return (
    <tr>
      <td>
        <StatusBadge execution={one} />
      </td>
      <td className="executions-request">
        <Link
          className="function-name mono"
          to="/functions/$namespace/$name/executions/$id"
          params={{ namespace, name, id }}
        >
          {one.method} {one.path || "/"}
        </Link>
      </td>
      <td className="end number">
        <span className="executions-duration">
          {one.cold_start && <span className="small muted" data-tip="A sandbox had to be started">cold</span>}
          {durationText(one.duration_ms)}
        </span>
      </td>
      <td>
        <Badge>v{one.version}</Badge>
      </td>
      <td className="muted">{one.trigger_type}</td>
      <td className="executions-error">{one.error_message}</td>
      <td>
        <Ago at={one.started_at} />
      </td>
    </tr>
  );
}

interface Search {
  readonly status?: string;
  readonly text?: string;
  readonly version?: string;
  readonly code?: string;
  readonly hours?: string;
  readonly captured?: string;
}

/** What is no filter of the server is left out. */
function filterOf({ status, text, version, code, captured }: Search) {
  const wanted = STATUSES.find(([value]) => value !== "" && value === status)?.[0] as ExecutionStatus | undefined;
  return {
    ...(wanted === undefined ? {} : { status: wanted }),
    ...(text === undefined ? {} : { text }),
    ...(version === undefined ? {} : { version: Number(version) }),
    ...(captured === "true" ? { captured: true } : {}),
    ...(code === undefined ? {} : { status_code: Number(code) }),
  };
}

function sinceOf(hours: string | undefined) {
  const known = TIMES.find(([value]) => value !== "" && value === hours)?.[0];
  return known === undefined ? {} : { since: new Date(Date.now() - Number(known) * HOUR_MS).toISOString() };
}
