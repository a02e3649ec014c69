/**
 * Main task: make a key for a program, and take it away again.
 *
 * @module
 */
import type { Key, KeysClient } from "@fluxbase/sdk";
import { useQueryClient } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { Ban, CircleCheck, CirclePause, KeyRound, Pencil, Plus, RefreshCw, Trash2 } from "lucide-react";
import { useState } from "react";
import { Badge, type Tone } from "../../parts/badge.tsx";
import { Button } from "../../parts/button.tsx";
import { ConfirmAbout } from "../../parts/dialog.tsx";
import { SearchField } from "../../parts/field.tsx";
import type { MenuEntry } from "../../parts/menu.tsx";
import { Page } from "../../parts/page.tsx";
import { RowMenu } from "../../parts/row_menu.tsx";
import { Segments } from "../../parts/segments.tsx";
import { type ShownOnce, ShownOnceDialog } from "../../parts/shown_once.tsx";
import { EmptyState, NothingFits } from "../../parts/states.tsx";
import { PagedTable } from "../../parts/table.tsx";
import { Ago } from "../../parts/time.tsx";
import { toast } from "../../parts/toasts.tsx";
import { useWholeList } from "../../parts/whole_list.ts";
import { useClient } from "../../session/use_session.ts";
import { KeyDialog, type KeyKind } from "./key_dialog.tsx";

const COLUMNS = [
  { name: "Name" },
  { name: "Scopes" },
  { name: "Namespaces" },
  { name: "Last used" },
  { name: "Expires" },
  { name: "State" },
  { name: "More", unseen: true },
];

const KINDS = [["client", "Client keys"], ["service", "Service keys"]] as const;
const NEVER_AGAIN = "You cannot see it again: store it now where your program reads it, such as a secret of its host.";

interface Asked {
  readonly what: "rotate" | "revoke" | "delete";
  readonly key: Key;
}

const QUESTIONS = {
  rotate: {
    title: "Give this key another value?",
    about: "The old value goes on for an hour, so that programs can change to the new one.",
    action: "Rotate",
  },
  revoke: {
    title: "Revoke this key for ever?",
    about: "Whoever uses it is refused at once. It stays in the list, so that one sees who used it.",
    action: "Revoke",
  },
  delete: {
    title: "Delete this key?",
    about: "Whoever uses it is refused at once, and it is gone from the list.",
    action: "Delete",
  },
} as const;

export function KeysPage() {
  const client = useClient();
  const { kind: chosen, text } = useSearch({ from: "/shell/keys" });
  const kind: KeyKind = chosen === "service" ? "service" : "client";
  const navigate = useNavigate({ from: "/keys" });
  const queries = useQueryClient();
  const [edited, setEdited] = useState<Key | "new" | null>(null);
  const [asked, setAsked] = useState<Asked | null>(null);
  const [shown, setShown] = useState<ShownOnce | null>(null);
  const keys = keysOf(client, kind);
  const queryKey = ["keys", kind];
  const refresh = () => queries.invalidateQueries({ queryKey });
  const pages = useWholeList<Key>({
    queryKey,
    read: (client) => keysOf(client, kind).list(),
    keep: ({ name, key_prefix }) =>
      text === undefined || `${name} ${key_prefix}`.toLowerCase().includes(text.toLowerCase()),
  });

  async function change(work: Promise<unknown>, done: string): Promise<void> {
    try {
      await work;
      toast.done(done);
    } catch (error) {
      toast.failed("Cannot change the key", error);
    }
    await refresh();
  }

  async function confirmed({ what, key }: Asked): Promise<void> {
    if (what === "rotate") {
      const { key: value } = await keys.rotate(key.id, "1h");
      setShown({ title: `The new value of ${key.name}`, value, about: NEVER_AGAIN });
    } else if (what === "revoke") await keys.revoke(key.id);
    else await keys.delete(key.id);
    await refresh();
  }

  function entriesOf(key: Key): MenuEntry[] {
    const isOver = key.revoked_at !== null;
    return [
      { text: "Edit …", icon: Pencil, disabled: isOver, onSelect: () => setEdited(key) },
      { text: "Rotate …", icon: RefreshCw, disabled: isOver, onSelect: () => setAsked({ what: "rotate", key }) },
      key.enabled || isOver
        ? {
          text: "Disable",
          icon: CirclePause,
          disabled: isOver,
          onSelect: () => void change(keys.disable(key.id), `Disabled ${key.name}`),
        }
        : {
          text: "Enable",
          icon: CircleCheck,
          onSelect: () => void change(keys.enable(key.id), `Enabled ${key.name}`),
        },
      "line",
      {
        text: "Revoke …",
        icon: Ban,
        danger: true,
        disabled: isOver,
        onSelect: () => setAsked({ what: "revoke", key }),
      },
      { text: "Delete …", icon: Trash2, danger: true, onSelect: () => setAsked({ what: "delete", key }) },
    ];
  }

  const newKey = <Button kind="primary" icon={Plus} onClick={() => setEdited("new")}>New key</Button>;
  return (
    <Page title="Keys" actions={newKey}>
      <div className="filters">
        <Segments
          label="Kind of key"
          value={kind}
          options={KINDS}
          onChange={(value) => void navigate({ search: (now) => ({ ...now, kind: value === "client" ? "" : value }) })}
        />
        <SearchField
          label="Search keys"
          value={text ?? ""}
          onChange={(value) => void navigate({ search: (now) => ({ ...now, text: value }), replace: true })}
        />
      </div>
      <PagedTable
        label="Keys"
        columns={COLUMNS}
        pages={pages}
        empty={text === undefined
          ? (
            <EmptyState icon={KeyRound} title={`No ${kind} keys yet`} action={newKey}>
              {kind === "client"
                ? "A client key lets a program do what its scopes say, such as call functions or deploy them."
                : "A service key is the service role under a name of its own: it may do everything."}
            </EmptyState>
          )
          : <NothingFits what="key" />}
        row={(key) => (
          <tr key={key.id}>
            <td className="cell-wide">
              <div className="cell-main">{key.name}</div>
              <div className="cell-about">
                <code>{key.key_prefix}…</code>
                {key.description && ` ${key.description}`}
              </div>
            </td>
            <td>
              <Tags all={key.scopes} none={key.key_type === "service" ? "everything" : "nothing"} />
            </td>
            <td>
              <Tags all={key.namespaces ?? []} none={key.namespaces === null ? "everywhere" : "nowhere"} />
            </td>
            <td>{key.last_used_at === null ? <span className="muted">never</span> : <Ago at={key.last_used_at} />}</td>
            <td>{key.expires_at === null ? <span className="muted">never</span> : <Ago at={key.expires_at} />}</td>
            <td>
              <StateBadge apiKey={key} />
            </td>
            <td className="end">
              <RowMenu label={`More about ${key.name}`} entries={entriesOf(key)} />
            </td>
          </tr>
        )}
      />
      <KeyDialog
        kind={kind}
        edited={edited}
        onClose={() => setEdited(null)}
        onSave={async (fields) => {
          if (edited === "new" || edited === null) {
            const { key: value, name } = await keys.create(fields);
            setShown({ title: `The key ${name}`, value, about: NEVER_AGAIN });
          } else await keys.update(edited.id, fields);
          await refresh();
        }}
      />
      <ConfirmAbout
        {...QUESTIONS[asked?.what ?? "delete"]}
        title={`${asked?.key.name ?? ""}: ${QUESTIONS[asked?.what ?? "delete"].title}`}
        danger={asked?.what !== "rotate"}
        subject={asked}
        onClose={() => setAsked(null)}
        onConfirm={confirmed}
      />
      <ShownOnceDialog shown={shown} onClose={() => setShown(null)} />
    </Page>
  );
}

function keysOf({ keys, admin }: { keys: KeysClient; admin: { serviceKeys: KeysClient } }, kind: KeyKind): KeysClient {
  return kind === "service" ? admin.serviceKeys : keys;
}

function Tags({ all, none }: { readonly all: readonly string[]; readonly none: string }) {
  if (all.length === 0) return <span className="muted">{none}</span>;
  return <div className="tags">{all.map((one) => <Badge key={one}>{one}</Badge>)}</div>;
}

function StateBadge({ apiKey }: { readonly apiKey: Key }) {
  const [tone, text] = stateOf(apiKey);
  return <Badge tone={tone}>{text}</Badge>;
}

function stateOf({ revoked_at, enabled, expires_at, deprecated_at }: Key): [Tone, string] {
  if (revoked_at !== null) return ["bad", "revoked"];
  if (expires_at !== null && Date.parse(expires_at) < Date.now()) return ["bad", "expired"];
  if (!enabled) return ["warn", "disabled"];
  if (deprecated_at !== null) return ["warn", "to be replaced"];
  return ["good", "good"];
}
