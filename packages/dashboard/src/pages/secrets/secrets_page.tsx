/**
 * Main task: set a secret that functions read. No value ever comes back.
 *
 * @module
 */
import type { SecretView } from "@fluxbase/sdk";
import { useQueryClient } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { History, LockKeyhole, Pencil, Plus, Trash2 } from "lucide-react";
import { useState } from "react";
import { Badge } from "../../parts/badge.tsx";
import { Button } from "../../parts/button.tsx";
import { ConfirmAbout } from "../../parts/dialog.tsx";
import { SearchField } from "../../parts/field.tsx";
import { Page } from "../../parts/page.tsx";
import { RowMenu } from "../../parts/row_menu.tsx";
import { Segments } from "../../parts/segments.tsx";
import { EmptyState, NothingFits } from "../../parts/states.tsx";
import { PagedTable } from "../../parts/table.tsx";
import { Ago } from "../../parts/time.tsx";
import { toast } from "../../parts/toasts.tsx";
import { useWholeList } from "../../parts/whole_list.ts";
import { useClient, useWho } from "../../session/use_session.ts";
import { OwnSecrets } from "./own_secrets.tsx";
import { SecretDialog } from "./secret_dialog.tsx";
import { SecretHistory } from "./secret_history.tsx";

const COLUMNS = [
  { name: "Name" },
  { name: "Namespaces" },
  { name: "Version", end: true },
  { name: "Changed" },
  { name: "Expires" },
  { name: "More", unseen: true },
];
export const SECRETS_KEY = ["secrets"] as const;

const TABS = [["server", "Server"], ["own", "Yours"]] as const;

export function SecretsPage() {
  const who = useWho();
  const { tab } = useSearch({ from: "/shell/secrets" });
  const navigate = useNavigate({ from: "/secrets" });
  // A key is nobody who could have secrets.
  const isOwn = tab === "own" && who?.kind === "admin";
  return (
    <Page
      title="Secrets"
      actions={who?.kind === "admin" && (
        <Segments
          label="Whose"
          value={isOwn ? "own" : "server"}
          options={TABS}
          onChange={(value) => void navigate({ search: { tab: value === "own" ? value : undefined } })}
        />
      )}
    >
      {isOwn ? <OwnSecrets /> : <ServerSecrets />}
    </Page>
  );
}

function ServerSecrets() {
  const client = useClient();
  const { text } = useSearch({ from: "/shell/secrets" });
  const navigate = useNavigate({ from: "/secrets" });
  const queries = useQueryClient();
  const [edited, setEdited] = useState<SecretView | "new" | null>(null);
  const [looked, setLooked] = useState<SecretView | null>(null);
  const [toDelete, setToDelete] = useState<SecretView | null>(null);
  const refresh = () => queries.invalidateQueries({ queryKey: SECRETS_KEY });
  const pages = useWholeList<SecretView>({
    queryKey: SECRETS_KEY,
    read: (client) => client.secrets.list(),
    keep: ({ key, description }) =>
      text === undefined || `${key} ${description ?? ""}`.toLowerCase().includes(text.toLowerCase()),
  });
  const newSecret = <Button kind="primary" icon={Plus} onClick={() => setEdited("new")}>New secret</Button>;
  return (
    <>
      <div className="filters">
        <SearchField
          label="Search secrets"
          value={text ?? ""}
          onChange={(value) => void navigate({ search: { text: value }, replace: true })}
        />
        <span className="spread">{newSecret}</span>
      </div>
      <PagedTable
        label="Secrets"
        columns={COLUMNS}
        pages={pages}
        empty={text === undefined
          ? (
            <EmptyState icon={LockKeyhole} title="No secrets yet" action={newSecret}>
              Functions read a secret with <code>secrets.get("NAME")</code>. It is kept encrypted, and masked in logs.
            </EmptyState>
          )
          : <NothingFits what="secret" />}
        row={(secret) => (
          <tr key={secret.id}>
            <td className="cell-wide">
              <code className="cell-main">{secret.key}</code>
              {secret.description && <div className="cell-about">{secret.description}</div>}
            </td>
            <td>
              {secret.namespaces === null
                ? <span className="muted">all namespaces</span>
                : <div className="tags">{secret.namespaces.map((one) => <Badge key={one}>{one}</Badge>)}</div>}
            </td>
            <td className="end number">{secret.version}</td>
            <td>
              <Ago at={secret.updated_at} />
            </td>
            <td>
              {secret.expires_at === null
                ? <span className="muted">never</span>
                : secret.is_expired
                ? <Badge tone="bad">expired</Badge>
                : <Ago at={secret.expires_at} />}
            </td>
            <td className="end">
              <RowMenu
                label={`More about ${secret.key}`}
                entries={[
                  { text: "New value …", icon: Pencil, onSelect: () => setEdited(secret) },
                  { text: "Versions …", icon: History, onSelect: () => setLooked(secret) },
                  "line",
                  { text: "Delete …", icon: Trash2, danger: true, onSelect: () => setToDelete(secret) },
                ]}
              />
            </td>
          </tr>
        )}
      />
      <SecretDialog edited={edited} onClose={() => setEdited(null)} onSaved={refresh} />
      <SecretHistory secret={looked} onClose={() => setLooked(null)} onChange={refresh} />
      <ConfirmAbout
        title={`Delete ${toDelete?.key}?`}
        about="Functions that read it find nothing from their next call on. All its versions go with it."
        action="Delete"
        danger
        subject={toDelete}
        onClose={() => setToDelete(null)}
        onConfirm={async (secret) => {
          await client.secrets.deleteById(secret.id);
          toast.done(`Deleted ${secret.key}`);
          await refresh();
        }}
      />
    </>
  );
}
