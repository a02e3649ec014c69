/**
 * Short words about what has been done, or has failed.
 *
 * @module
 */
import { CircleAlert, CircleCheck, X } from "lucide-react";
import { useSyncExternalStore } from "react";
import { IconButton } from "./button.tsx";
import { factsOf } from "./states.tsx";

interface ToastFacts {
  readonly id: number;
  readonly tone: "good" | "bad";
  readonly text: string;
}

const SHOWN_MS = 5_000;
const MAX_COUNT = 4;
let shown: readonly ToastFacts[] = [];
let nextId = 1;
const listeners = new Set<() => void>();

function set(next: readonly ToastFacts[]): void {
  shown = next;
  for (const listener of listeners) listener();
}

function show(tone: ToastFacts["tone"], text: string): void {
  const id = nextId++;
  set([...shown, { id, tone, text }].slice(-MAX_COUNT));
  // What failed stays until it is read.
  if (tone === "good") setTimeout(() => close(id), SHOWN_MS);
}

function close(id: number): void {
  set(shown.filter((one) => one.id !== id));
}

export const toast = {
  done: (text: string) => show("good", text),
  failed: (what: string, error: unknown) => {
    const { message, requestId } = factsOf(error);
    show("bad", `${what}: ${message}${requestId === null ? "" : ` (request ${requestId})`}`);
  },
};

export function Toasts() {
  const toasts = useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => shown,
  );
  return (
    <div className="toasts" role="status" aria-live="polite">
      {toasts.map(({ id, tone, text }) => (
        <div key={id} className="toast" data-tone={tone}>
          {tone === "good"
            ? <CircleCheck className="icon" aria-hidden />
            : <CircleAlert className="icon" aria-hidden />}
          <span className="break">{text}</span>
          <span className="spread">
            <IconButton small icon={X} label="Close" onClick={() => close(id)} />
          </span>
        </div>
      ))}
    </div>
  );
}
