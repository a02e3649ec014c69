/**
 * The frame of a page: its name, what can be done, and its content.
 *
 * @module
 */
import { type ReactNode, useEffect } from "react";

export function Page(
  { title, head, actions, wide, children }: {
    /** In the tab of the browser, and above the page when there is no `head`. */
    readonly title: string;
    readonly head?: ReactNode;
    readonly actions?: ReactNode;
    readonly wide?: boolean;
    readonly children: ReactNode;
  },
) {
  useTitle(title);
  return (
    <div className={wide ? "page page-wide" : "page"}>
      <div className="page-head">
        {head ?? <h1>{title}</h1>}
        {actions && <div className="page-actions">{actions}</div>}
      </div>
      {children}
    </div>
  );
}

export function useTitle(title: string): void {
  useEffect(() => {
    document.title = `${title} · Fluxbase`;
  }, [title]);
}
