/**
 * Makes a version of what was sent: checks the source, bundles it, lays its settings over each other.
 *
 * Owns: whether anything differs from the version before, what a version has.
 * Does not own: storing it and making it live (./deploy.ts), bundling (../bundler/), its files (./sources.ts).
 *
 * @module
 */
import {
  type BuildProblem,
  DEFAULT_NAMESPACE,
  DEFAULT_SETTINGS,
  type FunctionSettings,
  type FunctionSource,
  namespaceProblem,
  PlatformError,
} from "@fluxbase/contract";
import type { Bundler } from "../bundler/bundler.ts";
import type { Env, EnvStore } from "../secrets/env_store.ts";
import { type NewVersion, ORIGINAL, type StoredVersion } from "../storage/versions.ts";
import { type Annotated, readAnnotations } from "./annotations.ts";
import { canonicalJson, hashOf } from "./content_hash.ts";
import { folderDenoJsonFor, joinDenoJson, ownDenoJson } from "./deno_json.ts";
import { type FunctionInput, invalidFunction, type NewFunctionInput } from "./function_input.ts";
import { addGiven, type GivenSettings } from "./given_settings.ts";
import { mergeSettings, settingsAsGiven, withSchedules } from "./merge_settings.ts";
import { assertNoNewRoute } from "./routes.ts";
import { isGranted } from "./service_grant.ts";
import { hashesOf, mayImport, type SharedModules, WHOLE } from "./shared_modules.ts";
import { assertSourceFits, type SourceLimits, type Sources, sourcesOf } from "./sources.ts";

export interface VersionBuilderParts {
  readonly bundler: Bundler;
  readonly envStore: EnvStore;
  readonly sharedModules: SharedModules;
  readonly limits: DeployLimits;
}

export interface DeployLimits extends SourceLimits {
  readonly wallMs: number;
  readonly wallMaxMs: number;
  readonly memoryMiB: number;
  readonly responseBodyBytes: number;
}

/** What of a deployment decides on how its version is built. */
export interface BuildOptions {
  /** Refuse a source that does not build, instead of storing it. */
  readonly strict: boolean;
  readonly source: FunctionSource;
  readonly createdBy: string | null;
  /** Public paths are of no namespace: who is limited to some may not take one. */
  readonly mayRoute: boolean;
  /** For a dry run: modules of the default namespace as they would be; null for one that would be gone. */
  readonly modules?: ReadonlyMap<string, string | null>;
}

export interface Ingredients {
  readonly owner: { readonly namespace: string; readonly name: string };
  readonly sources: Sources;
  readonly input: FunctionInput;
  readonly before: StoredVersion | undefined;
  readonly isRolledBack?: boolean;
  readonly env: Env;
}

export interface VersionBuilder {
  build(made: Ingredients & { readonly before: undefined }, options: BuildOptions): Promise<NewVersion>;
  /** Undefined when nothing differs from the version before. */
  build(made: Ingredients, options: BuildOptions): Promise<NewVersion | undefined>;
  /** The namespace of a function to be created: from the input, else from its annotation. */
  namespaceOf(input: NewFunctionInput): Promise<string>;
}

export function createVersionBuilder(
  { bundler, envStore, sharedModules, limits }: VersionBuilderParts,
): VersionBuilder {
  const defaults: FunctionSettings = {
    ...DEFAULT_SETTINGS,
    timeoutMs: limits.wallMs,
    memoryMiB: limits.memoryMiB,
    responseBodyBytes: limits.responseBodyBytes,
  };

  /** Undefined when nothing differs from the version before. */
  async function buildVersion(
    made: Ingredients & { readonly before: undefined },
    o: BuildOptions,
  ): Promise<NewVersion>;
  async function buildVersion(made: Ingredients, options: BuildOptions): Promise<NewVersion | undefined>;
  async function buildVersion(
    { owner, sources, input, before, isRolledBack = false, env }: Ingredients,
    { strict, createdBy, source, modules, mayRoute }: BuildOptions,
  ): Promise<NewVersion | undefined> {
    assertSourceFits(sources, limits);
    // Names what is wrong with the input itself; annotations come in below it.
    mergeSettings(defaults, input, limits);
    const given = addGiven(givenOf(before), input);
    const isPreBundled = Object.hasOwn(sources.files, ORIGINAL);
    const around = await sharedModules.around(owner.namespace, sources.files, modules);
    const fingerprint = await envStore.fingerprint(env);
    const hashWith = (dependencies: Readonly<Record<string, string>>) =>
      hashOf({ ...sources, given, defaults, env: fingerprint, dependencies });
    const isOwnSame = before !== undefined && hashWith(before.dependencies) === before.contentHash;
    // Who went back to a version wants its modules as they were, until they save something else. What may manage the
    // server gets no module that an admin has not seen.
    const isPinned = isRolledBack || (before !== undefined && isGranted(before.settings));
    if (isOwnSame && isPinned && source === "filesystem") return undefined;
    const isSame = before !== undefined &&
      hashWith(hashesOf(Object.keys(before.dependencies), around)) === before.contentHash;
    // What did not build is tried again: a registry may answer now.
    if (isSame && before.problems.length === 0) return undefined;

    const own = ownDenoJson(sources.files);
    const denoJson = joinDenoJson(folderDenoJsonFor(owner.name, around.denoJson), own.denoJson);
    const built = await bundler.build({ ...sources, shared: around.shared, denoJson, isPreBundled });
    const annotated = readAnnotations(built.annotations);
    const { settings, problems: settingProblems } = settingsOf(annotated, given);
    if (!mayRoute) assertNoNewRoute(owner.name, settings, before?.settings);
    const problems = [...own.problems, ...built.ok ? [] : built.problems, ...settingProblems];
    if (problems.length > 0 && strict) throw rejected(owner.name, problems);
    // Nothing new to tell: neither when a module has changed that does not mend it.
    if (isOwnSame && problems.length > 0 && canonicalJson(problems) === canonicalJson(before.problems)) {
      return undefined;
    }
    if (isSame && canonicalJson(problems) === canonicalJson(before.problems)) return undefined;
    const used = built.ok
      ? [...built.shared, ...(built.usesDenoJson ? ["deno.json"] : [])]
      : Object.entries(sources.files).some(mayImport)
      ? [WHOLE]
      : [];
    const dependencies = hashesOf(used, around);
    return {
      ...sources,
      settings,
      given,
      annotations: Object.assign({}, ...annotated.inputs.map(({ input: one }) => one)),
      warnings: [...annotated.warnings, ...own.warnings, ...namespaceWarnings(annotated, owner)],
      dependencies,
      envNames: Object.keys(env).sort(),
      envSealed: await envStore.seal(env, owner),
      bundle: built.ok && problems.length === 0 ? built.code : null,
      problems,
      contentHash: hashWith(dependencies),
      createdBy,
    };
  }

  /** Defaults, then annotations, then what the API has set. */
  function settingsOf(
    { inputs, schedules, problems: unreadable }: Annotated,
    given: GivenSettings,
  ): { settings: FunctionSettings; problems: BuildProblem[] } {
    const problems = [...unreadable];
    let settings = defaults;
    for (const { input, place } of inputs) {
      try {
        settings = mergeSettings(settings, input, limits);
      } catch (error) {
        if (!(error instanceof PlatformError)) throw error;
        problems.push({ ...place, message: error.message.replace("Cannot accept the function: ", "") });
      }
    }
    return { settings: withSchedules(mergeSettings(settings, given, limits), schedules), problems };
  }

  async function namespaceOf({ namespace, ...input }: NewFunctionInput): Promise<string> {
    if (namespace !== undefined) return namespace;
    const sources = sourcesOf(input, undefined, input.name);
    if (!(sources.files[sources.entry] ?? "").includes("@fluxbase:namespace")) return DEFAULT_NAMESPACE;
    assertSourceFits(sources, limits);
    const built = await bundler.build({ ...sources, shared: {}, denoJson: {}, isPreBundled: true });
    const { annotations } = built;
    // It may say a namespace, and must not end in another one.
    if (!built.ok && built.isUnread) throw invalidFunction(built.problems.map(({ message }) => message));
    const named = readAnnotations(annotations).inputs.find(({ input: one }) => one.namespace !== undefined);
    const found = named?.input.namespace ?? DEFAULT_NAMESPACE;
    const problem = namespaceProblem(found);
    if (problem !== undefined) throw invalidFunction([`@fluxbase:namespace: ${problem}`]);
    return found;
  }

  return { build: buildVersion, namespaceOf };
}

function givenOf(version: StoredVersion | undefined): GivenSettings {
  if (version === undefined) return {};
  return version.given ?? settingsAsGiven(version.settings);
}

function namespaceWarnings({ inputs }: Annotated, { namespace }: { readonly namespace: string }): string[] {
  const named = inputs.find(({ input }) => input.namespace !== undefined && input.namespace !== namespace);
  if (named === undefined) return [];
  const { place, input } = named;
  return [
    `${place.file}:${place.line}: @fluxbase:namespace ${input.namespace} was ignored: the function is in namespace ${namespace}`,
  ];
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
