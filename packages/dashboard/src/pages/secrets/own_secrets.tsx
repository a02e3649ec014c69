/**
 * Secrets of the admin who is signed in: functions see them in calls that this user makes, before those of the server.
 *
 * @module
 */
import type { SecretView } from "@fluxbase/sdk";
import { useQueryClient } from "@tanstack/react-query";
import { LockKeyhole, Pencil, Plus, Trash2 } from "lucide-react";
import { useEffect, useState } from "react";
import { Button } from "../../parts/button.tsx";
import { ConfirmAbout } from "../../parts/dialog.tsx";
import { TextField } from "../../parts/field.tsx";
import { FormDialog } from "../../parts/form_dialog.tsx";
import { RowMenu } from "../../parts/row_menu.tsx";
import { EmptyState } from "../../parts/states.tsx";
import { PagedTable } from "../../parts/table.tsx";
import { Ago } from "../../parts/time.tsx";
import { toast } from "../../parts/toasts.tsx";
import { useWholeList } from "../../parts/whole_list.ts";
import { useClient } from "../../session/use_session.ts";

const COLUMNS = [{ name: "Name" }, { name: "Changed" }, { name: "More", unseen: true }];
const OWN_SECRETS_KEY = ["own-secrets"] as const;

export function OwnSecrets() {
  const client = useClient();
  const queries = useQueryClient();
  const [edited, setEdited] = useState<SecretView | "new" | null>(null);
  const [toDelete, setToDelete] = useState<SecretView | null>(null);
  const refresh = () => queries.invalidateQueries({ queryKey: OWN_SECRETS_KEY });
  const pages = useWholeList<SecretView>({
    queryKey: OWN_SECRETS_KEY,
    read: ({ settings }) => settings.listSecrets(),
  });
  const newSecret = <Button icon={Plus} onClick={() => setEdited("new")}>New secret of yours</Button>;
  return (
    <>
      <p className="muted">
        Functions read them with <code>secrets.get("NAME")</code>{" "}
        in calls that you make as yourself. Nobody else's calls see them.
      </p>
      <div className="row">{newSecret}</div>
      <PagedTable
        label="Your secrets"
        columns={COLUMNS}
        pages={pages}
        empty={<EmptyState icon={LockKeyhole} title="You have no secrets yet" />}
        row={(secret) => (
          <tr key={secret.id}>
            <td className="cell-wide">
              <code className="cell-main">{secret.key}</code>
              {secret.description && <div className="cell-about">{secret.description}</div>}
            </td>
            <td>
              <Ago at={secret.updated_at} />
            </td>
            <td className="end">
              <RowMenu
                label={`More about ${secret.key}`}
                entries={[
                  { text: "New value …", icon: Pencil, onSelect: () => setEdited(secret) },
                  { text: "Delete …", icon: Trash2, danger: true, onSelect: () => setToDelete(secret) },
                ]}
              />
            </td>
          </tr>
        )}
      />
      <OwnSecretDialog edited={edited} onClose={() => setEdited(null)} onSaved={refresh} />
      <ConfirmAbout
        title={`Delete ${toDelete?.key}?`}
        about="Functions do not find it from your next call on."
        action="Delete"
        danger
        subject={toDelete}
        onClose={() => setToDelete(null)}
        onConfirm={async ({ key }) => {
          await client.settings.deleteSecret(key);
          toast.done(`Deleted ${key}`);
          await refresh();
        }}
      />
    </>
  );
}

function OwnSecretDialog(
  { edited, onClose, onSaved }: {
    readonly edited: SecretView | "new" | null;
    readonly onClose: () => void;
    readonly onSaved: () => Promise<unknown>;
  },
) {
  const client = useClient();
  const [name, setName] = useState("");
  const [value, setValue] = useState("");
  useEffect(() => {
    setName(edited === null || edited === "new" ? "" : edited.key);
    setValue("");
  }, [edited]);
  return (
    <FormDialog
      title={edited === "new" ? "New secret of yours" : name}
      open={edited !== null}
      onOpenChange={(open) => {
        if (!open) onClose();
      }}
      action="Save"
      canSubmit={name.trim() !== "" && value !== ""}
      onSubmit={async () => {
        await client.settings.setSecret(name.trim(), value);
        toast.done(`Set ${name.trim()}`);
        await onSaved();
      }}
    >
      {edited === "new" && (
        <TextField
          label="Name"
          value={name}
          required
          autoFocus
          autoComplete="off"
          onChange={(event) => setName(event.currentTarget.value)}
        />
      )}
      <TextField
        label="Value"
        type="password"
        value={value}
        autoComplete="off"
        onChange={(event) => setValue(event.currentTarget.value)}
      />
    </FormDialog>
  );
}
