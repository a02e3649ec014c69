/**
 * Main task: change one setting, knowing where the others come from.
 *
 * @module
 */
import type { FunctionDetails } from "@fluxbase/sdk";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate, useParams } from "@tanstack/react-router";
import { Undo2 } from "lucide-react";
import { useEffect, useId, useState } from "react";
import { functionQuery, FUNCTIONS_KEY, pathOf } from "../../data/functions.ts";
import { Badge, type Tone } from "../../parts/badge.tsx";
import { Button, IconButton } from "../../parts/button.tsx";
import { ConfirmDialog } from "../../parts/dialog.tsx";
import { Note } from "../../parts/note.tsx";
import { ErrorNote } from "../../parts/states.tsx";
import { Switch } from "../../parts/switch.tsx";
import { toast } from "../../parts/toasts.tsx";
import { useClient } from "../../session/use_session.ts";
import { Environment } from "./environment.tsx";
import { GROUPS, type SettingField, textOf, valueOf } from "./fields.ts";
import { useChange } from "./use_change.ts";
import "./settings.css";

export function SettingsPage() {
  const place = useParams({ from: "/shell/functions/$namespace/$name" });
  const fn = useQuery(functionQuery(useClient(), place)).data;
  return fn === undefined ? null : <Settings fn={fn} />;
}

const ORIGINS: Readonly<Record<string, readonly [text: string, tone: Tone, tip: string]>> = {
  api: ["API", "accent", "Set here, by the API or by the command line; it wins over an annotation"],
  annotation: ["annotation", "plain", "Set by an annotation in the source"],
  default: ["default", "plain", "Not set"],
};

function Settings({ fn }: { readonly fn: FunctionDetails }) {
  const [texts, setTexts] = useState<Readonly<Record<string, string>>>({});
  /** What the changes began from. */
  const [base, setBase] = useState(fn);
  const change = useChange(fn);
  const fields = GROUPS.flatMap((group) => group.fields).filter(({ name }) => Reflect.has(fn, name));
  const changed = fields.filter((field) => texts[field.name] !== undefined && texts[field.name] !== textOf(fn, field));
  const isBehind = changed.length > 0 && base.version !== fn.version;
  const undo = () => {
    setTexts({});
    change.reset();
  };
  const save = () =>
    change.mutate(
      Object.fromEntries(changed.map((field) => [field.name, valueOf(field, texts[field.name] ?? "")])),
      { onSuccess: undo },
    );
  useEffect(() => {
    if (changed.length === 0) setBase(fn);
  }, [fn, changed.length]);
  return (
    <div className="page settings">
      <General key={`general ${fn.version}`} fn={fn} />
      {GROUPS.map(({ title, fields: all }) => (
        <section className="card" key={title}>
          <h2 className="card-head">{title}</h2>
          {all.filter((field) => fields.includes(field)).map((field) => (
            <SettingRow
              key={field.name}
              field={field}
              origin={fn.settings_origins[field.name] ?? "default"}
              text={texts[field.name] ?? textOf(fn, field)}
              theirs={isBehind && changed.includes(field) && textOf(base, field) !== textOf(fn, field)
                ? textOf(fn, field)
                : undefined}
              onChange={(text) => setTexts({ ...texts, [field.name]: text })}
              onTakeBack={() => change.mutate({ [field.name]: null })}
            />
          ))}
        </section>
      ))}
      <Environment key={`environment ${fn.version}`} fn={fn} />
      <Danger fn={fn} />
      {(changed.length > 0 || change.error) && (
        <div className="settings-bar">
          {isBehind
            ? (
              <Note tone="warn">
                Somebody else has saved version{" "}
                {fn.version}. Your changes are kept: save them on top of it, or undo them.
              </Note>
            )
            : <ErrorNote error={change.error} />}
          <span className="muted">
            {changed.length === 1 ? "1 setting" : `${changed.length} settings`} changed. Saving makes a new version.
          </span>
          <span className="spread row">
            <Button onClick={undo}>Undo</Button>
            <Button kind="primary" busy={change.isPending} disabled={changed.length === 0} onClick={save}>Save</Button>
          </span>
        </div>
      )}
    </div>
  );
}

function SettingRow(
  { field, origin, text, theirs, onChange, onTakeBack }: {
    readonly field: SettingField;
    readonly origin: string;
    readonly text: string;
    /** What somebody else has saved meanwhile. */
    readonly theirs: string | undefined;
    readonly onChange: (text: string) => void;
    readonly onTakeBack: () => void;
  },
) {
  const id = useId();
  const { label, kind, hint, choices } = field;
  const [originText, tone, tip] = ORIGINS[origin] ?? ["", "plain", ""];
  const about = hint === undefined ? {} : { "aria-describedby": `${id}-hint` };
  return (
    <div className="setting" id={field.name}>
      <div>
        {kind === "switch"
          ? <span className="setting-label">{label}</span>
          : <label htmlFor={id} className="setting-label">{label}</label>}
        {hint && <p id={`${id}-hint`} className="field-hint">{hint}</p>}
        {theirs !== undefined && (
          <p className="field-error break">
            Now {theirs === "" ? "empty" : theirs} <Button small onClick={() => onChange(theirs)}>Keep theirs</Button>
          </p>
        )}
      </div>
      <div className="setting-value">
        {kind === "switch"
          ? <Switch label={label} checked={text === "true"} onChange={(checked) => onChange(String(checked))} />
          : kind === "choice"
          ? (
            <select
              id={id}
              className="select"
              value={text}
              onChange={(event) => onChange(event.currentTarget.value)}
              {...about}
            >
              {choices?.map(([value, shown]) => <option key={value} value={value}>{shown}</option>)}
            </select>
          )
          : (
            <input
              id={id}
              className="input"
              inputMode={kind === "number" ? "decimal" : "text"}
              value={text}
              spellCheck={false}
              autoComplete="off"
              onChange={(event) => onChange(event.currentTarget.value)}
              {...about}
            />
          )}
      </div>
      <div className="setting-origin">
        <span data-tip={tip}>
          <Badge tone={tone}>{originText}</Badge>
        </span>
        {origin === "api" && <IconButton small icon={Undo2} label={`Reset ${label}`} onClick={onTakeBack} />}
      </div>
    </div>
  );
}

function General({ fn }: { readonly fn: FunctionDetails }) {
  const change = useChange(fn);
  const [description, setDescription] = useState(fn.description ?? "");
  return (
    <section className="card">
      <h2 className="card-head">General</h2>
      <div className="setting">
        <span className="setting-label">Enabled</span>
        <div className="setting-value">
          <Switch
            label="Enabled"
            checked={fn.enabled}
            disabled={change.isPending}
            onChange={(enabled) => change.mutate({ enabled })}
          />
        </div>
        <span className="field-hint">{fn.enabled ? "Calls are served." : "Calls get 403."}</span>
      </div>
      <form
        className="setting"
        onSubmit={(event) => {
          event.preventDefault();
          change.mutate({ description: description.trim() === "" ? null : description.trim() });
        }}
      >
        <label className="setting-label" htmlFor="description">Description</label>
        <input
          id="description"
          className="input setting-value"
          value={description}
          onChange={(event) => setDescription(event.currentTarget.value)}
        />
        <Button type="submit" disabled={description === (fn.description ?? "")}>Save</Button>
      </form>
      <div className="setting">
        <span className="setting-label">Source</span>
        <p className="setting-value muted">
          {fn.source === "filesystem"
            ? "A file in the functions folder. Deploying here writes the file; a reload reads it."
            : "The database. A functions folder, if there is one, gets a copy; a reload deletes functions that have no file."}
        </p>
      </div>
      <ErrorNote error={change.error} />
    </section>
  );
}

function Danger({ fn }: { readonly fn: FunctionDetails }) {
  const client = useClient();
  const queries = useQueryClient();
  const navigate = useNavigate();
  const [isOpen, setOpen] = useState(false);
  return (
    <section className="card">
      <h2 className="card-head">Delete</h2>
      <div className="card-body row row-wrap">
        <p className="muted">Calls get 404 at once. It can be restored for 30 days.</p>
        <span className="spread">
          <Button kind="danger" onClick={() => setOpen(true)}>Delete the function</Button>
        </span>
      </div>
      <ConfirmDialog
        title={`Delete ${fn.name}?`}
        about="Calls get 404 at once. It can be restored for 30 days, with all its versions."
        action="Delete"
        danger
        open={isOpen}
        onOpenChange={setOpen}
        onConfirm={async () => {
          await client.functions.delete(pathOf(fn));
          toast.done(`Deleted ${fn.name}`);
          await navigate({ to: "/functions" });
          await queries.invalidateQueries({ queryKey: FUNCTIONS_KEY });
        }}
      />
    </section>
  );
}
