/**
 * Clients that dawdle do not slow others.
 *
 * @module
 */
import assert from "node:assert/strict";
import { platformTest, type TestPlatform } from "./support/platform.ts";

/** A connection that speaks HTTP by hand. */
async function rawConnection(platform: TestPlatform): Promise<Deno.TcpConn> {
  return await Deno.connect({ hostname: "127.0.0.1", port: Number(new URL(platform.url).port) });
}

const encoder = new TextEncoder();
const HOLD_CONNECTIONS = new URL("./support/hold_connections.ts", import.meta.url).href;

platformTest("clients that dawdle do not slow others", async (platform, step) => {
  await platform.deploy("victim", `function handler(req) { return { got: req.body }; }`, { namespace: "team-b" });
  const victim = async () => {
    const response = await platform.call("team-b/victim", { method: "POST", body: "x" });
    assert.deepEqual(await response.json(), { got: "x" });
  };

  await step("a reader that does not read: the function is held up, not kept in memory", async () => {
    await platform.deploy(
      "gushes",
      `export default (req) => { let sent = 0; const log = setInterval(() => console.log(sent), 100);
        return new Response(new ReadableStream({
          pull(controller) { sent += 65536; controller.enqueue(new Uint8Array(65536)); },
          cancel() { console.log("cancelled after", sent); clearInterval(log); },
        })); };`,
      { max_response_bytes: 1_000_000_000 },
    );
    const connection = await rawConnection(platform);
    await connection.write(
      encoder.encode(`GET /api/v1/functions/gushes/invoke HTTP/1.1\r\nhost: x\r\napikey: ${platform.anonKey}\r\n\r\n`),
    );
    for (let count = 0; count < 10; count += 1) {
      await victim();
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    connection.close();
    const [execution] = await platform.executions("gushes");
    assert.equal(execution.error_code, "CLIENT_CLOSED_REQUEST");
    const sentBytes = Number(/cancelled after (\d+)/.exec(execution.logs)?.[1]);
    // What the kernel buffers on the way, and half a megabyte of ours.
    assert.ok(sentBytes > 0 && sentBytes < 32_000_000, execution.logs);
  });

  await step("a body that trickles in: 504 at the function's time", async () => {
    await platform.deploy("waits", `async function handler(req) { return req.body.length; }`, { timeout: 1 });
    const connection = await rawConnection(platform);
    await connection.write(
      encoder.encode(
        `POST /api/v1/functions/waits/invoke HTTP/1.1\r\nhost: x\r\napikey: ${platform.anonKey}\r\ncontent-length: 1000\r\n\r\nab`,
      ),
    );
    await victim();
    const buffer = new Uint8Array(4_096);
    const count = await connection.read(buffer);
    const answer = new TextDecoder().decode(buffer.subarray(0, count ?? 0));
    assert.match(answer, /^HTTP\/1.1 504 .*WALL_LIMIT/s);
    connection.close();
  });

  await step("300 connections that never finish their headers", async () => {
    const connections = await Promise.all(Array.from({ length: 300 }, () => rawConnection(platform)));
    for (const connection of connections) {
      await connection.write(encoder.encode("GET /api/v1/functions/waits/invoke HTTP/1.1\r\nx-slow: "));
    }
    for (let count = 0; count < 20; count += 1) await victim();
    for (const connection of connections) connection.close();
  });

  await step("10,000 open connections", async () => {
    const port = new URL(platform.url).port;
    const holder = new Deno.Command(Deno.execPath(), {
      args: ["run", "--allow-net", "--no-config", HOLD_CONNECTIONS, port, "10000"],
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    const output = holder.stdout.pipeThrough(new TextDecoderStream()).getReader();
    assert.equal((await output.read()).value, "10000 open\n");
    for (let count = 0; count < 20; count += 1) await victim();
    await holder.stdin.close();
    // Each of them still works: the holder asks all of them when its input ends.
    assert.equal((await output.read()).value, "10000 answered\n");
    await output.cancel();
    assert.equal((await holder.status).code, 0);
  });
}, { FLUXBASE_LIMITS_CONNECTIONS_PER_ADDRESS_COUNT: "20000" });
