/**
 * `fluxbase import …`
 *
 * @module
 */
import { relative } from "node:path";
import type { Command } from "commander";
import { withOptions } from "../action.ts";
import { type ImportPlan, writePlan } from "../import/project.ts";
import { planSupabase } from "../import/supabase.ts";
import { planWorker } from "../import/workers.ts";
import { printJson, printRows, say, warn } from "../output.ts";
import { type GlobalOptions, pathOf } from "../connection.ts";

interface Options {
  readonly folder: string;
  readonly dryRun?: boolean;
}

export function addImport(program: Command): void {
  const group = program.command("import").description("Import functions from another platform into a functions folder");
  const command = (usage: string, description: string, plan: (path: string) => ImportPlan) =>
    group.command(usage).description(description)
      .option("--folder <path>", "folder to write to", "functions")
      .option("--dry-run", "show what would be written, without writing")
      .action(withOptions<Options, [string]>((options, path) => bring(plan(pathOf(path)), options)));
  command("supabase <project>", "Import the functions of a Supabase project", planSupabase);
  command("workers <wrangler>", "Import a Cloudflare Worker from its wrangler.toml or wrangler.jsonc", planWorker);
}

function bring(plan: ImportPlan, options: GlobalOptions & Options): void {
  const folder = pathOf(options.folder);
  if (!options.dryRun) writePlan(plan, folder);
  const { functions, notes, files } = plan;
  if (options.output === "json") return printJson({ functions, notes, files: [...files.keys()] });
  const rows = functions.map(({ changes, ...row }) => ({
    ...row,
    changes: changes.length === 0 ? "-" : changes.join("; "),
  }));
  printRows(rows, ["function", "shape", "runs", "changes"], options);
  for (const note of notes) warn(note);
  const place = relative(pathOf("."), folder) || ".";
  say(`${options.dryRun ? "Would write" : "Wrote"} ${files.size} files to ${place}/`);
  if (!options.dryRun) {
    say(`Deploy them with "fluxbase functions sync ${place}", or run "fluxbase dev"`);
  }
}
