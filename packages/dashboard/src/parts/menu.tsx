/**
 * A menu behind a button, as data.
 *
 * @module
 */
import type { LucideIcon } from "lucide-react";
import { type ReactElement, useState } from "react";
import { useLoaded } from "./loaded.ts";

export type MenuEntry = "line" | { readonly label: string } | {
  readonly text: string;
  readonly icon?: LucideIcon;
  readonly danger?: boolean;
  readonly disabled?: boolean;
  /** Of one that is on already. */
  readonly chosen?: boolean;
  readonly onSelect: () => void;
};

/** `trigger`: a button; opening works from its first click on, though the menu itself is fetched then. */
export function Menu({ trigger, entries }: { readonly trigger: ReactElement; readonly entries: readonly MenuEntry[] }) {
  const [isOpen, setOpen] = useState(false);
  const [isNear, setNear] = useState(false);
  const Loaded = useLoaded(isNear || isOpen, () => import("./loaded_menu.tsx"))?.LoadedMenu;
  if (Loaded !== undefined) {
    return <Loaded trigger={trigger} entries={entries} open={isOpen} onOpenChange={setOpen} />;
  }
  return (
    <span
      className="contents"
      onPointerEnter={() => setNear(true)}
      onFocus={() => setNear(true)}
      onClick={() => setOpen(true)}
    >
      {trigger}
    </span>
  );
}
