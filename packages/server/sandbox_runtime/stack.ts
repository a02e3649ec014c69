/**
 * Stacks as the author of a function wants them: his files and lines, without the frames of the harness.
 *
 * @module
 */
import { BUNDLE_NAME } from "./bundle.ts";
import type { SourceOf } from "./code_frame.ts";

const HARNESS = /(^|\()(ext:|node:)|\/(?:sandbox_runtime|_built_in)\/[a-z_]+\.[jt]s:\d+:\d+\)?$/;
const IN_BUNDLE = new RegExp(`${BUNDLE_NAME}:(\\d+):(\\d+)`);
const MAP_COMMENT = "\n//# sourceMappingURL=data:application/json;base64,";

/** A bundle as it is stored: its code, and behind it where each piece of it came from. */
export function splitSourceMap(bundle: string): { readonly code: string; readonly sourceMap: string | undefined } {
  const at = bundle.lastIndexOf(MAP_COMMENT);
  if (at < 0) return { code: bundle, sourceMap: undefined };
  return { code: bundle.slice(0, at), sourceMap: bundle.slice(at + MAP_COMMENT.length).trimEnd() };
}

/** Where something stands in the user's source; lines and columns count from 1. */
interface Origin {
  readonly fileName?: string;
  readonly lineNumber?: number;
  readonly columnNumber?: number;
}

/**
 * Makes every stack in this process one of the user's source. It is written when somebody reads it for the first time,
 * so an error that nobody looks at costs nothing, and neither does the map.
 *
 * @param sourceMap base64 of its JSON
 */
export function showUserStacks(sourceMap: string | undefined): void {
  let read: SourceMapReader | undefined;
  const reader = () => read ??= sourceMap === undefined ? NO_MAP : readMap(sourceMap);
  sourceOfFile = (file) => reader().sourceOf(file);

  function originOf(line: number, column: number): Origin {
    return reader().originOf(line, column);
  }
  function frameOf(site: NodeJS.CallSite): string {
    const text = String(site);
    const place = IN_BUNDLE.exec(text);
    if (place === null) return text;
    const { fileName, lineNumber, columnNumber } = originOf(Number(place[1]), Number(place[2]));
    return fileName === undefined ? text : text.replace(place[0], `${fileName}:${lineNumber}:${columnNumber}`);
  }
  Object.defineProperty(Error, "prepareStackTrace", {
    value(error: unknown, sites: readonly NodeJS.CallSite[]): string {
      const frames = sites.map(frameOf).filter((frame) => !HARNESS.test(frame));
      return [headOf(error), ...frames].join("\n    at ");
    },
    writable: true,
    configurable: true,
    enumerable: false,
  });
}

interface SourceMapReader {
  originOf(line: number, column: number): Origin;
  sourceOf: SourceOf;
}

const NO_MAP: SourceMapReader = { originOf: () => ({}), sourceOf: () => undefined };
let sourceOfFile: SourceOf = () => undefined;

/** The source of one of the function's own files. */
export function ownSource(file: string): string | undefined {
  return sourceOfFile(file);
}

function readMap(sourceMap: string): SourceMapReader {
  // Not imported above: it takes 40 ms, which most sandboxes never need.
  const { SourceMap } = process.getBuiltinModule("node:module");
  const payload = JSON.parse(new TextDecoder().decode(Uint8Array.fromBase64(sourceMap)));
  const map = new SourceMap(payload);
  const { sources, sourcesContent = [] }: { sources: string[]; sourcesContent?: (string | null)[] } = payload;
  return {
    originOf: (line, column) => map.findOrigin(line, column) as Origin,
    sourceOf: (file) => sourcesContent[sources.indexOf(file)] ?? undefined,
  };
}

function headOf(error: unknown): string {
  try {
    return Error.prototype.toString.call(error);
  } catch {
    return "Error";
  }
}
