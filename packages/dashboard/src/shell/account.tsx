/**
 * Who is signed in, the theme, and the way out.
 *
 * @module
 */
import { ChevronsUpDown, CircleUser, KeyRound, LogOut, Monitor, Moon, Sun } from "lucide-react";
import { Menu } from "../parts/menu.tsx";
import { session } from "../session/session.ts";
import { useWho } from "../session/use_session.ts";
import { theme } from "./theme.ts";

const THEMES = [["system", "As the system", Monitor], ["light", "Light", Sun], ["dark", "Dark", Moon]] as const;

export function Account() {
  const who = useWho();
  if (who === null) return null;
  const Icon = who.kind === "key" ? KeyRound : CircleUser;
  return (
    <Menu
      trigger={
        <button type="button" className="account">
          <Icon className="icon" aria-hidden />
          <span className="account-name">{who.kind === "key" ? who.shown : who.email}</span>
          <ChevronsUpDown className="icon muted" aria-hidden />
        </button>
      }
      entries={[
        { label: "Theme" },
        ...THEMES.map(([value, text, icon]) => ({
          text,
          icon,
          chosen: theme.get() === value,
          onSelect: () => theme.set(value),
        })),
        "line",
        {
          text: who.kind === "key" ? "Forget the key" : "Sign out",
          icon: LogOut,
          onSelect: () => void session.signOut(),
        },
      ]}
    />
  );
}
