/**
 * What can be done with one row of a list.
 *
 * @module
 */
import { Ellipsis } from "lucide-react";
import { Menu, type MenuEntry } from "./menu.tsx";

export function RowMenu({ label, entries }: { readonly label: string; readonly entries: readonly MenuEntry[] }) {
  return (
    <Menu
      trigger={
        <button type="button" className="button" data-kind="quiet" data-icon-only aria-label={label}>
          <Ellipsis className="icon" aria-hidden />
        </button>
      }
      entries={entries}
    />
  );
}
