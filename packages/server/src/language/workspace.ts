/**
 * The folder of one session: what lies around the source that is edited, as builds lay it out.
 *
 * The source itself is not in it: the language server gets it as messages.
 *
 * @module
 */
import { join } from "node:path";
import { DECLARATIONS } from "@fluxbase/contract";
import type { DenoJson } from "../bundler/bundler.ts";
import { OWN_FOLDER, SDK_FOLDER, SHARED_FOLDER } from "../bundler/bundling.ts";
import { SDK_NAMES } from "../bundler/package_name.ts";
import { createFolder } from "../bundler/folder.ts";
import { readSdkTypes } from "../bundler/sdk_source.ts";

export interface Around {
  /** Shared modules in reach, by path. */
  readonly shared: Readonly<Record<string, string>>;
  readonly denoJson: DenoJson;
}

const DECLARATIONS_FILE = "fluxbase.d.ts";

export async function writeWorkspace(dir: string, around: Around, uid: number | null): Promise<void> {
  const sdk = await readSdkTypes();
  const folder = createFolder(dir, uid);
  const { imports = {}, scopes = {}, compilerOptions = {} } = around.denoJson;
  const given = Array.isArray(compilerOptions["types"]) ? compilerOptions["types"] : [];
  const inSdk = Object.entries(sdk.imports).map(([name, path]) => [name, `./${SDK_FOLDER}/${path}`]);
  const denoJson = {
    imports: {
      ...imports,
      ...Object.fromEntries(SDK_NAMES.map((name) => [name, `./${SDK_FOLDER}/${sdk.entry}`])),
      [`${SHARED_FOLDER}/`]: `./${SHARED_FOLDER}/`,
    },
    // What the SDK imports by name is nobody else's.
    scopes: { ...scopes, [`./${SDK_FOLDER}/`]: Object.fromEntries(inSdk) },
    compilerOptions: { noImplicitAny: false, ...compilerOptions, types: [...given, `./${DECLARATIONS_FILE}`] },
    nodeModulesDir: "none",
    lock: false,
    unstable: ["bare-node-builtins", "raw-imports"],
  };
  await folder.write("deno.json", JSON.stringify(denoJson));
  await folder.write(DECLARATIONS_FILE, DECLARATIONS);
  for (const [path, text] of Object.entries(around.shared)) await folder.write(path, text);
  for (const [path, text] of Object.entries(sdk.files)) await folder.write(`${SDK_FOLDER}/${path}`, text);
  await folder.make(OWN_FOLDER);
  await folder.make(SHARED_FOLDER);
  await Deno.symlink(`../${SHARED_FOLDER}`, join(dir, OWN_FOLDER, SHARED_FOLDER));
  await folder.handOver();
}
