/**
 * A client of its own process that opens many connections, holds them, and asks on each of them when its input ends:
 * `hold_connections.ts <port> <count>`.
 *
 * @module
 */
const [port = "", count = ""] = Deno.args;
const encoder = new TextEncoder();

function print(text: string): void {
  Deno.stdout.writeSync(encoder.encode(`${text}\n`));
}

async function isAnswered(connection: Deno.TcpConn): Promise<boolean> {
  await connection.write(encoder.encode("GET /health HTTP/1.1\r\nhost: x\r\n\r\n"));
  const buffer = new Uint8Array(1_024);
  const read = await connection.read(buffer);
  return new TextDecoder().decode(buffer.subarray(0, read ?? 0)).startsWith("HTTP/1.1 200");
}

const connections: Deno.TcpConn[] = [];
while (connections.length < Number(count)) {
  const batch = Array.from({ length: 100 }, () => Deno.connect({ hostname: "127.0.0.1", port: Number(port) }));
  connections.push(...await Promise.all(batch));
}
print(`${connections.length} open`);
await new Response(Deno.stdin.readable).bytes();
let answeredCount = 0;
for (const connection of connections) if (await isAnswered(connection)) answeredCount += 1;
print(`${answeredCount} answered`);
Deno.exit(0);
