/**
 * Puts a package's modules into one file, with the program that npm has brought.
 *
 * @module
 */
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const ROOT = fileURLToPath(new URL("..", import.meta.url));
const SDK = "@fluxbase/sdk";
const ARCHITECTURES: Readonly<Record<string, string>> = { x86_64: "x64", aarch64: "arm64" };

export async function bundle(
  entry: string,
  { outfile, format, platform, sdk = "source" }: {
    readonly outfile: string;
    readonly format: "esm" | "cjs";
    readonly platform: "neutral" | "node" | "browser";
    /** Where the SDK comes from: an installed one is left to Node, and looked for beside the entry for browsers. */
    readonly sdk?: "source" | "installed";
  },
): Promise<void> {
  const system = `${Deno.build.os}-${ARCHITECTURES[Deno.build.arch] ?? Deno.build.arch}`;
  const { success, stderr } = await new Deno.Command(join(ROOT, "node_modules/@esbuild", system, "bin/esbuild"), {
    args: [
      entry,
      "--bundle",
      `--format=${format}`,
      `--platform=${platform}`,
      "--target=es2022",
      // Older ways to load modules of one package hide what they load.
      ...(platform === "node" ? ["--main-fields=module,main"] : []),
      "--minify-syntax",
      "--minify-whitespace",
      ...(sdk === "source" ? [`--alias:${SDK}=${join(ROOT, "packages/sdk/mod.ts")}`] : []),
      ...(sdk === "installed" && platform !== "browser" ? [`--external:${SDK}`] : []),
      // What is written for `require` finds it in a module, too.
      ...(platform === "node" && format === "esm"
        ? ['--banner:js=import{createRequire}from"node:module";const require=createRequire(import.meta.url);']
        : []),
      `--outfile=${outfile}`,
    ],
  }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
}
