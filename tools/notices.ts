/**
 * Puts our licence into a package to publish, and the licences of what is bundled into it and of what builds it.
 *
 * @module
 */
import { dirname, join } from "node:path";
import { ROOT } from "./esbuild.ts";

interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly license?: string;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
}

const LICENCE_FILE = /^(licen[cs]e|copying|notice)(\.|-|$)/i;

/** @param packages folders of ours whose development dependencies are bundled, with all that those need */
export async function writeLicences(dist: string, packages: readonly string[]): Promise<void> {
  await Deno.copyFile(join(ROOT, "LICENSE"), join(dist, "LICENSE"));
  const found = new Map<string, string>();
  for (const dir of packages) {
    const { devDependencies = {} } = await manifestOf(dir);
    for (const name of Object.keys(devDependencies)) await collect(name, dir, found);
  }
  if (found.size === 0) return;
  const texts = [...found].sort(([a], [b]) => a < b ? -1 : 1).map(([, text]) => text);
  const line = `\n${"-".repeat(80)}\n\n`;
  await Deno.writeTextFile(
    join(dist, "THIRD_PARTY_NOTICES.txt"),
    `This package contains code of the following packages, or was built with them.\n${line}${texts.join(line)}`,
  );
}

async function collect(name: string, from: string, found: Map<string, string>): Promise<void> {
  if (name.startsWith("@fluxbase/") || name.startsWith("@types/")) return;
  const dir = await folderOf(name, from);
  // Of optional ones for other systems there is nothing here, and nothing in the bundle.
  if (dir === undefined) return;
  const { version, license, dependencies = {} } = await manifestOf(dir);
  const key = `${name} ${version}`;
  if (found.has(key)) return;
  found.set(key, `${key} (${license ?? "see below"})\n\n${await licencesIn(dir)}`);
  for (const needed of Object.keys(dependencies)) await collect(needed, dir, found);
}

/** As Node looks for it: beside the one that asks, then further up. */
async function folderOf(name: string, from: string): Promise<string | undefined> {
  for (let dir = from; dir.startsWith(ROOT.replace(/\/$/, "")); dir = dirname(dir)) {
    const candidate = join(dir, "node_modules", name);
    if (await Deno.stat(join(candidate, "package.json")).then(() => true, () => false)) return candidate;
  }
  return undefined;
}

async function manifestOf(dir: string): Promise<Manifest> {
  return JSON.parse(await Deno.readTextFile(join(dir, "package.json")));
}

async function licencesIn(dir: string): Promise<string> {
  const texts: string[] = [];
  for await (const { name, isFile } of Deno.readDir(dir)) {
    if (isFile && LICENCE_FILE.test(name)) texts.push((await Deno.readTextFile(join(dir, name))).trim());
  }
  return `${texts.join("\n\n") || "The package has no licence file."}\n`;
}
