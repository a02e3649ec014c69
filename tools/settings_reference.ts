/**
 * The page of the server's settings, from their table.
 *
 * @module
 */
import { ALL_SETTINGS } from "../packages/server/src/config/settings.ts";
import { code, generatedFrom, table } from "./markdown.ts";

export function settingsPage(): string {
  const rows = ALL_SETTINGS.map(({ env, yaml, default: value, parser, about, isSecret }) => [
    `${code(env)}${isSecret ? " (secret)" : ""}`,
    code(yaml),
    code(value ?? ""),
    parser.expected,
    about,
  ]);
  return `# Settings of the server

The server reads its settings from the environment and from a file \`fluxbase.yaml\` in the folder where it is started;
the environment wins. Everything is checked at start, and every problem is reported at once. A secret may also come as a
file: \`DATABASE_URL_FILE=/run/secrets/database_url\` is \`DATABASE_URL\` with the contents of that file.

${generatedFrom("packages/server/src/config/")}
${table(["Environment", "In fluxbase.yaml", "Default", "It must be", "What it is for"], rows)}`;
}
