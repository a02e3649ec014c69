/**
 * Brings the database in step with the functions folder: shared modules first, then the functions.
 *
 * On boot and while watching nothing is deleted that did not come from the folder; a reload is a full sync.
 *
 * @module
 */
import { DEFAULT_NAMESPACE, PlatformError, type ReloadAnswer, type SyncFailure } from "@fluxbase/contract";
import { type Deployer, type DeployOptions, describeProblems } from "../deploy/deploy.ts";
import { type NewFunctionInput, parseNewFunction } from "../deploy/function_input.ts";
import { inParallel } from "../deploy/in_parallel.ts";
import type { Rebuilder } from "../deploy/rebuild.ts";
import { DENO_JSON, hashText, type SharedModules } from "../deploy/shared_modules.ts";
import type { Log } from "../core/log.ts";
import type { Database } from "../storage/db.ts";
import { type FunctionWithVersion, listFunctions } from "../storage/functions.ts";
import { findModule, listModules } from "../storage/shared_modules.ts";
import { type FunctionOnDisk, type Scan, scanFunctionsDir } from "./functions_dir.ts";

export interface LoaderParts {
  readonly dir: string;
  readonly db: Database["db"];
  readonly deployer: Deployer;
  readonly sharedModules: SharedModules;
  readonly rebuilder: Rebuilder;
  readonly log: Log;
}

export interface LoadOptions {
  /** `nothing`; what this server saw in the folder before (`vanished`); or all that is not in it (`missing`). */
  readonly deletes: "nothing" | "vanished" | "missing";
  readonly dryRun: boolean;
  readonly createdBy: string | null;
}

export interface Loader {
  /** One at a time, in the order of the asking. */
  load(options: LoadOptions): Promise<ReloadAnswer>;
  /** Functions that were not reached yet are left as they are. */
  [Symbol.asyncDispose](): Promise<void>;
}

const AT_ONCE_COUNT = 16;

export function createLoader({ dir, db, deployer, sharedModules, rebuilder, log }: LoaderParts): Loader {
  let running: Promise<unknown> = Promise.resolve();
  let isStopping = false;
  /** What was stored last, so that only what changed since is looked at. */
  let seen = new Map<string, { readonly text: string; readonly place: string }>();

  async function run(options: LoadOptions): Promise<ReloadAnswer> {
    const scan = await readFolder();
    const errors: SyncFailure[] = [...scan.errors];
    const warnings: string[] = [...scan.warnings];
    const details = {
      created: [] as string[],
      updated: [] as string[],
      deleted: [] as string[],
      unchanged: [] as string[],
    };
    const modulesChanged = options.dryRun ? false : await loadModules(scan, options, { errors, warnings });
    if (modulesChanged) seen = new Map();

    const stored = new Map((await listFunctions(db, undefined)).map((found) => [placeOf(found.function), found]));
    const present = new Map<string, { text: string; place: string }>();
    const deployOptions: DeployOptions = {
      strict: false,
      source: "filesystem",
      createdBy: options.createdBy,
      dryRun: options.dryRun,
    };
    await inParallel(scan.functions, AT_ONCE_COUNT, async (onDisk) => {
      if (isStopping) return;
      const text = JSON.stringify(onDisk);
      const last = seen.get(onDisk.name);
      // Only while watching: a reload looks at the database, too.
      if (options.deletes === "vanished" && last?.text === text && stored.has(last.place)) {
        present.set(onDisk.name, last);
        return void details.unchanged.push(onDisk.name);
      }
      try {
        const input = inputOf(onDisk);
        const place = placeOf({ namespace: await deployer.namespaceOf(input), name: onDisk.name });
        const applied = await applyOne(input, stored.get(place), deployOptions);
        // What does not build is tried, and told, every time.
        present.set(onDisk.name, { text: applied.problems.length === 0 ? text : "", place });
        warnings.push(...applied.warnings.map((warning) => `${onDisk.name}: ${warning}`));
        if (applied.problems.length === 0) return void details[applied.outcome].push(onDisk.name);
        const error = describeProblems(applied.problems);
        const action = stored.has(place) ? "update" : "create";
        errors.push({ function: onDisk.name, name: onDisk.name, error, action, problems: applied.problems });
      } catch (error) {
        // It stays as it is, and is tried again the next time.
        if (last !== undefined) present.set(onDisk.name, { text: "", place: last.place });
        errors.push({ function: onDisk.name, name: onDisk.name, error: textOf(error), action: "check", problems: [] });
      }
    });

    if (isStopping) throw stopping();
    const kept = new Set([...present.values()].map(({ place }) => place));
    const broken = new Set(errors.map(({ name }) => name));
    for (const place of toDelete(options.deletes, stored, kept)) {
      const { namespace, name } = place;
      if (broken.has(name)) continue;
      if (!options.dryRun) await deployer.remove(namespace, name);
      details.deleted.push(name);
    }
    if (!options.dryRun) seen = present;
    if (modulesChanged) await rebuilder.start();
    for (const names of Object.values(details)) names.sort();
    const total = scan.functions.length;
    return {
      message: messageOf(details, errors, options),
      ...details,
      errors,
      warnings,
      total,
      dry_run: options.dryRun,
    };
  }

  async function applyOne(
    input: NewFunctionInput,
    before: FunctionWithVersion | undefined,
    options: DeployOptions,
  ) {
    try {
      return await deployer.apply(input, before, options);
    } catch (error) {
      // Another server loads the same folder at the same time, and was first.
      if (before !== undefined || !(error instanceof PlatformError) || error.code !== "ALREADY_EXISTS") throw error;
      const namespace = await deployer.namespaceOf(input);
      return await deployer.apply(input, await deployer.read(namespace, input.name), options);
    }
  }

  async function readFolder(): Promise<Scan> {
    try {
      return await scanFunctionsDir(dir);
    } catch (error) {
      throw new PlatformError("INTERNAL", `Cannot read the functions folder "${dir}"`, { cause: error });
    }
  }

  /** True when anything changed. */
  async function loadModules(
    scan: Scan,
    { deletes, createdBy }: LoadOptions,
    { errors, warnings }: { errors: SyncFailure[]; warnings: string[] },
  ): Promise<boolean> {
    const files = { ...scan.modules, ...(scan.denoJson === null ? {} : { [DENO_JSON]: scan.denoJson }) };
    const owner = { source: "filesystem", createdBy } as const;
    let isChanged = false;
    for (const [path, content] of Object.entries(files)) {
      try {
        const before = await findModule(db, DEFAULT_NAMESPACE, path);
        if (before?.contentHash === hashText(content) && before.source === "filesystem") continue;
        isChanged = true;
        if (before === undefined) await sharedModules.create(DEFAULT_NAMESPACE, path, { content }, owner);
        else await sharedModules.update(DEFAULT_NAMESPACE, path, { content }, owner);
        if (before !== undefined && before.source !== "filesystem" && before.content !== content) {
          warnings.push(
            `${path}: the file replaced the module that was saved over HTTP, whose version ${before.version} is kept`,
          );
        }
      } catch (error) {
        errors.push({ function: path, name: path, error: textOf(error), action: "update", problems: [] });
      }
    }
    if (deletes === "nothing") return isChanged;
    const unreadable = new Set(scan.errors.map(({ name }) => name));
    for (const { modulePath, source } of await listModules(db, [DEFAULT_NAMESPACE])) {
      if (source !== "filesystem" || Object.hasOwn(files, modulePath) || unreadable.has(modulePath)) continue;
      isChanged = true;
      await sharedModules.remove(DEFAULT_NAMESPACE, modulePath);
      warnings.push(`${modulePath}: deleted, because its file is gone`);
    }
    return isChanged;
  }

  /** Functions of the default namespace, and those that came from files; not bundles, which the folder cannot hold. */
  function toDelete(
    deletes: LoadOptions["deletes"],
    stored: ReadonlyMap<string, FunctionWithVersion>,
    kept: ReadonlySet<string>,
  ) {
    const candidates = [...stored].filter(([place, { function: fn, version }]) =>
      !kept.has(place) && !version.isPreBundled && (fn.namespace === DEFAULT_NAMESPACE || fn.source === "filesystem")
    );
    const before = new Set([...seen.values()].map(({ place }) => place));
    const chosen =
      { nothing: () => false, vanished: (place: string) => before.has(place), missing: () => true }[deletes];
    return candidates.filter(([place]) => chosen(place)).map(([, { function: fn }]) => fn);
  }

  return {
    load(options) {
      const done = running.then(() => run(options));
      running = done.catch((error) => log.warn("Cannot load the functions folder", { dir, error }));
      return done;
    },
    async [Symbol.asyncDispose]() {
      isStopping = true;
      await running;
    },
  };
}

function stopping(): PlatformError {
  return new PlatformError("SHUTTING_DOWN", "The server is stopping: the functions folder was not loaded completely");
}

function inputOf({ name, files, env }: FunctionOnDisk): NewFunctionInput {
  return parseNewFunction({ name, files, ...(env === undefined ? {} : { env }) });
}

function placeOf({ namespace, name }: { readonly namespace: string; readonly name: string }): string {
  return `${namespace}/${name}`;
}

function textOf(error: unknown): string {
  return error instanceof PlatformError ? error.message : "Cannot store it: the server's log says why";
}

function messageOf(
  details: Readonly<Record<string, readonly string[]>>,
  errors: readonly SyncFailure[],
  { dryRun }: LoadOptions,
): string {
  const counts = Object.entries({ ...details, errors }).filter(([, items]) => items.length > 0)
    .map(([what, items]) => `${items.length} ${what}`);
  return `${dryRun ? "Would reload" : "Reloaded"} the functions folder: ${counts.join(", ") || "nothing in it"}`;
}
