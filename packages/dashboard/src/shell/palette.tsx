/**
 * Ctrl-K: to any page, any function, and what is done often, by a few letters.
 *
 * @module
 */
import { useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { LogOut, type LucideIcon, Moon, Plus, Sun, Zap } from "lucide-react";
import { useEffect, useId, useState } from "react";
import { Dialog } from "../parts/dialog.tsx";
import { session } from "../session/session.ts";
import { useClient, useWho } from "../session/use_session.ts";
import { NAV } from "./nav.ts";
import { theme } from "./theme.ts";
import "./palette.css";

interface Entry {
  readonly text: string;
  readonly kind: string;
  readonly icon: LucideIcon;
  readonly run: () => unknown;
}

const FUNCTIONS_COUNT = 8;
const TYPED_MS = 150;

export function Palette() {
  const [isOpen, setOpen] = useState(false);
  useEffect(() => {
    const listen = (event: KeyboardEvent) => {
      if (event.key.toLowerCase() !== "k" || !(event.ctrlKey || event.metaKey) || event.shiftKey || event.altKey) {
        return;
      }
      event.preventDefault();
      setOpen((before) => !before);
    };
    addEventListener("keydown", listen);
    return () => removeEventListener("keydown", listen);
  }, []);
  return (
    <Dialog title="Go to" open={isOpen} onOpenChange={setOpen}>
      <Search onDone={() => setOpen(false)} />
    </Dialog>
  );
}

function Search({ onDone }: { readonly onDone: () => void }) {
  const [text, setText] = useState("");
  const [place, setPlace] = useState(0);
  const id = useId();
  const entries = [...useFunctions(text), ...useActions().filter((entry) => fits(entry.text, text))];
  const chosen = Math.min(place, entries.length - 1);
  const run = (entry: Entry | undefined) => {
    if (entry === undefined) return;
    onDone();
    void entry.run();
  };
  return (
    <div className="palette">
      <input
        className="input"
        role="combobox"
        aria-label="A page, a function or an action"
        aria-expanded={entries.length > 0}
        aria-controls={`${id}-list`}
        aria-activedescendant={chosen >= 0 ? `${id}-${chosen}` : undefined}
        placeholder="A page, a function or an action"
        autoFocus
        value={text}
        onChange={(event) => {
          setText(event.currentTarget.value);
          setPlace(0);
        }}
        onKeyDown={(event) => {
          if (event.key === "ArrowDown") setPlace(Math.min(chosen + 1, entries.length - 1));
          else if (event.key === "ArrowUp") setPlace(Math.max(chosen - 1, 0));
          else if (event.key === "Enter") run(entries[chosen]);
          else return;
          event.preventDefault();
        }}
      />
      <ul className="palette-list" id={`${id}-list`} role="listbox" aria-label="What fits">
        {entries.map((entry, index) => (
          <li
            key={`${entry.kind} ${entry.text}`}
            id={`${id}-${index}`}
            role="option"
            aria-selected={index === chosen}
            className="menu-item"
            data-highlighted={index === chosen || undefined}
            onPointerMove={() => setPlace(index)}
            onClick={() => run(entry)}
          >
            <entry.icon className="icon" aria-hidden />
            <span className="break">{entry.text}</span>
            <span className="spread small muted">{entry.kind}</span>
          </li>
        ))}
      </ul>
      {entries.length === 0 && <p className="muted">Nothing fits.</p>}
    </div>
  );
}

/** All letters, in their order. */
function fits(text: string, typed: string): boolean {
  let from = 0;
  for (const letter of typed.toLowerCase().replaceAll(" ", "")) {
    from = text.toLowerCase().indexOf(letter, from) + 1;
    if (from === 0) return false;
  }
  return true;
}

function useFunctions(typed: string): Entry[] {
  const client = useClient();
  const navigate = useNavigate();
  const [text, setText] = useState("");
  useEffect(() => {
    const timer = setTimeout(() => setText(typed.trim()), TYPED_MS);
    return () => clearTimeout(timer);
  }, [typed]);
  const { data = [] } = useQuery({
    queryKey: ["functions", "palette", text],
    queryFn: () => client.functions.list({ text, limit: FUNCTIONS_COUNT }),
    enabled: text !== "",
    placeholderData: (before) => before,
  });
  if (text === "") return [];
  return data.map((
    { namespace, name },
  ) => ({
    text: namespace === "default" ? name : `${namespace}/${name}`,
    kind: "function",
    icon: Zap,
    run: () => navigate({ to: "/functions/$namespace/$name/code", params: { namespace, name } }),
  }));
}

function useActions(): Entry[] {
  const navigate = useNavigate();
  const who = useWho();
  const pages = NAV.flatMap(({ entries }) => entries)
    .filter(({ isForAdmins }) => !isForAdmins || who?.kind === "admin")
    .map(({ to, text, icon }) => ({ text, icon, kind: "page", run: () => navigate({ to }) }));
  return [
    ...pages,
    { text: "New function", icon: Plus, kind: "action", run: () => navigate({ to: "/functions/new" }) },
    { text: "Light theme", icon: Sun, kind: "action", run: () => theme.set("light") },
    { text: "Dark theme", icon: Moon, kind: "action", run: () => theme.set("dark") },
    { text: "Sign out", icon: LogOut, kind: "action", run: () => session.signOut() },
  ];
}
