/**
 * Takes in events of Stripe. The server has verified the signature before this runs, and runs each event once.
 *
 *     fluxbase settings secrets set STRIPE_WEBHOOK_SECRET
 *     fluxbase functions deploy functions/payments.ts
 *
 * @fluxbase:verify stripe STRIPE_WEBHOOK_SECRET
 */
// deno-lint-ignore-file no-console -- in a function, lines of the console are its log
interface StripeEvent {
  readonly id: string;
  readonly type: string;
  readonly data: { readonly object: { readonly id: string; readonly amount?: number } };
}

export default async function handler(req: Request): Promise<Response> {
  const { id, type, data: { object } }: StripeEvent = await req.json();
  switch (type) {
    case "payment_intent.succeeded":
      console.log(`Paid: ${object.id}, ${object.amount}`);
      break;
    default:
      console.log(`Nothing to do for ${type}`);
  }
  return Response.json({ received: id });
}
