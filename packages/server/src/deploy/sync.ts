/**
 * Many functions at once: creates, updates and, when asked, deletes, so that a namespace is what the list says.
 *
 * Each function is stored by itself: what fails is listed and stops nothing else, and an end in the middle leaves every
 * function either as it was or as it should be.
 *
 * @module
 */
import { type FunctionSource, PlatformError, type SyncFailure } from "@fluxbase/contract";
import type { Database } from "../storage/db.ts";
import { listFunctions } from "../storage/functions.ts";
import { describeProblems } from "./build_version.ts";
import type { Deployer, DeployOptions, Outcome, SaveFunction } from "./deploy.ts";
import { type NewFunctionInput, parseNewFunction } from "./function_input.ts";
import { inParallel } from "./in_parallel.ts";

export interface SyncRequest {
  readonly namespace: string;
  /** As they were sent: each is checked by itself. */
  readonly functions: readonly unknown[];
  readonly deleteMissing: boolean;
  readonly dryRun: boolean;
  readonly source: FunctionSource;
  readonly createdBy: string | null;
}

export interface SyncResult {
  readonly details: Readonly<Record<Outcome | "deleted", readonly string[]>>;
  readonly errors: readonly SyncFailure[];
  readonly warnings: readonly string[];
}

/** More wait in the bundler than work there; those in front keep it busy. */
const AT_ONCE_COUNT = 16;

export async function syncFunctions(
  { db, deployer, saving }: {
    readonly db: Database["db"];
    readonly deployer: Deployer;
    readonly saving: SaveFunction;
  },
  request: SyncRequest,
): Promise<SyncResult> {
  const { namespace, source, createdBy, dryRun } = request;
  // Only admins sync.
  const options: DeployOptions = {
    strict: false,
    source,
    createdBy,
    dryRun,
    isWhole: true,
    mayGrant: true,
    mayRoute: true,
  };
  const store: SaveFunction = dryRun ? (_, save) => save() : saving;
  const existing = new Map((await listFunctions(db, { namespace })).map((found) => [found.function.name, found]));
  const details: Record<Outcome | "deleted", string[]> = { created: [], updated: [], deleted: [], unchanged: [] };
  const errors: SyncFailure[] = [];
  const warnings: string[] = [];
  const named = new Set<string>();

  const items: NewFunctionInput[] = [];
  request.functions.forEach((value, index) => {
    const name = nameIn(value) ?? `functions[${index}]`;
    try {
      const input = parseNewFunction(ofCommandLine(value));
      if (input.namespace !== undefined && input.namespace !== namespace) {
        throw new PlatformError(
          "INVALID_ARGUMENT",
          `Cannot sync function "${name}": its namespace is "${input.namespace}", and this call is about "${namespace}"`,
        );
      }
      if (named.has(name)) throw new PlatformError("INVALID_ARGUMENT", `Cannot sync "${name}": it is listed twice`);
      items.push({ ...input, namespace });
    } catch (error) {
      errors.push(failure(name, "check", error));
    }
    named.add(name);
  });

  await inParallel(items, AT_ONCE_COUNT, async (input) => {
    const before = existing.get(input.name);
    const action = before === undefined ? "create" : "update";
    try {
      const place = { namespace, name: input.name };
      const applied = await store(place, () => deployer.apply(input, before, options));
      warnings.push(...applied.warnings.map((warning) => `${input.name}: ${warning}`));
      if (applied.problems.length === 0) details[applied.outcome].push(input.name);
      else {errors.push({
          ...failure(input.name, action, describeProblems(applied.problems)),
          problems: applied.problems,
        });}
    } catch (error) {
      errors.push(failure(input.name, action, error));
    }
  });

  if (request.deleteMissing) {
    const missing = [...existing.keys()].filter((name) => !named.has(name));
    await inParallel(missing, AT_ONCE_COUNT, async (name) => {
      try {
        if (!dryRun) await store({ namespace, name }, () => deployer.remove(namespace, name, options));
        details.deleted.push(name);
      } catch (error) {
        errors.push(failure(name, "delete", error));
      }
    });
  }
  for (const names of Object.values(details)) names.sort();
  return { details, errors, warnings: warnings.sort() };
}

/**
 * What the command line in the field adds: the folder that it read, and the source beside a bundle that it may not have
 * made.
 */
function ofCommandLine(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  const { sourceDir: _, ...fields } = value as Readonly<Record<string, unknown>>;
  if (fields["code"] !== "" || typeof fields["original_code"] !== "string") return fields;
  const { original_code: code, is_bundled: _bundled, is_pre_bundled: _preBundled, ...others } = fields;
  return { ...others, code };
}

function nameIn(value: unknown): string | undefined {
  const name: unknown = typeof value === "object" && value !== null ? Reflect.get(value, "name") : undefined;
  return typeof name === "string" ? name : undefined;
}

function failure(name: string, action: SyncFailure["action"], error: unknown): SyncFailure {
  const text = error instanceof PlatformError
    ? error.message
    : typeof error === "string"
    ? error
    : "Cannot store the function: the server's log says why";
  return { function: name, name, error: text, action, problems: [] };
}
