/**
 * The page of the SDK, from its types: what each client offers, then every type that these name.
 *
 * @module
 */
import { join } from "node:path";
import { isolatedDeclarationSync } from "oxc-transform";
import { parseSync } from "oxc-parser";
import { ROOT } from "./esbuild.ts";
import { generatedFrom } from "./markdown.ts";

const SDK = join(ROOT, "packages/sdk");
const CONTRACT = join(ROOT, "packages/contract");

interface Declared {
  readonly kind: "class" | "type" | "function";
  readonly text: string;
}

export function sdkPage(): string {
  const exported = namesOf(join(SDK, "mod.ts"));
  const declared = new Map([...declarationsOf(CONTRACT), ...declarationsOf(SDK)]);
  const shown = exported.map((name) => {
    const found = declared.get(name);
    if (found === undefined) throw new Error(`tools/sdk_reference.ts: no declaration of ${name} was found`);
    return { name, ...found };
  });
  const section = (kind: Declared["kind"]) =>
    shown.filter((one) => one.kind === kind).toSorted((a, b) => a.name.localeCompare(b.name)).map(entryText).join("");
  return `# SDK reference

[The SDK](../../packages/sdk/README.md) has examples that run. Everything here is exported by \`@fluxbase/sdk\`.

${generatedFrom("packages/sdk/mod.ts")}
## Functions

${section("function")}## Classes

${section("class")}## Types

${section("type")}`;
}

function entryText({ name, text }: { readonly name: string; readonly text: string }): string {
  return `### ${name}\n\n\`\`\`ts not run: a declaration\n${text}\n\`\`\`\n\n`;
}

/** What a module hands on, in its order. */
function namesOf(path: string): string[] {
  const { module } = parseSync(path, Deno.readTextFileSync(path));
  return module.staticExports.flatMap(({ entries }) => entries.map(({ exportName }) => exportName.name ?? ""));
}

function* declarationsOf(dir: string): Generator<[string, Declared]> {
  for (const { name: file } of [...Deno.readDirSync(join(dir, "src"))].sort((a, b) => a.name.localeCompare(b.name))) {
    if (!file.endsWith(".ts") || file.endsWith("_test.ts")) continue;
    const path = join(dir, "src", file);
    const { code } = isolatedDeclarationSync(path, Deno.readTextFileSync(path), {});
    const { program, comments } = parseSync(`${file.slice(0, -3)}.d.ts`, code);
    for (const statement of program.body) {
      if (statement.type !== "ExportNamedDeclaration" || statement.declaration === null) continue;
      const { declaration } = statement;
      const name = "id" in declaration && declaration.id !== null && "name" in declaration.id
        ? declaration.id.name
        : undefined;
      const kind = KINDS[declaration.type];
      if (name === undefined || kind === undefined) continue;
      const doc = comments.findLast(({ end }) =>
        end <= statement.start && code.slice(end, statement.start).trim() === ""
      );
      yield [name, { kind, text: publicOnly(code.slice(doc?.start ?? statement.start, statement.end)) }];
    }
  }
}

const KINDS: Readonly<Record<string, Declared["kind"]>> = {
  ClassDeclaration: "class",
  TSInterfaceDeclaration: "type",
  TSTypeAliasDeclaration: "type",
  TSDeclareFunction: "function",
};

/** Without what only the SDK itself can use. */
function publicOnly(text: string): string {
  return text.replaceAll("export declare ", "").replace(/(^|\n)export /, "$1")
    .replaceAll(/\n\s*(?:private |#private)[^\n]*/g, "")
    .replaceAll(
      /(?:\n[ \t]*\/\*\*(?:[^*]|\*(?!\/))*\*\/)?\n[ \t]*(?:constructor\(http|protected readonly http)\b[^\n]*/g,
      "",
    )
    .replaceAll("\t", "  ").replaceAll(/^( *)\*(?=[ /])/gm, "$1 *");
}
