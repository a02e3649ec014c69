/**
 * What stands in the sidebar, in its order.
 *
 * @module
 */
import { type LucideIcon, Zap } from "lucide-react";

export interface NavEntry {
  readonly to: string;
  readonly text: string;
  readonly icon: LucideIcon;
  /** Keys see what their scopes allow; this is for admins only. */
  readonly isForAdmins?: true;
}

export interface NavGroup {
  readonly title?: string;
  readonly entries: readonly NavEntry[];
}

export const NAV: readonly NavGroup[] = [
  { entries: [{ to: "/functions", text: "Functions", icon: Zap }] },
];
