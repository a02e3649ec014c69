/**
 * What a new function may begin with: a few lines, or one of the tested examples of the repository.
 *
 * @module
 */
declare global {
  interface ImportMeta {
    /** Of Vite: the texts of all files that fit. */
    glob(
      patterns: readonly string[],
      options: { query: "?raw"; import: "default"; eager: true },
    ): Readonly<Record<string, string>>;
  }
}

export interface Template {
  readonly id: string;
  readonly title: string;
  readonly about: string;
  /** Variables of the environment and tables that it works with. */
  readonly needs: string | null;
  readonly code: string;
}

const EXAMPLES = import.meta.glob(["../../../../../examples/*/index.ts", "../../../../../examples/functions/*.ts"], {
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
  { id: "hello", title: "Hello", about: "Reads JSON, answers with JSON.", needs: null, code: HELLO },
  {
    id: "request",
    title: "Request and Response",
    about: "A handler of the web's own objects.",
    needs: null,
    code: FETCH,
  },
  ...Object.entries(EXAMPLES).map(([path, code]) => exampleOf(path, code)),
];

function exampleOf(path: string, code: string): Template {
  const id = (path.endsWith("/index.ts") ? path.split("/").at(-2) : /([^/]+)\.ts$/.exec(path)?.[1]) ?? path;
  const title = id.split(/[-_]/).map((word) => WORDS[word] ?? word).join(" ");
  // What stands before the code, paragraph by paragraph.
  const head = /^(?:(?:\/\*\*|\/\/| \*).*\n)+/.exec(code)?.[0] ?? "";
  const lines = head.split("\n").map((line) => line.replace(/^(?:\/\*\*| \*\/?|\/\/) ?/, ""));
  const paragraphs = lines.join("\n").split(/\n\s*\n/).map((one) => one.replaceAll("\n", " ").trim());
  const about = /^[^@][^]*?[.:](?=\s|$)/.exec(paragraphs[0] ?? "")?.[0].replace(/:$/, ".");
  return {
    id,
    title: title.charAt(0).toUpperCase() + title.slice(1),
    about: about ?? /@fluxbase:description (.*)/.exec(head)?.[1] ?? "",
    needs: paragraphs.find((one) => /^(?:Environment|Table): /.test(one)) ?? null,
    code,
  };
}
