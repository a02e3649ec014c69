/**
 * Reads what a module imports from its text, without running it.
 *
 * @module
 */
import { parseSync } from "oxc-parser";

export interface Import {
  readonly from: string;
  readonly specifier: string;
  readonly isType: boolean;
}

export function importsOf(file: string): Import[] {
  const { program, module } = parseSync(file, Deno.readTextFileSync(file));
  const typeOnly = new Set<string>();
  for (const statement of program.body) {
    const isType = statement.type === "ImportDeclaration" &&
      (statement.importKind === "type" ||
        (statement.specifiers.length > 0 &&
          statement.specifiers.every((item) => item.type === "ImportSpecifier" && item.importKind === "type")));
    if (isType) typeOnly.add(statement.source.value);
  }
  const named = module.staticImports.map(({ moduleRequest }) => moduleRequest.value);
  const reexported = module.staticExports.flatMap(({ entries }) =>
    entries.flatMap(({ moduleRequest }) => moduleRequest ? [moduleRequest.value] : [])
  );
  return [...new Set([...named, ...reexported])]
    .map((specifier) => ({ from: file, specifier, isType: typeOnly.has(specifier) }));
}
