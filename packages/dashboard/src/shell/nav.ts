/**
 * What stands in the sidebar, in its order.
 *
 * @module
 */
import {
  Database,
  FileCode2,
  KeyRound,
  LayoutDashboard,
  ListChecks,
  LockKeyhole,
  type LucideIcon,
  ScrollText,
  Server,
  Users,
  Zap,
} from "lucide-react";

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
  {
    entries: [
      { to: "/overview", text: "Overview", icon: LayoutDashboard, isForAdmins: true },
      { to: "/functions", text: "Functions", icon: Zap },
      { to: "/shared", text: "Shared modules", icon: FileCode2 },
      { to: "/tasks", text: "Tasks", icon: ListChecks },
      { to: "/database", text: "Database", icon: Database, isForAdmins: true },
    ],
  },
  {
    title: "Access",
    entries: [
      { to: "/secrets", text: "Secrets", icon: LockKeyhole },
      { to: "/keys", text: "Keys", icon: KeyRound, isForAdmins: true },
      { to: "/users", text: "Users", icon: Users, isForAdmins: true },
    ],
  },
  {
    title: "Server",
    entries: [
      { to: "/audit", text: "Audit log", icon: ScrollText, isForAdmins: true },
      { to: "/system", text: "System", icon: Server, isForAdmins: true },
    ],
  },
];
