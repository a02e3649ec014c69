/**
 * One number that says how things are.
 *
 * @module
 */
import type { ReactNode } from "react";
import type { Tone } from "./badge.tsx";

export function Stat(
  { name, tone = "plain", about, children }: {
    readonly name: string;
    readonly tone?: Tone;
    readonly about?: ReactNode;
    readonly children: ReactNode;
  },
) {
  return (
    <div className="stat">
      <dt>{name}</dt>
      <dd className="stat-value number" data-tone={tone}>{children}</dd>
      {about !== undefined && <dd className="muted small">{about}</dd>}
    </div>
  );
}
