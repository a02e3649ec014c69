/**
 * What was written and not deployed yet: it survives a reload, and the browser.
 *
 * @module
 */
import { SERVER_URL } from "../server.ts";
import { type FunctionPlace, pathOf } from "./functions.ts";

export type Files = Readonly<Record<string, string>>;

export interface Draft {
  /** The version that it began from, and its files. */
  readonly base: number;
  readonly baseFiles: Files;
  readonly files: Files;
}

const keyOf = (place: FunctionPlace) => `fluxbase.draft.${SERVER_URL}.${pathOf(place)}`;

export function readDraft(place: FunctionPlace): Draft | undefined {
  try {
    const kept: Partial<Draft> | null = JSON.parse(localStorage.getItem(keyOf(place)) ?? "null");
    return kept?.files === undefined || kept.baseFiles === undefined || typeof kept.base !== "number"
      ? undefined
      : { base: kept.base, baseFiles: kept.baseFiles, files: kept.files };
  } catch {
    return undefined;
  }
}

/** False when the browser has no room for it. */
export function keepDraft(place: FunctionPlace, draft: Draft | undefined): boolean {
  try {
    if (draft === undefined) localStorage.removeItem(keyOf(place));
    else localStorage.setItem(keyOf(place), JSON.stringify(draft));
    return true;
  } catch {
    return false;
  }
}

export function areSame(a: Files, b: Files): boolean {
  const paths = Object.keys(a);
  return paths.length === Object.keys(b).length && paths.every((path) => a[path] === b[path]);
}
