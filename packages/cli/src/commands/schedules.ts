/**
 * `fluxbase schedules …`: when functions are called without a client.
 *
 * @module
 */
import { CATCH_UPS, type CatchUp, type Overlap, OVERLAPS, type Schedule } from "@fluxbase/contract";
import { type Command, Option } from "commander";
import { type InNamespace, inNamespace, withClient } from "../action.ts";
import { printObject, printRows, say } from "../output.ts";

const COLUMNS = ["name", "when", "paused", "next_run", "last", "source"];
const DETAILS = [
  "id",
  ...COLUMNS,
  "next_runs",
  "catch_up",
  "overlap",
  "created_at",
  "created_by",
  "ticks",
];

interface AddOptions extends InNamespace {
  readonly name?: string;
  readonly at?: string;
  readonly catchUp?: CatchUp;
  readonly overlap?: Overlap;
  readonly paused?: boolean;
}

export function addSchedules(program: Command): void {
  const schedules = program.command("schedules").description("Call functions at certain times");
  const command = (usage: string, description: string) =>
    schedules.command(usage).description(description).option("-n, --namespace <name>", "of the function");

  command("list <function>", "List the schedules of a function with their next instants").action(
    withClient<InNamespace, [string]>(async ({ schedules }, { namespace, ...options }, name) => {
      printRows((await schedules.list(name, inNamespace(namespace))).map(shown), COLUMNS, options);
    }),
  );
  command("get <function> <schedule>", "Show a schedule and what became of its last instants").action(
    withClient<InNamespace, [string, string]>(async ({ schedules }, { namespace, ...options }, name, schedule) => {
      printObject(shown(await schedules.get(name, schedule, inNamespace(namespace))), DETAILS, options);
    }),
  );
  command(
    "add <function> [cron]",
    `Call a function by a cron expression, such as "0 9 * * MON-FRI Europe/Paris", or once with --at`,
  )
    .option("--name <name>", "what it is called; the expression without")
    .option("--at <instant>", "once, such as 2026-01-31T12:00:00Z")
    .addOption(new Option("--catch-up <rule>", "what is made up for when no server was running").choices(CATCH_UPS))
    .addOption(new Option("--overlap <rule>", "while the call before is not over").choices(OVERLAPS))
    .option("--paused", "add it without starting it")
    .action(withClient<AddOptions, [string, string?]>(async ({ schedules }, options, name, cron) => {
      const { namespace, at, catchUp, overlap, paused } = options;
      const added = await schedules.add(name, {
        ...(cron === undefined ? {} : { cron }),
        ...(at === undefined ? {} : { run_at: at }),
        ...(options.name === undefined ? {} : { name: options.name }),
        ...(catchUp === undefined ? {} : { catch_up: catchUp }),
        ...(overlap === undefined ? {} : { overlap }),
        ...(paused === undefined ? {} : { paused }),
      }, inNamespace(namespace));
      say(`Added schedule "${added.name}"${nextOf(added)}`);
    }));
  command("remove <function> <schedule>", "Remove a schedule that was added").action(
    withClient<InNamespace, [string, string]>(async ({ schedules }, { namespace }, name, schedule) => {
      await schedules.remove(name, schedule, inNamespace(namespace));
      say(`Removed schedule "${schedule}"`);
    }),
  );
  command("pause <function> <schedule>", "Let instants go by until it is resumed").action(
    withClient<InNamespace, [string, string]>(async ({ schedules }, { namespace }, name, schedule) => {
      await schedules.pause(name, schedule, inNamespace(namespace));
      say(`Paused schedule "${schedule}"`);
    }),
  );
  command("resume <function> <schedule>", "Go on with a schedule").action(
    withClient<InNamespace, [string, string]>(async ({ schedules }, { namespace }, name, schedule) => {
      say(`Resumed schedule "${schedule}"${nextOf(await schedules.resume(name, schedule, inNamespace(namespace)))}`);
    }),
  );
  command("run <function> <schedule>", "Call the function at once, as its schedule does").action(
    withClient<InNamespace, [string, string]>(async ({ schedules }, { namespace }, name, schedule) => {
      const { task_id: id } = await schedules.run(name, schedule, inNamespace(namespace));
      say(`Running schedule "${schedule}" as task ${id}`);
    }),
  );
}

function nextOf({ next_runs }: Schedule): string {
  return next_runs.length === 0 ? "" : `; it runs next at ${next_runs.join(", ")}`;
}

function shown<T extends Schedule>(schedule: T) {
  const { cron, time_zone, run_at, next_runs, last_tick } = schedule;
  return {
    ...schedule,
    when: cron === null ? run_at : `${cron} ${time_zone}`,
    next_run: next_runs[0] ?? null,
    last: last_tick === null
      ? null
      : `${last_tick.scheduled_at} ${
        last_tick.skipped === null ? last_tick.task_state ?? "" : `skipped: ${last_tick.skipped}`
      }`,
  };
}
