/**
 * Evaluates a bundle inside the sandbox.
 *
 * As a module of node:vm, compiled from memory: Deno's own loader parses every module a second time to find its
 * imports, which took 50 ms for 300 KB where this takes 5, and it needs a URL, so that large bundles had to be files
 * that the sandbox may read. See docs/decisions/0013.
 *
 * @module
 */
import { replacedExports } from "./exit.ts";
import { type Module, SourceTextModule, SyntheticModule } from "node:vm";

/** How stacks name the bundle; positions in it become those of the user's files (./stack.ts). */
export const BUNDLE_NAME = "function:bundle.js";
/** For libraries that make a path of `import.meta.url`; no file has it. */
const BUNDLE_URL = "file:///bundle.js";

export async function evaluateBundle(code: string): Promise<Readonly<Record<string, unknown>>> {
  const bundle = new SourceTextModule(code, {
    identifier: BUNDLE_NAME,
    importModuleDynamically: importBuiltIn,
    initializeImportMeta(meta: ImportMeta) {
      meta.url = BUNDLE_URL;
      meta.main = false;
    },
  });
  await bundle.link(linkBuiltIn);
  await bundle.evaluate();
  return bundle.namespace as Readonly<Record<string, unknown>>;
}

/** What is not in the bundle itself can only be built into Deno. */
async function linkBuiltIn(specifier: string): Promise<Module> {
  if (!/^(node|data|blob):/.test(specifier)) {
    throw new TypeError(
      `Cannot import "${specifier}" while the function runs: only node:, data: and blob: modules can be; import it at the top of a file, so that it becomes part of the bundle`,
    );
  }
  const exports: Readonly<Record<string, unknown>> = {
    ...await import(specifier),
    ...replacedExports(specifier),
  };
  const names = Object.keys(exports);
  return new SyntheticModule(names, function (this: SyntheticModule) {
    for (const name of names) this.setExport(name, exports[name]);
  }, { identifier: specifier });
}

async function importBuiltIn(specifier: string): Promise<Module> {
  const module = await linkBuiltIn(specifier);
  await module.evaluate();
  return module;
}
