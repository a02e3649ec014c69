/**
 * What the `config.toml` of a Supabase project says of its functions.
 *
 * @module
 */
import { parse } from "smol-toml";

export interface ConfiguredFunction {
  /** False: called without a credential, and with any. */
  readonly verifyJwt?: boolean;
  readonly enabled?: boolean;
}

export interface ConfigToml {
  readonly functions: Readonly<Record<string, ConfiguredFunction>>;
  readonly warnings: readonly string[];
}

/** Where a functions folder has them anyway. */
const USUAL: Readonly<Record<string, RegExp>> = {
  entrypoint: /\/index\.[jt]sx?$/,
  import_map: /\/(deno\.jsonc?|import_map\.json)$/,
};

/** @throws {Error} when it is no TOML */
export function readConfigToml(text: string): ConfigToml {
  const { functions: tables } = parse(text);
  const functions: Record<string, ConfiguredFunction> = {};
  const warnings: string[] = [];
  for (const [name, table] of Object.entries(isTable(tables) ? tables : {})) {
    if (!isTable(table)) continue;
    const { verify_jwt: verifyJwt, enabled, ...rest } = table;
    functions[name] = {
      ...typeof verifyJwt === "boolean" ? { verifyJwt } : {},
      ...typeof enabled === "boolean" ? { enabled } : {},
    };
    for (const [key, value] of Object.entries(rest)) {
      const isUsual = USUAL[key]?.test(String(value)) === true || (key === "static_files");
      if (!isUsual) {
        warnings.push(
          `config.toml: ${key} of function "${name}" is left out; "fluxbase import supabase" carries it over`,
        );
      }
    }
  }
  return { functions, warnings };
}

function isTable(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Date);
}
