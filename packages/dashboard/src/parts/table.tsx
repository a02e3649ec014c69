/**
 * A list of any length: what it shows while it loads, when it is empty, when it failed, and at its end.
 *
 * @module
 */
import { type ReactNode, type RefObject, useEffect, useRef } from "react";
import { Button } from "./button.tsx";
import type { Pages } from "./pages.ts";
import { ErrorState } from "./states.tsx";

export interface Column {
  readonly name: string;
  readonly end?: boolean;
  /** The name is only read out. */
  readonly unseen?: boolean;
}

const SKELETON_ROWS = 8;

export function PagedTable<Item>(
  { label, columns, pages, row, empty }: {
    readonly label: string;
    readonly columns: readonly Column[];
    readonly pages: Pages<Item>;
    /** A `<tr>` with a key. */
    readonly row: (item: Item) => ReactNode;
    readonly empty: ReactNode;
  },
) {
  const { items, isLoading, error, hasMore, isLoadingMore, loadMore, retry } = pages;
  const end = useRef<HTMLDivElement>(null);
  useWhenSeen(end, hasMore && !isLoadingMore, loadMore);
  if (error) {
    return (
      <div className="table-frame">
        <ErrorState error={error} onRetry={retry} />
      </div>
    );
  }
  if (!isLoading && items.length === 0) return <div className="table-frame">{empty}</div>;
  return (
    <div className="table-frame" tabIndex={0}>
      <table className="table" aria-label={label} aria-busy={isLoading}>
        <thead>
          <tr>
            {columns.map(({ name, end, unseen }) => (
              <th key={name} scope="col" className={end ? "end" : undefined}>
                {unseen ? <span className="unseen">{name}</span> : name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {isLoading
            ? Array.from({ length: SKELETON_ROWS }, (_, index) => (
              <tr key={index}>
                {columns.map(({ name }) => (
                  <td key={name}>
                    <span className="skeleton" />
                  </td>
                ))}
              </tr>
            ))
            : items.map(row)}
        </tbody>
      </table>
      {hasMore && (
        <div className="table-end" ref={end}>
          <Button small busy={isLoadingMore} onClick={loadMore}>Show more</Button>
        </div>
      )}
    </div>
  );
}

/** Calls back when the element comes into sight. */
function useWhenSeen(element: RefObject<HTMLElement | null>, isWanted: boolean, work: () => void): void {
  useEffect(() => {
    if (!isWanted || element.current === null) return;
    const observer = new IntersectionObserver(([entry]) => {
      if (entry?.isIntersecting) work();
    }, { rootMargin: "400px" });
    observer.observe(element.current);
    return () => observer.disconnect();
  }, [isWanted]);
}
