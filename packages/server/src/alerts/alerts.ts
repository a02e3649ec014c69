/**
 * Looks at the rules of alerts and tells of those that fire or are resolved.
 *
 * Each rule is looked at once in a while over all servers: whoever locks its row does. What follows from a look is
 * written in the same transaction, so no change is told twice or lost.
 *
 * Owns: what a metric means, what is told, to whom, and how often it is tried.
 * Does not own: when a state changes (./decide.ts), posting (./post.ts), running functions (../tasks/).
 *
 * @module
 */
import { type AlertMetric, type AlertNotice, PlatformError } from "@fluxbase/contract";
import { PLATFORM } from "../auth/caller.ts";
import type { Catalog } from "../catalog/catalog.ts";
import type { Log } from "../core/log.ts";
import { COUNT, type Counts, countsWith } from "../executions/count_names.ts";
import { percentiles } from "../executions/histogram.ts";
import type { TaskRequest } from "../invoke/async_call.ts";
import type { Cipher } from "../secrets/cipher.ts";
import { alertUrlContext } from "../secrets/env_store.ts";
import {
  claimAlertDelivery,
  countDeadTasks,
  countMissedTicks,
  insertAlertDelivery,
  keepStanding,
  lockDueRule,
  removeAlertDelivery,
  type StoredAlertRule,
} from "../storage/alerts.ts";
import type { Database, Db } from "../storage/db.ts";
import { listCounts } from "../storage/metrics.ts";
import { decide } from "./decide.ts";
import { postJson } from "./post.ts";

export interface AlertParts {
  readonly db: Database["db"];
  readonly log: Log;
  readonly catalog: Catalog;
  readonly cipher: Cipher;
  readonly tasks: { enqueue(task: TaskRequest, db?: Db): Promise<string>; announce(): void };
  /** Whether an IPv4 address is closed. */
  readonly isDenied: (address: string) => boolean;
  readonly stopping: AbortSignal;
}

export interface Alerts {
  /** Tells now, as if it had fired. @throws {Error} with a sentence, when that does not work */
  test(rule: StoredAlertRule): Promise<void>;
  sealUrl(ruleId: string, url: string): Promise<Uint8Array>;
  /** Where it goes, without what may be secret. */
  shownUrl(rule: StoredAlertRule): Promise<string | null>;
  [Symbol.asyncDispose](): Promise<void>;
}

const LOOK_MS = 2_000;
const EVALUATE_SEC = 10;
const MINUTE_MS = 60_000;
const FOREVER_SEC = 4_000 * 86_400;
const PAUSE_SEC = 15;
/** The last one comes an hour after the first. */
const ATTEMPTS_MAX_COUNT = 8;

export function startAlerts({ db, log, catalog, cipher, tasks, isDenied, stopping }: AlertParts): Alerts {
  let isFailing = false;
  let working: Promise<void> | undefined;
  const timer = setInterval(() => {
    working ??= work().finally(() => working = undefined);
  }, LOOK_MS);

  async function work(): Promise<void> {
    try {
      while (!stopping.aborted && await evaluateOne());
      while (!stopping.aborted && await deliverOne());
      isFailing = false;
    } catch (error) {
      if (!isFailing) log.warn("Cannot look at alerts: trying again", { error });
      isFailing = true;
    }
  }

  /** False: none is due. */
  async function evaluateOne(): Promise<boolean> {
    let rule: (StoredAlertRule & { readonly now: Date }) | undefined;
    try {
      return await db.transaction().execute(async (trx) => {
        rule = await lockDueRule(trx, EVALUATE_SEC);
        if (rule !== undefined) await evaluate(trx, rule);
        return rule !== undefined;
      });
    } catch (error) {
      if (rule === undefined) throw error;
      // The others must not wait for it; it stands as it stood, and has its turn again.
      log.warn(`Cannot look at alert "${rule.name}": trying again`, { error });
      await keepStanding(db, rule.id, { ...rule, at: rule.now });
      return true;
    }
  }

  async function evaluate(trx: Db, rule: StoredAlertRule & { readonly now: Date }): Promise<void> {
    const value = await valueOf(trx, rule);
    const { hasChanged, ...standing } = decide(rule, value, rule.now);
    await keepStanding(trx, rule.id, { ...standing, at: rule.now });
    if (hasChanged) await tell(trx, rule, noticeOf(rule, standing.state === "firing" ? "firing" : "resolved", value));
  }

  async function valueOf(trx: Db, rule: StoredAlertRule & { readonly now: Date }): Promise<number | null> {
    const { metric, namespace, functionName, windowSec, minCalls, now } = rule;
    const since = new Date(now.getTime() - windowSec * 1_000);
    if (metric === "missed_ticks") return await countMissedTicks(trx, { since, namespace, functionName });
    if (metric === "dead_tasks") return await countDeadTasks(trx, { since, namespace, functionName });
    const fn = functionName === null ? undefined : catalog.find(namespace ?? "default", functionName);
    if (functionName !== null && fn === undefined) return null;
    const rows = await listCounts(trx, {
      source: "minute",
      from: new Date(Math.floor(since.getTime() / MINUTE_MS) * MINUTE_MS),
      to: new Date(now.getTime() + MINUTE_MS),
      stepSec: FOREVER_SEC,
      ...(fn !== undefined ? { functionId: fn.id } : namespace !== null ? { namespace } : {}),
    });
    return measure(metric, sumOf(rows.map(({ counts }) => counts)), minCalls);
  }

  async function tell(trx: Db, rule: StoredAlertRule, notice: AlertNotice): Promise<void> {
    log.warn(`Alert "${rule.name}": ${notice.state}`, { metric: rule.metric, value: notice.value });
    if (rule.targetUrl !== null) return await insertAlertDelivery(trx, rule.id, notice);
    await callFunction(rule, notice, trx);
  }

  async function callFunction(rule: StoredAlertRule, notice: AlertNotice, trx?: Db): Promise<void> {
    const [namespace = "", name = ""] = (rule.targetFunction ?? "").split("/");
    const fn = catalog.find(namespace, name);
    if (fn === undefined) {
      log.warn(`Cannot tell of alert "${rule.name}": there is no function ${rule.targetFunction}`);
      if (trx === undefined) throw new Error(`there is no function ${rule.targetFunction}`);
      return;
    }
    const body = new TextEncoder().encode(JSON.stringify(notice));
    const headers = { "content-type": "application/json" };
    await tasks.enqueue({ fn, caller: PLATFORM, triggerType: "hook", sourceId: rule.id, headers, body }, trx);
    // Servers look every second; in a transaction there is nothing to see yet.
    if (trx === undefined) tasks.announce();
  }

  /** False: none is due. */
  async function deliverOne(): Promise<boolean> {
    const delivery = await claimAlertDelivery(db, PAUSE_SEC);
    if (delivery === undefined) return false;
    const { id, ruleId, name, targetUrl, body, attempts } = delivery;
    try {
      if (targetUrl !== null) await post(ruleId, targetUrl, body);
      await removeAlertDelivery(db, id);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      const isLast = attempts >= ATTEMPTS_MAX_COUNT;
      log.warn(`Cannot tell of alert "${name}"${isLast ? ", and it is given up" : ": trying again"}`, {
        reason,
        attempts,
      });
      if (isLast) await removeAlertDelivery(db, id);
    }
    return true;
  }

  async function post(ruleId: string, sealed: Uint8Array, body: unknown): Promise<void> {
    const url = new URL(await cipher.open(sealed, alertUrlContext(ruleId)));
    await postJson(url, body, { isDenied, signal: stopping });
  }

  return {
    async test(rule) {
      const notice = noticeOf(rule, "test", rule.value);
      if (rule.targetUrl === null) await callFunction(rule, notice);
      else await post(rule.id, rule.targetUrl, notice);
    },
    sealUrl: (ruleId, url) => cipher.seal(url, alertUrlContext(ruleId)),
    async shownUrl({ id, targetUrl }) {
      return targetUrl === null ? null : `${new URL(await cipher.open(targetUrl, alertUrlContext(id))).origin}/…`;
    },
    async [Symbol.asyncDispose]() {
      clearInterval(timer);
      await working;
    },
  };
}

function sumOf(all: readonly Counts[]): Counts {
  const sums: Record<string, number> = {};
  for (const counts of all) for (const [name, count] of Object.entries(counts)) sums[name] = (sums[name] ?? 0) + count;
  return sums;
}

/** Null: there were too few calls to say anything. */
export function measure(
  metric: Exclude<AlertMetric, "dead_tasks" | "missed_ticks">,
  counts: Counts,
  minCalls: number,
): number | null {
  const calls = counts[COUNT.calls] ?? 0;
  const statuses = countsWith("s:", counts);
  if (metric === "kills") return statuses.get("killed") ?? 0;
  if (calls === 0 || calls < minCalls) return null;
  if (metric === "error_ratio") return (calls - (statuses.get("success") ?? 0)) / calls;
  const buckets = new Map([...countsWith("d:", counts)].map(([bucket, count]) => [Number(bucket), count]));
  return percentiles(buckets, [0.95])?.[0] ?? null;
}

const UNIT: Readonly<Record<AlertMetric, string>> = {
  error_ratio: "of calls failed",
  p95_ms: "ms is the 95th percentile of the duration",
  kills: "calls were killed",
  dead_tasks: "tasks were given up",
  missed_ticks: "instants of schedules came to no call",
};

function noticeOf(rule: StoredAlertRule, state: AlertNotice["state"], value: number | null): AlertNotice {
  const { name, metric, threshold, namespace, functionName, windowSec } = rule;
  const where = functionName !== null ? `${namespace ?? "default"}/${functionName}` : namespace ?? "all functions";
  const shown = value === null ? "too few calls" : `${Number(value.toPrecision(3))} ${UNIT[metric]}`;
  return {
    text: `[${state}] ${name}: ${shown} within ${Math.round(windowSec / 60)} min, ${where} (threshold ${threshold})`,
    alert: name,
    state,
    metric,
    value,
    threshold,
    namespace,
    function: functionName,
    window_seconds: windowSec,
    at: new Date().toISOString(),
  };
}

/** A rule names a function that is there. @throws {PlatformError} */
export function assertTarget(catalog: Catalog, target: string): void {
  const [namespace = "", name = "", ...more] = target.split("/");
  if (more.length === 0 && catalog.find(namespace, name) !== undefined) return;
  throw new PlatformError(
    "INVALID_ARGUMENT",
    `Cannot tell function "${target.slice(0, 200)}": there is none; name it as namespace/name`,
  );
}
