// Whether the server in this container answers.
const port = /:(\d+)$/.exec(Deno.env.get("FLUXBASE_SERVER_ADDRESS") ?? ":8080")?.[1] ?? "8080";
const { ok } = await fetch(`http://127.0.0.1:${port}/health`, { signal: AbortSignal.timeout(4_000) });
Deno.exit(ok ? 0 : 1);
