/**
 * @module
 */
import assert from "node:assert/strict";
import { InvariantError } from "../core/invariant.ts";
import { MOVES, moveTo, type SandboxState } from "./sandbox_state.ts";

const STATES: readonly SandboxState[] = ["starting", "blank", "loading", "ready", "draining", "dead"];

Deno.test("a sandbox moves only as the table says, and nothing comes back from the dead", () => {
  for (const from of STATES) {
    for (const to of STATES) {
      if (MOVES[from].includes(to)) assert.equal(moveTo(from, to), to);
      else assert.throws(() => moveTo(from, to), InvariantError, `${from} to ${to}`);
    }
    assert.equal(MOVES[from].includes("dead"), from !== "dead");
  }
  const order = (state: SandboxState) => STATES.indexOf(state);
  for (const from of STATES) for (const to of MOVES[from]) assert.ok(order(to) > order(from), `${from} to ${to}`);
});
