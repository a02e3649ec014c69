/**
 * What stands in the sidebar, in its order.
 *
 * @module
 */
import { KeyRound, LockKeyhole, type LucideIcon, Users, Zap } from "lucide-react";

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
  {
    title: "Access",
    entries: [
      { to: "/secrets", text: "Secrets", icon: LockKeyhole },
      { to: "/keys", text: "Keys", icon: KeyRound, isForAdmins: true },
      { to: "/users", text: "Users", icon: Users, isForAdmins: true },
    ],
  },
];
