/**
 * What may have made an execution.
 *
 * @module
 */
/** `task`: an asynchronous call; `cron`: a schedule. */
export const TRIGGER_TYPES = ["http", "task", "cron", "hook", "test", "replay"] as const;

export type TriggerType = (typeof TRIGGER_TYPES)[number];
