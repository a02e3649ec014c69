/**
 * Main task: find out who changed something, and what it was before.
 *
 * @module
 */
import type { AuditEntry, ListAuditLog } from "@fluxbase/sdk";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { ScrollText } from "lucide-react";
import { useState } from "react";
import { Badge } from "../../parts/badge.tsx";
import { Button } from "../../parts/button.tsx";
import { Copyable } from "../../parts/copyable.tsx";
import { Dialog } from "../../parts/dialog.tsx";
import { SearchField } from "../../parts/field.tsx";
import { Page } from "../../parts/page.tsx";
import { usePages } from "../../parts/pages.ts";
import { EmptyState, NothingFits } from "../../parts/states.tsx";
import { PagedTable } from "../../parts/table.tsx";
import { exactTime } from "../../parts/time.tsx";

const PAGE_COUNT = 100;
const COLUMNS = [
  { name: "When" },
  { name: "Who" },
  { name: "What" },
  { name: "About" },
  { name: "Result" },
];
const FILTERS = [
  ["target", "About, such as default/hello"],
  ["actor", "Who, an id"],
  ["action", "What, such as PATCH /functions/{name}"],
  ["code", "Code of the error"],
] as const;

export function AuditPage() {
  const search = useSearch({ from: "/shell/audit" });
  const navigate = useNavigate({ from: "/audit" });
  const [looked, setLooked] = useState<AuditEntry | null>(null);
  const filter: ListAuditLog = search;
  const pages = usePages<AuditEntry>({
    queryKey: ["audit", filter],
    size: PAGE_COUNT,
    read: (client, { cursor, limit }) =>
      client.admin.auditLog.list({ ...filter, limit, ...(cursor === undefined ? {} : { before: cursor }) }),
    cursorOf: ({ id }) => id,
  });
  const isFiltered = Object.keys(filter).length > 0;
  return (
    <Page title="Audit log">
      <div className="filters">
        {FILTERS.map(([name, label]) => (
          <SearchField
            key={name}
            label={label}
            value={search[name] ?? ""}
            onChange={(value) => void navigate({ search: (now) => ({ ...now, [name]: value }), replace: true })}
          />
        ))}
      </div>
      <PagedTable
        label="Audit log"
        columns={COLUMNS}
        pages={pages}
        empty={isFiltered
          ? <NothingFits what="entry" onShowAll={() => void navigate({ search: {} })} />
          : <EmptyState icon={ScrollText} title="Nothing has been changed or refused yet" />}
        row={(entry) => (
          <tr key={entry.id}>
            <td className="nowrap number">{exactTime(entry.timestamp)}</td>
            <td>
              <Actor entry={entry} />
            </td>
            <td className="cell-wide">
              <button type="button" className="cell-link" onClick={() => setLooked(entry)}>
                <code>{entry.action}</code>
              </button>
            </td>
            <td className="break">{entry.target ?? <span className="muted">–</span>}</td>
            <td>
              <Badge tone={entry.code === null ? "good" : "bad"}>{entry.code ?? entry.status}</Badge>
            </td>
          </tr>
        )}
      />
      <EntryDialog entry={looked} onClose={() => setLooked(null)} />
    </Page>
  );
}

function Actor({ entry: { actor_kind, actor_id, actor_role } }: { readonly entry: AuditEntry }) {
  return (
    <>
      <span>{actor_role ?? actor_kind}</span>
      {actor_id !== null && <div className="cell-about mono nowrap">{actor_id}</div>}
    </>
  );
}

function EntryDialog({ entry, onClose }: { readonly entry: AuditEntry | null; readonly onClose: () => void }) {
  const changes = Object.entries(entry?.changes ?? {});
  return (
    <Dialog
      title={entry?.action ?? ""}
      wide
      open={entry !== null}
      onOpenChange={(open) => {
        if (!open) onClose();
      }}
    >
      {entry !== null && (
        <dl className="facts">
          <dt>When</dt>
          <dd>{exactTime(entry.timestamp)}</dd>
          <dt>Who</dt>
          <dd>
            {entry.actor_kind}
            {entry.actor_id !== null && (
              <>
                <Copyable text={entry.actor_id} label="Copy the id" />
              </>
            )}
          </dd>
          <dt>From</dt>
          <dd>{entry.address}{entry.user_agent !== null && <span className="muted">, {entry.user_agent}</span>}</dd>
          <dt>About</dt>
          <dd>{entry.target ?? "–"}</dd>
          <dt>Result</dt>
          <dd>{entry.status}{entry.reason !== null && <span className="muted">: {entry.reason}</span>}</dd>
          <dt>Request</dt>
          <dd>
            <Copyable text={entry.request_id} label="Copy the request id" />
          </dd>
        </dl>
      )}
      {changes.length > 0 && (
        <div className="table-frame" tabIndex={0} role="group" aria-label="What changed">
          <table className="table">
            <thead>
              <tr>
                <th scope="col">Field</th>
                <th scope="col">Before</th>
                <th scope="col">After</th>
              </tr>
            </thead>
            <tbody>
              {changes.map(([field, { before, after }]) => (
                <tr key={field}>
                  <td>
                    <code>{field}</code>
                  </td>
                  <td className="break" data-side="before">
                    <Value value={before} />
                  </td>
                  <td className="break" data-side="after">
                    <Value value={after} />
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {entry !== null && changes.length === 0 && <p className="muted">What it changed is not written down.</p>}
      <div className="dialog-actions">
        <Button onClick={onClose}>Close</Button>
      </div>
    </Dialog>
  );
}

function Value({ value }: { readonly value: unknown }) {
  if (value === undefined) return <span className="muted">nothing</span>;
  return <code>{typeof value === "string" ? value : JSON.stringify(value)}</code>;
}
