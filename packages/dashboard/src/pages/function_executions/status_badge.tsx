/**
 * How a call ended: in words, and with its status of HTTP.
 *
 * @module
 */
import type { Execution, ExecutionStatus } from "@fluxbase/sdk";
import { Badge, type Tone } from "../../parts/badge.tsx";

const TONES: Readonly<Record<ExecutionStatus, Tone>> = {
  running: "accent",
  success: "good",
  error: "bad",
  timeout: "bad",
  killed: "bad",
};

export function StatusBadge(
  { execution: { status, status_code: code } }: { readonly execution: Pick<Execution, "status" | "status_code"> },
) {
  const isRefused = status === "success" && (code ?? 0) >= 400;
  return <Badge tone={isRefused ? "warn" : TONES[status]}>{code === null ? status : `${code} ${status}`}</Badge>;
}
