/**
 * Main task: find a user, and see or change what they may do.
 *
 * @module
 */
import type { ListedUser, ListUsers } from "@fluxbase/sdk";
import { useQueryClient } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import {
  Ban,
  CircleCheck,
  Copy,
  KeyRound,
  LogOut,
  Plus,
  ShieldCheck,
  ShieldOff,
  Trash2,
  Users,
  VenetianMask,
} from "lucide-react";
import { useState } from "react";
import { Badge } from "../../parts/badge.tsx";
import { Button } from "../../parts/button.tsx";
import { ConfirmAbout } from "../../parts/dialog.tsx";
import { SearchField, Select } from "../../parts/field.tsx";
import type { MenuEntry } from "../../parts/menu.tsx";
import { Page } from "../../parts/page.tsx";
import { usePages } from "../../parts/pages.ts";
import { RowMenu } from "../../parts/row_menu.tsx";
import { type ShownOnce, ShownOnceDialog } from "../../parts/shown_once.tsx";
import { EmptyState, NothingFits } from "../../parts/states.tsx";
import { PagedTable } from "../../parts/table.tsx";
import { Ago } from "../../parts/time.tsx";
import { toast } from "../../parts/toasts.tsx";
import { useClient, useWho } from "../../session/use_session.ts";
import { nameOf } from "./name.ts";
import { UserDialog, type UserTask } from "./user_dialog.tsx";

const PAGE_COUNT = 50;
const COLUMNS = [
  { name: "Email" },
  { name: "Role" },
  { name: "Created" },
  { name: "More", unseen: true },
];
const USERS_KEY = ["users"] as const;
const ROLES = [["", "All roles"], ["authenticated", "Users"], ["admin", "Admins"]] as const;

export function UsersPage() {
  const client = useClient();
  const who = useWho();
  const { text, role } = useSearch({ from: "/shell/users" });
  const navigate = useNavigate({ from: "/users" });
  const queries = useQueryClient();
  const [task, setTask] = useState<UserTask | null>(null);
  const [toDisable, setToDisable] = useState<ListedUser | null>(null);
  const [toDelete, setToDelete] = useState<ListedUser | null>(null);
  const [shown, setShown] = useState<ShownOnce | null>(null);
  const chosen = role === "admin" || role === "authenticated" ? role : undefined;
  const filter: ListUsers = {
    ...(text === undefined ? {} : { search: text }),
    ...(chosen === undefined ? {} : { role: chosen }),
  };
  const refresh = () => queries.invalidateQueries({ queryKey: USERS_KEY });
  const pages = usePages<ListedUser>({
    queryKey: [...USERS_KEY, filter],
    size: PAGE_COUNT,
    read: async (client, { cursor, limit }) =>
      (await client.admin.users.list({ ...filter, limit, ...(cursor === undefined ? {} : { cursor }) })).users,
    cursorOf: ({ cursor }) => cursor,
  });

  async function change(what: string, work: () => Promise<unknown>): Promise<void> {
    try {
      await work();
      toast.done(what);
    } catch (error) {
      toast.failed("Cannot change the user", error);
    }
    await refresh();
  }

  async function actAs(user: ListedUser): Promise<void> {
    try {
      const { access_token } = await client.admin.users.tokenFor(user.id);
      setShown({
        title: `Acting as ${nameOf(user)}`,
        value: access_token,
        about:
          "Send it as a bearer token to see what this user gets. It ends in 15 minutes, and the audit log says who asked for it.",
      });
    } catch (error) {
      toast.failed("Cannot act as the user", error);
    }
  }

  function entriesOf(user: ListedUser): MenuEntry[] {
    const name = nameOf(user);
    const isAdmin = user.role === "admin";
    return [
      { text: "Token to act as …", icon: VenetianMask, disabled: isAdmin, onSelect: () => void actAs(user) },
      {
        text: "Copy the id",
        icon: Copy,
        onSelect: () => void navigator.clipboard.writeText(user.id).then(() => toast.done("Copied the id")),
      },
      "line",
      { text: "New password …", icon: KeyRound, onSelect: () => setTask({ kind: "password", user }) },
      {
        text: "Sign out everywhere",
        icon: LogOut,
        onSelect: () => void change(`${name} is signed out everywhere`, () => client.admin.users.signOut(user.id)),
      },
      isAdmin
        ? {
          text: "Remove admin role",
          icon: ShieldOff,
          onSelect: () =>
            void change(`${name} is no longer an admin`, () =>
              client.admin.users.update(user.id, { role: "authenticated" })),
        }
        : {
          text: "Make an admin",
          icon: ShieldCheck,
          onSelect: () =>
            void change(`${name} is now an admin`, () => client.admin.users.update(user.id, { role: "admin" })),
        },
      "line",
      user.disabled_at === null ? { text: "Disable …", icon: Ban, onSelect: () => setToDisable(user) } : {
        text: "Enable",
        icon: CircleCheck,
        onSelect: () => void change(`Enabled ${name}`, () => client.admin.users.update(user.id, { disabled: false })),
      },
      { text: "Delete …", icon: Trash2, danger: true, onSelect: () => setToDelete(user) },
    ];
  }

  const newUser = <Button kind="primary" icon={Plus} onClick={() => setTask({ kind: "new" })}>New user</Button>;
  const isFiltered = text !== undefined || chosen !== undefined;
  return (
    <Page title="Users" actions={newUser}>
      <div className="filters">
        <SearchField
          label="Search users"
          value={text ?? ""}
          onChange={(value) => void navigate({ search: (now) => ({ ...now, text: value }), replace: true })}
        />
        <Select
          label="Role"
          value={chosen ?? ""}
          options={ROLES}
          onChange={(value) => void navigate({ search: (now) => ({ ...now, role: value }), replace: true })}
        />
      </div>
      <PagedTable
        label="Users"
        columns={COLUMNS}
        pages={pages}
        empty={isFiltered
          ? <NothingFits what="user" onShowAll={() => void navigate({ search: {} })} />
          : (
            <EmptyState icon={Users} title="No users yet" action={newUser}>
              People sign up through your application.
            </EmptyState>
          )}
        row={(user) => (
          <tr key={user.id}>
            <td className="cell-wide">
              <div className="cell-main row">
                {user.email ?? <span className="muted">anonymous</span>}
                {who?.kind === "admin" && who.email === user.email && <Badge>you</Badge>}
                {user.disabled_at !== null && <Badge tone="warn">disabled</Badge>}
              </div>
              <div className="cell-about mono">{user.id}</div>
            </td>
            <td>
              <Badge tone={user.role === "admin" ? "accent" : "plain"}>
                {user.role === "admin" ? "admin" : "user"}
              </Badge>
            </td>
            <td>
              <Ago at={user.created_at} />
            </td>
            <td className="end">
              <RowMenu label={`More about ${nameOf(user)}`} entries={entriesOf(user)} />
            </td>
          </tr>
        )}
      />
      <UserDialog task={task} onClose={() => setTask(null)} onSaved={refresh} />
      <ConfirmAbout
        title={`Disable ${toDisable === null ? "" : nameOf(toDisable)}?`}
        about="All sessions end, and sign-in and keys of this user are refused until you enable them again. Nothing is deleted."
        action="Disable"
        danger
        subject={toDisable}
        onClose={() => setToDisable(null)}
        onConfirm={async (user) => {
          await client.admin.users.update(user.id, { disabled: true });
          toast.done(`Disabled ${nameOf(user)}`);
          await refresh();
        }}
      />
      <ConfirmAbout
        title={`Delete ${toDelete === null ? "" : nameOf(toDelete)}?`}
        about="Deletes the sessions and keys of this user, too. Rows in your tables stay, unless they reference the user."
        action="Delete"
        danger
        subject={toDelete}
        onClose={() => setToDelete(null)}
        onConfirm={async (user) => {
          await client.admin.users.delete(user.id);
          toast.done(`Deleted ${nameOf(user)}`);
          await refresh();
        }}
      />
      <ShownOnceDialog shown={shown} onClose={() => setShown(null)} />
    </Page>
  );
}
