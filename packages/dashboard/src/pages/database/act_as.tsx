/**
 * Whose eyes one sees rows with: those of the server, or of a user, to whom row level security applies.
 *
 * @module
 */
import { createClient, type FluxbaseClient, type ListedUser } from "@fluxbase/sdk";
import { useQuery } from "@tanstack/react-query";
import { VenetianMask } from "lucide-react";
import { useState } from "react";
import { Button } from "../../parts/button.tsx";
import { Dialog } from "../../parts/dialog.tsx";
import { SearchField } from "../../parts/field.tsx";
import { ErrorNote } from "../../parts/states.tsx";
import { SERVER_URL } from "../../server.ts";
import { useClient } from "../../session/use_session.ts";

export interface Acting {
  readonly email: string;
  readonly client: FluxbaseClient;
}

const SHOWN_COUNT = 8;

export function ActAs(
  { acting, onChange, isSecured }: {
    readonly acting: Acting | null;
    readonly onChange: (acting: Acting | null) => void;
    readonly isSecured: boolean;
  },
) {
  const [isOpen, setOpen] = useState(false);
  return (
    <div className="filters">
      <span className="muted">
        {acting === null ? "Seen as the service role, which row level security does not hold." : (
          <>
            Seen as <strong>{acting.email}</strong>
            {!isSecured && ": this table has no row level security"}.
          </>
        )}
      </span>
      <span className="spread row">
        {acting !== null && <Button small onClick={() => onChange(null)}>As the service role</Button>}
        <Button small icon={VenetianMask} onClick={() => setOpen(true)}>As a user …</Button>
      </span>
      <ChooseUser
        open={isOpen}
        onClose={() => setOpen(false)}
        onChoose={(chosen) => {
          onChange(chosen);
          setOpen(false);
        }}
      />
    </div>
  );
}

function ChooseUser(
  { open, onClose, onChoose }: {
    readonly open: boolean;
    readonly onClose: () => void;
    readonly onChoose: (acting: Acting) => void;
  },
) {
  const client = useClient();
  const [text, setText] = useState("");
  const [failure, setFailure] = useState<unknown>(null);
  const { data, error } = useQuery({
    queryKey: ["users", "choose", text],
    queryFn: () =>
      client.admin.users.list({ role: "authenticated", limit: SHOWN_COUNT, ...(text === "" ? {} : { search: text }) }),
    enabled: open,
  });
  const choose = async ({ id, email }: ListedUser) => {
    setFailure(null);
    try {
      const { access_token } = await client.admin.users.tokenFor(id);
      onChoose({ email: email ?? id, client: clientFor(access_token) });
    } catch (error) {
      setFailure(error);
    }
  };
  return (
    <Dialog
      title="As which user?"
      about="You get a token of theirs for 15 minutes. The audit log says so."
      open={open}
      onOpenChange={(isOpen) => {
        if (!isOpen) onClose();
      }}
    >
      <SearchField label="E-mail or id" value={text} onChange={setText} />
      <ErrorNote error={failure ?? error} />
      <ul className="plain-list" aria-label="Users">
        {data?.users.map((user) => (
          <li key={user.id} className="row">
            <span className="break">{user.email ?? user.id}</span>
            <span className="spread">
              <Button small onClick={() => void choose(user)} aria-label={`See rows as ${user.email ?? user.id}`}>
                Choose
              </Button>
            </span>
          </li>
        ))}
        {data?.total === 0 && <li className="muted">No user fits.</li>}
      </ul>
    </Dialog>
  );
}

/** A client that speaks for somebody else. */
function clientFor(token: string): FluxbaseClient {
  return createClient(SERVER_URL, token, { storage: null });
}
