/**
 * What a place shows that has nothing yet, is loading, or could not be read.
 *
 * @module
 */
import { FluxbaseError } from "@fluxbase/sdk";
import { CircleAlert, type LucideIcon, RotateCw, SearchX } from "lucide-react";
import type { ReactNode } from "react";
import { Button } from "./button.tsx";
import { Copyable } from "./copyable.tsx";

/** Says what to do. */
export function EmptyState(
  { icon: Icon, title, children, action }: {
    readonly icon: LucideIcon;
    readonly title: string;
    readonly children?: ReactNode;
    readonly action?: ReactNode;
  },
) {
  return (
    <div className="state">
      <Icon className="icon" aria-hidden />
      <div className="state-text">
        <h2>{title}</h2>
        {children && <p>{children}</p>}
      </div>
      {action}
    </div>
  );
}

/** A filter leaves nothing. */
export function NothingFits({ what, onShowAll }: { readonly what: string; readonly onShowAll?: () => void }) {
  return (
    <EmptyState
      icon={SearchX}
      title={`No matching ${what}`}
      action={onShowAll && <Button onClick={onShowAll}>Show all</Button>}
    />
  );
}

export function ErrorState({ error, onRetry }: { readonly error: unknown; readonly onRetry?: () => void }) {
  const { title, message, requestId } = factsOf(error);
  return (
    <div className="state" role="alert">
      <CircleAlert className="icon" aria-hidden />
      <div className="state-text">
        <h2>{title}</h2>
        <p>{message}</p>
      </div>
      {requestId !== null && (
        <p className="small muted row">
          Request <Copyable text={requestId} label="Copy the request id" />
        </p>
      )}
      {onRetry && <Button icon={RotateCw} onClick={onRetry}>Try again</Button>}
    </div>
  );
}

/** The same in a form. */
export function ErrorNote({ error }: { readonly error: unknown }) {
  if (error === null || error === undefined) return null;
  const { message, requestId } = factsOf(error);
  return (
    <div className="note" data-tone="bad" role="alert">
      <CircleAlert className="icon" aria-hidden />
      <div>
        {message}
        {requestId !== null && <span className="small muted">{` (request ${requestId})`}</span>}
      </div>
    </div>
  );
}

const TITLES: Readonly<Record<string, string>> = {
  NETWORK_ERROR: "The server cannot be reached",
  TIMEOUT: "The server did not answer in time",
  FORBIDDEN: "Not with this credential",
  FUNCTION_NOT_FOUND: "There is no such function",
  VERSION_NOT_FOUND: "There is no such version",
};

export function factsOf(error: unknown): { title: string; message: string; requestId: string | null } {
  if (!(error instanceof FluxbaseError)) {
    return {
      title: "Something went wrong here",
      message: error instanceof Error ? error.message : String(error),
      requestId: null,
    };
  }
  const { code, message, requestId } = error;
  return { title: TITLES[code] ?? "This could not be read", message, requestId };
}

export function Skeleton({ lines = 6 }: { readonly lines?: number }) {
  return (
    <div className="stack" role="status" aria-label="Loading">
      {Array.from(
        { length: lines },
        (_, index) => <span key={index} className="skeleton" style={{ width: `${92 - (index * 17) % 44}%` }} />,
      )}
    </div>
  );
}
