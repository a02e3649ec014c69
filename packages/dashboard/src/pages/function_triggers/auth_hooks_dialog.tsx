/**
 * Which events of accounts a function is asked about, or told of.
 *
 * @module
 */
import type { FunctionDetails } from "@fluxbase/sdk";
import { useEffect, useState } from "react";
import { FormDialog } from "../../parts/form_dialog.tsx";
import { useChange } from "../function_settings/use_change.ts";

/** Of docs/auth_hooks.md. */
const EVENTS: readonly (readonly [name: string, about: string])[] = [
  ["before_user_created", "Asked before sign-up: may refuse it, or set metadata."],
  ["before_sign_in", "Asked after the password: may refuse the session."],
  ["custom_access_token", "Asked before each access token: may add claims."],
  ["user_created", "Told after an account was made."],
  ["user_signed_in", "Told after a sign-in."],
  ["user_deleted", "Told after an account was deleted."],
];

export function eventText(event: string): string {
  return EVENTS.find(([name]) => name === event)?.[1] ?? "";
}

export function AuthHooksDialog(
  { fn, open, onOpenChange }: {
    readonly fn: FunctionDetails;
    readonly open: boolean;
    readonly onOpenChange: (open: boolean) => void;
  },
) {
  const change = useChange(fn);
  const [chosen, setChosen] = useState<readonly string[]>([]);
  useEffect(() => setChosen(fn.hooks ?? []), [open]);
  return (
    <FormDialog
      title="Events of accounts"
      about="While the function is asked, sign-up and sign-in wait for it; if it fails, they fail. Only the server and admins may call it then."
      open={open}
      onOpenChange={onOpenChange}
      action="Save"
      onSubmit={() => change.mutateAsync({ hooks: chosen.length === 0 ? null : chosen })}
    >
      <fieldset className="stack">
        <legend className="unseen">Events</legend>
        {EVENTS.map(([name, about]) => (
          <label key={name} className="check">
            <input
              type="checkbox"
              checked={chosen.includes(name)}
              onChange={(event) =>
                setChosen(event.currentTarget.checked ? [...chosen, name] : chosen.filter((one) => one !== name))}
            />
            <span>
              <code>{name}</code> <span className="muted">{about}</span>
            </span>
          </label>
        ))}
      </fieldset>
    </FormDialog>
  );
}
