/**
 * Main task: give it a name, choose what it begins with, and write.
 *
 * @module
 */
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { ChevronRight } from "lucide-react";
import { useState } from "react";
import { FUNCTIONS_KEY, namespacesQuery } from "../../data/functions.ts";
import { Button, ButtonLink } from "../../parts/button.tsx";
import { TextField } from "../../parts/field.tsx";
import { Page } from "../../parts/page.tsx";
import { ErrorNote } from "../../parts/states.tsx";
import { useClient, useWho } from "../../session/use_session.ts";
import { TEMPLATES } from "./templates.ts";
import "./new_function.css";

export function NewFunctionPage() {
  const client = useClient();
  const isAdmin = useWho()?.kind === "admin";
  const navigate = useNavigate();
  const queries = useQueryClient();
  const namespaces = useQuery(namespacesQuery(client, isAdmin)).data ?? [];
  const [chosen, setChosen] = useState(TEMPLATES[0]);
  const create = useMutation({
    mutationFn: async (fields: FormData) => {
      const place = {
        name: String(fields.get("name") ?? "").trim(),
        namespace: String(fields.get("namespace") ?? "").trim() || "default",
      };
      await client.functions.create({ ...place, code: chosen?.code ?? "" });
      await queries.invalidateQueries({ queryKey: FUNCTIONS_KEY });
      await queries.invalidateQueries({ queryKey: ["namespaces"] });
      return place;
    },
    onSuccess: (place) => navigate({ to: "/functions/$namespace/$name/code", params: place }),
  });
  return (
    <Page
      title="New function"
      head={
        <h1 className="row">
          <Link className="crumb" to="/functions">Functions</Link>
          <ChevronRight className="icon muted" aria-hidden />
          New function
        </h1>
      }
    >
      <form
        className="new-function"
        onSubmit={(event) => {
          event.preventDefault();
          create.mutate(new FormData(event.currentTarget));
        }}
      >
        <div className="card new-function-facts">
          <TextField
            label="Name"
            name="name"
            required
            autoFocus
            autoComplete="off"
            spellCheck={false}
            maxLength={63}
            pattern="[a-zA-Z0-9][a-zA-Z0-9_\-]*"
            title="Letters, digits, hyphens and underscores, the first a letter or digit"
            placeholder="hello-world"
            hint="Callers use it: /api/v1/functions/hello-world/invoke"
          />
          <TextField
            label="Namespace"
            name="namespace"
            autoComplete="off"
            spellCheck={false}
            list="namespaces"
            placeholder="default"
            hint="A name that is not there yet creates the namespace."
          />
          <datalist id="namespaces">{namespaces.map((name) => <option key={name} value={name} />)}</datalist>
          <ErrorNote error={create.error} />
          <div className="dialog-actions">
            <ButtonLink to="/functions">Cancel</ButtonLink>
            <Button kind="primary" type="submit" busy={create.isPending}>Create function</Button>
          </div>
        </div>
        <fieldset className="templates">
          <legend className="templates-title">Start from</legend>
          <div className="templates-grid">
            {TEMPLATES.map((template) => (
              <label key={template.id} className="template">
                <input
                  type="radio"
                  name="template"
                  className="unseen"
                  checked={template.id === chosen?.id}
                  onChange={() => setChosen(template)}
                />
                <span className="template-title">{template.title}</span>
                <span className="template-about">{template.about}</span>
              </label>
            ))}
          </div>
          {chosen?.needs && <p className="muted template-needs">It needs: {chosen.needs}</p>}
          {chosen && <pre className="code-block template-code" tabIndex={0} aria-label="Its code">{chosen.code}</pre>}
        </fieldset>
      </form>
    </Page>
  );
}
