/**
 * How the server ends as a program, and what lives on: signals, kill -9 of it, of its launcher, of its Postgres.
 *
 * @module
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import pg from "pg";
import { eventually } from "./support/platform.ts";
import { childrenOf, sandboxesOf } from "./support/processes.ts";
import {
  exists,
  exported,
  pasteCurl,
  type Program,
  programTest,
  ready,
  startLaunched,
  startProgram,
  stop,
} from "./support/program.ts";

programTest(
  "the launcher starts a server again that was killed, with its data; it ends with its launcher",
  async (dataDir) => {
    const program = startLaunched(dataDir);
    await ready(program);
    assert.equal(await pasteCurl(program), `{"message":"Hello Alice!"}`);
    const serverPid = () => {
      const [server] = childrenOf(program.pid);
      assert.ok(server !== undefined);
      return server.pid;
    };
    const first = serverPid();
    const sandboxes = sandboxesOf(first);
    assert.ok(sandboxes.length > 0);
    Deno.kill(first, "SIGKILL");
    await ready(program, 2);
    assert.match(program.output(), /The server ended by itself \(SIGKILL\): starting it again/);
    const headers = { authorization: `Bearer ${exported(program, "FLUXBASE_SERVICE_ROLE_KEY")}` };
    const functions = `${exported(program, "FLUXBASE_URL")}/api/v1/functions`;
    const answer = await fetch(`${functions}/hello-world/invoke`, { headers });
    assert.deepEqual(await answer.json(), { message: "Hello World!" });
    await eventually(() => sandboxes.every((pid) => !exists(`/proc/${pid}`)));

    const second = serverPid();
    assert.notEqual(second, first);
    program.kill("SIGKILL");
    await program.status.catch(() => {});
    await eventually(() => childrenOf(second).length === 0 && !exists(`/proc/${second}`));

    const again = startLaunched(dataDir);
    await ready(again);
    again.kill("SIGTERM");
    assert.equal((await again.status).code, 0, again.output());
  },
);

programTest("what was answered 100 ms before kill -9 is in the record, once", async (dataDir) => {
  const first = startProgram(dataDir);
  await ready(first);
  await pasteCurl(first);
  const place = (program: Program) => `${exported(program, "FLUXBASE_URL")}/api/v1/functions/hello-world`;
  const headers = { authorization: `Bearer ${exported(first, "FLUXBASE_SERVICE_ROLE_KEY")}` };
  const COUNT = 300;
  for (let index = 0; index < COUNT; index += 1) {
    const response = await fetch(`${place(first)}/invoke`, {
      headers: { ...headers, "x-request-id": `call-${index}` },
    });
    await response.body?.cancel();
  }
  await new Promise((resolve) => setTimeout(resolve, 100));
  first.kill("SIGKILL");
  await first.status;
  const second = startProgram(dataDir);
  await ready(second);
  let ids: string[] = [];
  await eventually(async () => {
    const executions: { id: string }[] = await (await fetch(`${place(second)}/executions?limit=1000`, { headers }))
      .json();
    ids = executions.map(({ id }) => id);
    return ids.length >= COUNT + 1;
  });
  assert.equal(new Set(ids).size, COUNT + 1);
  assert.equal(ids.length, COUNT + 1);
  await stop(second);
});

programTest("SIGTERM: a time in which proxies notice, then the end within its limit whatever runs", async (dataDir) => {
  const program = startProgram(dataDir, {
    FLUXBASE_LIMITS_DRAIN_DELAY_MS: "3000",
    FLUXBASE_LIMITS_DRAIN_MS: "500",
  });
  await ready(program);
  await pasteCurl(program);
  const url = exported(program, "FLUXBASE_URL");
  const headers = { authorization: `Bearer ${exported(program, "FLUXBASE_SERVICE_ROLE_KEY")}` };
  const code = `async function handler() { await new Promise((r) => setTimeout(r, 25_000)); return "late"; }`;
  const created = await fetch(`${url}/api/v1/functions`, {
    method: "POST",
    headers,
    body: JSON.stringify({ name: "late", code }),
  });
  assert.equal(created.status, 201);
  await created.body?.cancel();
  assert.equal((await (await fetch(`${url}/health/ready`)).json()).status, "ready");
  const cut = fetch(`${url}/api/v1/functions/late/invoke`, { headers }).then((response) => response.status, () => 0);
  program.kill("SIGTERM");
  await eventually(async () => {
    const response = await fetch(`${url}/health/ready`);
    return response.status === 503 && (await response.json()).status === "not_ready";
  });
  const served = await fetch(`${url}/api/v1/functions/hello-world/invoke`, { headers });
  assert.deepEqual([served.status, served.headers.get("connection")], [200, "close"]);
  assert.deepEqual(await served.json(), { message: "Hello World!" });
  await program.status;
  assert.notEqual(await cut, 200);
});

programTest("a Postgres that is killed while it computes: what it leaves behind is ended", async (dataDir) => {
  const program = startProgram(dataDir);
  await ready(program);
  await pasteCurl(program);
  const dir = join(dataDir, "postgres");
  const url = `postgres://postgres:${await Deno.readTextFile(join(dataDir, "postgres-password"))}@127.0.0.1:${await Deno
    .readTextFile(join(dataDir, "postgres-port"))}/fluxbase`;
  const client = new pg.Client({ connectionString: url });
  client.on("error", () => {});
  await client.connect();
  // In one call of one function, which never looks whether its parent lives.
  const computing = client.query("select sum(length(repeat('x', 100))) from generate_series(1, 1000000000000) i").catch(
    () => {},
  );
  const { rows: [backend] } = await (async () => {
    const other = new pg.Client({ connectionString: url });
    await other.connect();
    try {
      return await other.query("select pid from pg_stat_activity where query like 'select sum(length%'");
    } finally {
      await other.end();
    }
  })();
  const postmaster = Number((await Deno.readTextFile(join(dir, "postmaster.pid"))).split("\n")[0]);
  Deno.kill(postmaster, "SIGKILL");
  await eventually(() => program.output().includes("left behind"));
  await eventually(() => !exists(`/proc/${backend.pid}`));
  await computing;
  await client.end().catch(() => {});
  const databaseState = async () =>
    (await (await fetch(`${exported(program, "FLUXBASE_URL")}/health/ready`)).json()).database;
  await eventually(async () => await databaseState() === "ok");
  assert.equal(await pasteCurl(program), `{"message":"Hello Alice!"}`);

  const [watchdog] = childrenOf(program.pid).filter(({ command }) => command.includes("fluxbase-postgres"));
  assert.ok(watchdog !== undefined);
  const isUp = async () => await databaseState().catch(() => "no answer") === "ok";
  Deno.kill(watchdog.pid, "SIGKILL");
  await eventually(() => program.output().split("ended by itself and is started again").length === 3);
  await eventually(isUp);
  await stop(program);
});
