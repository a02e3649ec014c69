/**
 * The SDK as functions import it: its modules without types, read once. And its types, for who edits functions.
 *
 * @module
 */
import { fileURLToPath } from "node:url";
import { join } from "node:path";

/** By path from the SDK's folder, and which of them is imported. */
export interface SdkSource {
  readonly entry: string;
  readonly files: Readonly<Record<string, string>>;
}

/** Where it is developed, and where npm puts it. */
const SOURCE_DIR = fileURLToPath(new URL("../../../sdk/", import.meta.url));
const PACKED = fileURLToPath(new URL("../../../sdk/dist/index.js", import.meta.url));

let reading: Promise<SdkSource> | undefined;

export function readSdkSource(): Promise<SdkSource> {
  return reading ??= read();
}

/** The name of the package that has the shapes of the wire, where the types come from the source. */
const CONTRACT = "@fluxbase/contract";
const CONTRACT_DIR = fileURLToPath(new URL("../../../contract/", import.meta.url));
const PACKED_DIR = fileURLToPath(new URL("../../../sdk/dist/", import.meta.url));

export interface SdkTypes extends SdkSource {
  /** Names that its modules import, and where they are. */
  readonly imports: Readonly<Record<string, string>>;
}

let readingTypes: Promise<SdkTypes> | undefined;

export function readSdkTypes(): Promise<SdkTypes> {
  return readingTypes ??= readTypes();
}

async function readTypes(): Promise<SdkTypes> {
  const mod = await textOf(join(SOURCE_DIR, "mod.ts"));
  if (mod === undefined) {
    return { entry: "mod.d.ts", files: await filesBelow(PACKED_DIR, (name) => name.endsWith(".d.ts")), imports: {} };
  }
  const isSource = (name: string) => name.endsWith(".ts") && !name.endsWith("_test.ts");
  const contract = await filesBelow(CONTRACT_DIR, isSource);
  return {
    entry: "mod.ts",
    files: {
      ...await filesBelow(SOURCE_DIR, isSource),
      ...Object.fromEntries(Object.entries(contract).map(([path, text]) => [`contract/${path}`, text])),
    },
    imports: { [CONTRACT]: "contract/mod.ts" },
  };
}

async function filesBelow(dir: string, isWanted: (name: string) => boolean): Promise<Record<string, string>> {
  const files: Record<string, string> = {};
  for await (const { name, isDirectory } of Deno.readDir(dir)) {
    if (isDirectory && name !== "node_modules") {
      for (const [path, text] of Object.entries(await filesBelow(join(dir, name), isWanted))) {
        files[`${name}/${path}`] = text;
      }
    } else if (!isDirectory && isWanted(name)) files[name] = await Deno.readTextFile(join(dir, name));
  }
  return files;
}

async function read(): Promise<SdkSource> {
  const entry = "mod.ts";
  const code = await textOf(join(SOURCE_DIR, entry));
  if (code === undefined) return { entry: "index.js", files: { "index.js": await Deno.readTextFile(PACKED) } };
  // Only the first function that imports the SDK needs it, not each start of the server.
  const { transformSync } = await import("oxc-transform");
  const withoutTypes = (path: string, text: string) =>
    transformSync(path, text, { sourceType: "module", target: "esnext" }).code;
  const files: Record<string, string> = { [entry]: withoutTypes(entry, code) };
  for await (const { name } of Deno.readDir(join(SOURCE_DIR, "src"))) {
    if (!name.endsWith(".ts") || name.endsWith("_test.ts")) continue;
    const path = `src/${name}`;
    files[path] = withoutTypes(path, await Deno.readTextFile(join(SOURCE_DIR, path)));
  }
  return { entry, files };
}

async function textOf(path: string): Promise<string | undefined> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}
