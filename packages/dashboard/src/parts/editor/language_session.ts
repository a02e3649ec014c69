/**
 * The server's language service for what is being edited: connected when it is first asked, and again when it is needed.
 *
 * Owns: one connection, which files it knows, which answer belongs to which question, and what one is told of it.
 * Does not own: what an editor does with the answers (./language.ts).
 *
 * @module
 */
import type { FluxbaseClient, LanguageAnswer, LanguageAsk, LanguageReply } from "@fluxbase/sdk";

export interface Source {
  readonly entry: string;
  readonly files: Readonly<Record<string, string>>;
}

/** `off`: nobody has asked it yet, or it has ended because nobody did. */
export type LanguageState =
  | { readonly kind: "off" | "starting" | "ready" | "fetching" }
  | { readonly kind: "unavailable"; readonly why: string };

export interface LanguageSession {
  readonly state: LanguageState;
  subscribe(listener: () => void): () => void;
  /** What is edited, as the page has it. */
  setSource(source: Source): void;
  /** Undefined: there is no answer, for whatever reason. `text` is that of the file that the question is about. */
  ask<What extends LanguageAsk["what"]>(
    ask: LanguageAsk & { readonly what: What },
    at?: { readonly path: string; readonly text: string },
  ): Promise<LanguageAnswer[What] | undefined>;
  close(): void;
}

type Ended = Extract<LanguageReply, { type: "ended" }>;

/** Until it is tried again; a session that ended because nobody typed starts at the next key. */
const PAUSE_MS: Readonly<Record<Ended["reason"], number>> = {
  idle: 0,
  credential: 0,
  died: 5_000,
  message: 30_000,
  stopping: 5_000,
  busy: 30_000,
  unavailable: 300_000,
};
const LOST_MS = 5_000;
const PAUSE_MAX_MS = 600_000;

type Connection = Awaited<ReturnType<FluxbaseClient["admin"]["language"]["connect"]>>;

export function createLanguageSession(client: () => FluxbaseClient, namespace: string): LanguageSession {
  const listeners = new Set<() => void>();
  const waiting = new Map<number, (result: unknown) => void>();
  let state: LanguageState = { kind: "off" };
  let source: Source = { entry: "index.ts", files: {} };
  let connecting: Promise<Connection | undefined> | undefined;
  let sent = new Map<string, string>();
  let nextId = 1;
  let notBeforeMs = 0;
  /** Times that it was lost without an answer in between: each makes the pause twice as long. */
  let lostCount = 0;
  let again: ReturnType<typeof setTimeout> | undefined;

  function set(next: LanguageState): void {
    state = next;
    for (const listener of [...listeners]) listener();
  }

  /** Of one connection: what an earlier one still says means nothing. */
  function connect(): Promise<Connection | undefined> {
    let ended: Ended | undefined;
    const isCurrent = () => connecting === attempt;
    const over = () => {
      if (!isCurrent()) return;
      connecting = undefined;
      sent = new Map();
      for (const resolve of waiting.values()) resolve(undefined);
      waiting.clear();
      const isQuiet = ended?.reason === "idle" || ended?.reason === "credential";
      const pauseMs = Math.min(PAUSE_MAX_MS, (ended === undefined ? LOST_MS : PAUSE_MS[ended.reason]) * 2 ** lostCount);
      notBeforeMs = Date.now() + pauseMs;
      if (isQuiet) return set({ kind: "off" });
      lostCount += 1;
      set({ kind: "unavailable", why: ended?.message ?? "The connection is lost" });
      again = setTimeout(() => {
        if (connecting === undefined) set({ kind: "off" });
      }, pauseMs);
    };
    const reply = (said: LanguageReply) => {
      if (!isCurrent()) return;
      if (said.type === "ready") set({ kind: "ready" });
      else if (said.type === "packages") set({ kind: said.state === "fetching" ? "fetching" : "ready" });
      else if (said.type === "ended") ended = said;
      else {
        lostCount = 0;
        waiting.get(said.id)?.(said.type === "answer" ? said.result : undefined);
        waiting.delete(said.id);
      }
    };
    const attempt: Promise<Connection | undefined> = client().admin.language
      .connect({ namespace, on: { reply, close: over } })
      .catch(() => {
        over();
        return undefined;
      });
    return attempt;
  }

  function sync(connection: Connection, at: { readonly path: string; readonly text: string } | undefined): void {
    const files: Record<string, string> = { ...source.files, ...(at === undefined ? {} : { [at.path]: at.text }) };
    const changes: Record<string, string | null> = {};
    for (const [path, text] of Object.entries(files)) if (sent.get(path) !== text) changes[path] = text;
    for (const path of sent.keys()) if (!Object.hasOwn(files, path)) changes[path] = null;
    if (sent.size > 0 && Object.keys(changes).length === 0) return;
    sent = new Map(Object.entries(files));
    connection.send({ type: "files", entry: source.entry, files: changes });
  }

  return {
    get state() {
      return state;
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    setSource(next) {
      source = next;
    },
    async ask<What extends LanguageAsk["what"]>(
      ask: LanguageAsk & { readonly what: What },
      at?: { readonly path: string; readonly text: string },
    ) {
      if (connecting === undefined) {
        if (Date.now() < notBeforeMs) return undefined;
        connecting = connect();
        set({ kind: "starting" });
      }
      const connection = await connecting;
      if (connection === undefined) return undefined;
      sync(connection, at);
      const id = nextId++;
      const answer = new Promise<unknown>((resolve) => waiting.set(id, resolve));
      connection.send({ type: "ask", id, ...ask });
      return await answer as LanguageAnswer[What] | undefined;
    },
    close() {
      clearTimeout(again);
      const before = connecting;
      connecting = undefined;
      sent = new Map();
      for (const resolve of waiting.values()) resolve(undefined);
      waiting.clear();
      state = { kind: "off" };
      void before?.then((connection) => connection?.close());
    },
  };
}
