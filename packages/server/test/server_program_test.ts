/**
 * The server as a program on the embedded database: start, the pasted lines, kill -9, and what can go wrong.
 *
 * @module
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { eventually } from "./support/platform.ts";
import { childrenOf } from "./support/processes.ts";
import {
  exported,
  pasteCurl,
  type Program,
  programTest,
  ready,
  startInTerminal,
  startProgram,
  stop,
} from "./support/program.ts";
import { canMount, mountSmallDisk } from "./support/small_disk.ts";

programTest(
  "the pasted line works, twice; keys stay the same over restarts; Ctrl-C ends everything",
  async (dataDir) => {
    const first = startProgram(dataDir);
    await ready(first);
    assert.equal(await pasteCurl(first), `{"message":"Hello Alice!"}`);
    assert.equal(await pasteCurl(first), `{"message":"Hello Alice!"}`);
    const keys = ["FLUXBASE_ANON_KEY", "FLUXBASE_SERVICE_ROLE_KEY", "FLUXBASE_CLIENT_KEY"].map((name) =>
      exported(first, name)
    );
    assert.ok(keys.every((key) => key.length > 20));
    assert.ok(!keys.some((key) => first.output().includes(key)), "keys on something that is no terminal");
    for (const file of ["secrets.json", "postgres-password", "keys.env", "server.json"]) {
      const { mode } = await Deno.stat(join(dataDir, file));
      assert.equal((mode ?? 0) & 0o777, 0o600, file);
    }
    await stop(first);
    assert.match(await Deno.readTextFile(join(dataDir, "postgres.log")), /^$|shut down/);

    const second = startProgram(dataDir, { FLUXBASE_LOG_FORMAT: "json" });
    await ready(second);
    assert.deepEqual(
      ["FLUXBASE_ANON_KEY", "FLUXBASE_SERVICE_ROLE_KEY", "FLUXBASE_CLIENT_KEY"].map((name) => exported(second, name)),
      keys,
    );
    const url = exported(second, "FLUXBASE_URL");
    const response = await fetch(`${url}/api/v1/functions/hello-world/invoke`, { headers: { apikey: keys[0] ?? "" } });
    assert.deepEqual(await response.json(), { message: "Hello World!" });
    await stop(second);
    for (const line of second.output().trim().split("\n")) {
      assert.equal(typeof JSON.parse(line).message, "string", line);
    }
    await assert.rejects(Deno.stat(join(dataDir, "keys.env")), Deno.errors.NotFound);
  },
);

programTest("a terminal gets links: one to create the first admin, then one that signs in once", async (dataDir) => {
  const email = "owner@example.com";
  const started = async () => {
    const program = startInTerminal(dataDir);
    await ready(program);
    const [, link = ""] = /Dashboard, .*: (\S+)/.exec(program.output()) ?? [];
    const { origin, hash } = new URL(link.trim());
    const post = async (path: string, body: unknown) => {
      const response = await fetch(`${origin}/api/v1${path}`, { method: "POST", body: JSON.stringify(body) });
      return { status: response.status, body: await response.json() };
    };
    return { program, post, token: new URLSearchParams(hash.slice(1)).get("token") ?? "" };
  };
  {
    const { program, post, token } = await started();
    assert.match(program.output(), /to create the first admin/);
    const made = await post("/admin/setup", { email, password: "correct horse battery", setup_token: token });
    assert.equal(made.status, 201);
    await stop(program);
  }
  const { program, post, token } = await started();
  assert.match(program.output(), /signed in, once within 10 minutes/);
  const signedIn = await post("/admin/login/link", { token });
  assert.deepEqual([signedIn.status, signedIn.body.user.email], [200, email]);
  const again = await post("/admin/login/link", { token });
  assert.deepEqual([again.status, again.body.code], [401, "INVALID_CREDENTIAL"]);
  await stop(program);
});

programTest("more connections than it may open files: it serves again when they are gone", async (dataDir) => {
  const program = startProgram(dataDir, {}, 400);
  await ready(program);
  const url = exported(program, "FLUXBASE_URL");
  const connections: Deno.TcpConn[] = [];
  const port = Number(new URL(url).port);
  await eventually(async () => {
    // A refused connection is one of the answers that a full server may give.
    const opened = await Deno.connect({ hostname: "127.0.0.1", port }).catch(() => undefined);
    if (opened !== undefined) connections.push(opened);
    return program.output().includes("Cannot accept one more connection");
  });
  for (const connection of connections) connection.close();
  await eventually(() => fetch(`${url}/health`).then((response) => response.ok, () => false));
  assert.equal(await pasteCurl(program), `{"message":"Hello Alice!"}`);
  await stop(program);
});

programTest("kill -9 leaves no Postgres and no sandbox behind, and the next start recovers", async (dataDir) => {
  const first = startProgram(dataDir);
  await ready(first);
  await pasteCurl(first);
  first.kill("SIGKILL");
  const second = startProgram(dataDir);
  await first.status;
  await ready(second);
  assert.equal(await pasteCurl(second), `{"message":"Hello Alice!"}`);
  await stop(second);
});

programTest(
  "Postgres is killed with -9 under the server: it is started again, and nothing is lost",
  async (dataDir) => {
    const program = startProgram(dataDir);
    await ready(program);
    await pasteCurl(program);
    const pid = Number((await Deno.readTextFile(join(dataDir, "postgres", "postmaster.pid"))).split("\n")[0]);
    Deno.kill(pid, "SIGKILL");
    assert.equal(await pasteCurl(program), `{"message":"Hello Alice!"}`, "a warm call needs no database");
    const url = exported(program, "FLUXBASE_URL");
    const headers = { authorization: `Bearer ${exported(program, "FLUXBASE_SERVICE_ROLE_KEY")}` };
    await eventually(async () => {
      const response = await fetch(`${url}/api/v1/functions/hello-world/executions`, { headers });
      const executions = await response.json();
      return response.status === 200 && executions.length >= 2;
    });
    assert.match(program.output(), /The embedded Postgres ended by itself and is started again/);
    await stop(program);
  },
);

programTest("a running request is finished before the end; a second signal ends at once", async (dataDir) => {
  const program = startProgram(dataDir);
  await ready(program);
  const functions = `${exported(program, "FLUXBASE_URL")}/api/v1/functions`;
  const headers = { authorization: `Bearer ${exported(program, "FLUXBASE_SERVICE_ROLE_KEY")}` };
  const code =
    `async function handler(req) { await new Promise((r) => setTimeout(r, Number(req.params.ms))); return "done"; }`;
  const created = await fetch(functions, { method: "POST", headers, body: JSON.stringify({ name: "slow", code }) });
  assert.equal(created.status, 201);
  await created.body?.cancel();
  const running = fetch(`${functions}/slow/invoke?ms=1500`, { headers });
  await new Promise((resolve) => setTimeout(resolve, 500));
  program.kill("SIGTERM");
  assert.equal(await (await running).text(), `"done"`);
  assert.equal((await program.status).code, 0);

  const again = startProgram(dataDir);
  await ready(again);
  const cut = fetch(`${exported(again, "FLUXBASE_URL")}/api/v1/functions/slow/invoke?ms=20000`, { headers });
  const failed = assert.rejects(cut);
  await new Promise((resolve) => setTimeout(resolve, 500));
  again.kill("SIGINT");
  await new Promise((resolve) => setTimeout(resolve, 400));
  again.kill("SIGINT");
  assert.equal((await again.status).code, 130);
  await failed;
});

programTest("what cannot work is one clear sentence, never a stack", async (dataDir) => {
  const outcome = async (env: Record<string, string>) => {
    const program = startProgram(dataDir, env);
    const { code } = await program.status;
    assert.equal(code, 1, program.output());
    assert.doesNotMatch(program.output(), /\n +at /);
    return program.output();
  };
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  assert.match(
    await outcome({ FLUXBASE_SERVER_ADDRESS: `127.0.0.1:${port}` }),
    new RegExp(`Cannot listen on 127\\.0\\.0\\.1:${port}: another program`),
  );
  assert.match(
    await outcome({ FLUXBASE_DATABASE_EMBEDDED_PORT: String(port) }),
    new RegExp(`port ${port} on 127\\.0\\.0\\.1 is in use; set FLUXBASE_DATABASE_EMBEDDED_PORT`),
  );
  listener.close();
  assert.match(await outcome({ FLUXBASE_DATA_DIR: "/proc/nowhere" }), /Cannot use "\/proc\/nowhere" as data directory/);
  assert.match(await outcome({ TMPDIR: "/proc" }), /Cannot make a folder for sandboxes in "\/proc": .*; set TMPDIR/);
  assert.match(
    await outcome({ DATABASE_URL: "postgres://u:topsecret@127.0.0.1:1/x" }),
    /FLUXBASE_AUTH_JWT_SECRET is missing.*\n.*FLUXBASE_ENCRYPTION_KEY is missing/,
  );
  await Deno.writeTextFile(join(dataDir, "postgres", "PG_VERSION"), "12\n");
  assert.match(await outcome({}), /made by Postgres 12, and this is Postgres 18/);
  await Deno.writeTextFile(join(dataDir, "postgres", "PG_VERSION"), "18\n");
  await Deno.writeTextFile(join(dataDir, "secrets.json"), "{");
  assert.match(await outcome({}), /Cannot use ".*secrets\.json": it is damaged/);
});

programTest("a copy of the data directory of a stopped server is a whole backup", async (dataDir) => {
  const first = startProgram(dataDir);
  await ready(first);
  const key = exported(first, "FLUXBASE_SERVICE_ROLE_KEY");
  const send = (program: Program, method: string, path: string, body?: unknown) =>
    fetch(`${exported(program, "FLUXBASE_URL")}/api/v1${path}`, {
      method,
      headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  const code = `export default (_req, { secrets }) => "secret: " + secrets.get("token");`;
  const made = [
    await send(first, "POST", "/admin/settings/custom/secret", { key: "token", value: "as it was" }),
    await send(first, "POST", "/functions", { name: "keeps", code }),
    await send(first, "POST", "/admin/database/query", { sql: "create table kept as select 7 as n" }),
  ];
  for (const answer of made) assert.ok(answer.ok, await answer.text());
  await stop(first);

  const copy = `${dataDir}-restored`;
  await new Deno.Command("cp", { args: ["-a", dataDir, copy] }).output();
  const restored = startProgram(copy);
  try {
    await ready(restored);
    assert.equal(exported(restored, "FLUXBASE_SERVICE_ROLE_KEY"), key);
    assert.equal(await (await send(restored, "POST", "/functions/keeps/invoke")).json(), "secret: as it was");
    const rows = await send(restored, "POST", "/admin/database/query", { sql: "select n from kept" });
    assert.match(await rows.text(), /"n":7/);
  } finally {
    await stop(restored);
    await Deno.remove(copy, { recursive: true });
  }
});

programTest("two servers on one data directory: the second says so", async (dataDir) => {
  const first = startProgram(dataDir);
  await ready(first);
  const second = startProgram(dataDir);
  assert.equal((await second.status).code, 1);
  assert.match(second.output(), /another server is running on/);
  assert.equal(await pasteCurl(first), `{"message":"Hello Alice!"}`);
  await stop(first);
});

programTest("kill -9 in the middle of a sync: every function is as it was or as it should be", async (dataDir) => {
  const source = (text: string) =>
    `import { mark } from "_shared/mark.ts"; export default () => ({ status: 200, body: ${
      JSON.stringify(text)
    } + mark });`;
  const functions = (text: string) =>
    Array.from({ length: 60 }, (_, index) => ({ name: `fn-${index}`, code: source(`${text} ${index}`) }));
  const first = startProgram(dataDir);
  await ready(first);
  const send = async (program: Program, method: string, path: string, body?: unknown) =>
    await fetch(`${exported(program, "FLUXBASE_URL")}/api/v1${path}`, {
      method,
      headers: { authorization: `Bearer ${exported(program, "FLUXBASE_SERVICE_ROLE_KEY")}` },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  const post = async (path: string, body: unknown) => await (await send(first, "POST", path, body)).json();
  await post("/functions/shared", { module_path: "_shared/mark.ts", content: `export const mark = "!";` });
  const created = await post("/admin/functions/sync", { functions: functions("old") });
  assert.equal(created.summary.created, 60, JSON.stringify(created.errors[0]));

  // Some are new and some are not when it dies, and a shared module has changed under all of them.
  void post("/admin/functions/sync", { functions: functions("new") }).catch(() => {});
  await eventually(async () => {
    const list: { version: number }[] = await (await send(first, "GET", "/functions")).json();
    return list.some(({ version }) => version === 2);
  });
  void send(first, "PUT", "/functions/shared/mark.ts", { content: `export const mark = "?";` }).catch(() => {});
  await new Promise((resolve) => setTimeout(resolve, 50));
  first.kill("SIGKILL");
  await first.status;

  const second = startProgram(dataDir);
  await ready(second);
  const call = async (index: number) => await (await send(second, "POST", `/functions/fn-${index}/invoke`)).text();
  const { content } = await (await send(second, "GET", "/functions/shared/mark.ts")).json();
  const mark = content.includes("?") ? "?" : "!";
  // What the shared module means is made up for by the start itself.
  await eventually(async () => {
    const texts = await Promise.all(Array.from({ length: 60 }, (_, index) => call(index)));
    return texts.every((text, index) => text === `old ${index}${mark}` || text === `new ${index}${mark}`);
  });
  const again = await (await send(second, "POST", "/admin/functions/sync", { functions: functions("new") })).json();
  assert.equal(again.summary.updated + again.summary.unchanged, 60);
  assert.deepEqual(again.errors, []);
  assert.equal(await call(59), `new 59${mark}`);
  await stop(second);
});

if (await canMount()) {
  programTest(
    "a full disk is named at the first start, under way, and at the next start; space mends it",
    async (dataDir) => {
      {
        await using _disk = await mountSmallDisk(dataDir, 30);
        const program = startProgram(dataDir);
        assert.equal((await program.status).code, 1);
        assert.match(program.output(), /the disk that holds ".*" is full; free some space/);
      }
      {
        await using _disk = await mountSmallDisk(dataDir, 90);
        const first = startProgram(dataDir);
        await ready(first);
        const fill = join(dataDir, "fill");
        const file = await Deno.open(fill, { create: true, write: true });
        const chunk = new Uint8Array(1_000_000);
        await assert.rejects(async () => {
          while (true) await file.write(chunk);
        });
        file.close();
        const created = await fetch(`${exported(first, "FLUXBASE_URL")}/api/v1/functions`, {
          method: "POST",
          headers: { authorization: `Bearer ${exported(first, "FLUXBASE_SERVICE_ROLE_KEY")}` },
          body: JSON.stringify({ name: "big", code: `function handler() {} //${"x".repeat(500_000)}` }),
        });
        assert.equal(created.status, 503);
        assert.match((await created.json()).error, /no disk space left/);
        await stop(first);
        const second = startProgram(dataDir);
        assert.equal((await second.status).code, 1);
        assert.match(second.output(), /the disk that holds ".*" is full/);
        await Deno.remove(fill);
        const third = startProgram(dataDir);
        await ready(third);
        assert.equal(await pasteCurl(third), `{"message":"Hello Alice!"}`);
        await stop(third);
      }
    },
  );
}

programTest(
  "two processes share a port and a database; one that is killed comes back, and no end leaves any behind",
  async (dataDir) => {
    const first = startProgram(dataDir, { FLUXBASE_SERVER_PROCESSES: "2", FLUXBASE_LIMITS_SANDBOX_COUNT: "20" });
    await ready(first);
    await ready(first, 2);
    assert.equal(await pasteCurl(first), `{"message":"Hello Alice!"}`);
    const url = exported(first, "FLUXBASE_URL");
    const headers = { authorization: `Bearer ${exported(first, "FLUXBASE_SERVICE_ROLE_KEY")}` };
    const alive = async (): Promise<{ id: string; name: string }[]> => {
      const response = await fetch(`${url}/api/v1/admin/nodes`, { headers });
      const nodes: { id: string; name: string; status: string }[] = await response.json();
      return nodes.filter(({ status }) => status === "alive").toSorted((a, b) => a.name.localeCompare(b.name));
    };
    const nodes = await alive();
    assert.deepEqual(nodes.map(({ name }) => name.slice(-3)), ["-p1", "-p2"]);
    assert.match(first.output(), /^\[2\] .*is ready/m);
    // Each connection goes to one of them, and both answer what either was told.
    const answeredBy = async () => {
      // A connection of its own.
      using client = Deno.createHttpClient({ poolMaxIdlePerHost: 0 });
      const page = await (await fetch(`${url}/metrics`, { headers, client })).text();
      return /^fluxbase_build_info\{.*node="([^"]*)"/m.exec(page)?.[1];
    };
    const seen = new Set<string | undefined>();
    await eventually(async () => seen.add(await answeredBy()).size === 2);
    assert.deepEqual([...seen].toSorted(), nodes.map(({ name }) => name));

    for (const number of [2, 1]) {
      const child = childrenOf(first.pid).find(({ command }) => command.includes(`--process=${number}/`));
      assert.ok(child);
      Deno.kill(child.pid, "SIGKILL");
      await eventually(() => first.output().includes(`is started again process=${number}`));
      await eventually(async () => (await answeredBy().catch(() => undefined)) === nodes[number - 1]?.name);
      assert.equal(await pasteCurl(first), `{"message":"Hello Alice!"}`);
    }
    first.kill("SIGKILL");
    await first.status;

    const second = startProgram(dataDir, { FLUXBASE_SERVER_PROCESSES: "2", FLUXBASE_LIMITS_SANDBOX_COUNT: "20" });
    await ready(second);
    await ready(second, 2);
    assert.equal(await pasteCurl(second), `{"message":"Hello Alice!"}`);
    await stop(second);
  },
);

programTest("several processes: what is wrong with the settings is said once, and nothing stays", async (dataDir) => {
  const taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const program = startProgram(dataDir, {
    FLUXBASE_SERVER_PROCESSES: "2",
    FLUXBASE_SERVER_ADDRESS: `127.0.0.1:${taken.addr.port}`,
  });
  assert.equal((await program.status).code, 1);
  assert.match(program.output(), /^Cannot listen on .*another program listens there already[^\n]*\n$/);
  taken.close();
});
