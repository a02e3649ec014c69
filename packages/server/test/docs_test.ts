/**
 * Every block of code in the documentation and in the README runs as it stands there, page by page, from top to bottom.
 *
 * What stands behind a block's language says what it is:
 *
 * - `sh` runs in a folder that the page has for itself, with the keys of a server and `npx fluxbase`; variables stay;
 * - `ts functions/hello.ts` is written to that file, deployed, and called with `{"name": "Ada"}`; `ts` alone as well,
 *   under a name of its own;
 * - `ts client` is a program that has `client` of the SDK;
 * - `json` is parsed, `sql` is run, `yaml` is parsed, `text` is what something prints;
 * - `not run: why` and `not called: why` are exceptions.
 *
 * @module
 */
import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parse as parseYaml } from "yaml";
import { bundle } from "../../../tools/esbuild.ts";
import { platformTest, type TestPlatform } from "./support/platform.ts";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
/** What builds and programs need of the environment. */
const INHERITED = /proxy|npm_config|cert|^(HOME|TMPDIR|LANG)$/i;
/** Pages whose functions all give the same answer. */
const ANSWERS: Readonly<Record<string, string>> = { "docs/handlers.md": "Hello, Ada!" };
const PERSON = `{"name": "Ada"}`;
const BLOCK_SEC = 300;

interface Block {
  readonly line: number;
  readonly language: string;
  readonly info: string;
  readonly code: string;
}

/** Decisions are for developers, and have no code. The reference is made from code. */
async function* pages(dir = "docs"): AsyncGenerator<string> {
  for await (const { name, isDirectory } of Deno.readDir(join(ROOT, dir))) {
    if (isDirectory) yield* pages(`${dir}/${name}`);
    else if (name.endsWith(".md")) yield `${dir}/${name}`;
  }
}

function blocksOf(text: string): Block[] {
  return [...text.matchAll(/^```(\w*) *([^\n]*)\n(.*?)^```$/gms)].map((match) => {
    const [, language = "", info = "", code = ""] = match;
    return { line: text.slice(0, match.index).split("\n").length, language, info, code };
  });
}

platformTest(
  "every block of the documentation runs",
  async (platform, step) => {
    const dir = await Deno.makeTempDir({ prefix: "fluxbase-docs-" });
    try {
      const env = await environmentIn(dir, platform);
      const only = Deno.env.get("FLUXBASE_DOCS_PAGE");
      const all = ["README.md", ...(await Array.fromAsync(pages())).sort()].filter((page) => page.includes(only ?? ""));
      for (const page of all) {
        const blocks = blocksOf(await Deno.readTextFile(join(ROOT, page)));
        if (blocks.length === 0) continue;
        await step(page, async () => {
          const folder = join(dir, page.replaceAll("/", "-").replace(/\.md$/, ""));
          await Deno.mkdir(join(folder, "functions"), { recursive: true });
          // As a server in this folder would leave it.
          await Deno.mkdir(join(folder, ".fluxbase"));
          await Deno.writeTextFile(join(folder, ".fluxbase/keys.env"), `export FLUXBASE_URL=${platform.url}\n`);
          const runner = runnerIn(folder, { platform, env, answer: ANSWERS[page] });
          const problems: string[] = [];
          for (const block of blocks) {
            const problem = await runner(block).catch((error) =>
              error instanceof Error ? error.message : String(error)
            );
            if (problem !== undefined) problems.push(`${page}:${block.line}: ${problem}`);
          }
          await forget(platform);
          assert.deepEqual(problems, []);
        });
      }
    } finally {
      await Deno.remove(dir, { recursive: true });
    }
  },
  {
    FLUXBASE_SECURITY_SETUP_TOKEN: "the setup token of the tests",
    ...Object.fromEntries(Object.entries(Deno.env.toObject()).filter(([name]) => INHERITED.test(name))),
  },
);

/** The command line in one file, and `npx` that finds it without asking a registry. */
async function environmentIn(dir: string, platform: TestPlatform): Promise<Record<string, string>> {
  const bin = join(dir, "bin");
  await bundle(join(ROOT, "packages/cli/mod.ts"), {
    outfile: join(dir, "cli/dist/cli.js"),
    format: "esm",
    platform: "node",
  });
  for (const name of ["chat", "stripe-webhook"]) {
    await Deno.mkdir(join(dir, "cli/dist/templates", name), { recursive: true });
    await Deno.copyFile(join(ROOT, "examples", name, "index.ts"), join(dir, "cli/dist/templates", name, "index.ts"));
  }
  await Deno.mkdir(bin);
  const script = (name: string, text: string) =>
    Deno.writeTextFile(join(bin, name), `#!/bin/sh\n${text}\n`, { mode: 0o755 });
  await script("fluxbase", `exec node "${dir}/cli/dist/cli.js" "$@"`);
  await script("deno", `exec "${Deno.execPath()}" "$@"`);
  // What is refused is an error here, as for whoever reads it.
  await script("curl", `PATH="\${PATH#*:}" exec curl --fail-with-body "$@"`);
  await script("npx", `case "$1" in fluxbase|deno) exec "$@";; *) echo "npx $1: not in a test" >&2; exit 1;; esac`);
  const home = join(dir, "home");
  await Deno.mkdir(home);
  const inherited = Object.entries(Deno.env.toObject()).filter(([name]) => INHERITED.test(name));
  return {
    ...Object.fromEntries(inherited),
    PATH: `${bin}:${Deno.env.get("PATH")}`,
    HOME: home,
    NO_COLOR: "1",
    FLUXBASE_URL: platform.url,
    FLUXBASE_ANON_KEY: platform.anonKey,
    FLUXBASE_CLIENT_KEY: await platform.mintKey(["functions:*", "secrets:*", "tables:*"]),
    FLUXBASE_SERVICE_ROLE_KEY: platform.serviceKey,
    FLUXBASE_AUTH_JWT_SECRET: platform.jwtSecret.reveal(),
    FLUXBASE_SETUP_TOKEN: "the setup token of the tests",
  };
}

interface Place {
  readonly platform: TestPlatform;
  readonly env: Readonly<Record<string, string>>;
  readonly answer: string | undefined;
}

/** Runs a block; resolves with what is wrong. */
function runnerIn(folder: string, { platform, env, answer }: Place): (block: Block) => Promise<string | undefined> {
  const kept = join(folder, ".variables");
  let count = 0;

  async function program(command: string, args: readonly string[]): Promise<string | undefined> {
    // With what it started: a child that goes on would hold its output open.
    const child = new Deno.Command("timeout", {
      args: ["--kill-after=1", String(BLOCK_SEC), command, ...args],
      cwd: folder,
      clearEnv: true,
      env,
      stdin: "null",
    });
    const { success, stdout, stderr } = await child.output();
    if (success) return undefined;
    return new TextDecoder().decode(stdout).slice(-500) + new TextDecoder().decode(stderr).slice(-1_500);
  }

  async function shell(code: string): Promise<string | undefined> {
    const script = join(folder, ".block.sh");
    await Deno.writeTextFile(
      script,
      `set -e\n[ -e ${kept} ] && . ${kept}\nset -a\n${code}\nset +e\nexport -p > ${kept}\n`,
    );
    return await program("bash", [script]);
  }

  async function functionFile({ language, info, code }: Block): Promise<string | undefined> {
    const path = /^[\w./-]+\.\w+/.exec(info)?.[0] ?? `functions/example-${count += 1}.${language}`;
    await Deno.mkdir(dirname(join(folder, path)), { recursive: true });
    await Deno.writeTextFile(join(folder, path), code);
    const [, name] = /^functions\/([\w-]+)\.\w+$/.exec(path) ?? [];
    if (name === undefined || name.endsWith("_test")) return undefined;
    const fields = { files: { [`index.${language}`]: code } };
    const made = await platform.api("POST", "/functions?strict=true", { name, ...fields });
    const deployed = made.status === 409 ? await platform.api("PATCH", `/functions/${name}?strict=true`, fields) : made;
    if (deployed.status >= 300) return JSON.stringify(deployed.body);
    if (deployed.body.warnings?.length > 0) return deployed.body.warnings.join("; ");
    if (info.includes("not called")) return undefined;
    const response = await platform.call(name, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: PERSON,
    });
    const text = await response.text();
    if (answer !== undefined && text !== answer) return `it answers ${response.status} ${text}`;
    return response.status >= 500 ? `it answers ${response.status} ${text}` : undefined;
  }

  async function client(code: string): Promise<string | undefined> {
    const path = join(folder, ".client.ts");
    await Deno.writeTextFile(
      path,
      `import { createClient } from "@fluxbase/sdk";
const client = createClient(Deno.env.get("FLUXBASE_URL")!, Deno.env.get("FLUXBASE_SERVICE_ROLE_KEY")!);
${code}`,
    );
    return await program(Deno.execPath(), ["run", "-A", "--no-check", `--config=${join(ROOT, "deno.json")}`, path]);
  }

  return async (block) => {
    const { language, info, code } = block;
    if (/not run: \S/.test(info)) return undefined;
    switch (language) {
      case "text":
        return undefined;
      case "sh":
        return await shell(code);
      case "json":
        for (const text of parses(code) ? [code] : code.trim().split("\n")) JSON.parse(text);
        return undefined;
      case "yaml":
        parseYaml(code);
        return undefined;
      case "sql":
        await Deno.writeTextFile(join(folder, ".block.sql"), code);
        return await shell("fluxbase db query --file .block.sql");
      case "ts":
      case "js":
      case "tsx":
        return info === "client" ? await client(code) : await functionFile(block);
      default:
        return `a block of "${language}" is not run: name its language, or say \`not run: why\` behind it`;
    }
  };
}

function parses(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** The next page begins without functions. */
async function forget({ api }: TestPlatform): Promise<void> {
  const { body } = await api("GET", "/functions");
  for (const { name, namespace } of body) await api("DELETE", `/functions/${name}?namespace=${namespace}`);
}
