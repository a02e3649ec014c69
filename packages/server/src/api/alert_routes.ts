/**
 * Routes about alerts: rules that tell somebody when a figure is over its threshold for a while, and when it is not.
 *
 * @module
 */
import {
  type Alert,
  ALERT_METRICS,
  type AlertMetric,
  functionNameProblem,
  namespaceProblem,
  PlatformError,
} from "@fluxbase/contract";
import { z } from "zod";
import {
  countAlertRules,
  deleteAlertRule,
  findAlertRule,
  insertAlertRule,
  listAlertRules,
  type StoredAlertRule,
} from "../storage/alerts.ts";
import type { Db } from "../storage/db.ts";
import { type ApiCall, authorOf, type Route } from "./route.ts";

export interface AlertRouteParts {
  readonly db: Db;
  readonly alerts: {
    test(rule: StoredAlertRule): Promise<void>;
    sealUrl(ruleId: string, url: string): Promise<Uint8Array>;
    shownUrl(rule: StoredAlertRule): Promise<string | null>;
  };
  /** @throws {PlatformError} INVALID_ARGUMENT */
  readonly assertTarget: (target: string) => void;
}

const RULES_MAX_COUNT = 200;
const WINDOW_DEFAULT_SEC = 300;
const FOR_DEFAULT_SEC = 60;
/** One failure among two calls is no ratio. */
const MIN_CALLS_DEFAULT = 10;

const seconds = (min: number, max: number) =>
  z.int(`must be seconds from ${min} to ${max}`).min(min, `must be seconds from ${min} to ${max}`)
    .max(max, `must be seconds from ${min} to ${max}`);
const alertName = z.string().regex(
  /^[\w][\w .-]{0,99}$/,
  "must have 1 to 100 letters, digits, spaces, dots and dashes",
);
const checkedBy = (problemOf: (text: string) => string | undefined) =>
  z.string().superRefine((text, context) => {
    const problem = problemOf(text);
    if (problem !== undefined) context.addIssue({ code: "custom", message: problem });
  });
const newAlert = z.strictObject({
  name: alertName,
  metric: z.enum(ALERT_METRICS, `must be one of ${ALERT_METRICS.join(", ")}`),
  threshold: z.number("must be a number").positive("must be above 0").max(1e9),
  namespace: checkedBy(namespaceProblem).nullable().optional(),
  function: checkedBy(functionNameProblem).nullable().optional(),
  window_seconds: seconds(60, 86_400).default(WINDOW_DEFAULT_SEC),
  for_seconds: seconds(0, 86_400).default(FOR_DEFAULT_SEC),
  min_calls: z.int().min(1, "must be at least 1").max(1_000_000).default(MIN_CALLS_DEFAULT),
  target_function: z.string().max(200).optional(),
  target_url: z.url({ protocol: /^https?$/, error: "must be an http or https URL" }).max(2_000).optional(),
});

const view = z.object({
  name: z.string(),
  metric: z.enum(ALERT_METRICS),
  threshold: z.number(),
  namespace: z.string().nullable(),
  function: z.string().nullable(),
  window_seconds: z.int(),
  for_seconds: z.int(),
  min_calls: z.int(),
  target_function: z.string().nullable(),
  target_url: z.string().nullable(),
  state: z.enum(["ok", "firing"]),
  value: z.number().nullable(),
  changed_at: z.iso.datetime().nullable(),
  evaluated_at: z.iso.datetime().nullable(),
  created_at: z.iso.datetime(),
  created_by: z.string().nullable(),
}) satisfies z.ZodType<Alert>;
const tested = z.object({ delivered: z.boolean(), error: z.string().nullable() });

export function alertRoutes({ db, alerts, assertTarget }: AlertRouteParts): Route[] {
  async function viewOf(rule: StoredAlertRule): Promise<Alert> {
    return {
      name: rule.name,
      metric: rule.metric,
      threshold: rule.threshold,
      namespace: rule.namespace,
      function: rule.functionName,
      window_seconds: rule.windowSec,
      for_seconds: rule.forSec,
      min_calls: rule.minCalls,
      target_function: rule.targetFunction,
      target_url: await alerts.shownUrl(rule),
      state: rule.state,
      value: rule.value,
      changed_at: rule.changedAt?.toISOString() ?? null,
      evaluated_at: rule.evaluatedAt?.toISOString() ?? null,
      created_at: rule.createdAt.toISOString(),
      created_by: rule.createdBy,
    };
  }

  async function add(call: ApiCall) {
    const { data, error } = newAlert.safeParse(await call.body());
    if (data === undefined) {
      const problems = error.issues.map(({ path, message }) => `"${path.join(".")}" ${message}`);
      throw new PlatformError("INVALID_ARGUMENT", `Cannot add the alert: ${problems.join("; ")}`, {
        details: { problems },
      });
    }
    const { target_function, target_url } = data;
    if ((target_function === undefined) === (target_url === undefined)) {
      throw new PlatformError(
        "INVALID_ARGUMENT",
        'Cannot add the alert: say who is told, by "target_function" or by "target_url"',
      );
    }
    if (data.metric === "error_ratio" && data.threshold > 1) {
      throw new PlatformError(
        "INVALID_ARGUMENT",
        `Cannot add the alert: "threshold" is ${data.threshold}, and a ratio is at most 1, such as 0.05`,
      );
    }
    if (target_function !== undefined) assertTarget(target_function);
    if (await countAlertRules(db) >= RULES_MAX_COUNT) {
      throw new PlatformError("INVALID_ARGUMENT", `Cannot add the alert: there are ${RULES_MAX_COUNT} already`);
    }
    const id = crypto.randomUUID();
    const functionName = data.function ?? null;
    const rule = await insertAlertRule(db, {
      id,
      name: data.name,
      metric: data.metric satisfies AlertMetric,
      threshold: data.threshold,
      namespace: data.namespace ?? (functionName === null ? null : "default"),
      functionName,
      windowSec: data.window_seconds,
      forSec: data.for_seconds,
      minCalls: data.min_calls,
      targetFunction: target_function ?? null,
      targetUrl: target_url === undefined ? null : await alerts.sealUrl(id, target_url),
      createdBy: authorOf(call),
    });
    if (rule === undefined) {
      throw new PlatformError("ALREADY_EXISTS", `Cannot add alert "${data.name}": there is one of this name`);
    }
    return { status: 201, body: await viewOf(rule) };
  }

  async function found(call: ApiCall): Promise<StoredAlertRule> {
    const name = call.params["name"] ?? "";
    const rule = alertName.safeParse(name).success ? await findAlertRule(db, name) : undefined;
    if (rule === undefined) throw notFound(name);
    return rule;
  }

  const target = ({ name }: Readonly<Record<string, unknown>>) => `alert ${name}`;
  return [
    {
      method: "GET",
      path: "/admin/alerts",
      summary: "List alerts and their state",
      access: "admin",
      answer: { status: 200, schema: z.object({ alerts: z.array(view) }) },
      async handle() {
        return { status: 200, body: { alerts: await Promise.all((await listAlertRules(db)).map(viewOf)) } };
      },
    },
    {
      method: "POST",
      path: "/admin/alerts",
      summary: "Create an alert: notify a URL or a function while a metric is over its threshold",
      access: "admin",
      body: newAlert,
      answer: { status: 201, schema: view },
      audit: { target },
      handle: add,
    },
    {
      method: "DELETE",
      path: "/admin/alerts/{name}",
      summary: "Delete an alert",
      access: "admin",
      answer: { status: 204 },
      audit: { before: async (call) => await viewOf(await found(call)), target },
      async handle(call) {
        if (!await deleteAlertRule(db, (await found(call)).name)) throw notFound(call.params["name"] ?? "");
        return { status: 204 };
      },
    },
    {
      method: "POST",
      path: "/admin/alerts/{name}/test",
      summary: "Send a test notification of an alert",
      access: "admin",
      answer: { status: 200, schema: tested },
      audit: { target },
      async handle(call) {
        const rule = await found(call);
        const error = await alerts.test(rule).then(
          () => null,
          (reason: unknown) => reason instanceof Error ? reason.message : String(reason),
        );
        return { status: 200, body: { delivered: error === null, error } };
      },
    },
  ];
}

function notFound(name: string): PlatformError {
  return new PlatformError("NOT_FOUND", `There is no alert "${name.slice(0, 100)}"`);
}
