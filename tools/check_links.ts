/**
 * Checks that every relative link in the project's Markdown leads to a file, and to a heading where it names one.
 *
 * @module
 */
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const SKIPPED: ReadonlySet<string> = new Set(["node_modules", ".git", ".fluxbase", "dist"]);

function* pages(dir: string): Generator<string> {
  for (const { name, isDirectory } of Deno.readDirSync(dir)) {
    if (SKIPPED.has(name)) continue;
    const path = join(dir, name);
    if (isDirectory) yield* pages(path);
    else if (name.endsWith(".md")) yield path;
  }
}

/** As GitHub names the anchors of headings. */
function anchorsOf(text: string): Set<string> {
  const headings = [...text.matchAll(/^#{1,6} +(.+)$/gm)].map(([, title = ""]) => title);
  return new Set(
    headings.map((title) =>
      title.toLowerCase().replaceAll(/\[([^\]]*)\]\([^)]*\)/g, "$1").replaceAll(/[^\p{L}\p{N}\s_-]/gu, "").trim()
        .replaceAll(" ", "-")
    ),
  );
}

function withoutCode(text: string): string {
  return text.replaceAll(/^```[^]*?^```/gm, "").replaceAll(/`[^`\n]*`/g, "");
}

function problemWith(page: string, link: string): string | undefined {
  const [path = "", anchor] = link.split("#");
  const file = path === "" ? page : resolve(dirname(page), decodeURI(path));
  const { isFile, isDirectory } = statOf(file);
  if (!isFile && !isDirectory) return "there is no such file";
  if (anchor === undefined || !isFile || !file.endsWith(".md")) return undefined;
  return anchorsOf(Deno.readTextFileSync(file)).has(anchor) ? undefined : "there is no such heading";
}

function statOf(path: string): { readonly isFile: boolean; readonly isDirectory: boolean } {
  try {
    return Deno.statSync(path);
  } catch {
    return { isFile: false, isDirectory: false };
  }
}

const problems = [...pages(ROOT)].flatMap((page) =>
  [...withoutCode(Deno.readTextFileSync(page)).matchAll(/\]\(([^()\s]+)\)/g)].flatMap(([, link = ""]) => {
    if (/^[a-z]+:/.test(link)) return [];
    const problem = problemWith(page, link);
    return problem === undefined ? [] : [`${relative(ROOT, page)}: link to "${link}": ${problem}\n`];
  })
);
for (const problem of problems) Deno.stderr.writeSync(new TextEncoder().encode(problem));
Deno.exit(problems.length === 0 ? 0 : 1);
