/**
 * The menu itself.
 *
 * @module
 */
import * as Dropdown from "@radix-ui/react-dropdown-menu";
import type { ReactElement } from "react";
import type { MenuEntry } from "./menu.tsx";

export function LoadedMenu(
  { trigger, entries, open, onOpenChange }: {
    readonly trigger: ReactElement;
    readonly entries: readonly MenuEntry[];
    readonly open: boolean;
    readonly onOpenChange: (open: boolean) => void;
  },
) {
  return (
    <Dropdown.Root open={open} onOpenChange={onOpenChange}>
      <Dropdown.Trigger asChild>{trigger}</Dropdown.Trigger>
      <Dropdown.Portal>
        <Dropdown.Content className="menu" align="end" sideOffset={5} collisionPadding={8}>
          {entries.map((entry, index) => <Entry key={index} entry={entry} />)}
        </Dropdown.Content>
      </Dropdown.Portal>
    </Dropdown.Root>
  );
}

function Entry({ entry }: { readonly entry: MenuEntry }) {
  if (entry === "line") return <Dropdown.Separator className="menu-line" />;
  if ("label" in entry) return <Dropdown.Label className="menu-label">{entry.label}</Dropdown.Label>;
  const { text, icon: Icon, danger, disabled = false, chosen, onSelect } = entry;
  return (
    <Dropdown.Item className="menu-item" data-danger={danger || undefined} disabled={disabled} onSelect={onSelect}>
      {Icon && <Icon className="icon" aria-hidden />}
      {text}
      {chosen && <span className="spread small muted">chosen</span>}
    </Dropdown.Item>
  );
}
