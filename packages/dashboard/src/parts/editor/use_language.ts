/**
 * The language service of a page that edits source.
 *
 * @module
 */
import { useEffect, useMemo, useSyncExternalStore } from "react";
import { session as signedIn } from "../../session/session.ts";
import { createLanguageSession, type LanguageSession, type LanguageState, type Source } from "./language_session.ts";

export function useLanguage(namespace: string, source: Source): LanguageSession {
  const session = useMemo(() => createLanguageSession(() => signedIn.client, namespace), [namespace]);
  session.setSource(source);
  useEffect(() => () => session.close(), [session]);
  return session;
}

const WORDS: Readonly<Record<Exclude<LanguageState["kind"], "unavailable">, string>> = {
  off: "",
  starting: "Types are being read …",
  ready: "",
  fetching: "Packages are being fetched …",
};

/** Empty when there is nothing to say. */
export function useLanguageWords(session: LanguageSession): string {
  const state = useSyncExternalStore(session.subscribe, () => session.state);
  return state.kind === "unavailable"
    ? `No types: ${state.why}. Problems are found when you deploy.`
    : WORDS[state.kind];
}
