/**
 * Files as Node and the tools around it name them: without their ending, by their folder, and `./x.js` for `x.ts`.
 *
 * @module
 */
import { join } from "node:path/posix";

const ADDED = [".ts", ".tsx", ".js", ".jsx", ".mjs", ".cjs", ".json"];
const INDEXES = [".ts", ".tsx", ".js", ".jsx", ".mjs", ".cjs", ".json"].map((ending) => `/index${ending}`);

/** The key of `files` that `path` means. */
export function loosePath(path: string, files: Readonly<Record<string, string>>): string | undefined {
  const stem = path.replace(/\/$/, "");
  const candidates = [
    stem,
    ...ADDED.map((ending) => `${stem}${ending}`),
    ...stem.endsWith(".js") ? [`${stem.slice(0, -3)}.ts`, `${stem.slice(0, -3)}.tsx`] : [],
    ...mainOf(stem, files),
    ...INDEXES.map((index) => `${stem}${index}`),
  ];
  return candidates.find((candidate) => Object.hasOwn(files, candidate));
}

function mainOf(folder: string, files: Readonly<Record<string, string>>): string[] {
  try {
    const { main } = JSON.parse(files[`${folder}/package.json`] ?? "{}");
    return typeof main === "string" ? [join(folder, main), join(folder, `${main}.js`)] : [];
  } catch {
    return [];
  }
}
