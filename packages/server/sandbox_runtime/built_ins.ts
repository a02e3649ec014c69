/**
 * Hands built-in modules of Node to user code, each made harmless before anybody gets it. That happens when one is asked
 * for: loading them at the start of every sandbox cost 10 ms of processor time, and hardly any function needs them.
 *
 * The ways to a module are `import` (./bundle.ts), `process.getBuiltinModule`, and what node:module and its like load
 * themselves, for which their resolver is hooked. Nothing here calls what user code may have replaced by then.
 *
 * @module
 */
import { removeWasi } from "./descriptors.ts";
import { removeWorkers } from "./globals.ts";
import { hideMachine, MACHINE_CALLS } from "./machine.ts";
import { define, refusal } from "./taking_away.ts";

type Exports = Readonly<Record<string, unknown>>;

const INTERNAL = /^(?:node:)?internal\//;
const NAME = /^(?:node:)?([a-z_]+(?:\/promises)?)(?![\w/])/;
/** What leads to Deno's own loader of modules. */
const LOADERS = ["module", "vm", "repl", "test", "inspector"];
/** Changed on the object of the module, which its exports do not follow. */
const CHANGED: Readonly<Record<string, readonly string[]>> = {
  process: ["exit", "reallyExit", "abort", "kill", "getBuiltinModule"],
  module: ["register", "registerHooks", "getBuiltinModule"],
  os: MACHINE_CALLS,
  // By ./static_files.ts.
  fs: ["readFileSync", "readFile", "existsSync"],
  "fs/promises": ["readFile"],
};

// Captured before user code runs.
const { apply } = Reflect;
const { assign, create } = Object;
const match = RegExp.prototype.exec;
const load = process.getBuiltinModule.bind(process);

/** What is done to a module before anybody gets it; done once. */
const guards: Record<string, (() => void) | undefined> = assign(create(null), {
  wasi: () => removeWasi(load("node:wasi")),
  worker_threads: () => removeWorkers(load("node:worker_threads")),
  os: () => hideMachine(load("node:os")),
});
for (const name of LOADERS) guards[name] = () => hookLoaders();
const changed: Record<string, readonly string[] | undefined> = assign(create(null), CHANGED);
let areLoadersHooked = false;

/** From now on these are taken from the object of a module, by its name with `node:` in front. */
export function followObject(specifier: string, names: readonly string[]): void {
  changed[specifier] = names;
}

/** Does the work before user code gets the first of these modules. */
export function beforeFirstUse(names: readonly string[], work: () => void): void {
  let isDone = false;
  for (const name of names) {
    guards[name] = () => {
      if (isDone) return;
      isDone = true;
      work();
    };
  }
}

function nameOf(specifier: unknown): string {
  return typeof specifier === "string" ? apply(match, NAME, [specifier])?.[1] ?? "" : "";
}

/** Deno hands these out to tests of Node, with all bindings. */
function isInternal(specifier: unknown): boolean {
  return typeof specifier === "string" && apply(match, INTERNAL, [specifier]) !== null;
}

function guard(name: string): void {
  const work = guards[name];
  guards[name] = undefined;
  work?.();
}

/** From now on `process.getBuiltinModule` hands out guarded modules. */
export function guardBuiltIns(): void {
  define(process, "getBuiltinModule", getGuarded);
}

function getGuarded(specifier: string): unknown {
  guard(nameOf(specifier));
  return load(specifier);
}

/** @param specifier with `node:` in front */
export async function importBuiltIn(specifier: string): Promise<Exports> {
  const name = nameOf(specifier);
  guard(name);
  const exports: Record<string, unknown> = { ...await import(specifier) };
  const names = changed[specifier] ?? changed[name];
  const object = exports["default"] as Exports;
  for (let index = 0; names !== undefined && index < names.length; index += 1) {
    const one = names[index];
    if (one !== undefined) exports[one] = object[one];
  }
  return exports;
}

/** The part of node:module that is used here. */
interface Loader {
  registerHooks(hooks: { resolve(specifier: string, context: unknown, next: Next): Resolved }): void;
}
type Next = (specifier: string, context: unknown) => Resolved;
interface Resolved {
  readonly url: string;
}

function hookLoaders(): void {
  if (areLoadersHooked) return;
  areLoadersHooked = true;
  const loader = load("node:module") as unknown as Loader;
  loader.registerHooks({
    resolve(specifier, context, next) {
      if (isInternal(specifier)) {
        throw new TypeError("Cannot use an internal module of Node: it leads past the limits of a function");
      }
      const resolved = next(specifier, context);
      guard(nameOf(resolved.url));
      return resolved;
    },
  });
  // A hook of user code would be asked before this one.
  define(loader, "registerHooks", refusal("Cannot use module.registerHooks: it leads past the limits of a function"));
  define(loader, "register", refusal("Cannot use module.register: it leads past the limits of a function"));
  define(loader, "getBuiltinModule", getGuarded);
}
