/**
 * The page of limits, from their table.
 *
 * @module
 */
import { LIMITS } from "../packages/contract/mod.ts";
import { LIMIT_SETTINGS } from "../packages/server/src/config/settings.ts";
import { code, generatedFrom, table } from "./markdown.ts";

const UNITS: Readonly<Record<string, string>> = {
  Ms: "ms",
  Sec: "s",
  Bytes: "bytes",
  MiB: "MiB",
  Count: "",
  Percent: "%",
  BytesPerSec: "bytes/s",
};
const UNIT = /(BytesPerSec|Ms|Sec|Bytes|MiB|Count|Percent)$/;

export function limitsPage(): string {
  const rows = Object.entries(LIMIT_SETTINGS).map(([key, { env, about }]) => {
    const { default: value, min, max } = LIMITS[key as keyof typeof LIMITS];
    const unit = UNITS[UNIT.exec(key)?.[1] ?? ""] ?? "";
    const shown = (number: number) => `${number.toLocaleString("en")} ${unit}`.trim();
    return [code(env), shown(value), `${min.toLocaleString("en")} to ${shown(max)}`, about];
  });
  return `# Limits

Each limit is a setting of the server. \`GET /limits\` and \`npx fluxbase limits\` show the values of a running server.
A function may set its own time, memory and response size ([Settings of a function](function-settings.md)).

${generatedFrom("packages/contract/src/limits.ts")}
${table(["Setting", "Default", "Bounds", "What it limits"], rows)}`;
}
