/**
 * The program that puts modules together, as npm has brought it for this system.
 *
 * @module
 */
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

export const SYSTEM = `${Deno.build.os}-${Deno.build.arch === "x86_64" ? "x64" : "arm64"}`;

/** @throws when it is not installed */
export function esbuildProgram(): string {
  const esbuild = createRequire(import.meta.url).resolve("esbuild/package.json");
  return join(dirname(createRequire(esbuild).resolve(`@esbuild/${SYSTEM}/package.json`)), "bin/esbuild");
}
