/**
 * What a new function may begin with: a few lines, or one of the tested examples of the repository.
 *
 * @module
 */
declare global {
  interface ImportMeta {
    /** Of Vite: the texts of all files that fit. */
    glob(pattern: string, options: { query: "?raw"; import: "default"; eager: true }): Readonly<Record<string, string>>;
  }
}

export interface Template {
  readonly id: string;
  readonly title: string;
  readonly about: string;
  readonly code: string;
}

const EXAMPLES = import.meta.glob("../../../../../examples/*/index.ts", {
  query: "?raw",
  import: "default",
  eager: true,
});

const HELLO = `/**
 * @fluxbase:description Says hello
 */
async function handler(req) {
  const { name = "World" } = JSON.parse(req.body || "{}");
  console.log("Hello", name);
  return {
    status: 200,
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ message: \`Hello \${name}!\` }),
  };
}
`;

const FETCH = `export default async function handler(req: Request): Promise<Response> {
  const { pathname, searchParams } = new URL(req.url);
  return Response.json({ method: req.method, path: pathname, query: Object.fromEntries(searchParams) });
}
`;

/** As they are written. */
const WORDS: Readonly<Record<string, string>> = {
  api: "API",
  github: "GitHub",
  mcp: "MCP",
  og: "OG",
  openai: "OpenAI",
  pdf: "PDF",
  rss: "RSS",
};

export const TEMPLATES: readonly Template[] = [
  { id: "hello", title: "Hello", about: "Reads JSON, answers with JSON.", code: HELLO },
  { id: "request", title: "Request and Response", about: "A handler of the web's own objects.", code: FETCH },
  ...Object.entries(EXAMPLES).map(([path, code]) => exampleOf(path, code)),
];

function exampleOf(path: string, code: string): Template {
  const id = path.split("/").at(-2) ?? path;
  const title = id.split("-").map((word) => WORDS[word] ?? word).join(" ");
  const head = /^\/\*\*\n((?: \*.*\n)+)/.exec(code)?.[1] ?? "";
  const words = head.split("\n").map((line) => line.replace(/^ \* ?/, "")).filter((line) => !line.startsWith("@"));
  const about = /^[^]*?[.:](?=\s|$)/.exec(words.join(" ").trim())?.[0].replace(/:$/, ".") ?? "";
  return { id, title: title.charAt(0).toUpperCase() + title.slice(1), about, code };
}
