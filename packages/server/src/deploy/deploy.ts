/**
 * One deployment from source to live: check, build, store, make live, tell this node.
 *
 * A build that fails is stored with its source and does not replace a version that works. The same source and settings
 * make no new version. Two deployments of one function at once are put in an order by the database: the one that lost
 * starts again from what the other stored, so no change is lost.
 *
 * @module
 */
import { createHash } from "node:crypto";
import {
  type BuildProblem,
  DEFAULT_NAMESPACE,
  DEFAULT_SETTINGS,
  functionNameProblem,
  type FunctionSettings,
  type FunctionSource,
  namespaceProblem,
  PlatformError,
} from "@fluxbase/contract";
import type { Bundler } from "../bundler/bundler.ts";
import type { Catalog } from "../catalog/catalog.ts";
import type { Env, EnvStore } from "../secrets/env_store.ts";
import { type Database, isUniqueViolation } from "../storage/db.ts";
import {
  addVersion,
  createFunction,
  deleteFunction,
  findFunction,
  type FunctionWithVersion,
  updateFunction,
} from "../storage/functions.ts";
import type { NewVersion } from "../storage/versions.ts";
import { type FunctionInput, invalidFunction, type NewFunctionInput } from "./function_input.ts";
import { mergeSettings } from "./merge_settings.ts";

export interface DeployParts {
  readonly db: Database["db"];
  readonly catalog: Catalog;
  readonly bundler: Bundler;
  readonly envStore: EnvStore;
  readonly limits: DeployLimits;
}

export interface DeployLimits {
  readonly wallMs: number;
  readonly wallMaxMs: number;
  readonly memoryMiB: number;
  readonly responseBodyBytes: number;
  readonly sourceFileBytes: number;
  readonly sourceBytes: number;
}

export interface DeployOptions {
  /** Refuse a source that does not build, instead of storing it. */
  readonly strict: boolean;
  readonly source: FunctionSource;
  readonly createdBy: string | null;
}

export interface Deployer {
  create(input: NewFunctionInput, options: DeployOptions): Promise<FunctionWithVersion>;
  update(namespace: string, name: string, input: FunctionInput, options: DeployOptions): Promise<FunctionWithVersion>;
  /** @throws {PlatformError} FUNCTION_NOT_FOUND */
  read(namespace: string, name: string): Promise<FunctionWithVersion>;
  remove(namespace: string, name: string): Promise<void>;
}

const CONFLICTS_MAX_COUNT = 10;

interface Sources {
  readonly entry: string;
  readonly files: Readonly<Record<string, string>>;
}

export function createDeployer(parts: DeployParts): Deployer {
  const { db, catalog, envStore, limits } = parts;
  const defaults: FunctionSettings = {
    ...DEFAULT_SETTINGS,
    timeoutMs: limits.wallMs,
    memoryMiB: limits.memoryMiB,
    responseBodyBytes: limits.responseBodyBytes,
  };

  async function create(input: NewFunctionInput, options: DeployOptions): Promise<FunctionWithVersion> {
    const namespace = input.namespace ?? DEFAULT_NAMESPACE;
    const { name } = input;
    if (catalog.find(namespace, name) !== undefined) throw alreadyExists(namespace, name);
    const settings = mergeSettings(defaults, input, limits);
    const version = await buildVersion({
      owner: { namespace, name },
      sources: sourcesOf(input, undefined, name),
      settings,
      env: input.env ?? {},
    }, options);
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
    } catch (error) {
      throw isUniqueViolation(error) ? alreadyExists(namespace, name) : error;
    }
    return read(namespace, name);
  }

  async function update(
    namespace: string,
    name: string,
    input: FunctionInput,
    options: DeployOptions,
  ): Promise<FunctionWithVersion> {
    assertSameName(namespace, name, input);
    for (let conflicts = 0; conflicts < CONFLICTS_MAX_COUNT; conflicts += 1) {
      if (await tryUpdate(await read(namespace, name), input, options)) return read(namespace, name);
    }
    throw new PlatformError("ALREADY_EXISTS", `Cannot update function "${name}": too many others update it; try again`);
  }

  /** False: another deployment came first. */
  async function tryUpdate(
    { function: fn, version: before }: FunctionWithVersion,
    input: FunctionInput,
    options: DeployOptions,
  ): Promise<boolean> {
    const version = await buildVersion({
      owner: fn,
      sources: sourcesOf(input, before, fn.name),
      settings: mergeSettings(before.settings, input, limits),
      env: input.env ?? await envStore.open(before.envSealed, fn),
      unlessHash: before.contentHash,
    }, options);
    if (version !== undefined && !await addVersion(db, fn.id, version, fn.latestVersion)) return false;
    const number = fn.latestVersion + 1;
    const change = {
      ...(input.description === undefined ? {} : { description: input.description }),
      ...(input.enabled === undefined ? {} : { enabled: input.enabled }),
    };
    if (Object.keys(change).length > 0) await updateFunction(db, fn.id, change);
    await publish(fn.id, number, version);
    return true;
  }

  async function publish(functionId: string, number: number, version: NewVersion | undefined): Promise<void> {
    if (version !== undefined && version.bundle !== null) {
      catalog.keepBundle({ functionId, number, bundle: version.bundle });
    }
    await catalog.refresh(functionId);
  }

  interface Ingredients {
    readonly owner: { readonly namespace: string; readonly name: string };
    readonly sources: Sources;
    readonly settings: FunctionSettings;
    readonly env: Env;
  }

  async function buildVersion(made: Ingredients, options: DeployOptions): Promise<NewVersion>;
  async function buildVersion(
    made: Ingredients & { readonly unlessHash: string },
    options: DeployOptions,
  ): Promise<NewVersion | undefined>;
  async function buildVersion(
    { owner, sources, settings, env, unlessHash }: Ingredients & { readonly unlessHash?: string },
    { strict, createdBy }: DeployOptions,
  ): Promise<NewVersion | undefined> {
    assertSourceFits(sources, limits);
    const contentHash = hashOf({ ...sources, settings, env: await envStore.fingerprint(env) });
    if (contentHash === unlessHash) return undefined;
    const built = await parts.bundler.build(sources);
    if (!built.ok && strict) throw rejected(owner.name, built.problems);
    return {
      ...sources,
      settings,
      envNames: Object.keys(env).sort(),
      envSealed: await envStore.seal(env, owner),
      bundle: built.ok ? built.code : null,
      problems: built.ok ? [] : built.problems,
      contentHash,
      createdBy,
    };
  }

  async function read(namespace: string, name: string): Promise<FunctionWithVersion> {
    const isPossible = functionNameProblem(name) === undefined && namespaceProblem(namespace) === undefined;
    const found = isPossible ? await findFunction(db, namespace, name) : undefined;
    if (found === undefined) throw functionNotFound(namespace, name);
    return found;
  }

  return {
    create,
    update,
    read,
    async remove(namespace, name) {
      const { function: { id } } = await read(namespace, name);
      if (!await deleteFunction(db, id)) throw functionNotFound(namespace, name);
      await catalog.refresh(id);
    },
  };
}

export function functionNotFound(namespace: string, name: string): PlatformError {
  const place = namespace === DEFAULT_NAMESPACE ? "" : ` in namespace "${namespace.slice(0, 80)}"`;
  return new PlatformError(
    "FUNCTION_NOT_FOUND",
    `Function "${name.slice(0, 80)}" not found${place}: create it with POST /api/v1/functions`,
  );
}

/** What was sent, on top of the sources of the version before. */
function sourcesOf(input: FunctionInput, before: Sources | undefined, name: string): Sources {
  for (const field of ["files", "original_code"] as const) {
    if (input[field] === undefined) continue;
    throw invalidFunction([
      `"${field}" is not supported by this version of the server yet: put all of the function into "code"`,
    ]);
  }
  const entry = before?.entry ?? `${name}.ts`;
  return input.code === undefined ? before ?? { entry, files: {} } : { entry, files: { [entry]: input.code } };
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

function assertSourceFits({ files }: Sources, { sourceFileBytes, sourceBytes }: DeployLimits): void {
  const encoder = new TextEncoder();
  let total = 0;
  for (const [path, code] of Object.entries(files)) {
    const byteCount = encoder.encode(code).length;
    total += byteCount;
    if (byteCount > sourceFileBytes) {
      throw tooLarge(`file "${path}" has ${byteCount} bytes`, sourceFileBytes, byteCount);
    }
  }
  if (total > sourceBytes) throw tooLarge(`its files have ${total} bytes together`, sourceBytes, total);
}

function tooLarge(what: string, limit: number, used: number): PlatformError {
  return new PlatformError("BODY_TOO_LARGE", `Cannot accept the function: ${what}, and at most ${limit} are allowed`, {
    details: { limit, used },
  });
}

function alreadyExists(namespace: string, name: string): PlatformError {
  return new PlatformError(
    "ALREADY_EXISTS",
    `Function "${name}" already exists in namespace "${namespace}": update it with PUT /api/v1/functions/${name}`,
  );
}

function rejected(name: string, problems: readonly BuildProblem[]): PlatformError {
  return new PlatformError("BUNDLE_REJECTED", `Cannot build function "${name}": ${describeProblems(problems)}`, {
    details: { problems },
  });
}

/** All problems as one text for people: `hello.ts:3:9: Unexpected token`, then the line it is about. */
export function describeProblems(problems: readonly BuildProblem[]): string {
  return problems.map(({ message, file, line, column, snippet }) => {
    const place = [file, line, column].filter((part) => part !== null).join(":");
    return `${place === "" ? "" : `${place}: `}${message}${snippet === null ? "" : `\n    ${snippet}`}`;
  }).join("\n");
}

/** Equal hashes are equal deployments. Keys are sorted at every depth, since jsonb keeps no order. */
function hashOf(value: unknown): string {
  return createHash("sha256").update(canonicalJson(value)).digest("hex");
}

function canonicalJson(value: unknown): string {
  return JSON.stringify(
    value,
    (_, inner) =>
      typeof inner === "object" && inner !== null && !Array.isArray(inner)
        ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => a < b ? -1 : 1))
        : inner,
  );
}
