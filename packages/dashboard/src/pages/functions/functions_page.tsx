/**
 * Main task: find a function, see whether it is well, and open it.
 *
 * @module
 */
import type { FunctionSummary } from "@fluxbase/sdk";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { Copy, Ellipsis, Plus, Trash2, Zap } from "lucide-react";
import { useState } from "react";
import { busyQuery, dayOfQuery, FUNCTIONS_KEY, namespacesQuery, pathOf } from "../../data/functions.ts";
import { Badge } from "../../parts/badge.tsx";
import { ButtonLink } from "../../parts/button.tsx";
import { ConfirmAbout } from "../../parts/dialog.tsx";
import { SearchField, Select } from "../../parts/field.tsx";
import { Menu } from "../../parts/menu.tsx";
import { Page } from "../../parts/page.tsx";
import { usePages } from "../../parts/pages.ts";
import { failuresOf, Sparkline } from "../../parts/sparkline.tsx";
import { EmptyState, NothingFits } from "../../parts/states.tsx";
import { Switch } from "../../parts/switch.tsx";
import { PagedTable } from "../../parts/table.tsx";
import { Ago, countText, durationText, shareText } from "../../parts/time.tsx";
import { toast } from "../../parts/toasts.tsx";
import { SERVER_URL } from "../../server.ts";
import { useClient, useWho } from "../../session/use_session.ts";
import { VersionBadge } from "./version_badge.tsx";
import "./functions.css";

const PAGE_COUNT = 50;
const COLUMNS = [
  { name: "Name" },
  { name: "Calls, 24 h", end: true },
  { name: "Failed", end: true },
  { name: "p95", end: true },
  { name: "By the hour" },
  { name: "Version" },
  { name: "Changed" },
  { name: "Enabled" },
  { name: "More", unseen: true },
];

export function FunctionsPage() {
  const client = useClient();
  const isAdmin = useWho()?.kind === "admin";
  const { namespace, text } = useSearch({ from: "/shell/functions" });
  const navigate = useNavigate({ from: "/functions" });
  const [toDelete, setToDelete] = useState<FunctionSummary | null>(null);
  const namespaces = useQuery(namespacesQuery(client, isAdmin)).data ?? [];
  const busy = useQuery(busyQuery(client, isAdmin)).data ?? null;
  const filter = { ...(namespace === undefined ? {} : { namespace }), ...(text === undefined ? {} : { text }) };
  const pages = usePages<FunctionSummary>({
    queryKey: [...FUNCTIONS_KEY, filter],
    size: PAGE_COUNT,
    read: (client, { cursor, limit }) =>
      client.functions.list({ ...filter, limit, ...(cursor === undefined ? {} : { after: cursor }) }),
    cursorOf: pathOf,
  });
  const queries = useQueryClient();
  const refresh = () => queries.invalidateQueries({ queryKey: FUNCTIONS_KEY });
  const isFiltered = namespace !== undefined || text !== undefined;
  const newFunction = <ButtonLink kind="primary" icon={Plus} to="/functions/new">New function</ButtonLink>;
  return (
    <Page title="Functions" actions={newFunction}>
      <div className="filters">
        <SearchField
          label="Search functions"
          value={text ?? ""}
          onChange={(value) => void navigate({ search: (now) => ({ ...now, text: value }), replace: true })}
        />
        <Select
          label="Namespace"
          value={namespace ?? ""}
          options={[["", "All namespaces"], ...namespaces.map((name) => [name, name] as const)]}
          onChange={(value) => void navigate({ search: (now) => ({ ...now, namespace: value }), replace: true })}
        />
      </div>
      <PagedTable
        label="Functions"
        columns={COLUMNS}
        pages={pages}
        row={(fn) => (
          <FunctionRow
            key={fn.id}
            fn={fn}
            isBusy={busy === null || busy.has(fn.id)}
            onDelete={() => setToDelete(fn)}
            onChange={refresh}
          />
        )}
        empty={isFiltered
          ? <NothingFits what="function" onShowAll={() => void navigate({ search: {} })} />
          : (
            <EmptyState icon={Zap} title="No functions yet" action={newFunction}>
              Write one here, or deploy a folder with <code>fluxbase functions deploy</code>.
            </EmptyState>
          )}
      />
      <ConfirmAbout
        title={`Delete ${toDelete?.name}?`}
        about="Calls get 404 at once. It can be restored for 30 days, with all its versions."
        action="Delete"
        danger
        subject={toDelete}
        onClose={() => setToDelete(null)}
        onConfirm={async (fn) => {
          await client.functions.delete(pathOf(fn));
          toast.done(`Deleted ${fn.name}`);
          await refresh();
        }}
      />
    </Page>
  );
}

function FunctionRow(
  { fn, isBusy, onDelete, onChange }: {
    readonly fn: FunctionSummary;
    readonly isBusy: boolean;
    readonly onDelete: () => void;
    readonly onChange: () => Promise<void>;
  },
) {
  const { namespace, name } = fn;
  const client = useClient();
  const day = useQuery(dayOfQuery(client, fn, isBusy)).data?.series[0];
  const calls = day?.total.calls ?? 0;
  const failed = day === undefined ? 0 : failuresOf(day.total);
  const enable = useMutation({
    mutationFn: (enabled: boolean) => client.functions.update(pathOf(fn), { enabled }),
    onSuccess: onChange,
    onError: (error) => toast.failed(`Cannot change ${name}`, error),
  });
  const url = `${SERVER_URL}/api/v1/functions/${namespace === "default" ? "" : `${namespace}/`}${name}/invoke`;
  return (
    <tr>
      <td className="function-cell">
        <Link className="function-name" to="/functions/$namespace/$name/code" params={{ namespace, name }}>
          {namespace !== "default" && <span className="muted">{namespace}/</span>}
          {name}
        </Link>
        {fn.description && <div className="function-about">{fn.description}</div>}
      </td>
      <td className="end number">{calls === 0 ? <span className="muted">0</span> : countText(calls)}</td>
      <td className="end number">
        {failed === 0 ? <span className="muted">–</span> : <Badge tone="bad">{shareText(failed, calls)}</Badge>}
      </td>
      <td className="end number">{durationText(day?.total.duration_ms?.p95 ?? null)}</td>
      <td>{calls > 0 && <Sparkline points={day?.points ?? []} nowMs={Date.now()} />}</td>
      <td>
        <VersionBadge fn={fn} />
      </td>
      <td>
        <Ago at={fn.updated_at} />
      </td>
      <td>
        <Switch
          label={`${name} is enabled`}
          checked={enable.isPending ? enable.variables : fn.enabled}
          disabled={enable.isPending}
          onChange={(enabled) => enable.mutate(enabled)}
        />
      </td>
      <td className="end">
        <Menu
          trigger={
            <button type="button" className="button" data-kind="quiet" data-icon-only aria-label={`More about ${name}`}>
              <Ellipsis className="icon" aria-hidden />
            </button>
          }
          entries={[
            {
              text: "Copy the URL",
              icon: Copy,
              onSelect: () => void navigator.clipboard.writeText(url).then(() => toast.done("Copied the URL")),
            },
            "line",
            { text: "Delete …", icon: Trash2, danger: true, onSelect: onDelete },
          ]}
        />
      </td>
    </tr>
  );
}
