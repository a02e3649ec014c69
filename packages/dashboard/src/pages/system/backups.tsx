/**
 * The backups in the folder of the server, and one more now.
 *
 * @module
 */
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Button } from "../../parts/button.tsx";

import { ErrorState, Skeleton } from "../../parts/states.tsx";
import { Ago, bytesText } from "../../parts/time.tsx";
import { toast } from "../../parts/toasts.tsx";
import { useClient } from "../../session/use_session.ts";

const SHOWN_COUNT = 5;
const REFETCH_MS = 3_000;
const queryKey = ["backups"] as const;

export function Backups() {
  const client = useClient();
  const queries = useQueryClient();
  const { data, error, refetch } = useQuery({
    queryKey,
    queryFn: () => client.admin.backups.list(),
    refetchInterval: ({ state }) => state.data?.running ? REFETCH_MS : false,
  });
  const begin = async () => {
    try {
      queries.setQueryData(queryKey, await client.admin.backups.create());
      toast.done("Started a backup");
    } catch (error) {
      toast.failed("Cannot start a backup", error);
    }
  };
  return (
    <section className="card">
      <div className="card-head">
        <h2>Backups</h2>
        <span className="spread" />
        {data !== undefined && data.schedule !== null && (
          <Button busy={data.running} onClick={() => void begin()}>Back up now</Button>
        )}
      </div>
      <div className="card-body stack">
        {error && data === undefined && <ErrorState error={error} onRetry={() => void refetch()} />}
        {data === undefined && !error && <Skeleton lines={3} />}
        {data?.schedule === null && (
          <p className="muted">
            This server makes no backups. Set <code>FLUXBASE_BACKUP_DIR</code>, or run{" "}
            <code>fluxbase backup &lt;file&gt;</code> on its machine.
          </p>
        )}
        {data !== undefined && data.schedule !== null && (
          <>
            <p className="muted">
              Every {data.schedule.every_hours} hours into <code className="break">{data.schedule.dir}</code>; the{" "}
              {data.schedule.keep} newest are kept.
            </p>
            {data.last_error !== null && (
              <p className="break" role="alert">The last backup failed: {data.last_error}</p>
            )}
            <ul className="plain-list">
              {data.backups.slice(0, SHOWN_COUNT).map(({ name, size_bytes, created_at }) => (
                <li key={name} className="row">
                  <code className="break">{name}</code>
                  <span className="spread" />
                  <span className="muted nowrap">{bytesText(size_bytes)}</span>
                  <Ago at={created_at} />
                </li>
              ))}
            </ul>
          </>
        )}
      </div>
    </section>
  );
}
