/**
 * Main task: see what waits or has died, find out why, and try it again.
 *
 * @module
 */
import type { ListTasks, Task, TaskState } from "@fluxbase/sdk";
import { useQueryClient } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { CircleX, Eye, ListChecks, RotateCw } from "lucide-react";
import { useState } from "react";
import { Badge, type Tone } from "../../parts/badge.tsx";
import { Button } from "../../parts/button.tsx";
import { SearchField } from "../../parts/field.tsx";
import { Page } from "../../parts/page.tsx";
import { usePages } from "../../parts/pages.ts";
import { RowMenu } from "../../parts/row_menu.tsx";
import { Segments } from "../../parts/segments.tsx";
import { EmptyState, NothingFits } from "../../parts/states.tsx";
import { PagedTable } from "../../parts/table.tsx";
import { Ago } from "../../parts/time.tsx";
import { toast } from "../../parts/toasts.tsx";
import { useClient } from "../../session/use_session.ts";
import { TaskDialog } from "./task_dialog.tsx";

const PAGE_COUNT = 50;
const REFETCH_MS = 5_000;
const COLUMNS = [
  { name: "Function" },
  { name: "State" },
  { name: "Made by" },
  { name: "Attempts", end: true },
  { name: "When" },
  { name: "Last answer" },
  { name: "More", unseen: true },
];
const STATES = [
  ["", "All"],
  ["waiting", "Waiting"],
  ["running", "Running"],
  ["dead", "Dead"],
  ["done", "Done"],
  ["cancelled", "Cancelled"],
] as const;
const TONES: Readonly<Record<TaskState, Tone>> = {
  waiting: "plain",
  running: "accent",
  done: "good",
  dead: "bad",
  cancelled: "warn",
};
const TRIGGERS: Readonly<Record<string, string>> = { task: "a call", cron: "a schedule", hook: "a hook" };

export function TasksPage() {
  const client = useClient();
  const { state: wanted, function: fn } = useSearch({ from: "/shell/tasks" });
  const navigate = useNavigate({ from: "/tasks" });
  const queries = useQueryClient();
  const [looked, setLooked] = useState<string | null>(null);
  const [isRetrying, setRetrying] = useState(false);
  const state = STATES.map(([name]) => name).find((name) => name !== "" && name === wanted);
  const filter: ListTasks = {
    ...(state === undefined || state === "" ? {} : { state }),
    ...(fn === undefined ? {} : placeIn(fn)),
  };
  const refresh = () => queries.invalidateQueries({ queryKey: ["tasks"] });
  const pages = usePages<Task>({
    queryKey: ["tasks", filter],
    size: PAGE_COUNT,
    read: (client, { cursor, limit }) =>
      client.tasks.list({ ...filter, limit, ...(cursor === undefined ? {} : { cursor }) }),
    cursorOf: ({ cursor }) => cursor,
    refetchEveryMs: REFETCH_MS,
  });

  async function change(what: string, work: () => Promise<unknown>): Promise<void> {
    try {
      await work();
      toast.done(what);
    } catch (error) {
      toast.failed("Cannot change the task", error);
    }
    await refresh();
  }

  async function retryDead(): Promise<void> {
    if (fn === undefined) return;
    setRetrying(true);
    const { function: name = fn, namespace } = placeIn(fn);
    await change(
      `The dead tasks of ${fn} are tried again`,
      () => client.tasks.retryDead(name, namespace === undefined ? {} : { namespace }),
    );
    setRetrying(false);
  }

  const isFiltered = state !== undefined || fn !== undefined;
  return (
    <Page
      title="Tasks"
      actions={fn !== undefined && state === "dead" && pages.items.length > 0 && (
        <Button
          icon={RotateCw}
          busy={isRetrying}
          onClick={() => void retryDead()}
        >
          Retry all of {fn}
        </Button>
      )}
    >
      <div className="filters">
        <Segments
          label="State"
          value={state ?? ""}
          options={STATES}
          onChange={(value) => void navigate({ search: (now) => ({ ...now, state: value }), replace: true })}
        />
        <SearchField
          label="Name of a function"
          value={fn ?? ""}
          onChange={(value) => void navigate({ search: (now) => ({ ...now, function: value }), replace: true })}
        />
      </div>
      <PagedTable
        label="Tasks"
        columns={COLUMNS}
        pages={pages}
        empty={isFiltered
          ? <NothingFits what="task" onShowAll={() => void navigate({ search: {} })} />
          : (
            <EmptyState icon={ListChecks} title="No tasks yet">
              A call with <code>Prefer: respond-async</code>, a schedule or a hook makes one.
            </EmptyState>
          )}
        row={(task) => (
          <tr key={task.id}>
            <td className="cell-wide">
              <button type="button" className="cell-link cell-main" onClick={() => setLooked(task.id)}>
                {task.namespace !== "default" && <span className="muted">{task.namespace}/</span>}
                {task.function_name}
              </button>
              <div className="cell-about">
                {task.method} <code>{task.url}</code>
              </div>
            </td>
            <td>
              <Badge tone={TONES[task.state]}>{task.state}</Badge>
            </td>
            <td className="muted">{TRIGGERS[task.trigger_type] ?? task.trigger_type}</td>
            <td className="end number">
              {task.attempts}
              <span className="muted">/{task.retries + 1}</span>
            </td>
            <td className="nowrap">
              <Ago at={task.state === "waiting" ? task.run_at : task.finished_at ?? task.created_at} />
            </td>
            <td>
              {task.status_code !== null && (
                <Badge tone={task.status_code < 400 ? "good" : "bad"}>{task.status_code}</Badge>
              )}
              {task.error !== null && <div className="cell-about task-error">{task.error}</div>}
            </td>
            <td className="end">
              <RowMenu
                label={`More about the task of ${task.function_name}`}
                entries={[
                  { text: "Look at it", icon: Eye, onSelect: () => setLooked(task.id) },
                  {
                    text: "Try again",
                    icon: RotateCw,
                    disabled: task.state === "waiting" || task.state === "running",
                    onSelect: () => void change("It is tried again", () => client.tasks.retry(task.id)),
                  },
                  {
                    text: "Cancel",
                    icon: CircleX,
                    danger: true,
                    disabled: task.state !== "waiting" && task.state !== "running",
                    onSelect: () => void change("It is cancelled", () => client.tasks.cancel(task.id)),
                  },
                ]}
              />
            </td>
          </tr>
        )}
      />
      <TaskDialog id={looked} onClose={() => setLooked(null)} />
    </Page>
  );
}

/** `name`, or `namespace/name`. */
function placeIn(text: string): { readonly function: string; readonly namespace?: string } {
  const slash = text.indexOf("/");
  return slash < 0 ? { function: text } : { namespace: text.slice(0, slash), function: text.slice(slash + 1) };
}
