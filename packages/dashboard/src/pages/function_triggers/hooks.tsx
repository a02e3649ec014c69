/**
 * What the server calls a function for: changes of rows, and events of accounts.
 *
 * @module
 */
import type { DbHookView, FunctionDetails } from "@fluxbase/sdk";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Pencil, Plus, RotateCw, Trash2, Webhook } from "lucide-react";
import { useState } from "react";
import { Badge } from "../../parts/badge.tsx";
import { Button, IconButton } from "../../parts/button.tsx";
import { ConfirmAbout } from "../../parts/dialog.tsx";
import { EmptyState, ErrorState, Skeleton } from "../../parts/states.tsx";
import { Switch } from "../../parts/switch.tsx";
import { toast } from "../../parts/toasts.tsx";
import { useClient } from "../../session/use_session.ts";
import { AuthHooksDialog, eventText } from "./auth_hooks_dialog.tsx";
import { TableHookDialog } from "./table_hook_dialog.tsx";

const HOOKS_KEY = ["hooks"] as const;

export function Hooks({ fn }: { readonly fn: FunctionDetails }) {
  return (
    <>
      <TableHooks fn={fn} />
      <AuthHooks fn={fn} />
    </>
  );
}

/** Says what became of it, and looks again. */
function useWork() {
  const queries = useQueryClient();
  return async (what: string, work: () => Promise<unknown>): Promise<void> => {
    try {
      await work();
      toast.done(what);
    } catch (error) {
      toast.failed("Cannot change the hook", error);
    }
    await queries.invalidateQueries({ queryKey: HOOKS_KEY });
  };
}

function Waiting({ waiting, dead }: { readonly waiting: number; readonly dead: number }) {
  return (
    <>
      {waiting > 0 && <Badge>{waiting} waiting</Badge>}
      {dead > 0 && <Badge tone="bad">{dead} failed for good</Badge>}
    </>
  );
}

function TableHooks({ fn: { namespace, name } }: { readonly fn: FunctionDetails }) {
  const client = useClient();
  const queries = useQueryClient();
  const work = useWork();
  const [isMaking, setMaking] = useState(false);
  const [toRemove, setToRemove] = useState<DbHookView | null>(null);
  const { data, error, refetch } = useQuery({
    queryKey: [...HOOKS_KEY, "tables"],
    queryFn: () => client.admin.hooks.database.list(),
    refetchInterval: 10_000,
  });
  const shown = data?.filter((one) => one.function === `${namespace}/${name}`);
  return (
    <section className="card" aria-label="Table hooks">
      <div className="card-head">
        <h2>Table hooks</h2>
        <span className="spread">
          <Button small icon={Plus} onClick={() => setMaking(true)}>New table hook</Button>
        </span>
      </div>
      {error && shown === undefined && <ErrorState error={error} onRetry={() => void refetch()} />}
      {shown === undefined && !error && (
        <div className="card-body">
          <Skeleton lines={2} />
        </div>
      )}
      {shown?.length === 0 && (
        <EmptyState icon={Webhook} title="No table hooks">
          The function is called when rows of a table change.
        </EmptyState>
      )}
      {shown !== undefined && shown.length > 0 && (
        <ul className="plain-list" aria-label="Table hooks">
          {shown.map((one) => (
            <li key={one.id} className="row row-wrap">
              <div className="grow">
                <div className="cell-main break">{one.events.join(", ")} in {one.table}</div>
                <div className="cell-about break">{conditionsOf(one)}</div>
                {one.problem !== null && <div className="field-error break">{one.problem}</div>}
                {one.last_error !== null && <div className="cell-about break">Last error: {one.last_error}</div>}
              </div>
              <Waiting waiting={one.waiting} dead={one.dead} />
              {one.dead > 0 && (
                <IconButton
                  icon={RotateCw}
                  label={`Try failed events of ${one.table} again`}
                  onClick={() => void work("Trying again", () => client.admin.hooks.database.retry(one.id))}
                />
              )}
              <IconButton icon={Trash2} label={`Delete the hook of ${one.table}`} onClick={() => setToRemove(one)} />
            </li>
          ))}
        </ul>
      )}
      <TableHookDialog
        place={{ namespace, name }}
        open={isMaking}
        onClose={() => setMaking(false)}
        onSaved={() => queries.invalidateQueries({ queryKey: HOOKS_KEY })}
      />
      <ConfirmAbout
        title={`Delete the hook of ${toRemove?.table}?`}
        about={toRemove?.waiting
          ? `${toRemove.waiting} events that wait are dropped with it.`
          : "No events wait for it."}
        action="Delete"
        danger
        subject={toRemove}
        onClose={() => setToRemove(null)}
        onConfirm={async ({ id }) => {
          await client.admin.hooks.database.delete(id);
          await queries.invalidateQueries({ queryKey: HOOKS_KEY });
        }}
      />
    </section>
  );
}

function conditionsOf({ columns, where, ordered }: DbHookView): string {
  return [
    columns === null ? "any column" : `only ${columns.join(", ")}`,
    ...(where === null ? [] : [`where ${where}`]),
    ...(ordered ? ["one at a time, in order"] : []),
  ].join("; ");
}

function AuthHooks({ fn }: { readonly fn: FunctionDetails }) {
  const client = useClient();
  const work = useWork();
  const [isOpen, setOpen] = useState(false);
  const path = `${fn.namespace}/${fn.name}`;
  const { data, error, refetch } = useQuery({
    queryKey: [...HOOKS_KEY, "auth", ...(fn.hooks ?? [])],
    queryFn: () => client.admin.hooks.list(),
    refetchInterval: 10_000,
  });
  const shown = data?.filter(({ functions }) => functions.includes(path));
  const isInSource = fn.settings_origins["hooks"] === "annotation";
  return (
    <section className="card" aria-label="Auth hooks">
      <div className="card-head">
        <h2>Auth hooks</h2>
        {isInSource && <Badge>annotation</Badge>}
        <span className="spread">
          <Button small icon={Pencil} onClick={() => setOpen(true)}>Choose events</Button>
        </span>
      </div>
      {error && shown === undefined && <ErrorState error={error} onRetry={() => void refetch()} />}
      {shown === undefined && !error && (
        <div className="card-body">
          <Skeleton lines={2} />
        </div>
      )}
      {shown?.length === 0 && (
        <EmptyState icon={Webhook} title="No auth hooks">
          The server asks the function before sign-up and sign-in, or tells it afterwards.
        </EmptyState>
      )}
      {shown !== undefined && shown.length > 0 && (
        <ul className="plain-list" aria-label="Auth hooks">
          {shown.map(({ event, enabled, waiting, dead, last_error: lastError }) => (
            <li key={event} className="row row-wrap">
              <div className="grow">
                <div className="cell-main break">{event}</div>
                <div className="cell-about break">
                  {eventText(event)}
                  {lastError !== null && ` Last error: ${lastError}`}
                </div>
              </div>
              {!enabled && <Badge tone="warn">off for all functions</Badge>}
              <Waiting waiting={waiting} dead={dead} />
              {dead > 0 && (event === "user_created" || event === "user_signed_in" || event === "user_deleted") && (
                <IconButton
                  icon={RotateCw}
                  label={`Try failed events of ${event} again`}
                  onClick={() =>
                    void work("Trying again", () =>
                      client.admin.hooks.retry(event))}
                />
              )}
              <Switch
                label={`${event}, for all functions`}
                checked={enabled}
                onChange={(on) =>
                  void work(
                    on ? `Switched ${event} on` : `Switched ${event} off for all functions`,
                    () => on ? client.admin.hooks.enable(event) : client.admin.hooks.disable(event),
                  )}
              />
            </li>
          ))}
        </ul>
      )}
      <AuthHooksDialog fn={fn} open={isOpen} onOpenChange={setOpen} />
    </section>
  );
}
