/**
 * The hello handler with a process for each call, the way platforms without sandboxes of their own do it.
 *
 * @module
 */
const dir = await Deno.makeTempDir();
const script = `${dir}/hello.ts`;
await Deno.writeTextFile(
  script,
  `const text = await new Response(Deno.stdin.readable).text();
  const data = JSON.parse(text || "{}");
  console.log(JSON.stringify({ message: \`Hello \${data.name || "World"}!\` }));`,
);

Deno.serve({
  hostname: "127.0.0.1",
  port: 0,
  onListen: ({ port }) => void Deno.stdout.writeSync(new TextEncoder().encode(`http://127.0.0.1:${port}/\n`)),
}, async (request) => {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-config", "--quiet", script],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const input = child.stdin.getWriter();
  await input.write(await request.bytes());
  await input.close();
  const { stdout } = await child.output();
  return new Response(new TextDecoder().decode(stdout).trimEnd(), { headers: { "content-type": "application/json" } });
});
