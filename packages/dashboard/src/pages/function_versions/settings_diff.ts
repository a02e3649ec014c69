/**
 * Which settings two versions have differently.
 *
 * @module
 */
import type { FunctionVersionDetails } from "@fluxbase/sdk";

export interface SettingDifference {
  readonly name: string;
  readonly before: string;
  readonly after: string;
}

/** Each setting under its first name, and the names of the environment. */
export function settingsThatDiffer(
  before: FunctionVersionDetails,
  after: FunctionVersionDetails,
): readonly SettingDifference[] {
  const names = [...new Set([...Object.keys(before.settings_origins), ...Object.keys(after.settings_origins), "env"])];
  return names.flatMap((name) => {
    const [one, other] = [before, after].map((version) => JSON.stringify(Reflect.get(version, name) ?? null));
    return one === other ? [] : [{ name, before: one ?? "", after: other ?? "" }];
  });
}
