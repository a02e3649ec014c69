/**
 * Thanks customers when an order becomes a paid one.
 *
 *     fluxbase functions deploy functions/order_paid.ts
 *     fluxbase hooks db add order_paid public.orders --event INSERT UPDATE --column status --where status=eq.paid
 */
// deno-lint-ignore-file no-console -- in a function, lines of the console are its log
interface OrderEvent {
  readonly type: "INSERT" | "UPDATE";
  readonly record: { readonly id: number; readonly email: string };
}

export default async function handler(req: Request & { user_role?: string }): Promise<Response> {
  // The server says so of itself; anybody else who may call the function is somebody else.
  if (req.user_role !== "service_role") return new Response("Only the server tells of events", { status: 403 });
  const { record }: OrderEvent = await req.json();
  console.log(`Thank you, ${record.email}, for order ${record.id}`);
  return Response.json({ thanked: record.id });
}
