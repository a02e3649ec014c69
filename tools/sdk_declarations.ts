/**
 * Types of the SDK for whoever imports it built: one declaration for each module, and those of the wire.
 *
 * @module
 */
import { dirname, join, relative } from "node:path";
import { isolatedDeclarationSync } from "oxc-transform";
import { ROOT } from "./esbuild.ts";

const SDK = join(ROOT, "packages/sdk");
const CONTRACT = join(ROOT, "packages/contract");

export async function declareSdk(dist: string): Promise<void> {
  await declare({ from: SDK, to: dist, modules: await modulesOf(SDK), place: "" });
  // Types of the wire are part of it; nothing of the contract is left in the code.
  const wire = [
    "audit",
    "executions",
    "function_settings",
    "functions",
    "keys",
    "language",
    "metrics",
    "secrets",
    "server",
    "settings",
    "sql",
    "tasks",
    "users",
  ];
  await declare({
    from: CONTRACT,
    to: join(dist, "contract"),
    modules: wire.map((name) => `src/${name}.ts`),
    place: "contract/",
  });
  await Deno.writeTextFile(
    join(dist, "contract/mod.d.ts"),
    wire.map((name) => `export * from "./src/${name}.js";\n`).join(""),
  );
  // A code is a text to whoever reads it.
  await Deno.writeTextFile(join(dist, "contract/src/errors.d.ts"), "export type ErrorCode = string;\n");
}

/** One declaration for each module. */
async function declare(
  { from, to, modules, place }: { from: string; to: string; modules: readonly string[]; place: string },
): Promise<void> {
  for (const path of modules) {
    const { code, errors } = isolatedDeclarationSync(path, await Deno.readTextFile(join(from, path)), {});
    if (errors.length > 0) throw new Error(`${path}: ${errors.map(({ message }) => message).join("; ")}`);
    const contract = relative(dirname(place + path), "contract/mod.js");
    const text = code.replaceAll(/(from\s+")(\.[^"]+)\.ts"/g, '$1$2.js"')
      .replaceAll('"@fluxbase/contract"', JSON.stringify(contract.startsWith(".") ? contract : `./${contract}`));
    const target = join(to, path.replace(/\.ts$/, ".d.ts"));
    await Deno.mkdir(dirname(target), { recursive: true });
    await Deno.writeTextFile(target, text);
  }
}

async function modulesOf(dir: string): Promise<string[]> {
  const paths = ["mod.ts"];
  for await (const { name } of Deno.readDir(join(dir, "src"))) {
    if (name.endsWith(".ts") && !name.endsWith("_test.ts")) paths.push(`src/${name}`);
  }
  return paths;
}
