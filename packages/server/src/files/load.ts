/**
 * Brings the database in step with the functions folder: shared modules first, then the functions.
 *
 * On boot and while watching nothing is deleted that did not come from the folder; a reload is a full sync.
 *
 * @module
 */
import { DEFAULT_NAMESPACE, PlatformError, type ReloadAnswer, type SyncFailure } from "@fluxbase/contract";
import { describeProblems } from "../deploy/build_version.ts";
import type { Deployer, DeployOptions } from "../deploy/deploy.ts";
import { type NewFunctionInput, parseNewFunction } from "../deploy/function_input.ts";
import { inParallel } from "../deploy/in_parallel.ts";
import type { Rebuilder } from "../deploy/rebuild.ts";
import { DENO_JSON, hashText, type SharedModules } from "../deploy/shared_modules.ts";
import type { Clock } from "../core/clock.ts";
import type { Log } from "../core/log.ts";
import type { Database } from "../storage/db.ts";
import { type FunctionWithVersion, listFunctions } from "../storage/functions.ts";
import { listModules, type StoredModule } from "../storage/shared_modules.ts";
import { type FunctionsFolder, shapeInFolder } from "./folder.ts";
import { type FunctionOnDisk, type Scan, scanFunctionsDir } from "./functions_dir.ts";

export interface LoaderParts {
  readonly audit: FolderAudit;
  readonly dir: string;
  readonly db: Database["db"];
  readonly folder: FunctionsFolder;
  readonly deployer: Deployer;
  readonly sharedModules: SharedModules;
  readonly rebuilder: Rebuilder;
  readonly clock: Clock;
  readonly log: Log;
}

export interface FolderAudit {
  noteFolder(change: { readonly action: string; readonly target: string; readonly reloadedBy: string | null }): void;
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
  /** Files are gone, and not for long enough to be sure: to be loaded again after VANISHED_MS. */
  readonly isWaiting: boolean;
  /** Functions that were not reached yet are left as they are. */
  [Symbol.asyncDispose](): Promise<void>;
}

interface Seen {
  readonly text: string;
  readonly place: string;
}

interface ModuleChange {
  readonly path: string;
  /** Null: its file is gone. */
  readonly content: string | null;
  readonly before: StoredModule | undefined;
}

const AT_ONCE_COUNT = 16;
/** So long files must be gone before their function goes while the folder is followed. */
export const VANISHED_MS = 1_000;

export function createLoader(parts: LoaderParts): Loader {
  const { dir, db, folder, deployer, sharedModules, rebuilder, clock, log } = parts;
  let running: Promise<unknown> = Promise.resolve();
  let isStopping = false;
  /** What was stored last, so that only what changed since is looked at. */
  let seen = new Map<string, Seen>();
  /** By place, when the files of a function were not there any more. */
  const vanishedAt = new Map<string, number>();

  function note(action: string, target: string, { dryRun, createdBy }: LoadOptions): void {
    if (!dryRun) parts.audit.noteFolder({ action, target, reloadedBy: createdBy });
  }

  async function run(options: LoadOptions): Promise<ReloadAnswer> {
    const readAt = folder.moment();
    const scan = await readFolder();
    const errors: SyncFailure[] = [...scan.errors];
    const warnings: string[] = [...scan.warnings];
    const details = {
      created: [] as string[],
      updated: [] as string[],
      deleted: [] as string[],
      unchanged: [] as string[],
    };
    const modules = await modulesToChange(scan, options.deletes);
    for (const module of modules) warnings.push(...saidOf(module, options));
    if (!options.dryRun) { for (const module of modules) await changeModule(module, { readAt, errors, ...options }); }
    if (modules.length > 0) seen = new Map();

    const stored = new Map((await listFunctions(db)).map((found) => [placeOf(found.function), found]));
    const present = new Map<string, Seen>();
    const deployOptions: DeployOptions = {
      strict: false,
      source: "filesystem",
      createdBy: options.createdBy,
      isWhole: true,
      // Who writes to the folder owns the machine.
      mayGrant: true,
      mayRoute: true,
      ...(options.dryRun
        ? { dryRun: true, modules: new Map(modules.map(({ path, content }) => [path, content])) }
        : {}),
    };
    await inParallel(scan.functions, AT_ONCE_COUNT, async (onDisk) => {
      if (isStopping) return;
      const text = JSON.stringify([onDisk, scan.env, scan.settings[onDisk.name]]);
      const last = seen.get(onDisk.name);
      // Only while watching: a reload looks at the database, too.
      if (options.deletes === "vanished" && last?.text === text && stored.has(last.place)) {
        present.set(onDisk.name, last);
        return void details.unchanged.push(onDisk.name);
      }
      try {
        const own = inputOf(onDisk);
        const namespace = await deployer.namespaceOf(own);
        const place = placeOf({ namespace, name: onDisk.name });
        // What is said for the whole folder is said by who owns the default namespace.
        const input = namespace === DEFAULT_NAMESPACE ? inputOf(onDisk, scan) : own;
        const apply = () => deployer.apply(input, stored.get(place), deployOptions);
        const applied = await folder.loading(onDisk.name, readAt, apply);
        // Saved over HTTP since it was read, and in the folder by now.
        if (applied === undefined) return void present.set(onDisk.name, { text: "", place });
        // What does not build is tried, and told, every time.
        present.set(onDisk.name, { text: applied.problems.length === 0 ? text : "", place });
        if (applied.outcome !== "unchanged") note(`folder: function ${applied.outcome}`, place, options);
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
    const names = new Set([...scan.functions.map(({ name }) => name), ...errors.flatMap(({ name }) => namesIn(name))]);
    const kept = new Set([...present.values()].map(({ place }) => place));
    for (const place of vanishedAt.keys()) if (kept.has(place) || !stored.has(place)) vanishedAt.delete(place);
    for (const [place, found] of stored) {
      if (kept.has(place)) continue;
      if (isToDelete(place, found, { ...options, names, present })) {
        const { namespace, name } = found.function;
        const remove = async () => {
          if (!options.dryRun) await deployer.remove(namespace, name, { mayGrant: true });
          note("folder: function deleted", place, options);
          details.deleted.push(name);
        };
        try {
          await folder.loading(name, readAt, remove);
        } catch (error) {
          // One that is gone already needs no more; any other failure stops nothing else, and is told.
          if (error instanceof PlatformError && error.code === "FUNCTION_NOT_FOUND") continue;
          errors.push({ function: name, name, error: textOf(error), action: "delete", problems: [] });
        }
      }
    }
    if (!options.dryRun) seen = present;
    if (!options.dryRun && modules.length > 0) await rebuilder.start();
    for (const sorted of Object.values(details)) sorted.sort();
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

  /** For a function of which no file was loaded. */
  function isToDelete(
    place: string,
    found: FunctionWithVersion,
    { deletes, names, present }: LoadOptions & { names: ReadonlySet<string>; present: Map<string, Seen> },
  ): boolean {
    const { namespace, name, source } = found.function;
    const isFile = source === "filesystem";
    // Not what the folder cannot hold, be it that another function has the name there; nor what cannot be read now.
    if (names.has(name) ? !isFile || !present.has(name) : shapeInFolder(found) === undefined && !isFile) return false;
    if (!isFile && namespace !== DEFAULT_NAMESPACE) return false;
    if (deletes === "missing") return true;
    const last = seen.get(name);
    if (deletes === "nothing" || last?.place !== place) return false;
    // Editors take a file away before they write it anew.
    const since = vanishedAt.get(place) ?? clock.nowMs();
    vanishedAt.set(place, since);
    if (clock.nowMs() - since < VANISHED_MS) {
      present.set(name, last);
      return false;
    }
    return vanishedAt.delete(place);
  }

  async function readFolder(): Promise<Scan> {
    try {
      return await scanFunctionsDir(dir);
    } catch (error) {
      throw new PlatformError("INTERNAL", `Cannot read the functions folder "${dir}"`, { cause: error });
    }
  }

  async function modulesToChange(scan: Scan, deletes: LoadOptions["deletes"]): Promise<ModuleChange[]> {
    const files = { ...scan.modules, ...(scan.denoJson === null ? {} : { [DENO_JSON]: scan.denoJson }) };
    const stored = new Map((await listModules(db, [DEFAULT_NAMESPACE])).map((found) => [found.modulePath, found]));
    const changes: ModuleChange[] = [];
    for (const [path, content] of Object.entries(files)) {
      const before = stored.get(path);
      if (before?.contentHash === hashText(content) && before.source === "filesystem") continue;
      changes.push({ path, content, before });
    }
    if (deletes === "nothing") return changes;
    const unreadable = new Set(scan.errors.map(({ name }) => name));
    for (const before of stored.values()) {
      const { modulePath: path, source } = before;
      if (source !== "filesystem" || Object.hasOwn(files, path) || unreadable.has(path)) continue;
      changes.push({ path, content: null, before });
    }
    return changes;
  }

  async function changeModule(
    { path, content, before }: ModuleChange,
    { readAt, errors, ...options }: LoadOptions & { readAt: number; errors: SyncFailure[] },
  ): Promise<void> {
    const { createdBy } = options;
    const owner = { source: "filesystem", createdBy } as const;
    try {
      await folder.loading(path, readAt, async () => {
        if (content === null) await sharedModules.remove(DEFAULT_NAMESPACE, path);
        else if (before === undefined) await sharedModules.create(DEFAULT_NAMESPACE, path, { content }, owner);
        else await sharedModules.update(DEFAULT_NAMESPACE, path, { content }, owner);
        const verb = content === null ? "deleted" : before === undefined ? "created" : "updated";
        note(`folder: shared module ${verb}`, path, options);
      });
    } catch (error) {
      errors.push({ function: path, name: path, error: textOf(error), action: "update", problems: [] });
    }
  }

  return {
    load(options) {
      const done = running.then(() => run(options));
      running = done.catch((error) => log.warn("Cannot load the functions folder", { dir, error }));
      return done;
    },
    get isWaiting() {
      return vanishedAt.size > 0;
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

function inputOf(
  { name, files, env }: FunctionOnDisk,
  folder: Partial<Pick<Scan, "env" | "settings">> = {},
): NewFunctionInput {
  const whole = env === undefined && folder.env === undefined ? undefined : { ...folder.env, ...env };
  const { verifyJwt, enabled } = folder.settings?.[name] ?? {};
  return parseNewFunction({
    name,
    files,
    ...(whole === undefined ? {} : { env: whole }),
    ...(verifyJwt === undefined ? {} : { allow_unauthenticated: !verifyJwt, auth: verifyJwt ? "platform" : "none" }),
    ...(enabled === undefined ? {} : { enabled }),
  });
}

function placeOf({ namespace, name }: { readonly namespace: string; readonly name: string }): string {
  return `${namespace}/${name}`;
}

function textOf(error: unknown): string {
  return error instanceof PlatformError ? error.message : "Cannot store it: the server's log says why";
}

/** Of a path in the folder, the function that it may belong to. */
function namesIn(path: string): string[] {
  const top = path.split("/", 1)[0] ?? "";
  return [path, top, top.replace(/\.\w+$/, "")];
}

function saidOf({ path, content, before }: ModuleChange, { dryRun }: LoadOptions): string[] {
  if (content === null) return [`${path}: ${dryRun ? "would be deleted" : "deleted"}, because its file is gone`];
  if (before !== undefined && before.source !== "filesystem" && before.content !== content) {
    const verb = dryRun ? "would replace" : "replaced";
    return [`${path}: the file ${verb} the module that was saved over HTTP, whose version ${before.version} is kept`];
  }
  return dryRun ? [`${path}: would be ${before === undefined ? "created" : "updated"}`] : [];
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
