/**
 * The reference of the API as a page for people, made from the OpenAPI document: no scripts, nothing from elsewhere.
 *
 * @module
 */
export interface Parameter {
  readonly name: string;
  readonly in: string;
}

/** By media type. */
export type Content = Readonly<Record<string, { readonly schema?: unknown }>>;

export interface Operation {
  readonly summary: string;
  readonly description: string;
  readonly parameters: readonly Parameter[];
  readonly requestBody?: { readonly required: boolean; readonly content: Content };
  readonly responses: Readonly<Record<string, { readonly description: string; readonly content?: Content }>>;
}

/** The parts of the document that are shown. */
export interface ShownDocument {
  readonly info: { readonly title: string; readonly version: string };
  readonly servers: readonly { readonly url: string }[];
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
}

export const PAGE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'";

const STYLE = `
  body { font: 15px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 60rem; padding: 1rem; color-scheme: light dark; }
  code, pre { font-family: ui-monospace, monospace; font-size: 13px; }
  pre { overflow-x: auto; padding: .5rem; border: 1px solid #8884; border-radius: 4px; }
  details { border-bottom: 1px solid #8884; padding: .3rem 0; }
  summary { cursor: pointer; }
  summary b { display: inline-block; min-width: 4.5rem; }
  nav { columns: 3; } h2 { margin-top: 2rem; }
`;

export function referencePage({ info, servers, paths }: ShownDocument): string {
  const groups = Map.groupBy(Object.entries(paths), ([path]) => groupOf(path));
  const names = [...groups.keys()].sort();
  const links = names.map((name) => `<a href="#${escaped(name)}">${escaped(name)}</a>`).join("<br>");
  const sections = names.map((name) =>
    `<h2 id="${escaped(name)}">${escaped(name)}</h2>${(groups.get(name) ?? []).map(pathHtml).join("")}`
  );
  return `<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>${escaped(info.title)}</title>
<style>${STYLE}</style>
<h1>${escaped(info.title)} ${escaped(info.version)}</h1>
<p>Every route of <code>${
    escaped(servers[0]?.url ?? "")
  }</code>. For programs: <a href="/openapi.json">openapi.json</a>.
Send a credential as <code>Authorization: Bearer …</code> or <code>apikey: …</code>.</p>
<nav>${links}</nav>${sections.join("")}</html>`;
}

/** The first word of a path behind its prefix; with `admin` before it, the second as well. */
function groupOf(path: string): string {
  const parts = path.replace(/^\/api\/v1/, "").split("/").filter((part) => part !== "" && !part.startsWith("{"));
  return parts.slice(0, parts[0] === "admin" ? 2 : 1).join("/") || "/";
}

function pathHtml([path, operations]: [string, Readonly<Record<string, Operation>>]): string {
  return Object.entries(operations).map(([method, operation]) => {
    const { summary, description, parameters, requestBody, responses } = operation;
    const query = parameters.filter((one) => one.in === "query").map(({ name }) => `<code>${escaped(name)}</code>`);
    const [[status, answer] = ["", { description: "" }]] = Object.entries(responses);
    return `<details><summary><b>${escaped(method.toUpperCase())}</b> <code>${escaped(path)}</code> ${
      escaped(summary)
    }</summary>
<p>${escaped(description)}.</p>${query.length === 0 ? "" : `<p>Query: ${query.join(", ")}</p>`}${
      schemaHtml("Body", requestBody?.content)
    }${schemaHtml(`Answer ${status}`, answer.content)}</details>`;
  }).join("");
}

function schemaHtml(title: string, content: Content = {}): string {
  const schema = content["application/json"]?.schema;
  return schema === undefined ? "" : `<p>${escaped(title)}</p><pre>${escaped(JSON.stringify(schema, null, 2))}</pre>`;
}

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

function escaped(text: string): string {
  return text.replaceAll(/[&<>"']/g, (letter) => ENTITIES[letter] ?? letter);
}
