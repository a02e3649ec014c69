/**
 * Writes the pages below docs/reference/ from the code; with --check, fails when one of them is out of date.
 *
 * @module
 */
import { cliPage } from "./cli_reference.ts";
import { errorsPage } from "./errors_reference.ts";
import { functionsPage } from "./functions_reference.ts";
import { limitsPage } from "./limits_reference.ts";
import { sdkPage } from "./sdk_reference.ts";
import { settingsPage } from "./settings_reference.ts";

const DIR = new URL("../docs/reference/", import.meta.url);
const PAGES: Readonly<Record<string, () => string>> = {
  "cli.md": cliPage,
  "errors.md": errorsPage,
  "function-settings.md": functionsPage,
  "limits.md": limitsPage,
  "sdk.md": sdkPage,
  "settings.md": settingsPage,
};

const isCheck = Deno.args.includes("--check");
let isCurrent = true;
for (const [name, make] of Object.entries(PAGES)) {
  const path = new URL(name, DIR);
  const page = `${make().trim()}\n`;
  if (!isCheck) await Deno.writeTextFile(path, page);
  else if (await Deno.readTextFile(path).catch(() => "") !== page) {
    isCurrent = false;
    Deno.stderr.writeSync(new TextEncoder().encode(`docs/reference/${name} is out of date: run \`npm run docs\`\n`));
  }
}
Deno.exit(isCurrent ? 0 : 1);
