/**
 * The life of a sandbox.
 *
 *   starting ──► blank ──► loading ──► ready ──► draining (no new requests) ──► dead
 *
 * `ready` serves requests; how many at this moment is not a state. Any state may go straight to `dead`, since a
 * process can exit at any moment, and to `draining` when the platform has no more use for it.
 *
 * @module
 */
import { InvariantError } from "../core/invariant.ts";

export type SandboxState = "starting" | "blank" | "loading" | "ready" | "draining" | "dead";

export const MOVES: Readonly<Record<SandboxState, readonly SandboxState[]>> = {
  starting: ["blank", "draining", "dead"],
  blank: ["loading", "draining", "dead"],
  loading: ["ready", "draining", "dead"],
  ready: ["draining", "dead"],
  draining: ["dead"],
  dead: [],
};

/** The only way to change state; effects belong to the caller. */
export function moveTo(from: SandboxState, to: SandboxState): SandboxState {
  if (!MOVES[from].includes(to)) {
    throw new InvariantError("sandbox-move", `Cannot move a sandbox from "${from}" to "${to}"`);
  }
  return to;
}
