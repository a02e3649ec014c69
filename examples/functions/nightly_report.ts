/**
 * @fluxbase:description Counts the payments of the day before, each morning
 */
// @fluxbase:schedule 0 7 * * MON-FRI Europe/Paris name=report
import { createClient } from "@fluxbase/sdk";

interface Tick {
  readonly schedule: string;
  /** The instant that this call is for, even where it comes late. */
  readonly scheduled_at: string;
}

export default async function handler(req: Request & { user_role?: string }): Promise<Response> {
  // The server says so of itself; anybody else who may call the function is somebody else.
  if (req.user_role !== "service_role") return new Response("Only its schedule runs the report", { status: 403 });
  const { scheduled_at: until }: Tick = await req.json();
  const since = new Date(Date.parse(until) - 24 * 3_600_000).toISOString();
  const client = createClient(Deno.env.get("FLUXBASE_URL") ?? "", Deno.env.get("FLUXBASE_SERVICE_ROLE_KEY") ?? "");
  const { data, error } = await client.from("payments").select("amount").gte("paid_at", since).lt("paid_at", until);
  if (error) throw new Error(error.message);
  const total = data.reduce((sum: number, { amount }: { amount: number }) => sum + amount, 0);
  console.log(`${data.length} payments, ${total} in all`);
  return Response.json({ count: data.length, total });
}
