/**
 * Evaluates a bundle inside the sandbox, and what it imports while it runs.
 *
 * As a module of node:vm, compiled from memory: Deno's own loader parses every module a second time to find its
 * imports, which took 50 ms for 300 KB where this takes 5, and it needs a URL, so that large bundles had to be files
 * that the sandbox may read. See docs/decisions/0013. Deno's loader is also never asked for what user code names: it
 * would hand out built-in modules as they are.
 *
 * @module
 */
import { type Module, SourceTextModule, SyntheticModule } from "node:vm";
import { importBuiltIn } from "./built_ins.ts";

/** How stacks name the bundle; positions in it become those of the user's files (./stack.ts). */
export const BUNDLE_NAME = "function:bundle.js";
/** For libraries that make a path of `import.meta.url`; no file has it. */
const BUNDLE_PATH = "/bundle.js";
const BUNDLE_URL = `file://${BUNDLE_PATH}`;
/** Against a module; any other specifier stands for itself. */
const RELATIVE = /^\.{0,2}\//;

const SCHEME = /^(node|data|blob):/;
const JSON_TYPE = /^application\/([\w.-]+\+)?json\b/;
const SCRIPT_TYPE = /^(text|application)\/(x-)?(java|ecma)script\b/;

// Captured before user code runs.
const { apply } = Reflect;
const { exec: match, test } = RegExp.prototype;
const NativeURL = URL;
const nativeFetch = fetch;
const { parse } = JSON;
const { keys } = Object;

/** A URL means the same module wherever it is imported. */
const modules = new Map<string, Promise<Module>>();

/** In an object of ours: a module may export a function named `then`. */
export interface Evaluated {
  readonly exports: Readonly<Record<string, unknown>>;
}

export async function evaluateBundle(code: string): Promise<Evaluated> {
  const bundle = scriptOf(code, { identifier: BUNDLE_NAME, url: BUNDLE_URL });
  await bundle.link(moduleOf);
  await bundle.evaluate();
  return { exports: bundle.namespace as Evaluated["exports"] };
}

function scriptOf(code: string, { identifier, url }: { readonly identifier: string; readonly url: string }): Module {
  return new SourceTextModule(code, {
    identifier,
    importModuleDynamically: evaluatedModuleOf,
    initializeImportMeta(meta: ImportMeta) {
      meta.url = url;
      meta.main = url === BUNDLE_URL;
      meta.resolve = (specifier) => apply(test, RELATIVE, [specifier]) ? new NativeURL(specifier, url).href : specifier;
      if (url !== BUNDLE_URL) return;
      meta.filename = BUNDLE_PATH;
      meta.dirname = "/";
    },
  });
}

/** What is not in the bundle itself is built into Deno, or text in a URL. */
function moduleOf(specifier: string): Promise<Module> {
  const known = modules.get(specifier);
  if (known !== undefined) return known;
  const made = makeModule(specifier);
  modules.set(specifier, made);
  return made;
}

async function makeModule(specifier: string): Promise<Module> {
  switch (apply(match, SCHEME, [specifier])?.[1]) {
    case "node":
      return synthetic(specifier, await importBuiltIn(specifier));
    case "data":
    case "blob":
      return await textModule(specifier);
    default:
      throw new TypeError(
        `Cannot import "${specifier}" while the function runs: only node:, data: and blob: modules can be; import it at the top of a file, so that it becomes part of the bundle`,
      );
  }
}

async function textModule(url: string): Promise<Module> {
  const response = await nativeFetch(url);
  const type = response.headers.get("content-type") ?? "";
  const text = await response.text();
  if (JSON_TYPE.test(type)) return synthetic(url, { default: parse(text) });
  if (!SCRIPT_TYPE.test(type)) {
    throw new TypeError(`Cannot import a module of type "${type}": a data: or blob: URL must be JavaScript or JSON`);
  }
  return scriptOf(text, { identifier: url, url });
}

function synthetic(identifier: string, exports: Readonly<Record<string, unknown>>): Module {
  const names = keys(exports);
  return new SyntheticModule(names, function (this: SyntheticModule) {
    for (const name of names) this.setExport(name, exports[name]);
  }, { identifier });
}

async function evaluatedModuleOf(specifier: string): Promise<Module> {
  const module = await moduleOf(specifier);
  if (module.status === "unlinked") await module.link(moduleOf);
  await module.evaluate();
  return module;
}
