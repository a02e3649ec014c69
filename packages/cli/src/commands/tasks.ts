/**
 * `fluxbase tasks …`: calls of functions that are kept until they are answered or given up.
 *
 * @module
 */
import { type Task, TASK_STATES, type TaskState } from "@fluxbase/contract";
import { type Command, Option } from "commander";
import { type InNamespace, inNamespace, withClient } from "../action.ts";
import { printObject, printRows, say } from "../output.ts";

const COLUMNS = ["id", "function", "state", "trigger_type", "attempts", "run_at", "status_code", "error"];
const DETAILS = [
  ...COLUMNS,
  "namespace",
  "method",
  "url",
  "retries",
  "execution_id",
  "source_id",
  "error_code",
  "created_at",
  "created_by",
  "finished_at",
  "answer",
  "payload",
];

interface ListOptions extends InNamespace {
  readonly state?: TaskState;
  readonly trigger?: string;
  readonly source?: string;
  readonly limit: number;
  readonly cursor?: string;
}

export function addTasks(program: Command): void {
  const tasks = program.command("tasks").description("List, retry and cancel asynchronous calls and other tasks");

  tasks.command("list [function]").description("List tasks, newest first")
    .option("-n, --namespace <name>", "only tasks of this namespace")
    .addOption(new Option("--state <state>", "only tasks in this state").choices(TASK_STATES))
    .option("--trigger <type>", "only tasks created by task, cron or hook")
    .option("--source <id>", "only tasks of this schedule or hook")
    .option("--limit <count>", "number of results, at most 1000", Number, 50)
    .option("--cursor <cursor>", "continue after this cursor, which --output json of the page before shows")
    .action(withClient<ListOptions, [string?]>(async ({ tasks }, options, name) => {
      const { state, trigger, source, limit, cursor, namespace } = options;
      const found = await tasks.list({
        limit,
        ...inNamespace(namespace),
        ...(name === undefined ? {} : { function: name }),
        ...(state === undefined ? {} : { state }),
        ...(trigger === undefined ? {} : { trigger }),
        ...(source === undefined ? {} : { source_id: source }),
        ...(cursor === undefined ? {} : { cursor }),
      });
      printRows(found.map(withFunction), COLUMNS, options);
    }));
  tasks.command("get <id>").description("Show a task with its payload and attempts").action(
    withClient<object, [string]>(async ({ tasks }, options, id) => {
      printObject(withFunction(await tasks.get(id)), DETAILS, options);
    }),
  );
  tasks.command("retry [id]").description("Run a finished task again, or all dead tasks of a function")
    .option("--dead-of <function>", "all dead tasks of this function")
    .option("-n, --namespace <name>", "namespace of the function")
    .action(withClient<InNamespace & { readonly deadOf?: string }, [string?]>(async ({ tasks }, options, id) => {
      const { deadOf, namespace } = options;
      if ((id === undefined) === (deadOf === undefined)) {
        throw new Error("Cannot retry: pass the id of a task, or --dead-of <function>");
      }
      if (deadOf !== undefined) {
        say(`Retrying ${(await tasks.retryDead(deadOf, inNamespace(namespace))).retried} dead tasks of ${deadOf}`);
      } else if (id !== undefined) {
        await tasks.retry(id);
        say(`Retrying task ${id}`);
      }
    }));
  tasks.command("cancel <id>").description("Cancel a task; aborts an attempt that is running").action(
    withClient<object, [string]>(async ({ tasks }, _, id) => {
      await tasks.cancel(id);
      say(`Cancelled task ${id}`);
    }),
  );
  tasks.command("delete <id>").description("Delete a task that is not running").action(
    withClient<object, [string]>(async ({ tasks }, _, id) => {
      await tasks.delete(id);
      say(`Deleted task ${id}`);
    }),
  );
}

function withFunction<T extends Task>(task: T): T & { readonly function: string } {
  return { ...task, function: `${task.namespace}/${task.function_name}` };
}
