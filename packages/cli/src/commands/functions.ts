/**
 * `fluxbase functions …`
 *
 * @module
 */
import { readFileSync } from "node:fs";
import { relative } from "node:path";
import process from "node:process";
import { parseEnv } from "node:util";
import { functionNameProblem } from "@fluxbase/contract";
import {
  type FluxbaseClient,
  FluxbaseError,
  type FunctionChange,
  type FunctionDetails,
  type LogEntry,
  type SyncAnswer,
} from "@fluxbase/sdk";
import { type Command, InvalidArgumentError, Option } from "commander";
import { type InNamespace, inNamespace, withClient, withOptions } from "../action.ts";
import { lastOption, type StatsOptions, statsRows } from "./metrics.ts";
import { print, printable, printJson, printObject, printRows, progress, readSecret, say, warn } from "../output.ts";
import { type GlobalOptions, pathOf, UsageError } from "../connection.ts";
import { setSharedModule } from "../shared_modules.ts";
import { readFunction, readFunctions, readSharedModules } from "../source.ts";
import { templates, writeFunction } from "../template.ts";

const SUMMARY = ["namespace", "name", "enabled", "version", "live_version", "updated_at"];
const DETAILS = [
  "name",
  "namespace",
  "description",
  "enabled",
  "version",
  "live_version",
  "canary",
  "bundle_error",
  "timeout",
  "memory",
  "rate_limit",
  "verify",
  "hooks",
  "updated_at",
];
const VERSION = ["version", "is_live", "traffic_percent", "is_bundled", "bundle_size", "created_at", "created_by"];
const EXECUTION = ["executed_at", "status", "status_code", "duration_ms", "id", "error"];

/** Flags of what is looked for, by the field of the API. */
type Filters = readonly (readonly [field: string, option: Option])[];

const TIME_FILTERS: Filters = [
  ["since", new Option("--since <instant>", "from this instant on, such as 2026-01-31T12:00:00Z")],
  ["until", new Option("--until <instant>", "up to this instant, such as 2026-01-31T12:00:00Z")],
  ["text", new Option("--text <text>", "only lines that contain this text, ignoring case")],
];

const LOG_FILTERS: Filters = [["level", new Option("--level <level>", "only this level")], ...TIME_FILTERS];

const EXECUTION_FILTERS: Filters = [
  ["status", new Option("--status <status>", "only this status, such as error, timeout, killed")],
  ["status_code", new Option("--status-code <status>", "only this HTTP status").argParser(numberOf)],
  ["code", new Option("--code <code>", "only this error code, such as WALL_LIMIT")],
  ["version", new Option("--of-version <version>", "only this version").argParser(numberOf)],
  ["user_id", new Option("--user <id>", "only calls of this user")],
  ["request_id", new Option("--request-id <id>", "only the call with this X-Request-ID")],
  ["trace_id", new Option("--trace <id>", "only calls of this trace")],
  [
    "cursor",
    new Option("--cursor <cursor>", "continue after this cursor, which --output json of the page before shows"),
  ],
  ...TIME_FILTERS,
];

/** Flags of `functions set`, by the field of the API. */
const SETTINGS: readonly (readonly [field: string, option: Option])[] = [
  ["description", new Option("--description <text>", "description")],
  ["enabled", new Option("--enabled <boolean>", "whether the function can be called").argParser(booleanOf)],
  ["timeout", new Option("--timeout <seconds>", "time limit of a call in seconds").argParser(numberOf)],
  ["memory", new Option("--memory <megabytes>", "memory limit of a sandbox in MB").argParser(numberOf)],
  ["verify", new Option("--verify <rule>", "signature to verify on webhooks, such as 'stripe STRIPE_WEBHOOK_SECRET'")],
  ["capture", new Option("--capture <which>", "requests to keep for replay").choices(["none", "errors", "all"])],
  ["hooks", new Option("--hooks <events>", "authentication events that call it, separated by commas")],
  ["rate_limit", new Option("--rate-limit <limits>", "rate limits, such as 100/min,1000/hour")],
  ["is_public", new Option("--public <boolean>", "whether any caller sees it in lists").argParser(booleanOf)],
  [
    "allow_unauthenticated",
    new Option("--allow-unauthenticated <boolean>", "whether it can be called without a key").argParser(booleanOf),
  ],
  [
    "allow_service",
    new Option("--service <reach>", "reach of its own service-role key; only admins can set admin")
      .choices(["namespace", "admin"]),
  ],
  ["cors_origins", new Option("--cors-origins <origins>", "allowed origins, separated by commas; * for any")],
];

interface SetOptions {
  readonly envFile?: string;
  readonly env?: readonly string[];
  readonly unsetEnv?: readonly string[];
  readonly ifVersion?: number;
}

function ifVersion(): Option {
  return new Option("--if-version <version>", "fail if the function has another version now").argParser(numberOf);
}

/** As the SDK takes it. */
function asKnown(version: number | undefined): { readonly if_version?: number } {
  return version === undefined ? {} : { if_version: version };
}

interface Deploy extends InNamespace {
  readonly name?: string;
  readonly strict: boolean;
  readonly ifVersion?: number;
  readonly canary?: number;
}

export function addFunctions(program: Command, version: string): void {
  const functions = program.command("functions").description("Deploy, invoke and inspect functions");
  /** A command about one namespace. */
  const command = (usage: string, description: string) =>
    functions.command(usage).description(description).option("-n, --namespace <name>", "namespace of the function");

  functions.command("new <name>").description("Create a function with a test and editor settings in functions/")
    .option("--folder <path>", "folder to write to", "functions")
    .option("--template <kind>", `what calls it, or an example: ${templates().join(", ")}`, "http")
    .action(withOptions<{ folder: string; template: string }, [string]>(({ folder, template }, name) => {
      const problem = functionNameProblem(name);
      if (problem !== undefined) throw new UsageError(problem);
      const paths = writeFunction(pathOf(folder), { name, version, template }).map((path) =>
        relative(pathOf("."), path)
      );
      for (const path of paths) say(`Wrote ${path}`);
      const test = paths.find((path) => path.endsWith("_test.ts"));
      const how = test === undefined ? "its head says what it needs" : `test it with "npx deno test ${test}"`;
      say(`Deploy it with "fluxbase functions deploy ${paths[0]}"; ${how}`);
    }));

  command("list", "List functions").option("--text <text>", "only functions whose name contains this text")
    .action(withClient<InNamespace & { text?: string }, []>(async (client, { namespace, text, ...options }) => {
      const query = { ...inNamespace(namespace), ...(text === undefined ? {} : { text }) };
      printRows(await client.functions.list(query), SUMMARY, options);
    }));

  functions.command("namespaces").description("List the namespaces that have functions")
    .action(withClient<object, []>(async (client, options) => {
      const names = await client.admin.functions.namespaces();
      printRows(names.map((namespace) => ({ namespace })), ["namespace"], options);
    }));

  command("get <name>", "Show a function").option("--code", "print only its source")
    .option("--at <version>", "show an earlier version", numberOf)
    .action(withClient<InNamespace & { code?: boolean; at?: number }, [string]>(
      async (client, { namespace, code, at, ...options }, name) => {
        const place = placeIn(name, namespace);
        const shown = at === undefined
          ? await client.functions.get(place)
          : await client.functions.getVersion(place, at);
        if (code) print(shown.code ?? "");
        else printObject(shown, at === undefined ? DETAILS : VERSION, options);
      },
    ));

  command("deploy <path>", "Deploy a file, or a folder with index.ts").option(
    "--name <name>",
    "name of the function (default: from the path)",
  )
    .option("--no-strict", "accept code that does not build; the working version stays live")
    .addOption(ifVersion())
    .option(
      "--canary <percent>",
      "send it only so many percent of the calls, 1 to 99; the live version gets the others",
      numberOf,
    )
    .action(withClient<Deploy, [string]>(deploy));

  const set = command("set <name>", "Change the settings of a function")
    .option("--env-file <path>", "replace all environment variables by those in a file of NAME=value lines")
    .option("--env <NAME=value...>", "set environment variables; others stay")
    .option("--unset-env <name...>", "remove environment variables")
    .addOption(ifVersion());
  for (const [, option] of SETTINGS) set.addOption(option);
  set.action(withClient<InNamespace & SetOptions & Record<string, unknown>, [string]>(
    async (client, { namespace, envFile, env = [], unsetEnv = [], ifVersion, ...options }, name) => {
      const change: Record<string, unknown> = {};
      for (const [field, option] of SETTINGS) {
        const value = options[option.attributeName()];
        if (value !== undefined) change[field] = value;
      }
      if (envFile !== undefined) change["env"] = parseEnv(readFileSync(pathOf(envFile), "utf8"));
      const changes = [...env.map(variableOf), ...unsetEnv.map((unset) => [unset, null] as const)];
      if (changes.length > 0) change["env_changes"] = Object.fromEntries(changes);
      if (Object.keys(change).length === 0) throw new UsageError("Nothing to change: --help lists the settings");
      const fn = await client.functions.update(placeIn(name, namespace), change as FunctionChange, asKnown(ifVersion));
      printObject(fn, DETAILS, options);
    },
  ));

  command("delete <name>", "Delete a function; it can be restored for 30 days")
    .action(withClient<InNamespace, [string]>(async (client, { namespace }, name) => {
      const place = placeIn(name, namespace);
      const removed = Object.entries(await client.functions.delete(place)).filter(([, count]) => count > 0);
      const along = removed.length === 0
        ? ""
        : `, and with it: ${removed.map(([what, n]) => `${n} ${what}`).join(", ")}`;
      say(`Deleted ${name}${along}; "fluxbase functions restore ${name}" restores it within 30 days`);
    }));

  command("restore <name>", "Restore a deleted function")
    .action(withClient<InNamespace, [string]>(async (client, { namespace }, name) => {
      await client.functions.restore(placeIn(name, namespace));
      say(`Restored ${name}`);
    }));

  command("invoke <name>", "Call a function and print its response")
    .option("-d, --data <text>", "request body; - reads stdin").option(
      "-X, --method <method>",
      "request method (default: POST)",
    )
    .option("--path <path>", "path below the function's own path")
    .option("-H, --header <header...>", "request header, such as 'x-name: value'")
    .option("--async", "queue the call and print the id of its task")
    .option("--delay <time>", "queue the call for later, such as 90s, 2h or 2026-01-31T12:00:00Z")
    .option("--retries <count>", "queue the call with this many attempts after the first", numberOf)
    .action(withClient<InNamespace & Call, [string]>(invoke));

  withFilters(
    command("logs <name>", "Show log lines of a function").option("-f, --follow", "follow new lines"),
    LOG_FILTERS,
  )
    .option("--limit <count>", "number of lines", numberOf, 50)
    .action(withClient<InNamespace & LogOptions, [string]>(showLogs));

  withFilters(
    program.command("logs").description("Show log lines of all functions").option(
      "-n, --namespace <name>",
      "only this namespace",
    )
      .option("-f, --follow", "follow new lines"),
    LOG_FILTERS,
  ).option("--limit <count>", "number of lines", numberOf, 50)
    .action(withClient<InNamespace & LogOptions, []>((client, options) => showLogs(client, options, undefined)));

  withFilters(command("executions [name]", "List executions of a function, or of all functions"), EXECUTION_FILTERS)
    .option("--limit <count>", "number of executions", numberOf, 20)
    .option("--logs <id>", "show the log lines of the execution with this id")
    .action(withClient<InNamespace & { limit: number; logs?: string } & Given, [string | undefined]>(
      async (client, { namespace, limit: count, logs, ...options }, name) => {
        const limit = { limit: count, ...filtersOf(EXECUTION_FILTERS, options) };
        const { functions: all } = client.admin;
        if (logs !== undefined) {
          for (const entry of await all.getExecutionLogs(logs)) showLine(entry, options);
        } else if (name !== undefined) {
          printRows(await client.functions.getExecutions(placeIn(name, namespace), limit), EXECUTION, options);
        } else {
          const { executions } = await all.listExecutions({ ...limit, ...inNamespace(namespace) });
          printRows(executions, ["function_name", ...EXECUTION], options);
        }
      },
    ));

  command(
    "stats [name]",
    "Count executions over time: calls, errors and durations, of a function or of all",
  )
    .addOption(lastOption("1h"))
    .addOption(new Option("--step <step>", "interval of the table").choices(["1m", "5m", "15m", "1h", "6h", "1d"]))
    .addOption(new Option("--by <what>", "split the counts by").choices(["version", "trigger", "status"]))
    .action(withClient<InNamespace & StatsOptions, [string | undefined]>(
      async (client, { namespace, last, step, by, ...options }, name) => {
        const query = {
          from: new Date(Date.now() - last).toISOString(),
          ...(step === undefined ? {} : { step }),
          ...(by === undefined ? {} : { by }),
        };
        const metrics = name === undefined
          ? await client.admin.metrics.get({ ...query, ...inNamespace(namespace) })
          : await client.functions.getMetrics(placeIn(name, namespace), query);
        if (options.output === "json") return printJson(metrics);
        const { rows, columns } = statsRows(metrics.series, by);
        printRows(rows, columns, options);
      },
    ));

  command("versions <name>", "List the versions of a function").action(
    withClient<InNamespace, [string]>(async (client, { namespace, ...options }, name) => {
      printRows(await client.functions.getVersions(placeIn(name, namespace)), VERSION, options);
    }),
  );

  command("rollback <name> <version>", "Make an earlier version live")
    .action(withClient<InNamespace, [string, string]>(async (client, { namespace }, name, version) => {
      const fn = await client.functions.rollback(placeIn(name, namespace), numberOf(version));
      say(`${fn.namespace}/${fn.name} is at version ${fn.live_version}`);
    }));

  command("canary <name> [version] [percent]", "Send a share of the calls to a version, beside the live one")
    .option("--end", "send all calls to the live version again")
    .action(withClient<InNamespace & { end?: boolean }, [string, string | undefined, string | undefined]>(
      async (client, { namespace, end = false }, name, version, percent) => {
        const place = placeIn(name, namespace);
        if (end === (version !== undefined) || (version === undefined) !== (percent === undefined)) {
          throw new UsageError("Name a version and a percentage, such as: functions canary hello 8 10; or --end");
        }
        const fn = end ? await client.functions.endCanary(place) : await client.functions.setCanary(place, {
          version: numberOf(version ?? ""),
          percent: numberOf(percent ?? ""),
        });
        say(`${fn.namespace}/${fn.name}${sharesOf(fn) || ` is at version ${fn.live_version}, for all calls`}`);
      },
    ));

  command("sync [folder]", "Deploy all functions and shared modules of a folder")
    .option("--delete-missing", "delete functions that are not in the folder").option(
      "--dry-run",
      "show what would change, without changing it",
    )
    .action(withClient<InNamespace & { deleteMissing?: boolean; dryRun?: boolean }, [string | undefined]>(sync));

  functions.command("reload").description("Let the server read its functions folder again")
    .option("--dry-run", "show what would change, without changing it")
    .action(withClient<{ dryRun?: boolean }, []>(async (client, { dryRun = false, ...options }) => {
      showSync(await progress("Reloading", client.admin.functions.reload({ dry_run: dryRun })), options);
    }));
}

interface Call {
  readonly data?: string;
  readonly method?: string;
  readonly path?: string;
  readonly header?: readonly string[];
  readonly async?: boolean;
  readonly delay?: string;
  readonly retries?: number;
}

type Given = Readonly<Record<string, unknown>>;

type LogOptions = Given & { readonly follow?: boolean; readonly limit: number };

function withFilters(command: Command, filters: Filters): Command {
  for (const [, option] of filters) command.addOption(option);
  return command;
}

function filtersOf(filters: Filters, given: Given): Record<string, string | number> {
  const found: Record<string, string | number> = {};
  for (const [field, option] of filters) {
    const value = given[option.attributeName()];
    if (typeof value === "string" || typeof value === "number") found[field] = value;
  }
  return found;
}

async function deploy(
  { functions }: FluxbaseClient,
  { name, namespace, strict, ifVersion, canary, output }: GlobalOptions & Deploy,
  path: string,
): Promise<void> {
  const source = readFunction(pathOf(path));
  const chosen = name ?? source.name;
  const fn = await progress(
    `Deploying ${chosen}`,
    functions.update(placeIn(chosen, namespace), source.fields, {
      strict,
      ...asKnown(ifVersion),
      ...(canary === undefined ? {} : { canary }),
    }).catch((error) => {
      const isNew = error instanceof FluxbaseError && error.code === "FUNCTION_NOT_FOUND" && ifVersion === undefined;
      if (!isNew) throw error;
      return functions.create({ name: chosen, ...inNamespace(namespace), ...source.fields }, { strict });
    }),
  );
  if (output === "json") printJson(fn);
  for (const warning of fn.warnings) warn(warning);
  if (fn.bundle_error !== null) throw new Error(fn.bundle_error);
  if (output !== "json") say(`Deployed ${fn.namespace}/${fn.name}, version ${fn.version}${sharesOf(fn)}`);
}

/** Who gets which calls, where two versions share them. */
function sharesOf({ canary, live_version: live }: FunctionDetails): string {
  return canary === null
    ? ""
    : `: version ${canary.version} gets ${canary.percent} % of the calls, version ${live} the others`;
}

async function invoke(
  { functions }: FluxbaseClient,
  { namespace, data, method, path, header = [], async: isAsync, delay, retries }: GlobalOptions & InNamespace & Call,
  name: string,
): Promise<void> {
  const body = data === "-" ? await readSecret("") : data;
  const request = {
    headers: header.map(headerOf),
    ...(method === undefined ? {} : { method }),
    ...(path === undefined ? {} : { path }),
  };
  if (isAsync || delay !== undefined || retries !== undefined) {
    const when = { ...(delay === undefined ? {} : { delay }), ...(retries === undefined ? {} : { retries }) };
    const { task_id } = await functions.enqueue(placeIn(name, namespace), body, { ...request, ...when });
    return print(task_id);
  }
  const response = await functions.fetch(placeIn(name, namespace), {
    ...request,
    ...(body === undefined ? {} : { body }),
  });
  // As it comes: an answer may be a stream.
  for await (const chunk of response.body ?? []) process.stdout.write(chunk);
  if (process.stdout.isTTY) print("");
  if (response.status < 400) return;
  say(`The function returned status ${response.status}`);
  process.exitCode = 1;
}

/** Of a function, or of all. */
async function showLogs(
  { functions, admin }: FluxbaseClient,
  { namespace, follow, limit, ...options }: GlobalOptions & InNamespace & LogOptions,
  name: string | undefined,
): Promise<void> {
  const filter = filtersOf(LOG_FILTERS, options);
  const some = { ...filter, ...inNamespace(namespace) };
  const show = (entry: LogEntry) => showLine(entry, options, name === undefined);
  if (!follow) {
    const entries = name === undefined
      ? await admin.functions.listLogs({ limit, ...some })
      : await functions.getLogs(placeIn(name, namespace), { limit, ...filter });
    for (const entry of entries.toReversed()) show(entry);
    return;
  }
  const onLeftOut = (lines: number) => warn(`up to ${lines} lines left out: they came faster than they were read`);
  const following = name === undefined
    ? admin.functions.followAllLogs({ ...some, tail: limit, onLeftOut })
    : functions.followLogs(placeIn(name, namespace), { ...filter, tail: limit, onLeftOut });
  for await (const entry of following) show(entry);
}

function showLine(entry: LogEntry, { output }: GlobalOptions, isNamed = false): void {
  if (output === "json") return print(JSON.stringify(entry));
  const from = isNamed ? ` ${entry.namespace ?? "-"}/${entry.function_name ?? entry.function_id}` : "";
  print(`${entry.timestamp} ${entry.level.padEnd(5)}${from} ${printable(entry.message)}`);
}

async function sync(
  client: FluxbaseClient,
  { namespace, deleteMissing = false, dryRun = false, ...options }:
    & GlobalOptions
    & InNamespace
    & { deleteMissing?: boolean; dryRun?: boolean },
  folder = "functions",
): Promise<void> {
  const dir = pathOf(folder);
  const functions = readFunctions(dir).map(({ name, fields }) => ({ name, ...fields }));
  const place = inNamespace(namespace);
  if (!dryRun) {
    for (const [path, content] of Object.entries(readSharedModules(dir))) {
      await setSharedModule(client, path, content, place);
    }
  }
  const answer = await progress(
    `Deploying ${functions.length} functions from ${folder}`,
    client.admin.functions.sync({ functions, delete_missing: deleteMissing, dry_run: dryRun, ...place }),
  );
  showSync(answer, options);
}

function showSync(answer: Pick<SyncAnswer, "message" | "errors">, { output }: GlobalOptions): void {
  if (output === "json") printJson(answer);
  else say(answer.message);
  for (const { name, error } of answer.errors) say(`${name}: ${error}`);
  if (answer.errors.length > 0) process.exitCode = 1;
}

function placeIn(name: string, namespace: string | undefined): string {
  return namespace === undefined ? name : `${namespace}/${name}`;
}

function headerOf(line: string): [string, string] {
  const colon = line.indexOf(":");
  if (colon < 1) throw new UsageError(`"${line}" is not a header: use the form 'x-name: value'`);
  return [line.slice(0, colon).trim(), line.slice(colon + 1).trim()];
}

function variableOf(text: string): [name: string, value: string] {
  const at = text.indexOf("=");
  if (at < 1) throw new UsageError(`"${text}" is not a variable: use the form NAME=value`);
  return [text.slice(0, at), text.slice(at + 1)];
}

function numberOf(text: string): number {
  const number = Number(text);
  if (text.trim() === "" || !Number.isFinite(number)) throw new InvalidArgumentError("It must be a number.");
  return number;
}

function booleanOf(text: string): boolean {
  if (text !== "true" && text !== "false") throw new InvalidArgumentError("It must be true or false.");
  return text === "true";
}
