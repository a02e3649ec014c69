/**
 * What all imports do alike: copying functions with the files that they reach into a functions folder, and saying of
 * each what runs as it is and what needs a change.
 *
 * @module
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, realpathSync, statSync, writeFileSync } from "node:fs";
import { basename, dirname, extname, join, relative, resolve, sep } from "node:path";
import { ENDINGS, isNoSource, isSourceFile, isSourceFolder } from "@fluxbase/contract";
import { UsageError } from "../connection.ts";

/** One line of the table. */
export interface Imported {
  readonly function: string;
  readonly shape: string;
  readonly runs: "as it is" | "after changes" | "no";
  /** What to do, one sentence each. */
  readonly changes: readonly string[];
}

export interface ImportPlan {
  /** By path from the functions folder. */
  readonly files: Map<string, string | Uint8Array>;
  readonly functions: Imported[];
  /** About the project as a whole. */
  readonly notes: string[];
}

/** Where files from outside the functions come to lie; no function, because of its name. */
const OUTSIDE = "_project";
const SCRIPT = /\.[cm]?[jt]sx?$/;
const QUOTED = /(["'])(\.{1,2}\/[^"'\n]+)\1/g;
const FILES_MAX_COUNT = 5_000;

const SHAPES: readonly (readonly [shape: string, pattern: RegExp])[] = [
  ["Deno.serve", /\bDeno\s*\.\s*serve\s*\(|\{\s*serve\s*\}\s*=\s*Deno\b/],
  [
    "std serve",
    /from\s+["'](?:https:\/\/deno\.land\/std[^"']*\/http\/server\.ts|std\/[^"']*|[^"']*http\/server[^"']*)["']/,
  ],
  ["export default { fetch }", /export\s+default\s+(?:\{|[\w$]+\s*(?:satisfies|;|$)|class\b|new\b)/m],
  ["export default function", /export\s+default\s+(?:async\s+)?(?:function|\(|[\w$]+\s*=>)/],
  ["addEventListener", /addEventListener\s*\(\s*["']fetch["']/],
  ["Node server", /\b(?:createServer|listen)\s*\(/],
  ["CommonJS", /\b(?:module\.)?exports\b/],
];

/** What code does that is not there, and what is instead. */
const ABSENT: readonly (readonly [pattern: RegExp, change: string])[] = [
  [/\bDeno\.openKv\b/, "Deno.openKv is not there: keep it in a table"],
  [/\bnew\s+Worker\s*\(/, "Workers are not there: call another function"],
  [/\bDeno\.(?:Command|run)\b|["'](?:node:)?child_process["']/, "it starts programs, and functions start none"],
  [
    /["'](?:node:)?(?:fs|fs\/promises)["']/,
    'node:fs cannot be imported: Deno.readTextFile(new URL("./name", import.meta.url)) reads files beside the code',
  ],
  [/\.storage\s*\.\s*from\s*\(/, "storage is not there: keep files with a service of objects"],
  [/\.channel\s*\(\s*["'`]/, "realtime is not there: answer with a WebSocket or server-sent events"],
  [
    /\.auth\s*\.\s*(?:signInWithOtp|signInWithOAuth|verifyOtp|mfa)\b/,
    "signing in by code, OAuth or a second factor is not there",
  ],
  [/\bSupabase\.ai\b/, "Supabase.ai is not there: call a service for models over HTTP"],
];
const REMOTE = /["']https:\/\/([^/"']+)\/[^"']*["']/g;
const KNOWN_HOSTS = new Set(["esm.sh", "deno.land", "jsr.io", "cdn.jsdelivr.net", "unpkg.com", "cdn.skypack.dev"]);

export function shapeOfCode(code: string): string {
  return SHAPES.find(([, pattern]) => pattern.test(code))?.[0] ?? "none found";
}

/** Of all code of one function. */
export function changesFor(codes: readonly string[]): string[] {
  const changes = ABSENT.filter(([pattern]) => codes.some((code) => pattern.test(code))).map(([, change]) => change);
  const hosts = new Set(
    codes.flatMap((code) =>
      [...code.matchAll(/(?:from|import)\s*\(?\s*(["']https:[^"']+["'])/g)].flatMap(([, url = ""]) =>
        [...url.matchAll(REMOTE)].map(([, host = ""]) => host)
      )
    ),
  );
  for (const host of hosts) {
    if (!KNOWN_HOSTS.has(host)) changes.push(`modules from ${host} need FLUXBASE_FUNCTIONS_IMPORT_HOSTS`);
  }
  return changes;
}

/** Every file of a folder that a function may have, from there; what is left out is told. */
export function readTree(root: string, left: (path: string) => void = () => {}): Map<string, string | Uint8Array> {
  const found = new Map<string, string | Uint8Array>();
  const read = (dir: string) => {
    for (const entry of readdirSync(dir, { withFileTypes: true })) {
      const path = join(dir, entry.name);
      if (entry.isDirectory() && isSourceFolder(entry.name)) read(path);
      if (!entry.isFile() || isNoSource(entry.name)) continue;
      if (found.size >= FILES_MAX_COUNT) throw new UsageError(`${root} has more than ${FILES_MAX_COUNT} files`);
      if (isSourceFile(entry.name)) found.set(slashes(relative(root, path)), contentOf(path));
      else left(slashes(relative(root, path)));
    }
  };
  read(root);
  return found;
}

export function contentOf(path: string): string | Uint8Array {
  return path.endsWith(".wasm") ? readFileSync(path) : readFileSync(path, "utf8");
}

/**
 * Adds to the plan what files reach outside of the functions, up to the project's root, and makes their imports lead
 * there.
 *
 * @param origins by path in the plan, where the file was
 * @param root of the project, above which nothing is taken
 */
export function takeAlong(
  plan: ImportPlan,
  origins: Map<string, string>,
  { root, inside }: { root: string; inside(path: string): string | undefined },
): void {
  const waiting = [...origins.keys()];
  for (let place = waiting.pop(); place !== undefined; place = waiting.pop()) {
    const origin = origins.get(place);
    const code = plan.files.get(place);
    if (origin === undefined || typeof code !== "string" || !SCRIPT.test(place)) continue;
    const changed = code.replaceAll(QUOTED, (whole, quote: string, specifier: string) => {
      const target = meantFile(resolve(dirname(origin), specifier));
      if (target === undefined || !isBelow(root, target)) return whole;
      const to = inside(target) ?? `${OUTSIDE}/${slashes(relative(root, target))}`;
      if (!plan.files.has(to)) {
        if (!isSourceFile(basename(target))) return whole;
        plan.files.set(to, contentOf(target));
        origins.set(to, target);
        waiting.push(to);
      }
      const path = slashes(relative(dirname(place ?? ""), to));
      return `${quote}${path.startsWith(".") ? path : `./${path}`}${quote}`;
    });
    plan.files.set(place, changed);
  }
}

/** Makes `entry` of a function's folder its `index`. */
export function makeIndex(plan: ImportPlan, name: string, entry: string): void {
  if (ENDINGS.some((ending) => entry === `index${ending}`)) return;
  const ending = ENDINGS.find((one) => one === extname(entry)) ?? ".ts";
  const from = `${name}/${entry}`;
  const index = `${name}/index${ending}`;
  const code = plan.files.get(from);
  if (code === undefined || plan.files.has(index)) return;
  if (!entry.includes("/")) {
    plan.files.delete(from);
    plan.files.set(index, code);
    return;
  }
  const hasDefault = typeof code === "string" && /export\s+default\b|as\s+default\b/.test(code);
  plan.files.set(
    index,
    hasDefault ? `export { default } from "./${entry}";\nexport * from "./${entry}";\n` : `import "./${entry}";\n`,
  );
}

/** Writes an annotation in front of a function's entry. */
export function annotate(plan: ImportPlan, name: string, annotations: readonly string[]): void {
  const index = ENDINGS.map((ending) => `${name}/index${ending}`).find((path) => plan.files.has(path));
  const code = index === undefined ? undefined : plan.files.get(index);
  if (index === undefined || typeof code !== "string" || annotations.length === 0) return;
  // Lines of their own: a schedule may hold what ends a comment.
  plan.files.set(index, `${annotations.map((one) => `// @fluxbase:${one}\n`).join("")}${code}`);
}

/** @throws {UsageError} when there is something in the way */
export function writePlan({ files }: ImportPlan, folder: string): void {
  const inTheWay = [...files.keys()].find((path) => existsSync(join(folder, path)));
  if (inTheWay !== undefined) {
    throw new UsageError(`${join(folder, inTheWay)} exists already: import into another folder with --folder`);
  }
  for (const [path, content] of files) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), content, path.endsWith(".env") ? { mode: 0o600 } : {});
  }
}

/** As bundlers find it: without its ending, by its folder, and `./x.js` for `x.ts`. */
function meantFile(path: string): string | undefined {
  const endings = ["", ...ENDINGS, ".mjs", ".cjs", ".json", ...ENDINGS.map((ending) => `/index${ending}`)];
  const others = path.endsWith(".js") ? [`${path.slice(0, -3)}.ts`, `${path.slice(0, -3)}.tsx`] : [];
  return [...endings.map((ending) => `${path}${ending}`), ...others].find(isFile);
}

export function isFile(path: string): boolean {
  return existsSync(path) && statSync(path).isFile();
}

/** Also by way of links. */
function isBelow(root: string, path: string): boolean {
  return realpathSync(path).startsWith(realpathSync(root) + sep);
}

export function slashes(path: string): string {
  return path.split(sep).join("/");
}
