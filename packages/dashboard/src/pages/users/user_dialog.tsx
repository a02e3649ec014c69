/**
 * A user who is made, or gets another password.
 *
 * @module
 */
import type { ListedUser } from "@fluxbase/sdk";
import { useEffect, useState } from "react";
import { TextField } from "../../parts/field.tsx";
import { FormDialog } from "../../parts/form_dialog.tsx";
import { toast } from "../../parts/toasts.tsx";
import { useClient } from "../../session/use_session.ts";
import { nameOf } from "./name.ts";

export type UserTask = { readonly kind: "new" } | { readonly kind: "password"; readonly user: ListedUser };

export function UserDialog(
  { task, onClose, onSaved }: {
    readonly task: UserTask | null;
    readonly onClose: () => void;
    readonly onSaved: () => Promise<unknown>;
  },
) {
  const client = useClient();
  const [email, setEmail] = useState("");
  const [password, setPassword] = useState("");
  const [isAdmin, setAdmin] = useState(false);
  useEffect(() => {
    setEmail("");
    setPassword("");
    setAdmin(false);
  }, [task]);
  const isNew = task?.kind !== "password";

  async function save(): Promise<void> {
    if (task?.kind === "password") {
      await client.admin.users.update(task.user.id, { password });
      toast.done(`${nameOf(task.user)} has another password, and is signed out everywhere`);
    } else {
      const role = isAdmin ? "admin" : "authenticated";
      await client.admin.users.create({ email: email.trim(), ...(password === "" ? {} : { password }), role });
      toast.done(`Made ${email.trim()}`);
    }
    await onSaved();
  }

  return (
    <FormDialog
      title={isNew ? "New user" : `New password for ${nameOf(task.user)}`}
      open={task !== null}
      onOpenChange={(open) => {
        if (!open) onClose();
      }}
      action="Save"
      canSubmit={isNew ? email.includes("@") : password !== ""}
      onSubmit={save}
    >
      {isNew && (
        <TextField
          label="E-mail"
          type="email"
          value={email}
          required
          autoFocus
          autoComplete="off"
          onChange={(event) => setEmail(event.currentTarget.value)}
        />
      )}
      <TextField
        label="Password"
        type="password"
        value={password}
        autoComplete="new-password"
        hint={isNew ? "At least 8 characters. Without one nobody can sign in as this user." : "At least 8 characters."}
        onChange={(event) => setPassword(event.currentTarget.value)}
      />
      {isNew && (
        <label className="check">
          <input type="checkbox" checked={isAdmin} onChange={(event) => setAdmin(event.currentTarget.checked)} />
          An admin of this server
        </label>
      )}
    </FormDialog>
  );
}
