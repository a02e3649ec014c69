/**
 * Main task: change a module that several functions import, and see what that does to them.
 *
 * @module
 */
import type { SharedModule } from "@fluxbase/sdk";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { FileCode2, Plus, Save, Trash2 } from "lucide-react";
import { useEffect, useState } from "react";
import { Button, IconButton } from "../../parts/button.tsx";
import { ConfirmDialog } from "../../parts/dialog.tsx";
import { CodeEditor } from "../../parts/editor/code_editor.tsx";
import { languageExtension } from "../../parts/editor/language.ts";
import { useLanguage, useLanguageWords } from "../../parts/editor/use_language.ts";
import { Page } from "../../parts/page.tsx";
import { EmptyState, ErrorState, Skeleton } from "../../parts/states.tsx";
import { Ago } from "../../parts/time.tsx";
import { toast } from "../../parts/toasts.tsx";
import { useClient } from "../../session/use_session.ts";
import { ModuleVersions, UsedBy } from "./around.tsx";
import { NewModule } from "./new_module.tsx";
import "./shared.css";

const MODULES_KEY = ["shared-modules"] as const;
const LOOK_EVERY_MS = 10_000;
const BUILDING_LOOK_MS = 1_000;

interface ModulePlace {
  readonly namespace: string;
  readonly path: string;
}

export function SharedPage() {
  const client = useClient();
  const { namespace, path } = useSearch({ from: "/shell/shared" });
  const navigate = useNavigate({ from: "/shared" });
  const queries = useQueryClient();
  const [isMaking, setMaking] = useState(false);
  const { data, error, refetch } = useQuery({
    queryKey: MODULES_KEY,
    queryFn: () => client.functions.listSharedModules(),
  });
  const open = (place: ModulePlace) => void navigate({ search: { namespace: place.namespace, path: place.path } });
  const refresh = () => queries.invalidateQueries({ queryKey: MODULES_KEY });
  const newModule = <Button kind="primary" icon={Plus} onClick={() => setMaking(true)}>New module</Button>;
  const chosen = data?.find((one) => one.module_path === path && one.namespace === namespace) ?? data?.[0];
  return (
    <Page title="Shared modules" wide actions={newModule}>
      {error && data === undefined && <ErrorState error={error} onRetry={() => void refetch()} />}
      {data === undefined && !error && <Skeleton />}
      {data?.length === 0 && (
        <div className="table-frame">
          <EmptyState icon={FileCode2} title="No shared modules yet" action={newModule}>
            A function imports one with <code>import {"{ … }"} from "_shared/cors.ts"</code>.
          </EmptyState>
        </div>
      )}
      {data !== undefined && chosen !== undefined && (
        <div className="shared">
          <nav className="table-list" aria-label="Modules">
            {data.map((one) => (
              <Link
                key={`${one.namespace} ${one.module_path}`}
                to="/shared"
                search={{ namespace: one.namespace, path: one.module_path }}
                className="nav-link"
                data-status={one === chosen ? "active" : "other"}
                aria-current={one === chosen ? "page" : undefined}
                activeProps={{}}
              >
                <span className="cell-value">
                  {one.namespace !== "default" && <span className="muted">{one.namespace}/</span>}
                  {one.module_path.replace(/^_shared\//, "")}
                </span>
              </Link>
            ))}
          </nav>
          <Module
            key={`${chosen.namespace} ${chosen.module_path}`}
            place={{ namespace: chosen.namespace, path: chosen.module_path }}
            onChange={refresh}
          />
        </div>
      )}
      <NewModule
        open={isMaking}
        onClose={() => setMaking(false)}
        onMade={async (place) => {
          await refresh();
          open(place);
        }}
      />
    </Page>
  );
}

function Module(
  { place: { namespace, path }, onChange }: { readonly place: ModulePlace; readonly onChange: () => Promise<unknown> },
) {
  const client = useClient();
  const queries = useQueryClient();
  const queryKey = ["shared-module", namespace, path];
  const { data, error } = useQuery({
    queryKey,
    queryFn: () => client.functions.getSharedModule(path, { namespace }),
    // What is being written is not written over.
    staleTime: Infinity,
  });
  if (error && data === undefined) return <ErrorState error={error} />;
  if (data === undefined) return <Skeleton />;
  return (
    <Editor
      key={data.version}
      module={data}
      onSaved={async (saved) => {
        queries.setQueryData(queryKey, saved);
        await onChange();
      }}
      onDeleted={async () => {
        queries.removeQueries({ queryKey });
        await onChange();
      }}
    />
  );
}

function Editor(
  { module, onSaved, onDeleted }: {
    readonly module: SharedModule;
    readonly onSaved: (saved: SharedModule) => Promise<unknown>;
    readonly onDeleted: () => Promise<unknown>;
  },
) {
  const { namespace, module_path: path, content, version } = module;
  const client = useClient();
  const queries = useQueryClient();
  const [text, setText] = useState(content);
  const [isSaving, setSaving] = useState(false);
  const [isDeleting, setDeleting] = useState(false);
  const language = useLanguage(namespace, { entry: path, files: { [path]: text } });
  const words = useLanguageWords(language);
  const isChanged = text !== content;
  const around = useQuery({
    queryKey: ["shared-module", namespace, path, "around"],
    queryFn: () => client.functions.getSharedModule(path, { namespace }),
    refetchInterval: ({ state }) =>
      state.data?.used_by.some(({ state }) => state === "building") ? BUILDING_LOOK_MS : LOOK_EVERY_MS,
  });

  async function save(): Promise<void> {
    setSaving(true);
    try {
      const saved = await client.functions.updateSharedModule(path, { content: text }, { namespace });
      const count = saved.rebuilding?.length ?? 0;
      toast.done(count === 0 ? `Saved ${path}` : `Saved ${path}. Functions that are built again: ${count}`);
      await onSaved(saved);
      await queries.invalidateQueries({ queryKey: ["shared-module", namespace, path, "around"] });
    } catch (error) {
      toast.failed(`Cannot save ${path}`, error);
    }
    setSaving(false);
  }

  useEffect(() => {
    const listen = (event: KeyboardEvent) => {
      if (!(event.ctrlKey || event.metaKey) || event.key.toLowerCase() !== "s") return;
      event.preventDefault();
      if (isChanged && !isSaving) void save();
    };
    addEventListener("keydown", listen);
    return () => removeEventListener("keydown", listen);
  });

  return (
    <div className="stack">
      <div className="filters">
        <code className="cell-main">{path}</code>
        <span className="muted small" role="status">
          {words !== "" ? words : isChanged ? "Not saved yet" : (
            <>
              Version {version}, <Ago at={module.updated_at} />
            </>
          )}
        </span>
        <span className="spread row">
          <IconButton icon={Trash2} label="Delete" onClick={() => setDeleting(true)} />
          <Button
            kind="primary"
            icon={Save}
            busy={isSaving}
            disabled={!isChanged}
            data-tip="Ctrl-S"
            onClick={() => void save()}
          >
            Save
          </Button>
        </span>
      </div>
      <div className="shared-editor">
        <CodeEditor
          path={path}
          value={text}
          label={`Code of ${path}`}
          onChange={setText}
          extrasOf={(of) => languageExtension(language, of)}
        />
      </div>
      {around.error && around.data === undefined
        ? <ErrorState error={around.error} onRetry={() => void around.refetch()} />
        : around.data === undefined
        ? <Skeleton lines={3} />
        : (
          <div className="shared-around">
            <UsedBy users={around.data.used_by} />
            <ModuleVersions module={around.data} text={text} onTake={setText} />
          </div>
        )}
      <ConfirmDialog
        title={`Delete ${path}?`}
        about={deletionText(around.data?.used_by.length ?? 0)}
        action="Delete"
        danger
        open={isDeleting}
        onOpenChange={setDeleting}
        onConfirm={async () => {
          await client.functions.deleteSharedModule(path, { namespace });
          toast.done(`Deleted ${path}`);
          await onDeleted();
        }}
      />
    </div>
  );
}

function deletionText(users: number): string {
  return users === 0
    ? "No function imports it."
    : `It is refused while functions import it: ${users === 1 ? "1 does" : `${users} do`}.`;
}
