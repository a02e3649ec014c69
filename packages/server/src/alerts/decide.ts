/**
 * When a rule changes its state.
 *
 *     ok ◄──► firing
 *
 * It fires when its value has been at or over the threshold for `forSec`, and is resolved when it has been clearly below
 * for as long. So a value that goes up and down around the threshold changes nothing.
 *
 * @module
 */
import type { AlertStanding, StoredAlertRule } from "../storage/alerts.ts";

export type Deciding = Pick<StoredAlertRule, "state" | "turningSince" | "changedAt" | "threshold" | "forSec">;

/** What fires is resolved below this part of its threshold. */
const RESOLVED_BELOW_PART = 0.9;

/** `value` is null where there is not enough to say anything: then it is not over. */
export function decide(
  rule: Deciding,
  value: number | null,
  now: Date,
): AlertStanding & { readonly hasChanged: boolean } {
  const isFiring = rule.state === "firing";
  const limit = isFiring ? rule.threshold * RESOLVED_BELOW_PART : rule.threshold;
  const isOver = value !== null && value >= limit;
  const stays = { state: rule.state, changedAt: rule.changedAt, value, hasChanged: false };
  if (isOver === isFiring) return { ...stays, turningSince: null };
  const turningSince = rule.turningSince ?? now;
  if (now.getTime() - turningSince.getTime() < rule.forSec * 1_000) return { ...stays, turningSince };
  return { state: isFiring ? "ok" : "firing", turningSince: null, changedAt: now, value, hasChanged: true };
}
