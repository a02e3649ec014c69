/**
 * The versions of a secret, without their values: any of them can be the one in use again.
 *
 * @module
 */
import type { SecretView } from "@fluxbase/sdk";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { Badge } from "../../parts/badge.tsx";
import { Button } from "../../parts/button.tsx";
import { Dialog } from "../../parts/dialog.tsx";
import { ErrorState, Skeleton } from "../../parts/states.tsx";
import { Ago } from "../../parts/time.tsx";
import { toast } from "../../parts/toasts.tsx";
import { useClient } from "../../session/use_session.ts";

export function SecretHistory(
  { secret, onClose, onChange }: {
    readonly secret: SecretView | null;
    readonly onClose: () => void;
    readonly onChange: () => Promise<unknown>;
  },
) {
  const client = useClient();
  const queries = useQueryClient();
  const [busy, setBusy] = useState<number | null>(null);
  const queryKey = ["secret", secret?.id, "versions"];
  const { data, error } = useQuery({
    queryKey,
    queryFn: () => client.secrets.getVersionsById(secret?.id ?? ""),
    enabled: secret !== null,
  });

  async function goBack(version: number): Promise<void> {
    if (secret === null) return;
    setBusy(version);
    try {
      await client.secrets.rollbackById(secret.id, version);
      toast.done(`${secret.key} has the value of version ${version} again`);
      await Promise.all([queries.invalidateQueries({ queryKey }), onChange()]);
    } catch (error) {
      toast.failed(`Cannot go back to version ${version}`, error);
    }
    setBusy(null);
  }

  return (
    <Dialog
      title={`Versions of ${secret?.key}`}
      about="The newest is in use. Going back makes a new version of an earlier value."
      open={secret !== null}
      onOpenChange={(open) => {
        if (!open) onClose();
      }}
    >
      {error && <ErrorState error={error} />}
      {data === undefined && !error && <Skeleton lines={3} />}
      <ul className="plain-list" aria-label="Versions">
        {data?.map(({ id, version, created_at, created_by }, index) => (
          <li key={id} className="row">
            <span className="number">Version {version}</span>
            {index === 0 && <Badge tone="good">in use</Badge>}
            <span className="muted small break">
              <Ago at={created_at} />
              {created_by && ` by ${created_by}`}
            </span>
            {index > 0 && (
              <span className="spread">
                <Button small busy={busy === version} onClick={() => void goBack(version)}>Use again</Button>
              </span>
            )}
          </li>
        ))}
      </ul>
    </Dialog>
  );
}
