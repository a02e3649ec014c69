/**
 * Where callers reach a function over HTTP, as they would write it.
 *
 * @module
 */
import type { FunctionDetails } from "@fluxbase/sdk";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { Copyable, CopyButton } from "../../parts/copyable.tsx";
import { Segments } from "../../parts/segments.tsx";
import { SERVER_URL } from "../../server.ts";

const FORMS = [["curl", "curl"], ["fetch", "fetch"], ["sdk", "SDK"]] as const;
type Form = typeof FORMS[number][0];

export function Address({ fn }: { readonly fn: FunctionDetails }) {
  const [form, setForm] = useState<Form>("curl");
  const { namespace, name } = fn;
  const path = namespace === "default" ? name : `${namespace}/${name}`;
  const url = `${SERVER_URL}/api/v1/functions/${path}/invoke`;
  const text = snippetOf(form, { url, path, isOpen: fn.allow_unauthenticated || fn.verify !== null });
  return (
    <section className="card">
      <div className="card-head">
        <h2>URL</h2>
        <span className="spread">
          <Segments label="Written as" value={form} options={FORMS} onChange={setForm} />
        </span>
      </div>
      <div className="card-body stack">
        <Copyable text={url} label="Copy the URL" />
        <div className="row">
          <pre className="code-block grow" data-wrap tabIndex={0}>{text}</pre>
          <CopyButton text={text} />
        </div>
        <p className="muted">
          {fn.verify !== null
            ? "Callers sign the request. "
            : fn.allow_unauthenticated
            ? "Anybody may call it. "
            : "Callers need a key or a token. "}
          A call with <code>Prefer: respond-async</code> becomes a <Link className="link" to="/tasks">task</Link>.
        </p>
      </div>
    </section>
  );
}

function snippetOf(
  form: Form,
  { url, path, isOpen }: { readonly url: string; readonly path: string; readonly isOpen: boolean },
): string {
  switch (form) {
    case "curl":
      return `curl ${url}${
        isOpen ? "" : ` \\\n  -H "Authorization: Bearer $FLUXBASE_CLIENT_KEY"`
      } \\\n  -H "Content-Type: application/json" \\\n  -d '{"name": "Alice"}'`;
    case "fetch":
      return `const response = await fetch("${url}", {
  method: "POST",
  headers: { ${isOpen ? "" : "authorization: `Bearer ${key}`, "}"content-type": "application/json" },
  body: JSON.stringify({ name: "Alice" }),
});`;
    case "sdk":
      return `import { createClient } from "@fluxbase/sdk";

const client = createClient("${SERVER_URL}", key);
const result = await client.functions.invoke("${path}", { name: "Alice" });`;
  }
}
