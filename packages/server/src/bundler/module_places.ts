/**
 * Gives each module of a bundle the place that it had before they became one: `import.meta`, `__dirname` and
 * `require.resolve` say where it lies in the function's folder, or in `/npm/name@version/`. By these, modules find files
 * beside them, which travel in the bundle (./static_files.ts).
 *
 * Lines stay where they are, so that the source map holds.
 *
 * @module
 */
import { dirname } from "node:path/posix";

export interface Placed {
  readonly code: string;
  /** The text of the modules of each package that look for files beside them, by the package's folder in `/npm/`. */
  readonly seekers: ReadonlyMap<string, string>;
  /** Characters by package; those of the function's own under its own name. */
  readonly sizes: ReadonlyMap<string, number>;
}

const OWN = "own files";
const HELPER = "$fluxbasePlace";
/** What asks for the place. */
const META = /\bimport\.meta\b/g;
const RESOLVE = /\b__require\.resolve\(/g;
const COMMON = /__(?:dir|file)name\b/;
const PACKAGE = /^npm\/((?:@[^/]+\/)?[^/]+)\//;
/** Written on one line: it stands in front of the first one. */
const HELPER_CODE =
  `const ${HELPER} = (url) => { const path = (to) => decodeURIComponent(new URL(to, url).pathname); ` +
  `return { url, main: false, filename: path(""), dirname: path(".").replace(/(.)\\/$/, "$1"), ` +
  `resolve: (to) => /^\\.{0,2}\\//.test(to) ? new URL(to, url).href : to, path: (to) => /^\\.{1,2}\\//.test(to) ? path(to) : to }; }; `;

/**
 * @param sources of the source map: the paths in the comments that the tool writes before each module
 * @param placeOf the path from the root of what a function sees; undefined for what has none
 */
export function placeModules(
  code: string,
  { sources, placeOf }: { readonly sources: readonly string[]; placeOf(source: string): string | undefined },
): Placed {
  const known = new Set(sources);
  // Packages may have source maps of their own, and then other names in ours.
  const isKnown = (path: string) => known.has(path) || placeOf(path)?.startsWith("npm/") === true;
  const seekers = new Map<string, string>();
  const sizes = new Map<string, number>();
  const declared: string[] = [];
  const parts: string[] = [];
  let isPlaced = false;
  for (const [source, text] of regionsOf(code, isKnown)) {
    const place = source === undefined ? undefined : placeOf(source);
    const folder = PACKAGE.exec(place ?? "")?.[1];
    const owner = folder === undefined ? OWN : `npm:${folder}`;
    sizes.set(owner, (sizes.get(owner) ?? 0) + text.length);
    const asks = COMMON.test(text) || text.search(META) >= 0 || text.search(RESOLVE) >= 0;
    if (source === undefined || place === undefined || !asks) {
      parts.push(text);
      continue;
    }
    if (folder !== undefined) seekers.set(folder, (seekers.get(folder) ?? "") + text);
    // Beside the entry the runtime says it.
    const isEntryFolder = !place.includes("/") && !COMMON.test(text);
    parts.push(isEntryFolder ? text : placed(text, { source, place, declared }));
    isPlaced ||= !isEntryFolder;
  }
  return { code: isPlaced ? HELPER_CODE + declared.join("") + parts.join("") : code, seekers, sizes };
}

/** What stands before the first module has no source. */
function* regionsOf(
  code: string,
  isKnown: (path: string) => boolean,
): Generator<[source: string | undefined, text: string]> {
  let [start, source]: [number, string | undefined] = [0, undefined];
  for (const { 1: path = "", index } of code.matchAll(/^[ \t]*\/\/ (\S[^\n]*)$/gm)) {
    if (!isKnown(path)) continue;
    yield [source, code.slice(start, index)];
    [start, source] = [index, path];
  }
  yield [source, code.slice(start)];
}

interface Region {
  readonly source: string;
  readonly place: string;
  /** What is to stand at the top of the bundle; grows. */
  readonly declared: string[];
}

function placed(text: string, { source, place, declared }: Region): string {
  const url = JSON.stringify(new URL(`/${place}`, "file:///").href);
  const name = `${HELPER}${declared.length}`;
  const changed = text.replaceAll(META, name).replaceAll(RESOLVE, `${name}.path(`);
  if (changed !== text) declared.push(`const ${name} = ${HELPER}(${url}); `);
  if (!COMMON.test(text)) return changed;
  const paths = { __filename: `/${place}`, __dirname: dirname(`/${place}`) };
  const declaration = Object.entries(paths).map(([one, path]) => `${one} = ${JSON.stringify(path)}`).join(", ");
  // How the tool wraps a module of CommonJS.
  const wrapper = changed.split("\n").find((line) =>
    line.startsWith(`  ${JSON.stringify(source)}(`) && line.endsWith("{")
  );
  if (wrapper !== undefined) return changed.replace(wrapper, () => `${wrapper} var ${declaration};`);
  // Code for bundlers, of which some write the names of CommonJS into modules.
  return Object.entries(paths).reduce((result, [one, path]) => {
    const isItsOwn = new RegExp(`\\b(?:var|let|const) ${one}\\b`).test(result);
    if (isItsOwn || !result.includes(one)) return result;
    const constant = `${name}${one}`;
    declared.push(`const ${constant} = ${JSON.stringify(path)}; `);
    return result.replaceAll(new RegExp(`\\b${one}\\b`, "g"), constant);
  }, changed);
}
