/**
 * Something worth knowing, beside what it is about.
 *
 * @module
 */
import { Info, TriangleAlert } from "lucide-react";
import type { ReactNode } from "react";

export function Note(
  { tone = "plain", children }: { readonly tone?: "plain" | "warn" | "bad"; readonly children: ReactNode },
) {
  const Icon = tone === "plain" ? Info : TriangleAlert;
  return (
    <div className="note" data-tone={tone}>
      <Icon className="icon" aria-hidden />
      <div className="break">{children}</div>
    </div>
  );
}
