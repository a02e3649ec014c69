/**
 * How the text of a file is read, by the end of its name.
 *
 * @module
 */
import { css } from "@codemirror/lang-css";
import { html } from "@codemirror/lang-html";
import { javascript } from "@codemirror/lang-javascript";
import { json } from "@codemirror/lang-json";
import { markdown } from "@codemirror/lang-markdown";
import type { Extension } from "@codemirror/state";

export function languageOf(path: string): Extension {
  const ending = /\.([a-z]+)$/.exec(path)?.[1] ?? "";
  if (/^[cm]?[jt]sx?$/.test(ending)) {
    return javascript({ typescript: /^[cm]?ts/.test(ending), jsx: ending.endsWith("x") });
  }
  switch (ending) {
    case "json":
    case "jsonc":
      return json();
    case "css":
      return css();
    case "html":
    case "svg":
    case "xml":
      return html();
    case "md":
      return markdown();
    default:
      return [];
  }
}
