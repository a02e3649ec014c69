/**
 * Gives the parameters of a handler the types that they have here, where its author has not written any.
 *
 * The functions of the guide say `async function handler(req)`. An editor that knows nothing of `req` is of little help,
 * so the language server is shown a type that is not in the source. All of it stands in one line, and places behind it
 * in that line are moved there and back.
 *
 * @module
 */
import type { LanguagePlace } from "@fluxbase/contract";

export interface TypedText {
  readonly text: string;
  /** From the author's text to the one that is shown to the language server. */
  inward(place: LanguagePlace): LanguagePlace;
  outward(place: LanguagePlace): LanguagePlace;
}

const NAME = String.raw`[A-Za-z_$][\w$]*`;
const PARAMETERS = String.raw`\(\s*(${NAME})\s*(?:,\s*(${NAME})\s*)?,?\s*\)`;
const HANDLERS = [
  String.raw`^(?:export\s+)?(?:default\s+)?(?:async\s+)?function\s+handler\s*`,
  String.raw`^export\s+default\s+(?:async\s+)?function\s*(?:${NAME}\s*)?`,
  String.raw`^(?:export\s+)?(?:const|let|var)\s+handler\s*=\s*(?:async\s*)?(?:function\s*)?`,
  String.raw`^export\s+default\s+(?:async\s*)?`,
].map((start) => new RegExp(start + PARAMETERS, "md"));
const TYPES = ["FluxbaseRequest", "FluxbaseContext"];

interface Insertion {
  readonly line: number;
  readonly character: number;
  readonly length: number;
}

export function typeHandler(path: string, source: string): TypedText {
  const isTyped = /\.[cm]?tsx?$/.test(path);
  const found = HANDLERS.map((pattern) => pattern.exec(source)).find((match) => match !== null);
  const insertions: Insertion[] = [];
  let text = source;
  // The last first, so that those before stay where they are.
  for (const [index, type] of [...TYPES.entries()].reverse()) {
    const [start, end] = found?.indices?.[index + 1] ?? [];
    if (start === undefined || end === undefined) continue;
    const offset = isTyped ? end : start;
    const inserted = isTyped ? `: ${type}` : `/** @type {${type}} */ `;
    text = text.slice(0, offset) + inserted + text.slice(offset);
    const lineStart = source.lastIndexOf("\n", offset - 1) + 1;
    insertions.unshift({
      line: source.slice(0, lineStart).split("\n").length - 1,
      character: offset - lineStart,
      length: inserted.length,
    });
  }

  return {
    text,
    inward({ line, character }) {
      // The cursor behind a name is still at the name.
      const before = insertions.filter((one) => one.line === line && one.character + (isTyped ? 1 : 0) <= character);
      return { line, character: character + sum(before) };
    },
    outward({ line, character }) {
      let left = character;
      for (const one of insertions.filter((insertion) => insertion.line === line)) {
        if (left > one.character) left = Math.max(one.character, left - one.length);
      }
      return { line, character: left };
    },
  };
}

function sum(insertions: readonly Insertion[]): number {
  return insertions.reduce((total, { length }) => total + length, 0);
}
