/**
 * What is known of one setting.
 *
 * @module
 */
import type { Parser } from "./parsers.ts";

export interface Setting<T> {
  readonly env: string;
  /** Path in fluxbase.yaml, with dots. */
  readonly yaml: string;
  readonly parser: Parser<T>;
  /** As it would be written; null: unset. */
  readonly default: string | null;
  readonly example: string;
  readonly about: string;
  /** Its value is never shown. */
  readonly isSecret: boolean;
}

type Declaration<T> = Omit<Setting<T>, "isSecret"> & { readonly isSecret?: true };

/** A setting that always has a value. */
export interface DefaultedSetting<T> extends Setting<T> {
  readonly default: string;
}

export function setting<T>(declaration: Declaration<T> & { readonly default: string }): DefaultedSetting<T>;
export function setting<T>(declaration: Declaration<T>): Setting<T>;
export function setting<T>(declaration: Declaration<T>): Setting<T> {
  return { isSecret: false, ...declaration };
}

/** Reads one: from the environment, the file, or its default. What is wrong with it is noted. */
export interface ReadSetting {
  <T>(setting: DefaultedSetting<T>): T;
  <T>(setting: Setting<T>): T | null;
}
