// Every Monday, what was paid in the week before, to a channel of Slack.
//
// Environment: REPORT_URL, an incoming webhook. Table: payments (id text, amount int, currency text), amounts in cents.
//
// @fluxbase:description Weekly report by schedule
// @fluxbase:schedule 0 8 * * MON name=weekly
import { createClient } from "@fluxbase/sdk";

interface Payment {
  readonly amount: number;
  readonly currency: string;
}

export default async function handler(req: Request & { user_role?: string }): Promise<Response> {
  // A schedule calls as the server does; nobody else has a report sent.
  if (req.user_role !== "service_role") return new Response("Only a schedule makes reports", { status: 403 });
  const { scheduled_at: at } = await req.json();
  const client = createClient(Deno.env.get("FLUXBASE_URL")!, Deno.env.get("FLUXBASE_SERVICE_ROLE_KEY")!);
  const { data, error } = await client.from("payments").select("amount, currency").execute();
  if (error) throw new Error(`Cannot read the payments: ${error.message}`);
  const totals = Map.groupBy(data as Payment[], ({ currency }) => currency.toUpperCase());
  const lines = [...totals].map(([currency, payments]) =>
    `${currency} ${
      (payments.reduce((sum, { amount }) => sum + amount, 0) / 100).toFixed(2)
    } in ${payments.length} payments`
  );
  const text = [`Report of ${String(at).slice(0, 10)}`, ...lines.toSorted()].join("\n");
  const sent = await fetch(Deno.env.get("REPORT_URL")!, { method: "POST", body: JSON.stringify({ text }) });
  if (!sent.ok) throw new Error(`Cannot send the report: the service answered ${sent.status}`);
  return Response.json({ sent: text });
}
