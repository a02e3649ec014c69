/**
 * What a name in an import stands for, as import maps have it: the longest scope that holds the importing file first,
 * then the names for all files.
 *
 * @module
 */

export type Names = Readonly<Record<string, string>>;

export interface ImportMap {
  readonly imports?: Names;
  /** By path from the functions folder, or URL, of the files for which the names are. */
  readonly scopes?: Readonly<Record<string, Names>>;
}

export interface Mapped {
  readonly target: string;
  /** The scope whose names said so. */
  readonly scope: string | undefined;
}

/** `place`: of the importing file, from the functions folder, such as `./own/index.ts`. */
export function throughImportMap(specifier: string, { imports = {}, scopes = {} }: ImportMap, place: string): Mapped {
  const holding = Object.keys(scopes).filter((scope) => scope.endsWith("/") ? place.startsWith(scope) : place === scope)
    .sort(longestFirst);
  for (const scope of holding) {
    const target = throughNames(specifier, scopes[scope] ?? {});
    if (target !== undefined) return { target, scope };
  }
  return { target: throughNames(specifier, imports) ?? specifier, scope: undefined };
}

/** Exact names first, then the longest one that ends in a slash. */
function throughNames(specifier: string, names: Names): string | undefined {
  if (Object.hasOwn(names, specifier)) return names[specifier];
  const [prefix] = Object.keys(names).filter((name) => name.endsWith("/") && specifier.startsWith(name))
    .sort(longestFirst);
  return prefix === undefined ? undefined : `${names[prefix]}${specifier.slice(prefix.length)}`;
}

/** With more names, which win over those that are there. Scopes are those of the map: others are nobody's. */
export function addToImportMap({ imports = {}, scopes = {} }: ImportMap, added: readonly Redirect[]): ImportMap {
  const namesFor = (scope: string | undefined) =>
    Object.fromEntries(added.filter((one) => one.scope === scope).map(({ specifier, to }) => [specifier, to]));
  const all = { ...imports, ...namesFor(undefined) };
  const inScopes = Object.entries(scopes).map(([scope, names]) => [scope, { ...names, ...namesFor(scope) }]);
  return {
    ...Object.keys(all).length > 0 ? { imports: all } : {},
    ...inScopes.length > 0 ? { scopes: Object.fromEntries(inScopes) } : {},
  };
}

/** One name that stands for something else than the import map says. */
export interface Redirect {
  readonly scope: string | undefined;
  readonly specifier: string;
  readonly to: string;
}

function longestFirst(a: string, b: string): number {
  return b.length - a.length;
}
