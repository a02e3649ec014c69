/**
 * Shared modules: what functions may import from `_shared/`, and the `deno.json` beside them.
 *
 * A module belongs to a namespace. Functions of a namespace see its modules and those of the default namespace; where
 * both have one path, the nearer one counts.
 *
 * @module
 */
import { createHash } from "node:crypto";
import {
  DEFAULT_NAMESPACE,
  type FunctionSource,
  modulePathProblem,
  PlatformError,
  type SharedModuleUser,
} from "@fluxbase/contract";
import type { DenoJson } from "../bundler/bundler.ts";
import { type Database, isUniqueViolation } from "../storage/db.ts";
import {
  createModule,
  deleteModule,
  type Dependent,
  findModule,
  findModuleContent,
  listDependents,
  listModules,
  listModuleVersions,
  listUsers,
  moduleStamp,
  type StoredModule,
  type StoredModuleVersion,
  updateModule,
} from "../storage/shared_modules.ts";
import { parseDenoJson } from "./deno_json.ts";

/** Everything that a function of one namespace may be built with. */
export interface Around {
  /** Sources by path. */
  readonly shared: Readonly<Record<string, string>>;
  readonly denoJson: DenoJson;
  readonly hashes: Readonly<Record<string, string>>;
  readonly wholeHash: string;
}

export interface ModuleInput {
  readonly content?: string | undefined;
  readonly description?: string | null | undefined;
}

export interface ModuleOptions {
  readonly source: FunctionSource;
  readonly createdBy: string | null;
}

export interface ModulePlace {
  readonly namespace: string;
  readonly modulePath: string;
}

/** Does what saves or deletes a module, and what has to follow from it. */
export type SaveModule = <Result>(place: ModulePlace, save: () => Promise<Result>) => Promise<Result>;

export interface SharedModules {
  /**
   * For functions with these files; empty for files that import nothing. `changed` are modules of the default namespace
   * as they would be, null for one that would be gone.
   */
  around(
    namespace: string,
    files: Readonly<Record<string, string>>,
    changed?: ReadonlyMap<string, string | null>,
  ): Promise<Around>;
  /** For whatever a function may come to import. */
  everything(namespace: string): Promise<Around>;
  list(namespaces?: readonly string[]): Promise<StoredModule[]>;
  /** As it was in an earlier version, if one is named. */
  read(namespace: string, path: string, version?: number): Promise<StoredModule>;
  create(namespace: string, path: string, input: ModuleInput, options: ModuleOptions): Promise<StoredModule>;
  update(namespace: string, path: string, input: ModuleInput, options: ModuleOptions): Promise<StoredModule>;
  remove(namespace: string, path: string): Promise<void>;
  /** Functions that import a module, directly or through others. */
  usersOf(namespace: string, path: string): Promise<FunctionPlace[]>;
  /** The same, with what became of each when the module changed. */
  users(namespace: string, path: string): Promise<(FunctionPlace & Omit<SharedModuleUser, "function">)[]>;
  /** Newest first. */
  versions(module: StoredModule): Promise<StoredModuleVersion[]>;
  /** Functions that were built with something else than what there is now. */
  stale(): Promise<FunctionPlace[]>;
}

export interface FunctionPlace {
  readonly namespace: string;
  readonly name: string;
}

/** A dependency on everything there is: of a function that did not build, since anything may mend it. */
export const WHOLE = "_shared/";
/** Kept like a module, and never listed as one. */
export const DENO_JSON = "deno.json";
const NOTHING: Around = { shared: {}, denoJson: {}, hashes: {}, wholeHash: "" };
const MODULE_MAX_BYTES = 1024 * 1024;

export function createSharedModules({ db }: { readonly db: Database["db"] }): SharedModules {
  const known = new Map<string, { readonly stamp: string; readonly around: Around }>();

  async function aroundOf(namespace: string): Promise<Around> {
    const stamp = await moduleStamp(db, [namespace, DEFAULT_NAMESPACE]);
    const before = known.get(namespace);
    if (before?.stamp === stamp) return before.around;
    const around = aroundWith(namespace, await listModules(db, [namespace, DEFAULT_NAMESPACE]));
    known.set(namespace, { stamp, around });
    return around;
  }

  async function aroundAfter(namespace: string, changed: ReadonlyMap<string, string | null>): Promise<Around> {
    const stored = await listModules(db, [namespace, DEFAULT_NAMESPACE]);
    const others = stored.filter((row) => row.namespace !== DEFAULT_NAMESPACE || !changed.has(row.modulePath));
    const after = [...changed].flatMap(([modulePath, content]) =>
      content === null ? [] : [{ namespace: DEFAULT_NAMESPACE, modulePath, content, contentHash: hashText(content) }]
    );
    return aroundWith(namespace, [...others, ...after]);
  }

  async function read(namespace: string, path: string): Promise<StoredModule> {
    const found = modulePathProblem(path) === undefined ? await findModule(db, namespace, path) : undefined;
    if (found === undefined) throw moduleNotFound(namespace, path);
    return found;
  }

  async function isBuiltWithOther({ namespace, dependencies }: Dependent): Promise<boolean> {
    const now = hashesOf(Object.keys(dependencies), await aroundOf(namespace));
    return JSON.stringify(sorted(now)) !== JSON.stringify(sorted(dependencies));
  }

  /** Modules of the default namespace are for all that have none of the same path. */
  async function thoseThatSee<User extends FunctionPlace>(
    { namespace, modulePath: path }: ModulePlace,
    users: readonly User[],
  ): Promise<User[]> {
    const modules = await listModules(db);
    const withOwn = new Set(modules.filter(({ modulePath }) => modulePath === path).map((module) => module.namespace));
    return users.filter((user) =>
      user.namespace === namespace || (namespace === DEFAULT_NAMESPACE && !withOwn.has(user.namespace))
    );
  }

  return {
    async around(namespace, files, changed) {
      if (!Object.entries(files).some(mayImport)) return NOTHING;
      return changed === undefined ? await aroundOf(namespace) : await aroundAfter(namespace, changed);
    },
    everything: aroundOf,
    async list(namespaces) {
      const found = await listModules(db, namespaces);
      return found.filter(({ modulePath }) => modulePath !== DENO_JSON);
    },
    async read(namespace, path, version) {
      const found = await read(namespace, path);
      if (version === undefined || version === found.version) return found;
      const content = await findModuleContent(db, found.id, version);
      if (content === undefined) {
        throw new PlatformError("VERSION_NOT_FOUND", `Version ${version} of shared module "${path}" not found`);
      }
      return { ...found, content, contentHash: hashText(content), version };
    },
    async create(namespace, path, { content = "", description = null }, { source, createdBy }) {
      assertContentFits(path, content);
      try {
        return await createModule(db, {
          namespace,
          modulePath: path,
          description,
          source,
          content,
          contentHash: hashText(content),
          createdBy,
        });
      } catch (error) {
        if (!isUniqueViolation(error)) throw error;
        throw new PlatformError(
          "ALREADY_EXISTS",
          `Shared module "${path}" already exists: update it with PUT /api/v1/functions/shared/${path}`,
        );
      }
    },
    async update(namespace, path, input, { source, createdBy }) {
      const before = path === DENO_JSON ? await findModule(db, namespace, path) : await read(namespace, path);
      const content = input.content ?? before?.content ?? "";
      assertContentFits(path, content);
      const change = {
        content,
        contentHash: hashText(content),
        description: input.description === undefined ? before?.description ?? null : input.description,
        source,
        createdBy,
      };
      const after = before && await updateModule(db, before.id, change);
      if (after === undefined) throw moduleNotFound(namespace, path);
      return after;
    },
    async remove(namespace, path) {
      const found = path === DENO_JSON ? await findModule(db, namespace, path) : await read(namespace, path);
      if (found === undefined || !await deleteModule(db, found.id)) throw moduleNotFound(namespace, path);
    },
    async usersOf(namespace, path) {
      const found = (await listDependents(db)).filter(({ dependencies }) => Object.hasOwn(dependencies, path));
      return (await thoseThatSee({ namespace, modulePath: path }, found))
        .map(({ namespace: theirs, name }) => ({ namespace: theirs, name }));
    },
    async users(namespace, path) {
      const found = await thoseThatSee({ namespace, modulePath: path }, await listUsers(db, path));
      return await Promise.all(found.map(async (user) => {
        const { namespace: theirs, name, version, problems } = user;
        const isStale = await isBuiltWithOther(user);
        const state = user.isPinned ? "pinned" : isStale ? "building" : problems.length > 0 ? "failed" : "current";
        return { namespace: theirs, name, version, state, problem: problems[0]?.message ?? null } as const;
      }));
    },
    versions: ({ id }) => listModuleVersions(db, id),
    async stale() {
      const found = [];
      for (const dependent of await listDependents(db)) {
        const { namespace, name, isPinned } = dependent;
        if (!isPinned && await isBuiltWithOther(dependent)) found.push({ namespace, name });
      }
      return found;
    },
  };
}

type ModuleText = Pick<StoredModule, "namespace" | "modulePath" | "content" | "contentHash">;

function aroundWith(namespace: string, modules: readonly ModuleText[]): Around {
  const shared: Record<string, string> = {};
  const hashes: Record<string, string> = {};
  let denoJson: DenoJson = {};
  // The nearer namespace last, so that it wins.
  const nearestLast = modules.toSorted((a, b) => Number(a.namespace === namespace) - Number(b.namespace === namespace));
  for (const { modulePath, content, contentHash } of nearestLast) {
    hashes[modulePath] = contentHash;
    // It was checked when it was stored.
    if (modulePath === DENO_JSON) ({ denoJson } = parseDenoJson(DENO_JSON, content));
    else shared[modulePath] = content;
  }
  return { shared, denoJson, hashes, wholeHash: hashText(JSON.stringify(Object.entries(hashes).sort())) };
}

/** JSX imports its library without a word, and decorators are compiled as `deno.json` says. */
export function mayImport([path, code]: readonly [path: string, code: string]): boolean {
  return /\b(import|from|require)\b|^\s*@\w|[{;,(]\s*@\w/m.test(code) || /\.[jt]sx$/.test(path);
}

/** What dependencies are now; one that is gone has an empty hash. */
export function hashesOf(paths: readonly string[], { hashes, wholeHash }: Around): Record<string, string> {
  return Object.fromEntries(paths.map((path) => [path, path === WHOLE ? wholeHash : hashes[path] ?? ""]));
}

function sorted(hashes: Readonly<Record<string, string>>): [string, string][] {
  return Object.entries(hashes).sort(([a], [b]) => a < b ? -1 : 1);
}

export function hashText(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

function assertContentFits(path: string, content: string): void {
  const used = new TextEncoder().encode(content).length;
  if (used <= MODULE_MAX_BYTES) return;
  throw new PlatformError(
    "BODY_TOO_LARGE",
    `Cannot accept shared module "${path}": it has ${used} bytes, and at most ${MODULE_MAX_BYTES} are allowed`,
    { details: { limit: MODULE_MAX_BYTES, used } },
  );
}

export function moduleNotFound(namespace: string, path: string): PlatformError {
  const place = namespace === DEFAULT_NAMESPACE ? "" : ` in namespace "${namespace.slice(0, 80)}"`;
  return new PlatformError("MODULE_NOT_FOUND", `Shared module "${path.slice(0, 200)}" not found${place}`);
}
