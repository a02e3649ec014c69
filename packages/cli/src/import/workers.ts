/**
 * Reads a Cloudflare Worker, as `wrangler` lays it out.
 *
 * @module
 */
import { existsSync, readFileSync } from "node:fs";
import { basename, dirname, join, relative, resolve } from "node:path";
import { parseEnv } from "node:util";
import { functionNameProblem } from "@fluxbase/contract";
import { parse as parseJsonc, type ParseError } from "jsonc-parser";
import { parse as parseToml } from "smol-toml";
import { UsageError } from "../connection.ts";
import {
  annotate,
  changesFor,
  contentOf,
  type ImportPlan,
  isFile,
  makeIndex,
  readTree,
  shapeOfCode,
  slashes,
  takeAlong,
} from "./project.ts";

/** What a Worker has by its configuration and a function does not; and what does its work. */
const BINDINGS: readonly (readonly [key: string, what: string, instead: string])[] = [
  ["kv_namespaces", "KV", "keep it in a table"],
  ["d1_databases", "D1", "use the database of the platform (DATABASE_URL)"],
  ["r2_buckets", "R2", "use a service of objects by its S3 API"],
  ["durable_objects", "Durable Objects", "keep the state in a table"],
  ["queues", "Queues", "call the function later: client.functions.enqueue"],
  ["services", "service bindings", "call the other function over HTTP"],
  ["ai", "Workers AI", "call a service for models over HTTP"],
  ["vectorize", "Vectorize", "use pgvector in the database"],
  ["hyperdrive", "Hyperdrive", "use DATABASE_URL"],
  ["browser", "Browser Rendering", "use a browser service over HTTP"],
  ["analytics_engine_datasets", "Analytics Engine", "write rows to a table"],
  ["send_email", "e-mail bindings", "send e-mail by a service over HTTP"],
  ["workflows", "Workflows", "keep the steps in a table"],
  ["assets", "static assets", "serve them from a web server or a CDN"],
  ["site", "Workers Sites", "serve them from a web server or a CDN"],
];
const SCRIPT = /\.[cm]?[jt]sx?$/;
/** Of five fields, as functions have it. */
const CRON = /^\S+(\s+\S+){4}$/;

type Table = Readonly<Record<string, unknown>>;

/** @param path of wrangler.toml, .json or .jsonc, or of the folder with one of them @throws {UsageError} */
export function planWorker(path: string): ImportPlan {
  const file = configFile(path);
  const root = dirname(resolve(file));
  const config = readConfig(file);
  const plan: ImportPlan = { files: new Map(), functions: [], notes: [] };
  const name = nameOf(config, root);
  const main = mainOf(config, root);
  const dir = dirname(main);
  const origins = new Map<string, string>();
  const left: string[] = [];
  // A Worker whose code lies in the project's root brings what it imports, not all of the project.
  const files = dir === root ? [basename(main)] : [...readTree(dir, (one) => left.push(one)).keys()];
  for (const one of files) {
    plan.files.set(`${name}/${one}`, contentOf(join(dir, one)));
    origins.set(`${name}/${one}`, join(dir, one));
  }
  takeAlong(plan, origins, {
    root,
    inside: (target) => {
      const place = slashes(relative(dir, target));
      return place.startsWith("../") ? undefined : `${name}/${place}`;
    },
  });
  const code = readFileSync(main, "utf8");
  makeIndex(plan, name, basename(main));
  takePackages(plan, name, root);
  takeVars(plan, name, { config, root });

  const changes: string[] = [];
  for (const [key, what, instead] of BINDINGS) {
    if (isUsed(config[key])) changes.push(`${what} is not there${bindingsOf(config[key])}: ${instead}`);
  }
  const crons = cronsOf(config);
  // Anybody may call a Worker.
  annotate(plan, name, ["auth none", ...crons.map((cron) => `schedule ${cron}`)]);
  for (const route of routesOf(config)) {
    changes.push(`it was called at ${route}: now at /functions/v1/${name}, or let a proxy lead there`);
  }
  const environments = Object.keys(tableOf(config["env"]) ?? {});
  if (environments.length > 0) {
    plan.notes.push(`environments ${environments.join(", ")} were left out: only the top level counts`);
  }
  if (left.length > 0) changes.push(`files that are no text were left out: ${left.slice(0, 5).join(", ")}`);
  if (/["']cloudflare:(\w+)["']/.test(code)) changes.push("cloudflare: modules are not there");
  if (/\bHTMLRewriter\b/.test(code)) changes.push("HTMLRewriter is not there: use npm:cheerio or npm:linkedom");
  const codes = [...plan.files].flatMap(([one, text]) => SCRIPT.test(one) && typeof text === "string" ? [text] : []);
  const all = [...changes, ...changesFor(codes)];
  plan.functions.push({
    function: name,
    shape: shapeOfCode(code),
    runs: all.length === 0 ? "as it is" : "after changes",
    changes: all,
  });
  plan.notes.push(`secrets of "wrangler secret" stay there: set them with "fluxbase functions set ${name} --env-file"`);
  return plan;
}

function configFile(path: string): string {
  const candidates = [path, ...["wrangler.toml", "wrangler.jsonc", "wrangler.json"].map((name) => join(path, name))];
  const found = candidates.find((one) => existsSync(one) && isFile(one));
  if (found === undefined) throw new UsageError(`${path} is no wrangler.toml or wrangler.jsonc, and has none`);
  return found;
}

function readConfig(file: string): Table {
  const text = readFileSync(file, "utf8");
  try {
    if (file.endsWith(".toml")) return parseToml(text);
    const errors: ParseError[] = [];
    const value = parseJsonc(text, errors, { allowTrailingComma: true });
    if (errors.length > 0 || tableOf(value) === undefined) throw new Error("it is no JSON object");
    return value;
  } catch (error) {
    throw new UsageError(`Cannot read ${file}: ${error instanceof Error ? error.message : error}`);
  }
}

function nameOf({ name }: Table, root: string): string {
  const wanted = typeof name === "string" ? name : basename(root);
  const problem = functionNameProblem(wanted);
  if (problem !== undefined) throw new UsageError(problem);
  return wanted;
}

function mainOf({ main }: Table, root: string): string {
  if (typeof main !== "string") throw new UsageError(`The configuration in ${root} has no "main": only static assets?`);
  const path = resolve(root, main);
  if (!isFile(path)) {
    throw new UsageError(`${path} is not there: build the Worker first, or let "main" name its source`);
  }
  return path;
}

/** Of the project's package.json, what the code imports by name. */
function takePackages(plan: ImportPlan, name: string, root: string): void {
  const path = join(root, "package.json");
  if (!existsSync(path) || plan.files.has(`${name}/package.json`)) return;
  const { dependencies = {}, devDependencies = {} } = JSON.parse(readFileSync(path, "utf8"));
  const codes = [...plan.files].flatMap(([one, text]) => SCRIPT.test(one) && typeof text === "string" ? [text] : []);
  const isImported = (one: string) =>
    codes.some((code) =>
      ['"', "'"].some((quote) => code.includes(`${quote}${one}${quote}`) || code.includes(`${quote}${one}/`))
    );
  const used = Object.entries({ ...devDependencies, ...dependencies }).filter(([one]) => isImported(one));
  if (used.length === 0) return;
  const text = JSON.stringify({ dependencies: Object.fromEntries(used) }, null, 2);
  plan.files.set(`${name}/package.json`, `${text}\n`);
}

function takeVars(plan: ImportPlan, name: string, { config, root }: { config: Table; root: string }): void {
  const devVars = join(root, ".dev.vars");
  const vars: Record<string, unknown> = {
    ...tableOf(config["vars"]),
    ...existsSync(devVars) ? parseEnv(readFileSync(devVars, "utf8")) : {},
  };
  const lines = Object.entries(vars).map(([key, value]) => {
    const text = typeof value === "string" ? value : JSON.stringify(value);
    const quote = ["'", '"', "`"].find((one) => !text.includes(one)) ?? '"';
    return /^[\w.:/@+-]*$/.test(text) ? `${key}=${text}` : `${key}=${quote}${text}${quote}`;
  });
  if (lines.length > 0) plan.files.set(`${name}/.env`, `${lines.join("\n")}\n`);
}

function cronsOf({ triggers }: Table): string[] {
  const { crons } = tableOf(triggers) ?? {};
  return Array.isArray(crons) ? crons.map(String).filter((cron) => CRON.test(cron)).map(withOurDays) : [];
}

/** There the days of the week count from 1, which is Sunday. */
function withOurDays(cron: string): string {
  const fields = cron.trim().split(/\s+/);
  const days = fields[4]?.replaceAll(/(?<![/#\d])\d/g, (day) => String(Number(day) - 1)) ?? "";
  return [...fields.slice(0, 4), days].join(" ");
}

function routesOf({ route, routes }: Table): string[] {
  const all = [route, ...Array.isArray(routes) ? routes : []];
  return all.flatMap((one) => {
    const pattern = typeof one === "string" ? one : tableOf(one)?.["pattern"];
    return typeof pattern === "string" ? [pattern] : [];
  });
}

/** The names by which code reaches them. */
function bindingsOf(value: unknown): string {
  const list = Array.isArray(value) ? value : Object.values(tableOf(value) ?? {}).flat();
  const names = list.flatMap((one) => {
    const { binding, name } = tableOf(one) ?? {};
    return typeof binding === "string" ? [binding] : typeof name === "string" ? [name] : [];
  });
  return names.length === 0 ? "" : ` (${names.join(", ")})`;
}

function isUsed(value: unknown): boolean {
  return Array.isArray(value)
    ? value.length > 0
    : tableOf(value) !== undefined && Object.keys(value as Table).length > 0;
}

function tableOf(value: unknown): Table | undefined {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? value as Table : undefined;
}
