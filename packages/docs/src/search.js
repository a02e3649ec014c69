/** The search field of every page. The index is read when somebody begins to type. */
import MiniSearch from "minisearch";
import { SEARCH_OPTIONS } from "./search_options.js";

const RESULTS_MAX_COUNT = 12;
const EXCERPT_CHARACTERS = 140;
const root = document.querySelector("meta[name=root]").content;
const field = document.querySelector("#search");
const results = document.querySelector("#results");
let index;
if (matchMedia("(max-width: 46rem)").matches) document.querySelector(".contents details").open = false;

function load() {
  return index ??= fetch(`${root}assets/search.json`).then((response) => response.text())
    .then((text) => MiniSearch.loadJSON(text, SEARCH_OPTIONS));
}

async function show() {
  const query = field.value.trim();
  const found = query === "" ? [] : (await load()).search(query).slice(0, RESULTS_MAX_COUNT);
  if (query !== field.value.trim()) return;
  results.replaceChildren(...found.map((one) => item(one, query)));
  if (found.length === 0 && query !== "") {
    results.append(Object.assign(document.createElement("li"), { textContent: "Nothing found" }));
  }
  results.hidden = query === "";
}

function item({ id, page, title, text, terms }) {
  const link = document.createElement("a");
  const [place, anchor] = id.split("#");
  link.href = root + (place === "index" ? "" : place) + (anchor === "" ? "" : `#${anchor}`);
  const name = document.createElement("b");
  name.textContent = title === page || title === "" ? page : `${page}: ${title}`;
  const excerpt = document.createElement("span");
  excerpt.textContent = excerptOf(text, terms);
  link.append(name, excerpt);
  const entry = document.createElement("li");
  entry.append(link);
  return entry;
}

function excerptOf(text, terms) {
  const lower = text.toLowerCase();
  const at = Math.max(0, Math.min(...terms.map((term) => lower.indexOf(term)).filter((one) => one >= 0), text.length));
  const from = at === text.length ? 0 : Math.max(0, at - 40);
  return `${from > 0 ? "…" : ""}${text.slice(from, from + EXCERPT_CHARACTERS).replaceAll(/\s+/g, " ")}`;
}

field.addEventListener("focus", load, { once: true });
field.addEventListener("input", show);
document.addEventListener("keydown", (event) => {
  const links = [...results.querySelectorAll("a")];
  const at = links.indexOf(document.activeElement);
  if (event.key === "/" && document.activeElement === document.body) field.focus();
  else if (event.key === "Escape" && !results.hidden) {
    field.value = "";
    results.hidden = true;
    field.focus();
  } else if (event.key === "ArrowDown" && !results.hidden) links[Math.min(at + 1, links.length - 1)]?.focus();
  else if (event.key === "ArrowUp" && at >= 0) (links[at - 1] ?? field).focus();
  else if (event.key === "Enter" && document.activeElement === field) links[0]?.click();
  else return;
  event.preventDefault();
});
document.addEventListener("click", ({ target }) => {
  if (!results.contains(target) && target !== field) results.hidden = true;
});
