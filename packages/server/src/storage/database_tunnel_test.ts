import assert from "node:assert/strict";
import { Secret } from "../core/secret.ts";
import { createDatabaseTunnel } from "./database_tunnel.ts";

Deno.test("a database that hangs up before it speaks TLS is an answer, not a wait without end", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const hungUp = listener.accept().then(async (connection) => {
    await connection.read(new Uint8Array(8));
    connection.close();
  });
  const url = new Secret(`postgres://role:x@127.0.0.1:${listener.addr.port}/db?sslmode=no-verify`);
  const login = { name: "role", password: "x" };
  const tunnel = createDatabaseTunnel({
    url,
    roles: {
      forTables: () => Promise.resolve(login),
      forNamespace: () => Promise.resolve(login),
      placeOf: () => ({ role: "role", schemas: ["public"] }),
      repair: () => Promise.resolve(),
      prefixes: { tables: [], namespaces: "role" },
      areNamesHidden: true,
      settings: [],
      databaseName: "db",
    },
    connectionsMaxCount: 1,
    allConnectionsMaxCount: 1,
    transactionMs: 1_000,
  });
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
  const writer = writable.getWriter();
  const text = "user\0role\0database\0db\0\0";
  const startup = new Uint8Array(8 + text.length);
  new DataView(startup.buffer).setInt32(0, startup.length);
  new DataView(startup.buffer).setInt32(4, 3 << 16);
  startup.set(new TextEncoder().encode(text), 8);
  void writer.write(startup).catch(() => {});
  const answer = await tunnel.open(new Request("http://database/", { method: "POST", body: readable }), {
    functionId: "fn",
    namespace: "default",
  });
  assert.match(await answer.text(), /C08006\0Mthe database does not answer/);
  await hungUp;
});
