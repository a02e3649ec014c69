/**
 * Makes a release: `npm run release -- 0.2.0`, or with `--dry-run` to see what it would be.
 *
 * Everything is built in a fresh clone of what is committed, so that nothing of this folder gets in. Without `--dry-run`
 * the commit and the tag come back here. Nothing is pushed or published: the last lines say how.
 *
 * @module
 */
import { join } from "node:path";
import { parseArgs } from "node:util";
import { compareVersions, RELEASE } from "../packages/server/src/storage/release.ts";
import { ROOT } from "./esbuild.ts";
import { print } from "./test_run.ts";

const PACKAGES = ["sdk", "cli", "server"];
const IMAGE = "fluxbase";
const UNRELEASED = "## Unreleased";
const UPGRADING = "### Upgrading";
const MIB = 1024 * 1024;
const decoder = new TextDecoder();

/** Where the version stands, and how it is written there. */
const VERSIONED: readonly { readonly file: string; readonly pattern: RegExp }[] = [
  ...["", "packages/cli/", "packages/contract/", "packages/dashboard/", "packages/sdk/", "packages/server/"]
    .map((dir) => ({
      file: `${dir}package.json`,
      pattern: /(?<="(?:version|@fluxbase\/[a-z]+)": ")\d+\.\d+\.\d+(?=")/g,
    })),
  { file: "packages/server/src/storage/release.ts", pattern: /(?<=\bversion: ")\d+\.\d+\.\d+(?=")/g },
  { file: "deploy/helm/fluxbase/Chart.yaml", pattern: /(?<=^(?:version: |appVersion: "))\d+\.\d+\.\d+/gm },
];

const { values, positionals } = parseArgs({
  args: Deno.args,
  options: { "dry-run": { type: "boolean", default: false } },
  allowPositionals: true,
});
try {
  await release(positionals[0] ?? await nextVersion(), { isDryRun: values["dry-run"] });
} catch (error) {
  print(`${error instanceof Error ? error.message : error}\n`);
  Deno.exit(1);
}

async function release(version: string, { isDryRun }: { readonly isDryRun: boolean }): Promise<void> {
  await assertNext(version);
  if (!isDryRun) await assertClean();
  const clone = await Deno.makeTempDir({ prefix: "fluxbase-release-" });
  try {
    await run("git", ["clone", "--quiet", "--no-hardlinks", ROOT, clone], ROOT);
    const notes = await closeChangelog(clone, version);
    await writeVersion(clone, version);
    await run("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], clone);
    await run("git", ["commit", "--quiet", "--all", "--message", `Release ${version}`], clone);
    await run("git", ["tag", "--annotate", `v${version}`, "--message", notes], clone);

    const out = join(clone, "release");
    await Deno.mkdir(out);
    for (const name of PACKAGES) {
      await run("npm", ["pack", "--silent", "--workspace", `packages/${name}`, "--pack-destination", out], clone);
    }
    const sbom = await run("npm", ["sbom", "--sbom-format", "cyclonedx", "--omit", "dev"], clone);
    await Deno.writeTextFile(join(out, `fluxbase-${version}.cdx.json`), sbom);
    const image = await buildImage(clone, version);
    await writeChecksums(out);

    print(`\nFluxbase ${version}${isDryRun ? " (dry run)" : ""}\n\n${notes}\n\n`);
    for (const { name, size } of await filesIn(out)) print(`${(size / MIB).toFixed(1).padStart(7)} MiB  ${name}\n`);
    print(image === null ? "no image: there is no docker here\n" : `image ${image}\n`);
    if (!isDryRun) await bringBack(clone, out, version);
  } finally {
    await Deno.remove(clone, { recursive: true });
  }
}

/** What this source says it is, unless that is out already. */
async function nextVersion(): Promise<string> {
  if (!await isReleased(RELEASE.version)) return RELEASE.version;
  const [major, minor] = RELEASE.version.split(".");
  return `${major}.${Number(minor) + 1}.0`;
}

async function isReleased(version: string): Promise<boolean> {
  return await run("git", ["tag", "--list", `v${version}`], ROOT) !== "";
}

async function assertNext(version: string): Promise<void> {
  if (!/^\d+\.\d+\.\d+$/.test(version)) {
    throw new Error(`Cannot release "${version}": a version has three numbers, such as ${await nextVersion()}`);
  }
  if (compareVersions(version, RELEASE.version) < 0 || await isReleased(version)) {
    throw new Error(
      `Cannot release ${version}: this is ${RELEASE.version} already; the next is ${await nextVersion()}`,
    );
  }
}

async function assertClean(): Promise<void> {
  const changes = await run("git", ["status", "--porcelain"], ROOT);
  if (changes !== "") throw new Error(`Cannot release: commit or remove these changes first\n${changes}`);
}

async function writeVersion(dir: string, version: string): Promise<void> {
  for (const { file, pattern } of VERSIONED) {
    const path = join(dir, file);
    const before = await Deno.readTextFile(path);
    if (before.search(pattern) < 0) throw new Error(`Cannot write version ${version} into ${file}: it has none`);
    await Deno.writeTextFile(path, before.replaceAll(pattern, version));
  }
  await run("npm", ["install", "--package-lock-only", "--ignore-scripts", "--no-audit", "--no-fund"], dir);
}

/** Gives what is unreleased its version and date; returns it. */
async function closeChangelog(dir: string, version: string): Promise<string> {
  const path = join(dir, "CHANGELOG.md");
  const before = await Deno.readTextFile(path);
  const start = before.indexOf(UNRELEASED);
  const from = start + UNRELEASED.length;
  const next = before.indexOf("\n## ", from);
  const notes = start < 0 ? "" : before.slice(from, next < 0 ? undefined : next).trim();
  if (notes === "") throw new Error(`Cannot release: CHANGELOG.md has nothing below "${UNRELEASED}"`);
  if (!notes.includes(UPGRADING)) {
    throw new Error(
      `Cannot release: say below "${UPGRADING}" in CHANGELOG.md what whoever upgrades has to do, or that it is nothing`,
    );
  }
  const today = new Date().toISOString().slice(0, 10);
  await Deno.writeTextFile(path, before.replace(UNRELEASED, `${UNRELEASED}\n\n## ${version} (${today})`));
  return notes;
}

async function buildImage(dir: string, version: string): Promise<string | null> {
  const hasDocker = await run("docker", ["version"], dir).then(() => true, () => false);
  if (!hasDocker) return null;
  const tag = `${IMAGE}:${version}`;
  await run("docker", ["build", "--quiet", "--file", "deploy/docker/Dockerfile", "--tag", tag, "."], dir);
  return tag;
}

async function writeChecksums(dir: string): Promise<void> {
  const lines: string[] = [];
  for (const { name } of await filesIn(dir)) {
    const hash = await crypto.subtle.digest("SHA-256", await Deno.readFile(join(dir, name)));
    lines.push(`${new Uint8Array(hash).toHex()}  ${name}\n`);
  }
  await Deno.writeTextFile(join(dir, "SHA256SUMS"), lines.join(""));
}

async function filesIn(dir: string): Promise<{ readonly name: string; readonly size: number }[]> {
  const names = (await Array.fromAsync(Deno.readDir(dir))).map(({ name }) => name).sort();
  return await Promise.all(names.map(async (name) => ({ name, size: (await Deno.stat(join(dir, name))).size })));
}

async function bringBack(clone: string, out: string, version: string): Promise<void> {
  const tag = `v${version}`;
  await run("git", ["fetch", "--quiet", clone, `refs/tags/${tag}:refs/tags/${tag}`], ROOT);
  await run("git", ["merge", "--quiet", "--ff-only", tag], ROOT);
  const target = join(ROOT, "release", version);
  await Deno.mkdir(target, { recursive: true });
  const files = await filesIn(out);
  for (const { name } of files) await Deno.copyFile(join(out, name), join(target, name));
  print(`\nThe commit and the tag ${tag} are here, the files in release/${version}. To publish them:\n\n`);
  print(`git push --follow-tags\n`);
  for (const { name } of files.filter(({ name }) => name.endsWith(".tgz"))) {
    print(`npm publish release/${version}/${name}\n`);
  }
}

/** @returns what it printed */
async function run(command: string, args: readonly string[], cwd: string): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(command, { args: [...args], cwd }).output();
  if (success) return decoder.decode(stdout);
  throw new Error(`${command} ${args.join(" ")} failed:\n${decoder.decode(stderr)}${decoder.decode(stdout)}`);
}
