/**
 * `fluxbase executions …`: one call of a function, in full.
 *
 * @module
 */
import process from "node:process";
import type { CapturedRequestView, ExecutionDetails, ReplayAnswer } from "@fluxbase/sdk";
import { type Command, InvalidArgumentError } from "commander";
import { type InNamespace, inNamespace, withClient } from "../action.ts";
import { print, printable, printJson, printRows, say } from "../output.ts";
import type { GlobalOptions } from "../connection.ts";

interface OfFunction extends InNamespace {
  readonly of?: string;
}

export function addExecutions(program: Command): void {
  const executions = program.command("executions").description("Inspect and replay single executions");

  executions.command("show <id>").description(
    "Show an execution in full: timeline, sandbox, caller, error, log and calls",
  )
    .option("--of <function>", "name of its function; required for keys without admin rights").option(
      "-n, --namespace <name>",
      "namespace of the function",
    )
    .action(withClient<OfFunction, [string]>(async (client, { of, namespace, ...options }, id) => {
      const details = of === undefined
        ? await client.admin.functions.getExecutionDetails(id)
        : await client.functions.getExecution(of, id, inNamespace(namespace));
      show(details, options);
    }));

  executions.command("replay <id>").description(
    "Run a captured request again and compare the responses; exits with 1 if they differ",
  )
    .option("--of-version <version>", "run this version instead of the live one", numberOf)
    .action(withClient<{ ofVersion?: number }, [string]>(async (client, { ofVersion, ...options }, id) => {
      const answer = await client.admin.functions.replay(id, ofVersion === undefined ? {} : { version: ofVersion });
      if (!answer.comparison.same) process.exitCode = 1;
      if (options.output === "json") printJson(answer);
      else showReplay(answer);
    }));

  const captures = program.command("captures").description("Manage requests that are kept for replay");

  captures.command("list [function]").description("List executions with a kept request, newest first")
    .option("-n, --namespace <name>", "namespace of the function").option(
      "--limit <count>",
      "number of executions",
      numberOf,
      20,
    )
    .action(withClient<InNamespace & { limit: number }, [string | undefined]>(
      async (client, { namespace, limit, ...options }, name) => {
        const query = { captured: true, limit, ...inNamespace(namespace) };
        const found = name === undefined
          ? (await client.admin.functions.listExecutions(query)).executions
          : await client.functions.getExecutions(name, query);
        printRows(found, ["executed_at", "function_name", "method", "path", "status", "status_code", "id"], options);
      },
    ));

  captures.command("show <id>").description("Show the kept request of an execution; credentials are never kept")
    .action(withClient<object, [string]>(async (client, options, id) => {
      const request = await client.admin.functions.getCapturedRequest(id);
      if (options.output === "json") printJson(request);
      else showRequest(request);
    }));

  captures.command("delete <id>").description("Delete the kept request of an execution; the execution stays")
    .action(withClient<object, [string]>(async (client, _, id) => {
      await client.admin.functions.deleteCapturedRequest(id);
      say(`Deleted the kept request of ${id}`);
    }));
}

function showRequest({ method, target, headers, body, removed }: CapturedRequestView): void {
  print(printable(`${method} ${target}`));
  for (const [name, value] of headers) print(printable(`${name}: ${value}`));
  if (body.is_cut) say("Its body was not kept: it is longer than 256 KB or was not read to the end");
  if (body.encoding === "base64") say(`Its body is binary (${body.bytes} bytes): use --output json to see it`);
  else if (body.content !== "") print(`\n${printable(body.content)}`);
  if (removed.length > 0) say(`Removed before it was kept: ${printable(removed.join(", "))}`);
}

function show(details: ExecutionDetails, options: GlobalOptions): void {
  if (options.output === "json") return printJson(details);
  const { failure, parent, calls, log_entries } = details;
  for (const [name, value] of factsOf(details)) print(`${name.padEnd(10)}  ${printable(value)}`);
  section("TIMELINE");
  const phases = details.timeline.map(({ phase, from_ms, to_ms }) => ({ phase, from_ms, to_ms, ms: to_ms - from_ms }));
  printRows(
    phases.map((row) => ({ ...row, ms: Number(row.ms.toFixed(3)) })),
    ["phase", "from_ms", "to_ms", "ms"],
    options,
  );
  if (failure !== null) {
    section("FAILURE");
    print(printable(`${failure.code ?? ""} ${failure.stack ?? failure.message}`.trim()));
    for (const { kind, stack } of failure.related) {
      print(printable(`${kind === "cause" ? "Caused by" : "Member"}: ${stack}`));
    }
    if (failure.code_frame !== null) print(`\n${printable(failure.code_frame)}`);
  }
  if (details.replay_of !== null) print(`\nRun again from ${details.replay_of}`);
  const related = [
    ...parent === null ? [] : [{ as: "called by", ...parent }],
    ...calls.map((call) => ({ as: "called", ...call })),
  ];
  if (related.length > 0) {
    section("CALLS");
    printRows(related, ["as", "namespace", "function_name", "status", "status_code", "duration_ms", "id"], options);
  }
  if (details.tasks.length > 0) {
    section("TASKS");
    printRows(details.tasks, ["namespace", "function_name", "state", "created_at", "id"], options);
  }
  if (log_entries.length > 0) section("LOG");
  for (const { timestamp, level, message } of log_entries) {
    print(`${timestamp} ${level.padEnd(5)} ${printable(message)}`);
  }
}

function showReplay({ execution_id, version, comparison, removed, body }: ReplayAnswer): void {
  const { status, error_code, headers, body: bodies } = comparison;
  const told = (before: unknown, after: unknown) => before === after ? `${after}` : `${after}, was ${before}`;
  print(`${comparison.same ? "The same answer" : "Another answer"} from version ${version}, execution ${execution_id}`);
  print(`status   ${told(status.before, status.after)}`);
  if (error_code.before !== null || error_code.after !== null) {
    print(`code     ${told(error_code.before ?? "none", error_code.after ?? "none")}`);
  }
  print(`headers  ${headers.same ? "the same" : `not the same: ${printable(headers.differing.join(", "))}`}`);
  const compared = bodies.same === null ? "not compared: sent in pieces" : bodies.same ? "the same" : "not the same";
  print(`body     ${compared}, ${bodies.after_bytes ?? body.bytes} bytes`);
  if (removed.length > 0) say(`Not sent, because it is never kept: ${printable(removed.join(", "))}`);
  if (body.encoding === "utf8" && body.content !== "") print(`\n${printable(body.content)}`);
}

function section(title: string): void {
  print(`\n${title}`);
}

/** What a person asks first, one line each. */
function factsOf(details: ExecutionDetails): (readonly [string, string])[] {
  const { caller, limits, sandbox, status_code, error_code } = details;
  const who = caller === null
    ? details.user_id ?? "-"
    : [caller.kind, caller.role, caller.key_id, caller.user_id].filter((text) => text !== null).join(" ");
  const ofLimit = (used: number | null, limit: number | undefined, unit: string) =>
    `${used === null ? "-" : Math.round(used)} ${unit}${limit === undefined ? "" : ` of ${limit}`}`;
  return [
    ["execution", details.id],
    ["request", `${details.method} ${details.path || "/"} (${details.request_id})`],
    [
      "function",
      `${details.namespace}/${details.function_name} version ${details.version}, by ${details.trigger_type}`,
    ],
    ["answer", `${status_code ?? "none"}, ${details.status}${error_code === null ? "" : ` (${error_code})`}`],
    ["time", `${details.started_at}, ${ofLimit(details.duration_ms, limits?.timeout_ms, "ms")}`],
    ["processor", ofLimit(details.cpu_ms, undefined, "ms")],
    ["memory", ofLimit(details.memory_mb, limits?.memory_mb, "MB")],
    ["bytes", `${details.bytes_in ?? "-"} in, ${details.bytes_out ?? "-"} out`],
    ["caller", who],
    ["node", details.node ?? "-"],
    [
      "sandbox",
      sandbox === null
        ? "none"
        : `${sandbox.cold ? "cold" : "warm"}, ${
          Math.round(sandbox.age_ms)
        } ms old, its request ${sandbox.request_number}`,
    ],
    ["trace", details.trace_id ?? "-"],
  ];
}

function numberOf(text: string): number {
  const number = Number(text);
  if (!Number.isInteger(number) || number < 1) throw new InvalidArgumentError("It must be a number from 1.");
  return number;
}
