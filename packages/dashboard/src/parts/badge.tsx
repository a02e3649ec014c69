/**
 * A word about a state.
 *
 * @module
 */
import type { ReactNode } from "react";

export type Tone = "plain" | "good" | "warn" | "bad" | "accent";

export function Badge({ tone = "plain", children }: { readonly tone?: Tone; readonly children: ReactNode }) {
  return <span className="badge" data-tone={tone}>{children}</span>;
}
