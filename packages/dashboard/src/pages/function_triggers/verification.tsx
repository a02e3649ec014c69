/**
 * How requests of a webhook prove who sent them: checked by the server before the function runs.
 *
 * @module
 */
import type { FunctionDetails } from "@fluxbase/sdk";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { Pencil, ShieldCheck } from "lucide-react";
import { useEffect, useState } from "react";
import { Badge } from "../../parts/badge.tsx";
import { Button } from "../../parts/button.tsx";
import { Field, TextField } from "../../parts/field.tsx";
import { FormDialog } from "../../parts/form_dialog.tsx";
import { Note } from "../../parts/note.tsx";
import { EmptyState } from "../../parts/states.tsx";
import { useClient } from "../../session/use_session.ts";
import { useChange } from "../function_settings/use_change.ts";

/** Of docs/webhooks.md. */
const SENDERS = [
  ["stripe", "Stripe"],
  ["github", "GitHub, Gitea, Forgejo"],
  ["slack", "Slack"],
  ["shopify", "Shopify"],
  ["standard", "Standard Webhooks: Svix, Clerk, Resend, OpenAI and more"],
  ["twilio", "Twilio"],
  ["hmac", "another, by HMAC"],
] as const;
const HMAC_HINT =
  "header=x-signature, and where they differ from the usual: algo=, encoding=, prefix=, timestamp=, id=, signed=";

export function Verification({ fn }: { readonly fn: FunctionDetails }) {
  const [isOpen, setOpen] = useState(false);
  const rule = ruleOf(fn.verify ?? "");
  const origin = fn.settings_origins["verify"] ?? "default";
  const names = useSecretNames(fn);
  const missing = names === undefined ? [] : rule.secrets.split(",").filter((name) => name !== "" && !names.has(name));
  return (
    <section className="card" aria-label="Webhook signature">
      <div className="card-head">
        <h2>Webhook signature</h2>
        <span className="spread">
          <Button small icon={Pencil} onClick={() => setOpen(true)}>{fn.verify === null ? "Set up" : "Change"}</Button>
        </span>
      </div>
      {fn.verify === null
        ? (
          <EmptyState icon={ShieldCheck} title="Requests are not verified">
            For webhooks of Stripe, GitHub and others: the server checks the signature before any code runs.
          </EmptyState>
        )
        : (
          <div className="card-body stack">
            <p className="row row-wrap">
              <code className="break">{fn.verify}</code>
              <Badge tone={origin === "api" ? "accent" : "plain"}>{origin === "api" ? "API" : origin}</Badge>
            </p>
            <p className="muted">
              Requests that are not signed so get 401 and do not reach the function. A delivery that was handled is not
              handled again.
            </p>
            {missing.length > 0 && (
              <Note tone="warn">
                Functions of this namespace see no secret named {missing.join(" or ")}, so every request gets 401.{" "}
                <Link className="link" to="/secrets">Add it under Secrets</Link>.
              </Note>
            )}
          </div>
        )}
      <VerificationDialog fn={fn} names={[...names ?? []]} open={isOpen} onOpenChange={setOpen} />
    </section>
  );
}

function VerificationDialog(
  { fn, names, open, onOpenChange }: {
    readonly fn: FunctionDetails;
    readonly names: readonly string[];
    readonly open: boolean;
    readonly onOpenChange: (open: boolean) => void;
  },
) {
  const change = useChange(fn);
  const [{ sender, secrets, options }, setRule] = useState(ruleOf(""));
  useEffect(() => setRule(ruleOf(fn.verify ?? "stripe")), [open]);
  const set = (part: Partial<Rule>) => setRule((before) => ({ ...before, ...part }));
  return (
    <FormDialog
      title="Webhook signature"
      open={open}
      onOpenChange={onOpenChange}
      action="Save"
      canSubmit={sender === "" || secrets.trim() !== ""}
      onSubmit={() => {
        const words = [sender, secrets.replaceAll(/\s/g, ""), ...(sender === "hmac" ? [options.trim()] : [])];
        return change.mutateAsync({ verify: sender === "" ? null : words.join(" ").trim() });
      }}
    >
      <Field label="Sender">
        {(facts) => (
          <select
            {...facts}
            className="select"
            value={sender}
            onChange={(event) => set({ sender: event.currentTarget.value })}
          >
            {SENDERS.map(([value, text]) => <option key={value} value={value}>{text}</option>)}
            <option value="">none: take the setting away</option>
          </select>
        )}
      </Field>
      {sender !== "" && (
        <TextField
          label="Secret"
          value={secrets}
          required
          autoComplete="off"
          spellCheck={false}
          list="secret-names"
          placeholder={`${sender.toUpperCase()}_WEBHOOK_SECRET`}
          hint="Its name, not its value. Up to five separated by commas: the signature must fit one of them."
          onChange={(event) => set({ secrets: event.currentTarget.value })}
        />
      )}
      <datalist id="secret-names">{names.map((name) => <option key={name} value={name} />)}</datalist>
      {sender === "hmac" && (
        <TextField
          label="Options"
          value={options}
          required
          spellCheck={false}
          placeholder="header=x-signature"
          hint={HMAC_HINT}
          onChange={(event) => set({ options: event.currentTarget.value })}
        />
      )}
    </FormDialog>
  );
}

interface Rule {
  readonly sender: string;
  readonly secrets: string;
  readonly options: string;
}

function ruleOf(text: string): Rule {
  const [sender = "", ...words] = text.trim().split(/\s+/);
  const isOption = (word: string) => word.includes("=");
  return {
    sender,
    secrets: words.find((word) => !isOption(word)) ?? "",
    options: words.filter(isOption).join(" "),
  };
}

/** Undefined where one may not ask. */
function useSecretNames({ namespace }: FunctionDetails): ReadonlySet<string> | undefined {
  const client = useClient();
  const { data } = useQuery({ queryKey: ["secrets"], queryFn: () => client.secrets.list(), retry: false });
  if (data === undefined) return undefined;
  const seen = data.filter(({ scope, namespaces }) =>
    scope !== "user" && (namespaces === null || namespaces.includes(namespace))
  );
  return new Set(seen.map(({ key }) => key));
}
