/**
 * The examples for proxies, as they lie here, in front of a real server: streams, WebSockets, large bodies, addresses.
 *
 * `npm run test:deploy`; what is not installed is left out.
 *
 * @module
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { platformTest, type TestPlatform } from "../../packages/server/test/support/platform.ts";
import { freePort, isInstalled } from "../../packages/server/test/support/programs.ts";

const HERE = new URL("../", import.meta.url);
const BODY_BYTES = 4 * 1024 * 1024;

/** Sends a piece, and the next one only after the first was seen. */
const STREAM = `let go = Promise.withResolvers();
export default (req) => {
  if (req.method === "POST") return go.resolve(), new Response("gone");
  go = Promise.withResolvers();
  return new Response(new ReadableStream({
    async start(controller) {
      controller.enqueue(new TextEncoder().encode("data: first\\n\\n"));
      await go.promise;
      controller.enqueue(new TextEncoder().encode("data: second\\n\\n"));
      controller.close();
    },
  }), { headers: { "content-type": "text/event-stream" } });
};`;
const ECHO = `export default (req) => {
  const { socket, response } = Deno.upgradeWebSocket(req);
  socket.onmessage = ({ data }) => socket.send("echo " + data);
  return response;
};`;
const LENGTH = `export default async (req) => new Response(String((await req.arrayBuffer()).byteLength));`;

interface Proxy {
  readonly name: string;
  /** What of the example is another place here. */
  config(text: string, places: { readonly server: string; readonly port: number }): string;
  readonly file: string;
  args(path: string, dir: string): readonly string[];
}

const PROXIES: readonly Proxy[] = [
  {
    name: "caddy",
    file: "caddy/Caddyfile",
    config: (text, { server, port }) =>
      `{\n\tadmin off\n\tauto_https off\n}\n${text.replace(/^functions.example.com/m, `http://127.0.0.1:${port}`)}`
        .replace("127.0.0.1:8080 {", `${server} {`),
    args: (path) => ["run", "--config", path, "--adapter", "caddyfile"],
  },
  {
    name: "nginx",
    file: "nginx/fluxbase.conf",
    config: (text, { server, port }) =>
      `daemon off; pid nginx.pid; events {} http { access_log off; client_body_temp_path .; proxy_temp_path .;
       fastcgi_temp_path .; uwsgi_temp_path .; scgi_temp_path .;
       ${
        text.replace("127.0.0.1:8080;", `${server};`).replace("listen 443 ssl", `listen 127.0.0.1:${port}`)
          .replaceAll(/ssl_certificate.*;/g, "").replace("functions.example.com", "_")
      } }`,
    args: (path, dir) => ["-p", dir, "-e", "stderr", "-c", path],
  },
  {
    name: "haproxy",
    file: "haproxy/haproxy.cfg",
    config: (text, { server, port }) =>
      text.replace("bind :80", `bind 127.0.0.1:${port}`).replace("127.0.0.1:8080", server)
        .replace(/.*server second.*\n/, ""),
    args: (path) => ["-f", path],
  },
];

platformTest("proxies in front of a server", async (platform, step) => {
  for (const [name, code] of Object.entries({ stream: STREAM, echo: ECHO, size: LENGTH })) {
    await platform.deploy(name, code, { allow_unauthenticated: true });
  }
  for (const proxy of PROXIES) {
    if (!await isInstalled(proxy.name)) continue;
    await step(proxy.name, async () => await withProxy(proxy, platform, (url) => check(url, platform)));
  }
}, { FLUXBASE_SERVER_TRUSTED_PROXIES: "127.0.0.1", FLUXBASE_LIMITS_REQUEST_BODY_BYTES: String(2 * BODY_BYTES) });

async function withProxy(
  { name, file, config, args }: Proxy,
  { url }: TestPlatform,
  run: (url: string) => Promise<void>,
): Promise<void> {
  const dir = await Deno.makeTempDir({ prefix: `fluxbase-${name}-` });
  await Deno.chmod(dir, 0o777);
  const port = freePort();
  const path = join(dir, "config");
  const text = await Deno.readTextFile(new URL(file, HERE));
  await Deno.writeTextFile(path, config(text, { server: new URL(url).host.replace("localhost", "127.0.0.1"), port }));
  const child = new Deno.Command(name, {
    args: [...args(path, dir)],
    cwd: dir,
    env: { XDG_DATA_HOME: dir, XDG_CONFIG_HOME: dir },
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const said = new Response(child.stderr).text();
  try {
    await answering(`http://127.0.0.1:${port}/health`);
    await run(`http://127.0.0.1:${port}`);
  } catch (error) {
    child.kill("SIGTERM");
    throw new Error(`${error instanceof Error ? error.message : error}\n${(await said).slice(-2_000)}`, {
      cause: error,
    });
  } finally {
    try {
      child.kill("SIGTERM");
    } catch {
      // It has ended.
    }
    await child.status;
    await said;
    await Deno.remove(dir, { recursive: true });
  }
}

async function answering(url: string): Promise<void> {
  for (let tries = 0; tries < 100; tries += 1) {
    const answer = await fetch(url).catch(() => undefined);
    await answer?.body?.cancel();
    if (answer?.ok) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`${url} does not answer`);
}

async function check(url: string, { api, serviceKey }: TestPlatform): Promise<void> {
  const stream = await fetch(`${url}/api/v1/functions/stream/invoke`);
  const reader = stream.body?.pipeThrough(new TextDecoderStream()).getReader();
  assert.match((await reader?.read())?.value ?? "", /first/);
  assert.equal(await (await fetch(`${url}/api/v1/functions/stream/invoke`, { method: "POST" })).text(), "gone");
  assert.match((await reader?.read())?.value ?? "", /second/);
  await reader?.cancel();

  const socket = new WebSocket(`${url.replace("http", "ws")}/api/v1/functions/echo/invoke`);
  const heard = await new Promise((resolve, reject) => {
    socket.onopen = () => socket.send("hello");
    socket.onmessage = ({ data }) => resolve(data);
    socket.onerror = () => reject(new Error("the WebSocket failed"));
  });
  socket.close();
  assert.equal(heard, "echo hello");

  const size = await fetch(`${url}/api/v1/functions/size/invoke`, { method: "POST", body: new Uint8Array(BODY_BYTES) });
  assert.equal(await size.text(), String(BODY_BYTES));

  // From an address that is no proxy's, which claims another one.
  const name = `from-${crypto.randomUUID()}`;
  const body = JSON.stringify({ name, code: "export default () => 1" });
  const headers = [
    "X-Forwarded-For: 203.0.113.9",
    `Authorization: Bearer ${serviceKey}`,
    "Content-Type: application/json",
  ];
  await new Deno.Command("curl", {
    args: [
      ...["-s", "--interface", "127.0.0.2", "-d", body, `${url}/api/v1/functions`],
      ...headers.flatMap((header) => ["-H", header]),
    ],
  }).output();
  const { body: [entry] } = await api("GET", `/admin/audit-log?target=default/${name}`);
  assert.equal(entry?.address, "127.0.0.2");
}
