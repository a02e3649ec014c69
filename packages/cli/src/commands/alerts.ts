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
  const alerts = program.command("alerts").description("who is told when something goes wrong");

  alerts.command("list").description("list alerts, and where each stands")
    .action(withClient<object, []>(async ({ admin }, options) => {
      printRows(await admin.alerts.list(), COLUMNS, options);
    }));

  alerts.command("add <name>").description("tell a function or a URL when a figure is over its threshold for a while")
    .addOption(new Option("--metric <metric>", "what is looked at").choices(ALERT_METRICS).makeOptionMandatory())
    .addOption(new Option("--threshold <number>", "such as 0.05 for a ratio").argParser(Number).makeOptionMandatory())
    .option("-n, --namespace <name>", "of this namespace")
    .option("--function <name>", "of this function")
    .option("--window <seconds>", "of so long a time, 300 without", Number)
    .option("--for <seconds>", "it has to be over, and below, for so long: 60 without", Number)
    .option("--min-calls <count>", "of fewer nothing is said: 10 without", Number)
    .option("--tell-function <place>", "namespace/name")
    .option("--tell-url <url>", "gets a POST, such as a webhook of a chat program")
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

  alerts.command("remove <name>").description("remove an alert")
    .action(withClient<object, [string]>(async ({ admin }, _, name) => {
      await admin.alerts.remove(name);
      say(`Removed ${name}`);
    }));

  alerts.command("test <name>").description("tell whoever it tells, now")
    .action(withClient<object, [string]>(async ({ admin }, _, name) => {
      const { delivered, error } = await admin.alerts.test(name);
      if (!delivered) throw new Error(`Cannot tell of ${name}: ${error}`);
      say(`Told of ${name}`);
    }));
}
