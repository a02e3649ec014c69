/**
 * `fluxbase alerts …`: who is told when something goes wrong.
 *
 * @module
 */
import { ALERT_METRICS, type AlertMetric } from "@fluxbase/contract";
import { type Command, Option } from "commander";
import { withClient } from "../action.ts";
import { printObject, printRows, say } from "../output.ts";

const COLUMNS = ["name", "state", "metric", "value", "threshold", "namespace", "function", "changed_at"];
const DETAILS = [
  ...COLUMNS,
  "window_seconds",
  "for_seconds",
  "min_calls",
  "target_function",
  "target_url",
  "created_by",
];

interface NewOptions {
  readonly metric: AlertMetric;
  readonly threshold: number;
  readonly namespace?: string;
  readonly function?: string;
  readonly window?: number;
  readonly for?: number;
  readonly minCalls?: number;
  readonly tellFunction?: string;
  readonly tellUrl?: string;
}

export function addAlerts(program: Command): void {
  const alerts = program.command("alerts").description("Manage alerts");

  alerts.command("list").description("List alerts with their state")
    .action(withClient<object, []>(async ({ admin }, options) => {
      printRows(await admin.alerts.list(), COLUMNS, options);
    }));

  alerts.command("add <name>").description(
    "Create an alert that calls a function or URL when a metric stays above a threshold",
  )
    .addOption(new Option("--metric <metric>", "metric to watch").choices(ALERT_METRICS).makeOptionMandatory())
    .addOption(
      new Option("--threshold <number>", "threshold, such as 0.05 for a ratio").argParser(Number).makeOptionMandatory(),
    )
    .option("-n, --namespace <name>", "only this namespace")
    .option("--function <name>", "only this function")
    .option("--window <seconds>", "time window in seconds (default: 300)", Number)
    .option(
      "--for <seconds>",
      "seconds above the threshold before it fires, and below before it resolves (default: 60)",
      Number,
    )
    .option("--min-calls <count>", "calls in the window below which it stays silent (default: 10)", Number)
    .option("--tell-function <place>", "function to call, as namespace/name")
    .option("--tell-url <url>", "URL that gets a POST request, such as a chat webhook")
    .action(withClient<NewOptions, [string]>(async ({ admin }, options, name) => {
      const given = {
        namespace: options.namespace,
        function: options.function,
        window_seconds: options.window,
        for_seconds: options.for,
        min_calls: options.minCalls,
        target_function: options.tellFunction,
        target_url: options.tellUrl,
      };
      const set = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
      const { metric, threshold } = options;
      printObject(await admin.alerts.add({ name, metric, threshold, ...set }), DETAILS, options);
    }));

  alerts.command("remove <name>").description("Remove an alert")
    .action(withClient<object, [string]>(async ({ admin }, _, name) => {
      await admin.alerts.remove(name);
      say(`Removed ${name}`);
    }));

  alerts.command("test <name>").description("Send a test notification")
    .action(withClient<object, [string]>(async ({ admin }, _, name) => {
      const { delivered, error } = await admin.alerts.test(name);
      if (!delivered) throw new Error(`Cannot send a notification for ${name}: ${error}`);
      say(`Sent a test notification for ${name}`);
    }));
}
