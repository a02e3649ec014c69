/**
 * Writes docs/settings.md from the table of settings; with --check, fails when the page is out of date.
 *
 * @module
 */
import type { Setting } from "../packages/server/src/config/setting.ts";
import { ALL_SETTINGS } from "../packages/server/src/config/settings.ts";

const PAGE = new URL("../docs/settings.md", import.meta.url);
const INTRODUCTION = `# Settings

The server reads its settings from the environment and from a file \`fluxbase.yaml\` in the folder where it is started;
the environment wins. Everything is checked at start, and every problem is reported at once. A secret may also come as a
file: \`DATABASE_URL_FILE=/run/secrets/database_url\` is \`DATABASE_URL\` with what stands in that file.

This page is generated from \`packages/server/src/config/\` by \`npm run docs\`.

| Environment | In fluxbase.yaml | Default | It must be | What it is for |
|---|---|---|---|---|
`;

function rowOf({ env, yaml, default: value, parser, about, isSecret }: Setting<unknown>): string {
  const shown = value === null ? "" : `\`${value}\``;
  return `| \`${env}\`${isSecret ? " (secret)" : ""} | \`${yaml}\` | ${shown} | ${parser.expected} | ${about} |\n`;
}

const page = INTRODUCTION + ALL_SETTINGS.map(rowOf).join("");
if (Deno.args.includes("--check")) {
  const isCurrent = await Deno.readTextFile(PAGE).catch(() => "") === page;
  if (!isCurrent) {
    Deno.stderr.writeSync(new TextEncoder().encode("docs/settings.md is out of date: run `npm run docs`\n"));
  }
  Deno.exit(isCurrent ? 0 : 1);
}
await Deno.writeTextFile(PAGE, page);
