/**
 * Main task: see what a deployment changed, and go back to the one before it.
 *
 * @module
 */
import type { FunctionVersion, FunctionVersionDetails } from "@fluxbase/sdk";
import { useQuery } from "@tanstack/react-query";
import { useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { ArrowLeftRight, ArrowUp, History, Split, Undo2 } from "lucide-react";
import { lazy, Suspense, useState } from "react";
import { pathOf, versionQuery, versionsQuery } from "../../data/functions.ts";
import { Badge } from "../../parts/badge.tsx";
import { Button } from "../../parts/button.tsx";
import { ConfirmDialog, Dialog } from "../../parts/dialog.tsx";
import { Select } from "../../parts/field.tsx";
import { EmptyState, ErrorState, Skeleton } from "../../parts/states.tsx";
import { Ago, bytesText } from "../../parts/time.tsx";
import { toast } from "../../parts/toasts.tsx";
import { useClient } from "../../session/use_session.ts";
import { Canary, CanaryDialog, useVersionChange } from "./canary.tsx";
import { settingsThatDiffer } from "./settings_diff.ts";

/** The list does not wait for the editor. */
const FileDifferences = lazy(async () => ({
  default: (await import("../../parts/editor/diff_view.tsx")).FileDifferences,
}));

/** `isWide`: only where there is room. */
const COLUMNS: readonly { readonly name: string; readonly isWide?: true }[] = [
  { name: "Version" },
  { name: "State" },
  { name: "Calls", isWide: true },
  { name: "Deployed" },
  { name: "By", isWide: true },
  { name: "Size", isWide: true },
];

export function VersionsPage() {
  const place = useParams({ from: "/shell/functions/$namespace/$name" });
  const { from, to } = useSearch({ from: "/shell/functions/$namespace/$name/versions" });
  const navigate = useNavigate({ from: "/functions/$namespace/$name/versions" });
  const client = useClient();
  const refresh = useVersionChange(place);
  const query = useQuery(versionsQuery(client, place));
  const [toRestore, setToRestore] = useState<FunctionVersion | null>(null);
  const [toTry, setToTry] = useState<number | null>(null);
  const versions = query.data ?? [];
  const live = versions.find(({ is_live }) => is_live);
  const compare = (one: number, other: number) =>
    void navigate({ search: { from: String(Math.min(one, other)), to: String(Math.max(one, other)) } });

  if (query.error && query.data === undefined) {
    return <ErrorState error={query.error} onRetry={() => void query.refetch()} />;
  }
  if (query.data === undefined) {
    return (
      <div className="page">
        <Skeleton />
      </div>
    );
  }
  if (versions.length === 0) return <EmptyState icon={History} title="No versions are kept" />;
  return (
    <div className="page">
      <Canary place={place} versions={versions} onChange={(version) => setToTry(version)} />
      <div className="table-frame">
        <table className="table" aria-label="Versions">
          <thead>
            <tr>
              {COLUMNS.map(({ name, isWide }) => (
                <th key={name} scope="col" className={isWide ? "wide-only" : undefined}>{name}</th>
              ))}
              <th scope="col">
                <span className="unseen">Actions</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {versions.map((one, index) => {
              const before = versions[index + 1];
              return (
                <tr key={one.version}>
                  <td className="number">v{one.version}</td>
                  <td>
                    {one.is_live
                      ? <Badge tone="good">live</Badge>
                      : one.traffic_percent > 0
                      ? <Badge tone="accent">canary</Badge>
                      : one.is_bundled
                      ? <Badge>kept</Badge>
                      : <Badge tone="bad">did not build</Badge>}
                  </td>
                  <td className="number wide-only">
                    {one.traffic_percent > 0 ? `${one.traffic_percent} %` : <span className="muted">–</span>}
                  </td>
                  <td>
                    <Ago at={one.created_at} />
                  </td>
                  <td className="muted version-author wide-only" data-tip={one.created_by ?? undefined}>
                    {one.created_by ?? "–"}
                  </td>
                  <td className="number muted wide-only">{bytesText(one.bundle_size)}</td>
                  <td>
                    <div className="row version-actions">
                      {before !== undefined && (
                        <Button
                          small
                          kind="quiet"
                          icon={ArrowLeftRight}
                          onClick={() => compare(before.version, one.version)}
                          aria-label={`What changed in version ${one.version}`}
                          data-tip="What changed"
                        >
                          What changed
                        </Button>
                      )}
                      {!one.is_live && one.is_bundled && live !== undefined && one.traffic_percent === 0 && (
                        <Button
                          small
                          kind="quiet"
                          icon={Split}
                          onClick={() => setToTry(one.version)}
                          aria-label={`Split calls with version ${one.version}`}
                          data-tip="Split calls"
                        >
                          Split calls
                        </Button>
                      )}
                      {!one.is_live && one.is_bundled && (
                        <Button
                          small
                          icon={one.version > (live?.version ?? 0) ? ArrowUp : Undo2}
                          onClick={() => setToRestore(one)}
                          aria-label={`${wordsFor(one, live)} version ${one.version}`}
                          data-tip={one.version > (live?.version ?? 0) ? "Make live" : "Roll back"}
                        >
                          {one.version > (live?.version ?? 0) ? "Make live" : "Roll back"}
                        </Button>
                      )}
                    </div>
                  </td>
                </tr>
              );
            })}
          </tbody>
        </table>
      </div>
      <Dialog
        wide
        title="Compare versions"
        open={from !== undefined && to !== undefined}
        onOpenChange={() => void navigate({ search: {} })}
      >
        <div className="row row-wrap">
          {[from, to].map((value, index) => (
            <Select
              key={index}
              label={index === 0 ? "From version" : "To version"}
              value={value ?? ""}
              options={versions.map(({ version }) => [String(version), `Version ${version}`] as const)}
              onChange={(next) => void navigate({ search: index === 0 ? { from: next, to } : { from, to: next } })}
            />
          ))}
        </div>
        <Difference place={place} from={Number(from)} to={Number(to)} />
      </Dialog>
      <CanaryDialog place={place} versions={versions} version={toTry} onClose={() => setToTry(null)} />
      <ConfirmDialog
        title={`${toRestore === null ? "" : wordsFor(toRestore, live)} version ${toRestore?.version}?`}
        about={`It gets all calls at once, as it was built, with its settings. Version ${
          live?.version ?? "–"
        } is kept.`}
        action={toRestore !== null && toRestore.version > (live?.version ?? 0) ? "Make live" : "Roll back"}
        open={toRestore !== null}
        onOpenChange={(open) => {
          if (!open) setToRestore(null);
        }}
        onConfirm={async () => {
          if (toRestore === null) return;
          await client.functions.rollback(pathOf(place), toRestore.version);
          toast.done(`Version ${toRestore.version} is live`);
          await refresh();
        }}
      />
    </div>
  );
}

function wordsFor(one: FunctionVersion, live: FunctionVersion | undefined): string {
  return one.version > (live?.version ?? 0) ? "Make live:" : "Roll back to";
}

interface DifferenceProps {
  readonly place: { readonly namespace: string; readonly name: string };
  readonly from: number;
  readonly to: number;
}

function Difference({ place, from, to }: DifferenceProps) {
  const client = useClient();
  const isWanted = Number.isInteger(from) && Number.isInteger(to);
  const before = useQuery({ ...versionQuery(client, place, from), enabled: isWanted });
  const after = useQuery({ ...versionQuery(client, place, to), enabled: isWanted });
  const error = before.error ?? after.error;
  if (error) return <ErrorState error={error} />;
  if (before.data === undefined || after.data === undefined) return <Skeleton />;
  return (
    <>
      <SettingsDifference before={before.data} after={after.data} />
      <Suspense fallback={<Skeleton />}>
        <FileDifferences before={before.data.files} after={after.data.files} />
      </Suspense>
    </>
  );
}

function SettingsDifference(
  { before, after }: { readonly before: FunctionVersionDetails; readonly after: FunctionVersionDetails },
) {
  const found = settingsThatDiffer(before, after);
  if (found.length === 0) return <p className="muted">The settings are the same.</p>;
  return (
    <div className="table-frame">
      <table className="table" aria-label="Settings that differ">
        <thead>
          <tr>
            <th scope="col">Setting</th>
            <th scope="col">v{before.version}</th>
            <th scope="col">v{after.version}</th>
          </tr>
        </thead>
        <tbody>
          {found.map(({ name, before, after }) => (
            <tr key={name}>
              <td className="mono">{name}</td>
              <td className="mono muted break">{before}</td>
              <td className="mono break">{after}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
