/**
 * Who uses the dashboard: an admin who signed in, or whoever holds a key; and the client that speaks for them.
 *
 * An admin's session is shared by all tabs; a key stays in its tab and is forgotten with it.
 *
 * @module
 */
import { createClient, type Credentials, type FluxbaseClient, FluxbaseError, type Session } from "@fluxbase/sdk";
import { SERVER_URL } from "../server.ts";

export type Who =
  | { readonly kind: "admin"; readonly email: string }
  | { readonly kind: "key"; readonly shown: string };

const KEY_PLACE = "fluxbase.dashboard.key";
const SHOWN_CHARACTERS = 12;

const listeners = new Set<() => void>();
const admins = createClient(SERVER_URL);
let current: { readonly client: FluxbaseClient; readonly who: Who | null } = { client: admins, who: null };

export const session = {
  get client(): FluxbaseClient {
    return current.client;
  },
  get who(): Who | null {
    return current.who;
  },
  subscribe(listener: () => void): () => void {
    listeners.add(listener);
    return () => void listeners.delete(listener);
  },
  /** What this tab, or another one, has kept. */
  async restore(): Promise<void> {
    const key = sessionStorage.getItem(KEY_PLACE);
    if (key !== null) return become(clientOfKey(key));
    takeOver(await admins.auth.getSession());
  },
  async signIn(credentials: Credentials): Promise<void> {
    const { user } = await admins.auth.signIn(credentials);
    if (user.role === "admin") return;
    await admins.auth.signOut();
    throw new FluxbaseError(`${user.email} is no admin of this server: ask an admin, or sign in with a key`, {
      status: 403,
      code: "FORBIDDEN",
    });
  },
  async useLink(token: string): Promise<void> {
    await admins.auth.signInWithLink(token);
  },
  async setUp(first: Credentials & { readonly name?: string; readonly setup_token: string }): Promise<void> {
    await admins.auth.setUp(first);
  },
  async useKey(key: string): Promise<void> {
    const next = clientOfKey(key);
    // Says whether the server knows it.
    await next.client.functions.list();
    sessionStorage.setItem(KEY_PLACE, key);
    become(next);
  },
  async signOut(): Promise<void> {
    sessionStorage.removeItem(KEY_PLACE);
    if (current.who?.kind === "admin") await admins.auth.signOut().catch(() => {});
    become({ client: admins, who: null });
  },
};

admins.auth.onAuthStateChange((_event, kept) => {
  if (current.who?.kind !== "key") takeOver(kept);
});

/** Another tab has signed in or out; that it has renewed the session is no business of this one. */
addEventListener("storage", ({ key, oldValue, newValue }) => {
  if (key?.startsWith("fluxbase.session.") && userIn(oldValue) !== userIn(newValue)) location.reload();
});

function userIn(kept: string | null): string | undefined {
  try {
    return kept === null ? undefined : JSON.parse(kept).user?.id;
  } catch {
    return undefined;
  }
}

function takeOver(kept: Session | null): void {
  const isAdmin = kept !== null && kept.user.role === "admin";
  become({ client: admins, who: isAdmin ? { kind: "admin", email: kept.user.email ?? "admin" } : null });
}

function clientOfKey(key: string): { readonly client: FluxbaseClient; readonly who: Who } {
  const client = createClient(SERVER_URL, key, { storage: null });
  return { client, who: { kind: "key", shown: `${key.slice(0, SHOWN_CHARACTERS)}…` } };
}

function become(next: typeof current): void {
  const isSame = next.client === current.client && JSON.stringify(next.who) === JSON.stringify(current.who);
  if (isSame) return;
  current = next;
  for (const listener of [...listeners]) listener();
}
