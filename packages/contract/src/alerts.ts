/**
 * Alerts as they travel over HTTP.
 *
 * @module
 */

/**
 * `error_ratio`: calls that did not succeed, of all; `p95_ms`: the duration that 95 % of calls are not above; `kills`:
 * calls that the platform ended; `dead_tasks`: tasks that were given up; `missed_ticks`: instants of schedules that came
 * to no call, and schedules that no server looks at.
 */
export const ALERT_METRICS = ["error_ratio", "p95_ms", "kills", "dead_tasks", "missed_ticks"] as const;
export type AlertMetric = (typeof ALERT_METRICS)[number];
export type AlertState = "ok" | "firing";

export interface Alert {
  readonly name: string;
  readonly metric: AlertMetric;
  /** It is over when the figure is as much or more. */
  readonly threshold: number;
  /** Null: all. */
  readonly namespace: string | null;
  readonly function: string | null;
  /** Of so long a time the figure is, in whole minutes. */
  readonly window_seconds: number;
  /** It fires when it has been over for so long, and is resolved when it has been clearly below for as long. */
  readonly for_seconds: number;
  /** Of fewer calls nothing is said of ratio and duration. */
  readonly min_calls: number;
  /** Who is told, as namespace/name. */
  readonly target_function: string | null;
  /** Its origin only: the rest may be secret. */
  readonly target_url: string | null;
  readonly state: AlertState;
  /** When it was looked at last; null for too few calls. */
  readonly value: number | null;
  readonly changed_at: string | null;
  readonly evaluated_at: string | null;
  readonly created_at: string;
  readonly created_by: string | null;
}

export interface NewAlert {
  readonly name: string;
  readonly metric: AlertMetric;
  readonly threshold: number;
  readonly namespace?: string | null;
  readonly function?: string | null;
  /** 300 without. */
  readonly window_seconds?: number;
  /** 60 without. */
  readonly for_seconds?: number;
  /** 10 without. */
  readonly min_calls?: number;
  /** As namespace/name; or `target_url`. */
  readonly target_function?: string;
  /** Gets the notice by POST, as chat programs take it. */
  readonly target_url?: string;
}

/** What is told. */
export interface AlertNotice {
  /** For people; what chat programs show. */
  readonly text: string;
  readonly alert: string;
  readonly state: "firing" | "resolved" | "test";
  readonly metric: AlertMetric;
  readonly value: number | null;
  readonly threshold: number;
  readonly namespace: string | null;
  readonly function: string | null;
  readonly window_seconds: number;
  readonly at: string;
}

export interface AlertTest {
  readonly delivered: boolean;
  readonly error: string | null;
}
