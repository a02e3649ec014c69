/**
 * Builds the documentation into `dist/`: a page for each Markdown file, an index for the search, and the API reference.
 *
 * Plain JavaScript for Node, because `npm start` runs it before anything else is there.
 *
 * @module
 */
import { copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { buildOnce } from "../../tools/build_once.mjs";

const HERE = dirname(fileURLToPath(import.meta.url));
const ROOT = join(HERE, "../..");
const DIST = join(HERE, "dist");
/** Its sections and links are the navigation. */
const CONTENTS = "docs/README.md";
/** Pages that lie elsewhere, and what they are called. */
const ELSEWHERE = {
  "packages/sdk/README.md": "sdk",
  "examples/README.md": "examples",
  "ARCHITECTURE.md": "architecture",
  "CHANGELOG.md": "changelog",
  "SECURITY.md": "security",
};
const SOURCES = [
  "packages/docs/build.mjs",
  "packages/docs/package.json",
  "packages/docs/src",
  "tools/build_once.mjs",
  "docs",
  ...Object.keys(ELSEWHERE),
];

/** Resolves with whether it had to build. @throws what is wrong with a page */
export function buildDocs() {
  return buildOnce(DIST, SOURCES, build);
}

async function build(dist) {
  const [{ Marked }, { default: MiniSearch }, { SEARCH_OPTIONS }] = await Promise.all([
    import("marked"),
    import("minisearch"),
    import("./src/search_options.js"),
  ]);
  const highlight = await highlighter();
  const marked = new Marked();
  const places = new Map([
    ...filesBelow("docs").filter((path) => path.endsWith(".md")).map((path) => [path, placeOf(path)]),
    ...Object.entries(ELSEWHERE),
  ]);
  const contents = contentsOf(marked, places);
  const index = new MiniSearch(SEARCH_OPTIONS);
  const listed = new Set(contents.flatMap(({ links }) => links.map(({ place }) => place)));
  for (const [path, place] of places) {
    const { html, title, sections } = pageOf(path);
    write(join(dist, `${place}.html`), frame({ place, title, html, sections }));
    // Pages for developers are there, since others lead to them; the contents and the search are for users.
    if (!isForDevelopers(path)) {
      if (!listed.has(place) && place !== "index") throw new Error(`${path} is missing in ${CONTENTS}`);
      index.addAll(sections.map((section) => ({ ...section, id: `${place}#${section.anchor}`, page: title })));
    }
  }
  write(join(dist, "assets/search.json"), JSON.stringify(index));
  for (const name of readdirSync(join(HERE, "src"))) {
    if (!/\.(js|css)$/.test(name)) continue;
    const text = readFileSync(join(HERE, "src", name), "utf8");
    write(join(dist, "assets", name), text.replace('from "minisearch"', 'from "./minisearch.js"'));
  }
  copy(fileURLToPath(import.meta.resolve("minisearch")), join(dist, "assets/minisearch.js"));
  for (const path of filesBelow("docs/images")) copy(join(ROOT, path), join(dist, relative("docs", path)));
  copy(join(HERE, "src/api.html"), join(dist, "api.html"));
  write(join(dist, "assets/scalar.js"), await scalarScript());

  /** A page's HTML, its title, and its sections as texts to search in. */
  function pageOf(path) {
    const place = places.get(path);
    const sections = [{ anchor: "", title: "", text: "" }];
    const seen = new Map();
    const renderer = {
      heading({ tokens, depth, text }) {
        const words = plain(text);
        const anchor = anchorOf(words, seen);
        if (depth === 1) sections[0].title ||= words;
        else sections.push({ anchor, title: words, text: "", depth });
        return `<h${depth} id="${anchor}"><a class="anchor" href="#${anchor}">${
          this.parser.parseInline(tokens)
        }</a></h${depth}>\n`;
      },
      link({ href, tokens }) {
        const words = this.parser.parseInline(tokens);
        const to = hrefOf(path, href);
        return to === undefined ? words : `<a href="${escaped(to)}">${words}</a>`;
      },
      image({ href, text }) {
        return `<img src="${escaped(rootOf(place) + relative("docs", join(dirname(path), href)))}" alt="${
          escaped(text)
        }">`;
      },
      code({ text, lang = "" }) {
        const language = lang.split(/[\s,]/)[0];
        return `<pre><code data-language="${escaped(language)}">${highlight(text, language)}</code></pre>\n`;
      },
      table(token) {
        const cells = (row, tag) =>
          row.map(({ tokens }) => `<${tag}>${this.parser.parseInline(tokens)}</${tag}>`).join("");
        const rows = token.rows.map((row) => `<tr>${cells(row, "td")}</tr>`).join("\n");
        return `<div class="table"><table><thead><tr>${
          cells(token.header, "th")
        }</tr></thead><tbody>\n${rows}</tbody></table></div>\n`;
      },
      html({ text }) {
        return text.startsWith("<!--") ? "" : escaped(text);
      },
    };
    const text = readFileSync(join(ROOT, path), "utf8");
    const html = new Marked({ renderer }).parse(text);
    // What stands below each heading, as words.
    let at = 0;
    for (const token of marked.lexer(text)) {
      if (token.type === "heading") at += token.depth === 1 ? 0 : 1;
      else sections[at].text += `${plain(token.raw)}\n`;
    }
    return { html, title: sections[0].title || path, sections };
  }

  /** Undefined: it leads out of the documentation, to a file of the repository. */
  function hrefOf(from, href) {
    if (/^[a-z]+:|^#/.test(href)) return href;
    const [file, anchor] = href.split("#");
    const to = relative(ROOT, resolve(ROOT, dirname(from), file));
    const place = places.get(to) ?? places.get(`${to}/README.md`);
    if (place === undefined) return undefined;
    return rootOf(places.get(from)) + (place === "index" ? "" : place) + (anchor === undefined ? "" : `#${anchor}`) ||
      "./";
  }

  function frame({ place, title, html, sections }) {
    const root = rootOf(place);
    const link = ({ place: to, text }) =>
      `<li><a href="${to === "index" ? root : root + to}"${to === place ? ' aria-current="page"' : ""}>${
        escaped(text)
      }</a></li>`;
    const nav = contents.map(({ title, links }) => `<h2>${escaped(title)}</h2><ul>${links.map(link).join("")}</ul>`)
      .join("");
    const below = sections.filter(({ depth }) => depth === 2);
    const toc = below.length < 2
      ? ""
      : `<nav class="toc" aria-label="On this page"><h2>On this page</h2><ul>${
        below.map(({ anchor, title }) => `<li><a href="#${anchor}">${escaped(title)}</a></li>`).join("")
      }</ul></nav>`;
    return readFileSync(join(HERE, "src/page.html"), "utf8")
      .replaceAll("{root}", root)
      .replace("{title}", escaped(title))
      .replace("{nav}", () => nav)
      .replace("{toc}", () => toc)
      .replace("{page}", () => html);
  }
}

/** Sections of the table of contents, each with its links. */
function contentsOf(marked, places) {
  const sections = [];
  for (const token of marked.lexer(readFileSync(join(ROOT, CONTENTS), "utf8"))) {
    if (token.type === "heading" && token.depth === 2) sections.push({ title: plain(token.text), links: [] });
    if (token.type !== "list") continue;
    for (const [, text, href] of token.raw.matchAll(/\[([^\]]+)\]\(([^)]+)\)/g)) {
      const place = places.get(relative(ROOT, resolve(ROOT, "docs", href)));
      if (place !== undefined) sections.at(-1)?.links.push({ place, text: plain(text) });
    }
  }
  sections.find(({ title }) => title === "Reference")?.links.push({ place: "api", text: "HTTP API" });
  return sections;
}

/** The script that the package carries, as it would hand it to its server. */
async function scalarScript() {
  const { default: register } = await import("@scalar/fastify-api-reference");
  let handler;
  const server = {
    route: (route) => route.url.endsWith(".js") && (handler = route.handler),
    log: { warn() {} },
  };
  register(server, { routePrefix: "/api", configuration: { url: "openapi.json" } }, () => {});
  let script;
  const reply = { header: () => reply, send: (text) => void (script = text) };
  handler?.({}, reply);
  if (typeof script !== "string") throw new Error("Cannot find the script in @scalar/fastify-api-reference");
  return script;
}

async function highlighter() {
  const [{ classHighlighter, highlightTree }, { parser }] = await Promise.all([
    import("@lezer/highlight"),
    import("@lezer/javascript"),
  ]);
  const typescript = parser.configure({ dialect: "ts" });
  const parsers = { ts: typescript, js: typescript, tsx: parser.configure({ dialect: "ts jsx" }), json: typescript };
  return (text, language) => {
    const parser = parsers[language];
    if (parser === undefined) return escaped(text);
    let html = "";
    let at = 0;
    highlightTree(parser.parse(text), classHighlighter, (from, to, classes) => {
      html += `${escaped(text.slice(at, from))}<span class="${classes}">${escaped(text.slice(from, to))}</span>`;
      at = to;
    });
    return html + escaped(text.slice(at));
  };
}

function isForDevelopers(path) {
  return path.startsWith("docs/decisions/") || path === "ARCHITECTURE.md";
}

function placeOf(path) {
  return relative("docs", path).replace(/(^|\/)README\.md$/, "$1index").replace(/\.md$/, "");
}

/** From a page back to where all are. */
function rootOf(place) {
  return "../".repeat(place.split("/").length - 1) || "./";
}

/** As GitHub names the anchors of headings. */
function anchorOf(words, seen) {
  const anchor = words.toLowerCase().replaceAll(/[^\p{L}\p{N}\s_-]/gu, "").trim().replaceAll(" ", "-");
  const count = seen.get(anchor) ?? 0;
  seen.set(anchor, count + 1);
  return count === 0 ? anchor : `${anchor}-${count}`;
}

/** Markdown as words. */
function plain(text) {
  return text.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, "$1").replaceAll(/^\|[ :|-]+\|$/gm, "").replaceAll(/```.*$/gm, "")
    .replaceAll(/[`*|]/g, "").replaceAll(/&amp;/g, "&");
}

function filesBelow(dir) {
  return readdirSync(join(ROOT, dir), { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => relative(ROOT, join(parentPath, name))).sort();
}

function write(path, text) {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}

function copy(from, to) {
  mkdirSync(dirname(to), { recursive: true });
  copyFileSync(from, to);
}

function escaped(text) {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
}
