/**
 * Delivers events to a service that is not always there, each until it was taken.
 *
 *     fluxbase functions invoke queue-worker -d '{"type": "order.paid", "id": 7}'
 *
 * Environment: DELIVERY_URL, such as https://crm.example.com/events.
 *
 * Whoever calls is answered at once: the call is a task. An answer of 500 or above has it tried again, with
 * `Retry-After` when the service says so; another error ends it, and `fluxbase tasks list queue-worker` shows it.
 *
 * @fluxbase:description Queue worker that tries again
 * @fluxbase:respond-async
 * @fluxbase:retries 5
 * @fluxbase:task-concurrency 2
 */
export default async function handler(req: Request): Promise<Response> {
  const url = Deno.env.get("DELIVERY_URL");
  if (url === undefined) return Response.json({ error: "DELIVERY_URL is not set" }, { status: 500 });
  const delivered = await fetch(url, {
    method: "POST",
    body: await req.text(),
    headers: {
      "content-type": "application/json",
      // The same in every attempt, so that the service can tell an event that it has already.
      "idempotency-key": req.headers.get("idempotency-key") ?? crypto.randomUUID(),
    },
    signal: req.signal,
  });
  if (delivered.ok) return Response.json({ delivered: true });
  const retryAfter = delivered.headers.get("retry-after");
  return new Response(await delivered.text(), {
    status: delivered.status,
    headers: retryAfter === null ? {} : { "retry-after": retryAfter },
  });
}
