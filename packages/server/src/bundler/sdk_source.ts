/**
 * The SDK as functions import it: its modules without types, read once.
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
