/**
 * Properties with the keyword `accessor`, which V8 does not read. What is bundled loses them together with its decorators,
 * so each that has none gets one that does nothing.
 *
 * @module
 */
import { parseSync, Visitor } from "oxc-parser";

const DECORATOR = "@((v)=>v) ";

/** The same code, on the same lines. */
export function decorateAccessors(path: string, code: string): string {
  // JavaScript is bundled as it is written.
  if (!/\.[cm]?tsx?$/.test(path) || !/\baccessor\b/.test(code)) return code;
  const starts: number[] = [];
  const visitor = new Visitor({
    AccessorProperty({ start, decorators }) {
      if (decorators.length === 0) starts.push(start);
    },
  });
  visitor.visit(parseSync(path, code, { sourceType: "module" }).program);
  return starts.sort((a, b) => b - a)
    .reduce((text, start) => `${text.slice(0, start)}${DECORATOR}${text.slice(start)}`, code);
}
