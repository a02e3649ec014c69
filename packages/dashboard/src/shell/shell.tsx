/**
 * What stands around every page: where one can go, and who is there.
 *
 * @module
 */
import { Link, Outlet, useRouterState } from "@tanstack/react-router";
import { Menu as MenuIcon } from "lucide-react";
import { useEffect, useRef, useState } from "react";
import { IconButton } from "../parts/button.tsx";
import { Drawer } from "../parts/dialog.tsx";
import { useWho } from "../session/use_session.ts";
import { Account } from "./account.tsx";
import { Brand } from "./brand.tsx";
import { NAV } from "./nav.ts";
import { Palette } from "./palette.tsx";
import "./shell.css";

export function Shell() {
  const main = useRef<HTMLElement>(null);
  const [isDrawerOpen, setDrawerOpen] = useState(false);
  const path = useRouterState({ select: ({ location }) => location.pathname });
  useEffect(() => setDrawerOpen(false), [path]);
  return (
    <div className="shell">
      <button type="button" className="button skip" onClick={() => main.current?.focus()}>Skip to the content</button>
      <header className="top">
        <IconButton icon={MenuIcon} label="Menu" onClick={() => setDrawerOpen(true)} />
        <Brand />
      </header>
      <aside className="side">
        <Side />
      </aside>
      <Drawer title="Menu" open={isDrawerOpen} onOpenChange={setDrawerOpen}>
        <Side />
      </Drawer>
      <Palette />
      <main className="main" ref={main} tabIndex={-1}>
        <Outlet />
      </main>
    </div>
  );
}

function Side() {
  const who = useWho();
  return (
    <>
      <Brand />
      <nav aria-label="Main">
        {NAV.map(({ title, entries }, index) => {
          const shown = entries.filter(({ isForAdmins }) => !isForAdmins || who?.kind === "admin");
          if (shown.length === 0) return null;
          return (
            <div className="nav" key={index}>
              {title && <h2 className="nav-group">{title}</h2>}
              {shown.map(({ to, text, icon: Icon }) => (
                <Link key={to} to={to} className="nav-link">
                  <Icon className="icon" aria-hidden />
                  {text}
                </Link>
              ))}
            </div>
          );
        })}
      </nav>
      <div className="side-end">
        <Account />
      </div>
    </>
  );
}
