/**
 * Another server on the machine of the tests.
 *
 * @module
 */

/** What stands on the machine beside the platform: if a function reaches it, it gets "reached". */
export function startNeighbour(hostname: string) {
  const server = Deno.serve({ hostname, port: 0, onListen: () => {} }, (request) => {
    const { pathname, searchParams } = new URL(request.url);
    if (pathname === "/redirect") return Response.redirect(searchParams.get("to") ?? "", 302);
    return new Response("reached");
  });
  return { port: server.addr.port, [Symbol.asyncDispose]: () => server.shutdown() };
}
