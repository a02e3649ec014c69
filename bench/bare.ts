/**
 * The hello handler on bare `Deno.serve`: what the platform is measured against.
 *
 * @module
 */
async function handler(req: { body: string }) {
  const data = JSON.parse(req.body || "{}");
  return await Promise.resolve({
    status: 200,
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ message: `Hello ${data.name || "World"}!` }),
  });
}

Deno.serve({
  hostname: "127.0.0.1",
  port: 0,
  onListen: ({ port }) => void Deno.stdout.writeSync(new TextEncoder().encode(`http://127.0.0.1:${port}/\n`)),
}, async (request) => {
  const { status, headers, body } = await handler({ body: await request.text() });
  return new Response(body, { status, headers });
});
