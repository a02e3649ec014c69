/**
 * What is around a shared module: the functions that import it, and its versions.
 *
 * @module
 */
import type { SharedModuleDetails, SharedModuleUser } from "@fluxbase/sdk";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { lazy, Suspense, useState } from "react";
import { Badge, type Tone } from "../../parts/badge.tsx";
import { Button } from "../../parts/button.tsx";
import { Dialog } from "../../parts/dialog.tsx";
import { ErrorState, Skeleton } from "../../parts/states.tsx";
import { Ago } from "../../parts/time.tsx";
import { useClient } from "../../session/use_session.ts";

const DiffView = lazy(async () => ({ default: (await import("../../parts/editor/diff_view.tsx")).DiffView }));

const STATES: Readonly<Record<SharedModuleUser["state"], readonly [text: string, tone: Tone, tip: string]>> = {
  current: ["built", "good", "Built with the module as it is"],
  building: ["building", "accent", "It is being built with the module as it is"],
  failed: ["did not build", "bad", "The version before goes on serving calls"],
  pinned: ["keeps its build", "plain", "Rolled back, or granted more by an admin: deploy it to build it again"],
};

export function UsedBy({ users }: { readonly users: readonly SharedModuleUser[] }) {
  return (
    <section className="card" aria-label="Used by">
      <h2 className="card-head">
        Used by <span className="muted number">{users.length}</span>
      </h2>
      {users.length === 0
        ? <p className="card-body muted">No function imports it.</p>
        : (
          <ul className="plain-list shared-list">
            {users.map(({ function: path, version, state, problem }) => {
              const [text, tone, tip] = STATES[state];
              const [namespace = "", name = ""] = path.split("/");
              return (
                <li key={path}>
                  <div className="row">
                    <Link
                      className="function-name break"
                      to="/functions/$namespace/$name/code"
                      params={{ namespace, name }}
                    >
                      {namespace !== "default" && `${namespace}/`}
                      {name}
                    </Link>
                    <span className="spread row">
                      <span className="muted">v{version}</span>
                      <span data-tip={tip}>
                        <Badge tone={tone}>{text}</Badge>
                      </span>
                    </span>
                  </div>
                  {problem !== null && <p className="field-error break">{problem}</p>}
                </li>
              );
            })}
          </ul>
        )}
    </section>
  );
}

export function ModuleVersions(
  { module, text, onTake }: {
    readonly module: SharedModuleDetails;
    /** As it is written now. */
    readonly text: string;
    /** Puts the source of a version into the editor. */
    readonly onTake: (text: string) => void;
  },
) {
  const [looked, setLooked] = useState<number | null>(null);
  return (
    <section className="card" aria-label="Versions">
      <h2 className="card-head">Versions</h2>
      <ul className="plain-list shared-list">
        {module.versions.map(({ version, created_at: at, created_by: by }) => (
          <li key={version} className="row">
            <span className="number">v{version}</span>
            <span className="muted version-author" data-tip={by ?? undefined}>{by}</span>
            <span className="spread row">
              <span className="muted">
                <Ago at={at} />
              </span>
              <Button
                small
                kind="quiet"
                onClick={() => setLooked(version)}
                aria-label={`Compare with version ${version}`}
              >
                Compare
              </Button>
            </span>
          </li>
        ))}
      </ul>
      <Dialog
        wide
        title={`Version ${looked}, and what is in the editor`}
        about="Red is in the version only, green in the editor."
        open={looked !== null}
        onOpenChange={(open) => {
          if (!open) setLooked(null);
        }}
      >
        {looked !== null && (
          <Compared
            module={module}
            version={looked}
            text={text}
            onTake={(old) => {
              onTake(old);
              setLooked(null);
            }}
          />
        )}
      </Dialog>
    </section>
  );
}

function Compared(
  { module: { namespace, module_path: path }, version, text, onTake }: {
    readonly module: SharedModuleDetails;
    readonly version: number;
    readonly text: string;
    readonly onTake: (text: string) => void;
  },
) {
  const client = useClient();
  const { data, error } = useQuery({
    queryKey: ["shared-module", namespace, path, "version", version],
    queryFn: () => client.functions.getSharedModule(path, { namespace, version }),
    staleTime: Infinity,
  });
  if (error) return <ErrorState error={error} />;
  if (data === undefined) return <Skeleton />;
  const isSame = data.content === text;
  return (
    <>
      {isSame ? <p className="muted">They are the same.</p> : (
        <Suspense fallback={<Skeleton />}>
          <DiffView path={path} before={data.content} after={text} />
        </Suspense>
      )}
      <div className="dialog-actions">
        <Button kind="primary" disabled={isSame} onClick={() => onTake(data.content)}>
          Put version {version} into the editor
        </Button>
      </div>
    </>
  );
}
