/**
 * One deployment from source to live: check, build, store, make live, tell this node.
 *
 * A build that fails is stored with its source and does not replace a version that works. The same source, settings and
 * shared modules make no new version. Two deployments of one function at once are put in an order by the database: the
 * one that lost starts again from what the other stored, so no change is lost.
 *
 * @module
 */
import { type BuildProblem, functionNameProblem, namespaceProblem, PlatformError } from "@fluxbase/contract";
import type { Catalog } from "../catalog/catalog.ts";
import { functionNotFound } from "../catalog/function_not_found.ts";
import { createKeyedMutex } from "../core/keyed_mutex.ts";
import type { Env } from "../secrets/env_store.ts";
import { type Database, isUniqueViolation } from "../storage/db.ts";
import {
  countCallers,
  createFunction,
  deleteFunction,
  endCanary,
  findFunction,
  type FunctionChange,
  type FunctionWithVersion,
  listLiveFunctions,
  makeLive,
  restoreFunction,
  shareCalls,
  type StoredFunction,
  updateFunction,
} from "../storage/functions.ts";
import { cancelTasksOf } from "../storage/tasks.ts";
import { findVersion, listVersions, type NewVersion, type StoredVersion } from "../storage/versions.ts";
import { type FunctionInput, invalidFunction, type NewFunctionInput } from "./function_input.ts";
import { assertNoNewRoute, routeTaken } from "./routes.ts";
import { assertMayGrant, assertMayRemove, assertMayTouch, type Granter, isGranted } from "./service_grant.ts";
import type { FunctionPlace } from "./shared_modules.ts";
import { sourcesOf } from "./sources.ts";
import { type BuildOptions, createVersionBuilder, type VersionBuilderParts } from "./build_version.ts";

export interface DeployParts extends VersionBuilderParts {
  readonly db: Database["db"];
  readonly catalog: Catalog;
}

export interface DeployOptions extends BuildOptions, Granter {
  /** Only while this is the current version: somebody else may have changed the function. */
  readonly ifVersion?: number;
  /** The version is tried with so many of 100 calls over HTTP; the live one gets the others. */
  readonly canaryPercent?: number;
  /** Do everything but store. */
  readonly dryRun?: boolean;
  /** What is sent is all of the source: files that it does not name are gone. */
  readonly isWhole?: boolean;
}

export type Outcome = "created" | "updated" | "unchanged";

export interface Applied {
  readonly outcome: Outcome;
  /** Why the function did not build; the version before goes on serving calls. */
  readonly problems: readonly BuildProblem[];
  readonly warnings: readonly string[];
}

/** Does what saves or deletes a function, and what has to follow from it. */
export type SaveFunction = <Result>(place: FunctionPlace, save: () => Promise<Result>) => Promise<Result>;

/** What a deletion takes along. Tasks are cancelled; schedules and hooks of tables come back with the function. */
export interface RemovedWith {
  readonly tasks: number;
  readonly schedules: number;
  readonly hooks: number;
}

export interface Deployer {
  /** The namespace of a function to be created: from the input, else from its annotation. */
  namespaceOf(input: NewFunctionInput): Promise<string>;
  create(input: NewFunctionInput, options: DeployOptions): Promise<FunctionWithVersion>;
  update(namespace: string, name: string, input: FunctionInput, options: DeployOptions): Promise<FunctionWithVersion>;
  /** Creates, or updates what `before` tells; says what it came to. */
  apply(input: NewFunctionInput, before: FunctionWithVersion | undefined, options: DeployOptions): Promise<Applied>;
  /** Builds a function again whose shared modules have changed. */
  rebuild(namespace: string, name: string): Promise<Applied>;
  /** @throws {PlatformError} FUNCTION_NOT_FOUND */
  read(namespace: string, name: string): Promise<FunctionWithVersion>;
  /** Newest first, without sources. */
  versions(fn: StoredFunction): Promise<StoredVersion[]>;
  /** @throws {PlatformError} VERSION_NOT_FOUND */
  version(fn: StoredFunction, number: number): Promise<StoredVersion>;
  /** Makes an earlier version live, as it was built. */
  rollback(
    namespace: string,
    name: string,
    options: Pick<DeployOptions, "mayGrant" | "mayRoute"> & { readonly number: number },
  ): Promise<FunctionWithVersion>;
  /** A version beside the live one gets so many of 100 calls over HTTP. */
  shareCalls(
    namespace: string,
    name: string,
    options: Granter & { readonly number: number; readonly percent: number },
  ): Promise<FunctionWithVersion>;
  /** The live version gets all calls again. */
  endCanary(namespace: string, name: string, granter: Granter): Promise<FunctionWithVersion>;
  remove(namespace: string, name: string, granter: Granter): Promise<RemovedWith>;
  /** Takes a deletion of the last 30 days back. */
  restore(namespace: string, name: string, granter: Granter): Promise<FunctionWithVersion>;
}

const CONFLICTS_MAX_COUNT = 10;
/** Who made a version that no caller asked for. */
const REBUILT_BY = "system";

export function createDeployer(parts: DeployParts): Deployer {
  const { db, catalog, envStore } = parts;
  const mutex = createKeyedMutex();
  const versions = createVersionBuilder(parts);
  const { namespaceOf } = versions;

  async function create(input: NewFunctionInput, options: DeployOptions): Promise<FunctionWithVersion> {
    const namespace = await namespaceOf(input);
    await store(namespace, input, options);
    return read(namespace, input.name);
  }

  function store(namespace: string, input: NewFunctionInput, options: DeployOptions): Promise<NewVersion> {
    return mutex.run(placeOf(namespace, input.name), () => storeInTurn(namespace, input, options));
  }

  async function storeInTurn(
    namespace: string,
    input: NewFunctionInput,
    options: DeployOptions,
  ): Promise<NewVersion> {
    const { name } = input;
    assertMayGrant(name, input, options);
    if (catalog.find(namespace, name) !== undefined) throw alreadyExists(namespace, name);
    const version = await versions.build({
      owner: { namespace, name },
      sources: sourcesOf(input, undefined, name),
      input,
      before: undefined,
      env: input.env ?? {},
    }, options);
    // What it says of itself in its comments.
    assertMayTouch(name, version.settings, options);
    if (options.dryRun) return version;
    try {
      const id = await createFunction(db, {
        namespace,
        name,
        description: input.description ?? null,
        enabled: input.enabled ?? true,
        source: options.source,
        createdBy: options.createdBy,
      }, version);
      await publish(id, 1, version);
      return version;
    } catch (error) {
      throw routeTaken(error, catalog) ?? (isUniqueViolation(error) ? alreadyExists(namespace, name) : error);
    }
  }

  async function update(
    namespace: string,
    name: string,
    input: FunctionInput,
    options: DeployOptions,
  ): Promise<FunctionWithVersion> {
    await change({ namespace, name }, input, options);
    return read(namespace, name);
  }

  /** As often as a deployment of another server comes first; those of this one wait for each other. */
  function change(
    { namespace, name, before }: FunctionPlace & { readonly before?: FunctionWithVersion },
    input: FunctionInput,
    options: DeployOptions,
  ): Promise<Applied> {
    assertSameName(namespace, name, input);
    return mutex.run(
      placeOf(namespace, name),
      async () => changeInTurn(before ?? await read(namespace, name), input, options),
    );
  }

  async function changeInTurn(
    before: FunctionWithVersion,
    input: FunctionInput,
    options: DeployOptions,
  ): Promise<Applied> {
    const { namespace, name } = before.function;
    for (let conflicts = 0; conflicts < CONFLICTS_MAX_COUNT; conflicts += 1) {
      const applied = await tryChange(conflicts === 0 ? before : await read(namespace, name), input, options);
      if (applied !== undefined) return applied;
    }
    throw new PlatformError("ALREADY_EXISTS", `Cannot update function "${name}": too many others update it; try again`);
  }

  /** Undefined: another deployment came first. */
  async function tryChange(
    { function: fn, version: before }: FunctionWithVersion,
    input: FunctionInput,
    options: DeployOptions,
  ): Promise<Applied | undefined> {
    assertMayGrant(fn.name, input, options);
    assertIsVersion(fn, before, options.ifVersion);
    // What is live may be an older version than the one that a change starts from.
    for (const settings of [before.settings, catalog.findById(fn.id)?.settings]) {
      assertMayTouch(fn.name, settings, options);
    }
    const version = await versions.build({
      owner: fn,
      sources: sourcesOf(input, options.isWhole ? { ...before, files: {} } : before, fn.name),
      input,
      before,
      isRolledBack: fn.currentVersion !== fn.latestVersion,
      env: changedEnv(input.env ?? await envStore.open(before.envSealed, fn), input.env_changes),
    }, options);
    assertMayTouch(fn.name, version?.settings, options);
    const changed = changeOf(fn, input, options, version !== undefined);
    const applied: Applied = {
      outcome: version === undefined && Object.keys(changed).length === 0 ? "unchanged" : "updated",
      problems: (version ?? before).problems,
      warnings: (version ?? before).warnings,
    };
    if (options.dryRun || applied.outcome === "unchanged") return applied;
    const update = {
      change: changed,
      ...(version === undefined ? {} : { version }),
      ...(options.canaryPercent === undefined ? {} : { canaryPercent: options.canaryPercent }),
    };
    if (!await ofItsRoutes(() => updateFunction(db, fn, update))) return undefined;
    await publish(fn.id, fn.latestVersion + 1, version);
    return applied;
  }

  /** A change that may be refused since another function has one of the routes. */
  async function ofItsRoutes<T>(change: () => Promise<T>): Promise<T> {
    try {
      return await change();
    } catch (error) {
      throw routeTaken(error, catalog) ?? error;
    }
  }

  async function publish(functionId: string, number: number, version: NewVersion | undefined): Promise<void> {
    if (version !== undefined && version.bundle !== null) {
      catalog.keepBundle({ functionId, number, bundle: version.bundle });
    }
    await catalog.refresh(functionId);
  }

  async function read(namespace: string, name: string): Promise<FunctionWithVersion> {
    const isPossible = functionNameProblem(name) === undefined && namespaceProblem(namespace) === undefined;
    const found = isPossible ? await findFunction(db, namespace, name) : undefined;
    if (found === undefined) throw functionNotFound(namespace, name);
    return found;
  }

  /** @throws {PlatformError} for who may not touch it */
  async function versionToServe(
    namespace: string,
    name: string,
    { number, mayGrant }: { readonly number: number } & Granter,
  ) {
    const { function: fn, version: current } = await read(namespace, name);
    const version = await findVersion(db, fn.id, number);
    if (version === undefined) throw versionNotFound(fn, number);
    for (const { settings } of [current, version]) assertMayTouch(name, settings, { mayGrant });
    return { fn, current, version };
  }

  return {
    namespaceOf,
    create,
    update,
    read,
    async apply(input, before, options) {
      if (before !== undefined) return change({ ...before.function, before }, input, options);
      const namespace = await namespaceOf(input);
      try {
        const { problems, warnings } = await store(namespace, input, options);
        return { outcome: "created", problems, warnings };
      } catch (error) {
        // Another call or server does the same, and was first.
        if (!(error instanceof PlatformError) || error.code !== "ALREADY_EXISTS") throw error;
        return change({ namespace, name: input.name }, input, options);
      }
    },
    async rebuild(namespace, name) {
      const { function: { source, currentVersion, latestVersion }, version } = await read(namespace, name);
      const isPinned = currentVersion !== latestVersion || isGranted(version.settings);
      if (isPinned) return { outcome: "unchanged", problems: [], warnings: [] };
      return change({ namespace, name }, {}, {
        strict: false,
        source,
        createdBy: REBUILT_BY,
        mayGrant: false,
        mayRoute: false,
      });
    },
    versions: ({ id }) => listVersions(db, id),
    async version(fn, number) {
      const found = await findVersion(db, fn.id, number);
      if (found === undefined) throw versionNotFound(fn, number);
      return found;
    },
    async rollback(namespace, name, { number, mayGrant, mayRoute }) {
      const { fn, current, version } = await versionToServe(namespace, name, { number, mayGrant });
      if (!mayRoute) assertNoNewRoute(name, version.settings, current.settings);
      if (!await ofItsRoutes(() => makeLive(db, fn.id, number))) throw cannotServe(fn, version);
      await catalog.refresh(fn.id);
      return read(namespace, name);
    },
    async shareCalls(namespace, name, { number, percent, mayGrant }) {
      const { fn, version } = await versionToServe(namespace, name, { number, mayGrant });
      if (fn.liveVersion === null || fn.liveVersion === number) {
        const why = fn.liveVersion === null ? "it has no live version" : `version ${number} is the live one`;
        throw new PlatformError(
          "INVALID_ARGUMENT",
          `Cannot split the calls of function "${name}": ${why}; choose a version beside the live one`,
        );
      }
      if (!await shareCalls(db, fn.id, { version: number, percent })) throw cannotServe(fn, version);
      await catalog.refresh(fn.id);
      return read(namespace, name);
    },
    async endCanary(namespace, name, { mayGrant }) {
      const { function: fn, version } = await read(namespace, name);
      assertMayTouch(name, version.settings, { mayGrant });
      await endCanary(db, fn.id);
      await catalog.refresh(fn.id);
      return read(namespace, name);
    },
    async remove(namespace, name, granter) {
      const { function: { id }, version } = await read(namespace, name);
      for (const settings of [version.settings, catalog.findById(id)?.settings]) {
        assertMayRemove(name, settings, granter);
      }
      const removed = await db.transaction().execute(async (trx) => {
        if (!await deleteFunction(trx, id)) throw functionNotFound(namespace, name);
        return { tasks: await cancelTasksOf(trx, id), ...await countCallers(trx, id) };
      });
      await catalog.refresh(id);
      return removed;
    },
    async restore(namespace, name, granter) {
      try {
        const id = await db.transaction().execute(async (trx) => {
          const restored = await restoreFunction(trx, namespace, name);
          if (restored === undefined) throw nothingToRestore(namespace, name);
          const found = await findFunction(trx, namespace, name);
          const [live] = await listLiveFunctions(trx, [restored]);
          for (const settings of [found?.version.settings, live?.settings]) assertMayTouch(name, settings, granter);
          return restored;
        });
        await catalog.refresh(id);
      } catch (error) {
        throw routeTaken(error, catalog) ?? (isUniqueViolation(error) ? alreadyExists(namespace, name) : error);
      }
      return read(namespace, name);
    },
  };
}

function placeOf(namespace: string, name: string): string {
  return `${namespace}/${name}`;
}

/** What belongs to the function and not to a version. */
function changeOf(
  fn: StoredFunction,
  { description, enabled }: FunctionInput,
  { source }: DeployOptions,
  hasNewVersion: boolean,
): FunctionChange {
  return {
    ...(description === undefined || description === fn.description ? {} : { description }),
    ...(enabled === undefined || enabled === fn.enabled ? {} : { enabled }),
    ...(source === fn.source || !hasNewVersion ? {} : { source }),
  };
}

function versionNotFound({ name }: StoredFunction, number: number): PlatformError {
  return new PlatformError(
    "VERSION_NOT_FOUND",
    `Version ${number} of function "${name}" not found: GET /api/v1/functions/${name}/versions lists those that are kept`,
  );
}

function nothingToRestore(namespace: string, name: string): PlatformError {
  return new PlatformError(
    "FUNCTION_NOT_FOUND",
    `Deleted function "${name.slice(0, 80)}" not found in namespace "${
      namespace.slice(0, 80)
    }": deletions are kept for 30 days`,
  );
}

function assertSameName(namespace: string, name: string, input: FunctionInput): void {
  const isSame = (input.name === undefined || input.name === name) &&
    (input.namespace === undefined || input.namespace === namespace);
  if (!isSame) {
    throw invalidFunction([
      `"name" and "namespace" cannot change: this is "${namespace}/${name}"; create another function and delete this one`,
    ]);
  }
}

function alreadyExists(namespace: string, name: string): PlatformError {
  return new PlatformError(
    "ALREADY_EXISTS",
    `Function "${name}" already exists in namespace "${namespace}": update it with PUT /api/v1/functions/${name}`,
  );
}

/** @throws {PlatformError} VERSION_CONFLICT */
function assertIsVersion(
  { name, currentVersion }: StoredFunction,
  { createdBy, createdAt }: StoredVersion,
  wanted: number | undefined,
): void {
  if (wanted === undefined || wanted === currentVersion) return;
  throw new PlatformError(
    "VERSION_CONFLICT",
    `Cannot update function "${name}" from version ${wanted}: it has version ${currentVersion} by now; read it again`,
    { details: { version: currentVersion, created_by: createdBy, created_at: createdAt.toISOString() } },
  );
}

/** Null takes a variable away. */
function changedEnv(env: Env, changes: Readonly<Record<string, string | null>> = {}): Env {
  const changed = Object.entries({ ...env, ...changes });
  return Object.fromEntries(changed.filter((entry): entry is [string, string] => entry[1] !== null));
}

function cannotServe({ namespace, name }: StoredFunction, { number, bundleBytes }: StoredVersion): PlatformError {
  // Deleted meanwhile.
  if (bundleBytes !== null) return functionNotFound(namespace, name);
  return new PlatformError(
    "VERSION_NOT_BUILT",
    `Cannot have version ${number} of function "${name}" serve calls: that version never built; choose one with is_bundled`,
  );
}
