/**
 * Notes payments that Stripe reports, each once, after its signature was checked.
 *
 * Environment: STRIPE_WEBHOOK_SECRET (whsec_…). Table: payments (id text primary key, amount int, currency text).
 *
 * @fluxbase:description Stripe webhook
 * @fluxbase:allow-unauthenticated
 * @fluxbase:timeout 10
 */
import { createClient } from "@fluxbase/sdk";
import Stripe from "npm:stripe@17.7.0";

const stripe = new Stripe("sk_unused", { httpClient: Stripe.createFetchHttpClient() });
const admin = createClient(Deno.env.get("FLUXBASE_URL")!, Deno.env.get("FLUXBASE_SERVICE_ROLE_KEY")!);

export default async function handler(req: Request): Promise<Response> {
  let event: Stripe.Event;
  try {
    const signature = req.headers.get("stripe-signature") ?? "";
    event = await stripe.webhooks.constructEventAsync(
      await req.text(),
      signature,
      Deno.env.get("STRIPE_WEBHOOK_SECRET")!,
    );
  } catch (error) {
    console.warn("Refused a call that Stripe did not sign:", error);
    return Response.json({ error: "The signature does not fit" }, { status: 400 });
  }
  if (event.type === "checkout.session.completed") {
    const { id, amount_total: amount, currency } = event.data.object;
    // Stripe sends an event again when an answer is lost.
    const { error } = await admin.from("payments").upsert([{ id, amount, currency }]);
    if (error) throw error;
  }
  return Response.json({ received: true });
}
