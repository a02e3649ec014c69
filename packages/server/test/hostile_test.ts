/**
 * Functions that attack: what each gets, while a victim in another namespace is called before, during and after.
 *
 * @module
 */
import assert from "node:assert/strict";
import { eventually, platformTest, type TestPlatform } from "./support/platform.ts";
import { childrenOf } from "./support/processes.ts";

/** The body of an async handler that returns what it got, as text; a thrown error's message counts as an answer. */
interface Attack {
  readonly name: string;
  readonly code: string;
  /** Outside the handler. */
  readonly top?: string;
  /** What the attacker must be told. */
  readonly gets: RegExp;
  readonly status?: number;
  readonly fields?: Record<string, unknown>;
}

const DENIED = /NotCapable|Requires .* access|PermissionDenied|not permitted|EPERM|EACCES|Can't open|Access denied/i;
const listener =
  `const outcome = async (work) => { try { return String(await work()); } catch (error) { return error.name + ": " + error.message + " " + (error.code ?? ""); } };`;

function source({ code, top = "" }: Attack): string {
  return `${listener}\n${top}\nasync function handler(req) { return { status: 200, body: await outcome(async () => { ${code} }) }; }`;
}

/** Runs each attack; the victim answers the same all the time. */
async function attack(
  platform: TestPlatform,
  step: (name: string, work: () => Promise<void>) => Promise<boolean>,
  attacks: readonly Attack[],
) {
  await platform.deploy("victim", `function handler() { return "unharmed"; }`, { namespace: "team-b" });
  const victim = async () => assert.equal(await (await platform.call("team-b/victim")).text(), `"unharmed"`);
  for (const [index, one] of attacks.entries()) {
    await step(one.name, async () => {
      const name = `attack-${index}`;
      await platform.deploy(name, source(one), one.fields);
      await victim();
      const attacking = platform.call(name);
      await Promise.all([victim(), victim()]);
      const response = await attacking;
      const text = await response.text();
      assert.match(text, one.gets);
      assert.equal(response.status, one.status ?? 200, text);
      await victim();
      const [execution] = await platform.executions(name);
      const told = response.status >= 500 ? JSON.parse(text) : { code: null, error: null };
      assert.deepEqual(
        [execution.error_code, execution.error_message],
        [told.code, told.error],
        "what the record says",
      );
    });
  }
}

platformTest("a function cannot reach the machine", async (platform, step) => {
  const read = (path: string): Attack => ({
    name: `reading ${path}`,
    code: `return await Deno.readTextFile(${JSON.stringify(path)});`,
    gets: DENIED,
  });
  await attack(platform, step, [
    read("/etc/passwd"),
    read("/proc/self/environ"),
    read("/proc/1/environ"),
    read("/tmp"),
    { name: "listing folders", code: `return [...Deno.readDirSync("/")].length;`, gets: DENIED },
    {
      name: "reading with a permission for scratch only",
      code: `return await Deno.readTextFile("/etc/passwd");`,
      gets: DENIED,
      fields: { allow_read: true, allow_write: true },
    },
    {
      name: "writing outside scratch",
      code: `return await Deno.writeTextFile("/tmp/fluxbase-escape", "x");`,
      gets: DENIED,
      fields: { allow_write: true },
    },
    { name: "its own socket's folder", code: `return Deno.readDirSync(Deno.execPath());`, gets: DENIED },
    { name: "Deno.Command", code: `return await new Deno.Command("/bin/true").output();`, gets: DENIED },
    {
      name: "node:child_process at run time",
      code:
        `const cp = process["getBuiltin" + "Module"]("node:child_process") ?? await import(["node:", "child_process"].join("")); return cp.execSync("id");`,
      // It would have succeeded, had it run.
      gets: /Command failed|NotCapable/,
    },
    {
      name: "node:fs at run time",
      code: `const fs = await import(["node:", "fs"].join("")); return fs.readFileSync("/etc/passwd", "utf8");`,
      gets: DENIED,
    },
    {
      name: "Deno.dlopen",
      code: `return Deno.dlopen("libc.so.6", { getpid: { parameters: [], result: "i32" } });`,
      gets: DENIED,
    },
    {
      name: "permissions asked for again",
      code:
        `return [(await Deno.permissions.request({ name: "read" })).state, (await Deno.permissions.request({ name: "ffi" })).state, (await Deno.permissions.request({ name: "run" })).state].join();`,
      gets: /^denied,denied,denied$/,
    },
    {
      name: "npm: at run time",
      code: `return await import(["npm:", "zod"].join(""));`,
      gets: /^TypeError: Cannot import "npm:zod" while the function runs/,
    },
    {
      name: "https: at run time",
      code: `return await import(["https://", "example.com/x.js"].join(""));`,
      gets: /^TypeError: Cannot import "https:\/\/example.com\/x.js" while the function runs/,
    },
    {
      name: "file: at run time",
      code: `return await import(["file://", "/etc/passwd"].join(""));`,
      gets: /^TypeError: Cannot import "file:\/\/\/etc\/passwd" while the function runs/,
    },
    ...[
      '"npm:zod"',
      '"https://example.com/x.js"',
      '"file:///etc/passwd"',
      '"file:///etc/hostname" with { type: "text" }',
    ].map(
      (from): Attack => ({
        name: `import from ${from} in a data: module`,
        code: `return Object.keys(await import("data:text/javascript," + encodeURIComponent(${
          JSON.stringify(`import all from ${from}; export default all;`)
        })));`,
        gets: /Requires read access|npm packages are disabled|--no-npm|remote specifier was requested/,
      }),
    ),
    {
      name: "text import of a file",
      code: `return (await import(["file://", "/etc/hostname"].join(""), { with: { type: "text" } })).default;`,
      gets: /Requires read access|NotCapable|unprepared|denied|TypeError/i,
    },
    { name: "Deno[Deno.internal]", code: `return typeof Deno[Deno.internal];`, gets: /undefined/ },
    {
      name: "what is shared between processes, or a driver of the machine",
      code:
        `const names = ["localStorage", "sessionStorage", "Storage", "caches", "Cache", "CacheStorage", "Worker", "GPU", "GPUDevice", "OffscreenCanvas"];
        return [...names.filter((name) => name in globalThis), typeof navigator.gpu].join();`,
      gets: /^undefined$/,
    },
    {
      name: "a worker of node:worker_threads, by every way to its class",
      code: `const direct = await import(["node:", "worker_threads"].join(""));
        const others = [process.getBuiltinModule("worker_threads"), await import("data:text/javascript," + encodeURIComponent('export * from "node:worker_threads"'))];
        const text = "require('node:worker_threads').parentPort.postMessage(typeof Deno[Deno.internal])";
        class Mine extends direct.Worker {}
        const tries = [...[direct, ...others].map((module) => () => new module.Worker(text, { eval: true })), () => new Mine(text, { eval: true }),
          () => Reflect.construct(direct.Worker, [text, { eval: true }], Map),
          () => { Object.setPrototypeOf(direct.Worker, EventTarget); return new direct.Worker(text, { eval: true }); }];
        const outcomes = tries.map((make) => { try { make(); return "a worker"; } catch (error) { return error.message; } });
        return [...new Set(outcomes)].join(" | ");`,
      gets: /^Cannot start a worker: [^|]*( \| [^|]*not extensible)?$/,
    },
    {
      name: "how its process was started",
      code: `return JSON.stringify([Deno.args, process.argv.slice(2), process.execArgv]);`,
      gets: /^\[\[\],\[\],\[\]\]$/,
    },
    {
      name: "flags of V8",
      code:
        `const v8 = await import(["node:", "v8"].join("")); v8.setFlagsFromString("--allow-natives-syntax"); return eval("%GetOptimizationStatus(() => 1)");`,
      gets: /SyntaxError/,
    },
    {
      name: "Deno.openKv",
      code: `return typeof Deno.openKv === "function" ? await Deno.openKv("/tmp/kv") : "no kv: NotCapable";`,
      gets: DENIED,
    },
    {
      name: "node:sqlite",
      code:
        `const { DatabaseSync } = await import(["node:", "sqlite"].join("")); return new DatabaseSync("/tmp/fluxbase-x.db");`,
      gets: DENIED,
    },
    { name: "signals to others", code: `return Deno.kill(Deno.ppid, "SIGKILL");`, gets: DENIED },
    { name: "system information", code: `return Deno.hostname();`, gets: DENIED },
    {
      name: "listening",
      code: `const tries = [() => Deno.listen({ port: 0 }), () => Deno.listen({ hostname: "127.0.0.1", port: 0 }),
        () => Deno.listen({ transport: "unix", path: "\\0fluxbase-abstract" }), () => Deno.listen({ transport: "unix", path: "/tmp/fluxbase-listen" })];
        return tries.map((listen) => { try { listen(); return "listens"; } catch { return "refused"; } }).join();`,
      gets: /^refused,refused,refused,refused$/,
    },
    {
      name: "connecting to an abstract socket",
      code: `return await Deno.connect({ transport: "unix", path: "\\0fluxbase-abstract" });`,
      gets: /Address family not supported/,
    },
    {
      name: "the environment of the server",
      code: `return JSON.stringify(Deno.env.toObject());`,
      // The database is there with a role of its own, never as the server has it.
      gets: /^(?!.*(SECRET|PASSWORD|postgres:\/\/(?!fluxbase_ns_\d+_default@))).*FLUXBASE_FUNCTION_NAME/,
    },
    {
      name: "the inspector",
      code:
        `const inspector = await import(["node:", "inspector"].join("")); return inspector.open(9229) ?? inspector.url();`,
      gets: DENIED,
    },
  ]);
  await step("nothing was written", () => {
    for (const path of ["/tmp/fluxbase-escape", "/tmp/fluxbase-x.db"]) {
      assert.throws(() => Deno.statSync(path), Deno.errors.NotFound);
    }
  });
});

/** What stands on the machine beside the platform: if a function reaches it, it gets "reached". */
function startNeighbour(hostname: string) {
  const server = Deno.serve({ hostname, port: 0, onListen: () => {} }, (request) => {
    const { pathname, searchParams } = new URL(request.url);
    if (pathname === "/redirect") return Response.redirect(searchParams.get("to") ?? "", 302);
    return new Response("reached");
  });
  return { port: server.addr.port, [Symbol.asyncDispose]: () => server.shutdown() };
}

const UNREACHED = /^(?!.*reached)/s;

platformTest("a function cannot reach private addresses", async (platform, step) => {
  await using neighbour = startNeighbour("0.0.0.0");
  const { port } = neighbour;
  const fetching = (host: string): Attack => ({
    name: `fetch of ${host}`,
    code:
      `const response = await fetch("http://${host}:${port}/", { signal: AbortSignal.timeout(3000) }); return await response.text();`,
    gets: UNREACHED,
  });
  const hosts = [
    "127.0.0.1",
    "localhost",
    "0.0.0.0",
    "127.1",
    "2130706433",
    "0x7f000001",
    "0177.0.0.1",
    "[::1]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "169.254.169.254",
    "10.0.0.1",
    "192.168.0.1",
    "100.64.0.1",
    // A name that the machine itself resolves, to an address of its own.
    Deno.hostname(),
    "localhost.",
  ];
  await attack(platform, step, [
    ...hosts.map(fetching),
    {
      name: "Deno.connect",
      code: `return (await Deno.connect({ hostname: "127.0.0.1", port: ${port} })).localAddr.port;`,
      gets: DENIED,
    },
    {
      name: "Deno.connect by name",
      code: `return (await Deno.connect({ hostname: "localhost", port: ${port} })).localAddr.port;`,
      gets: DENIED,
    },
    {
      name: "Deno.connectTls",
      code: `return (await Deno.connectTls({ hostname: "127.0.0.1", port: ${port} })).localAddr.port;`,
      gets: DENIED,
    },
    {
      name: "node:net",
      code:
        `const net = await import("node:net"); return await new Promise((resolve, reject) => { const s = net.connect(${port}, "127.0.0.1", () => resolve("reached")); s.on("error", reject); });`,
      gets: DENIED,
    },
    {
      name: "node:http",
      code:
        `const http = await import("node:http"); return await new Promise((resolve, reject) => http.get("http://127.0.0.1:${port}/", (r) => resolve("reached " + r.statusCode)).on("error", reject));`,
      gets: DENIED,
    },
    {
      name: "node:https",
      code:
        `const https = await import("node:https"); return await new Promise((resolve, reject) => https.get("https://localhost:${port}/", (r) => resolve("reached " + r.statusCode)).on("error", reject));`,
      gets: DENIED,
    },
    {
      name: "WebSocket",
      code:
        `return await new Promise((resolve, reject) => { const s = new WebSocket("ws://127.0.0.1:${port}/"); s.onopen = () => resolve("reached"); s.onerror = (e) => reject(new Error("denied " + e.message)); });`,
      gets: DENIED,
    },
    {
      name: "UDP",
      code:
        `const s = Deno.listenDatagram({ transport: "udp", port: 0, hostname: "127.0.0.1" }); return await s.send(new Uint8Array(1), { transport: "udp", hostname: "127.0.0.1", port: 53 });`,
      gets: /NotCapable|not a function|denied|Requires/i,
    },
    {
      name: "UDP of node:dgram",
      code:
        `const dgram = await import("node:dgram"); return await new Promise((resolve, reject) => { const s = dgram.createSocket("udp4"); s.on("error", reject); s.send("x", ${port}, "127.0.0.1", (error) => error ? reject(error) : resolve("reached")); setTimeout(resolve, 1000, "nothing happened"); });`,
      gets: UNREACHED,
    },
    {
      name: "DNS from a server on this machine",
      code: `return await Deno.resolveDns("example.com", "A", { nameServer: { ipAddr: "127.0.0.1", port: ${port} } });`,
      gets: DENIED,
    },
    {
      name: "a proxy on this machine",
      code:
        `const client = Deno.createHttpClient({ proxy: { url: "http://127.0.0.1:${port}" } }); return await (await fetch("http://example.com/", { client })).text();`,
      gets: UNREACHED,
    },
    {
      name: "another sandbox's socket",
      code: `return await Deno.connect({ transport: "unix", path: "/tmp/x" });`,
      gets: /NotCapable|Requires|No such file|denied/i,
    },
    {
      name: "the network when it has none",
      code: `return await fetch("http://93.184.216.34/");`,
      gets: DENIED,
      fields: { allow_net: false },
    },
    {
      name: "the platform itself without network",
      code: `return (await fetch(${JSON.stringify(platform.url)} + "/health")).status;`,
      gets: DENIED,
      fields: { allow_net: false },
    },
  ]);
});

platformTest("a hole opens its address and nothing else, also not by a redirect", async (platform, step) => {
  await using open = startNeighbour("127.9.9.9");
  await using closed = startNeighbour("127.8.8.8");
  await platform.deploy(
    "reach",
    `async function handler(req) {
    try { return await (await fetch(req.params.url)).text(); } catch (error) { return "refused: " + error.message; }
  }`,
  );
  const reach = async (url: string) =>
    await (await platform.call(`reach/invoke?url=${encodeURIComponent(url)}`)).json();
  const closedUrl = `http://127.8.8.8:${closed.port}/`;

  await step("the hole", async () => {
    assert.equal(await reach(`http://127.9.9.9:${open.port}/`), "reached");
  });
  await step("beside it", async () => {
    assert.match(await reach(closedUrl), /^refused/);
    assert.match(await reach(`http://127.9.9.8:${open.port}/`), /^refused/);
  });
  await step("a redirect out of the hole", async () => {
    const to = encodeURIComponent(closedUrl);
    assert.match(await reach(`http://127.9.9.9:${open.port}/redirect?to=${to}`), /^refused/);
  });
  await step("a list of hosts opens those hosts, and no address that is denied", async () => {
    const openUrl = `http://127.9.9.9:${open.port}/`;
    const reachWith = async (net: readonly string[], ...urls: string[]): Promise<string[]> => {
      const { body } = await platform.api("PATCH", "/functions/reach", { permissions: { net } });
      assert.deepEqual([body.allow_net, body.bundle_error], [net.length === 0 ? false : net, null]);
      return await Promise.all(urls.map(reach));
    };
    const [listed = "", unlisted = "", byName = ""] = await reachWith(
      ["127.9.9.9", "api.example.com"],
      openUrl,
      "http://93.184.216.34/",
      "http://api.example.org/",
    );
    assert.equal(listed, "reached");
    assert.match(unlisted, DENIED);
    assert.match(byName, DENIED);
    const [wrongPort = ""] = await reachWith(["*.example.com", "127.9.9.9:1"].sort(), openUrl);
    assert.match(wrongPort, DENIED);
    // Listed, and nevertheless addresses of this machine.
    for (const url of [closedUrl, closedUrl.replace("127.8.8.8", "localhost")]) {
      const [answer = ""] = await reachWith(["127.8.8.8", "localhost"], url);
      assert.match(answer, /^refused/);
    }
    const [own = ""] = await reachWith(["api.example.com"], `${platform.url}/health`);
    assert.match(own, /"status":"ok"/);
    const [none = ""] = await reachWith([], openUrl);
    assert.match(none, DENIED);
  });

  await step("the operator is told that a port is no fence", () => {
    assert.ok(platform.logLines.some((line) => line.includes("every port") && line.includes("127.9.9.9:81")));
  });
}, { FLUXBASE_FUNCTIONS_EGRESS_ALLOW: "127.9.9.9:81" });

platformTest("a function ruins only itself", async (platform, step) => {
  const died =
    /"code":"(CPU_LIMIT|MEMORY_LIMIT|SANDBOX_DIED|WALL_LIMIT|FUNCTION_ERROR|RESPONSE_TOO_LARGE|INVALID_RESPONSE)"/;
  const fields = { timeout: 1, memory: 64 };
  await attack(
    platform,
    step,
    [
      { name: "endless loop", code: `for (;;);`, gets: died, status: 504, fields },
      {
        name: "endless microtasks",
        code: `const again = () => queueMicrotask(again); again(); await new Promise(() => {});`,
        gets: died,
        status: 504,
        fields,
      },
      {
        name: "heap bomb",
        code: `const all = []; for (;;) all.push(new Array(1000).fill({}));`,
        gets: /MEMORY_LIMIT/,
        status: 502,
        fields: { memory: 64 },
      },
      {
        name: "ArrayBuffer bomb",
        code: "",
        top: `export default () => { const all = []; for (;;) all.push(new Uint8Array(50_000_000).fill(1)); };`,
        gets: /MEMORY_LIMIT/,
        status: 502,
        fields: { memory: 64 },
      },
      {
        name: "wasm memory bomb",
        code: "",
        top:
          `export default () => { const all = []; for (;;) { const m = new WebAssembly.Memory({ initial: 1000, maximum: 65536 }); new Uint8Array(m.buffer).fill(1); all.push(m); } };`,
        gets: /MEMORY_LIMIT/,
        status: 502,
        fields: { memory: 64 },
      },
      {
        name: "a little heap and a little buffer, together too much",
        code: "",
        top:
          `export default async () => { const all = []; for (;;) { all.push(new Uint8Array(1_000_000).fill(1), new Array(100_000).fill(0).map((_, i) => ({ i }))); await new Promise((r) => setTimeout(r, 20)); } };`,
        gets: /MEMORY_LIMIT/,
        status: 502,
        fields: { memory: 64 },
      },
      { name: "stack overflow", code: `const f = () => f(); f();`, gets: /RangeError/ },
      { name: "Deno.exit", code: `Deno.exit(0);`, gets: /The function ended this request/, status: 500 },
      {
        name: "process.exit",
        code: `const process = await import(["node:", "process"].join("")); process.exit(0);`,
        gets: /The function ended this request/,
        status: 500,
      },
      {
        name: "process.abort",
        code: `const process = await import(["node:", "process"].join("")); process.abort();`,
        gets: /The function ended this request/,
        status: 500,
      },
      {
        name: "100,000 headers",
        code: `return "unused";`,
        top:
          `const huge = Object.fromEntries(Array.from({ length: 100_000 }, (_, i) => ["x-" + i, "y"]));\nexport default () => ({ status: 200, headers: huge, body: "" });`,
        gets: /Cannot answer with more than 1000 headers/,
        status: 500,
      },
      {
        name: "handlers for SIGTERM",
        code: `try { Deno.addSignalListener("SIGTERM", () => {}); } catch {} return "set";`,
        gets: /set/,
      },
    ],
  );

  await step("1 GB of console.log and a 100 MB line", async () => {
    await platform.deploy(
      "noise",
      `function handler() { const line = "x".repeat(1_000_000); for (let i = 0; i < 1_000; i++) console.log(line); return "done"; }`,
      { timeout: 20 },
    );
    await platform.deploy("long-line", `function handler() { console.log("x".repeat(100_000_000)); return "done"; }`, {
      timeout: 20,
      memory: 512,
    });
    for (const name of ["noise", "long-line"]) {
      const text = await (await platform.call(name)).text();
      assert.equal(text, `"done"`);
      const [execution] = await platform.executions(name);
      assert.ok(execution.logs.length < 70_000_000);
    }
  });

  await step("an endless response is cut at its limit", async () => {
    await platform.deploy(
      "endless",
      `export default () => new Response(new ReadableStream({ pull(c) { c.enqueue(new Uint8Array(65536)); } }));`,
    );
    const response = await platform.call("endless");
    await assert.rejects(response.bytes());
  });

  await step("an unhandled rejection after the answer", async () => {
    await platform.deploy(
      "later",
      `function handler() { setTimeout(() => { throw new Error("late"); }, 10); Promise.reject(new Error("lost")); return Deno.pid; }`,
    );
    const pid = await (await platform.call("later")).text();
    await new Promise((resolve) => setTimeout(resolve, 100));
    assert.equal(await (await platform.call("later")).text(), pid);
  });
});

/**
 * Forges what the sandbox writes to its socket, by way of a built-in that the harness uses. `pieces` gives the bytes that
 * leave instead of the first batch after a request has begun; `frame(type, id, payload)` makes one.
 */
const FORGER = `
const subarray = Uint8Array.prototype.subarray;
let forged;
Uint8Array.prototype.subarray = function (...args) {
  if (forged === undefined || this.length < 262144 || args.length !== 2 || args[0] !== 0) return Reflect.apply(subarray, this, args);
  const bytes = forged;
  forged = undefined;
  return bytes;
};
function frame(type, id, payload = []) {
  const bytes = new Uint8Array(9 + payload.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 5 + payload.length, true);
  view.setUint8(4, type);
  view.setUint32(5, id, true);
  bytes.set(payload, 9);
  return [...bytes];
}
const text = (value) => [...new TextEncoder().encode(JSON.stringify(value))];
const pieces = {
  unknown: () => frame(200, 1),
  huge: () => [255, 255, 255, 255, 19, 0, 0, 0, 0],
  tiny: () => [1, 0, 0, 0, 19],
  zero: () => frame(19, 0, new Array(20).fill(0)),
  ready: () => frame(16, 0, text({ protocol: 2, fences: ["uid"] })),
  loaded: () => frame(17, 0),
  pong: () => frame(23, 0),
  refused: () => frame(24, 0, text("a b")),
  short: () => allIds().flatMap((id) => frame(19, id, [1, 200])),
  status: () => allIds().flatMap((id) => frame(19, id, [9, 231, 3, 0, 0, 0, 0, 0, 0, 0, 0])),
  socket: () => allIds().flatMap((id) => frame(19, id, [32, 101, 0, 0, 0, 0, 0, 0, 0, 0, 0])),
  done: () => allIds().flatMap((id) => frame(22, id)),
  log: () => frame(21, 0, [123]),
  call: () => frame(66, 1, [0, 255, 255, 255, 255]),
};
/** The ids that requests of a young sandbox can have. */
function allIds() { const ids = []; for (let uses = 1; uses < 40; uses++) for (let slot = 0; slot < 4; slot++) ids.push(uses << 12 | slot); return ids; }
export default (req) => { const kind = new URL(req.url).searchParams.get("kind"); if (kind) forged = new Uint8Array(pieces[kind]()); return "mine"; };
`;

platformTest("forged frames end the sandbox that sent them, and the operator is told", async (platform, step) => {
  await platform.deploy("victim", `function handler(req) { return { got: req.body }; }`, { namespace: "team-b" });
  await platform.deploy("forger", FORGER);
  const victim = async () => {
    const response = await platform.call("team-b/victim", { method: "POST", body: "x" });
    assert.deepEqual(await response.json(), { got: "x" });
  };
  const kinds = [
    "unknown",
    "huge",
    "tiny",
    "zero",
    "ready",
    "loaded",
    "pong",
    "refused",
    "short",
    "status",
    "socket",
    "done",
    "log",
    "call",
  ];
  for (const kind of kinds) {
    await step(kind, async () => {
      await victim();
      assert.equal(await (await platform.call("forger")).json(), "mine");
      const warningsBefore = platform.logLines.filter((line) => line.includes("broke the protocol")).length;
      const [response] = await Promise.all([platform.call(`forger/invoke?kind=${kind}`), victim(), victim()]);
      const body = await response.json();
      assert.deepEqual([response.status, body.code], [502, "SANDBOX_DIED"], kind);
      assert.match(body.error, /broke the protocol/);
      const warnings = platform.logLines.filter((line) => line.includes("broke the protocol"));
      assert.ok(warnings.length > warningsBefore);
      assert.match(warnings.at(-1) ?? "", /function=forger .*(Refused from the sandbox|Cannot read)/);
      await victim();
    });
  }
});

platformTest("a function with a scratch folder does not get out of it", async (platform, step) => {
  const out = (name: string, code: string): Attack => ({
    name,
    code: `const tmp = Deno.env.get("TMPDIR"); ${code}`,
    gets: DENIED,
    fields: { allow_read: true, allow_write: true },
  });
  await attack(platform, step, [
    out("the socket of its own sandbox", `return await Deno.stat(tmp + "/../s");`),
    out("the folder of its sandbox", `return [...Deno.readDirSync(tmp + "/..")].length;`),
    out("the folders of all sandboxes", `return [...Deno.readDirSync(tmp + "/../..")].length;`),
    out("another sandbox's socket", `return await Deno.connect({ transport: "unix", path: tmp + "/../s" });`),
    out(
      "a link to a file of the machine",
      `await Deno.symlink("/etc/passwd", "link"); return await Deno.readTextFile("link");`,
    ),
    out("a hard link", `await Deno.link("/etc/hostname", "link"); return await Deno.readTextFile("link");`),
    out("moving something in", `await Deno.rename("/etc/hostname", "moved");`),
    out("moving something out", `await Deno.writeTextFile("a", "x"); await Deno.rename("a", "/tmp/fluxbase-moved");`),
    out("copying from outside", `await Deno.copyFile("/etc/passwd", "copy");`),
    out("a temporary file elsewhere", `await Deno.makeTempFile({ dir: "/var/tmp" });`),
    out("changing folders", `Deno.chdir("/etc"); return await Deno.readTextFile("passwd");`),
    out(
      "node:fs",
      `const fs = await import(["node:", "fs"].join("")); return fs.readFileSync(tmp + "/../../../../etc/passwd", "utf8");`,
    ),
  ]);
});

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

platformTest("a function that burns the processors yields to others", async (platform) => {
  await platform.deploy(
    "hog",
    `async function handler(req) {
      const until = Date.now() + 6_000;
      while (Date.now() < until) {
        for (let i = 0, pause = Date.now() + 20; Date.now() < pause; i++);
        await new Promise((resolve) => setTimeout(resolve, 0));
      }
      return Deno.pid;
    }`,
    { isolation: "request" },
  );
  await platform.deploy(
    "victim",
    `function handler(req) { let n = 0; for (let i = 0; i < 3e6; i++) n += i; return { got: req.body }; }`,
    {
      namespace: "team-b",
    },
  );
  const hogCount = 2 * navigator.hardwareConcurrency;
  const hogs = Array.from({ length: hogCount }, async () => await (await platform.call("hog")).text());
  let hasYielded = false;
  let isOver = false;
  const victims = (async () => {
    while (!isOver) {
      const response = await platform.call("team-b/victim", { method: "POST", body: "x" });
      assert.deepEqual(await response.json(), { got: "x" });
    }
  })();
  try {
    await eventually(() => {
      const sandboxes = childrenOf(Deno.pid).filter(({ command }) => command.includes("sandbox_runtime/"));
      const nice = sandboxes.map(({ pid }) => niceOf(pid));
      hasYielded = nice.filter((value) => value > 0).length === hogCount && nice.includes(0);
      return hasYielded;
    });
  } finally {
    isOver = true;
    await victims;
  }
  assert.ok(hasYielded);
  assert.equal(new Set(await Promise.all(hogs)).size, hogCount);
});

function niceOf(pid: number): number {
  const stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
  return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[16]);
}

platformTest("changed built-ins confuse only who changed them", async (platform, step) => {
  const poisons: [string, string][] = [
    ["JSON", `JSON.stringify = () => "poison"; JSON.parse = () => { throw new Error("poison"); };`],
    [
      "Response and Headers",
      `globalThis.Response = class {}; globalThis.Headers = class {}; globalThis.Request = class {};`,
    ],
    ["then", `Promise.prototype.then = function () { return this; };`],
    [
      "Object.prototype",
      `Object.defineProperty(Object.prototype, "status", { value: 500, configurable: true }); Object.prototype.done = true; Object.prototype.toJSON = () => "poison";`,
    ],
    [
      "Array.prototype",
      `Array.prototype.push = () => 0; Array.prototype[Symbol.iterator] = function* () {}; Array.prototype.map = () => [];`,
    ],
    [
      "typed arrays",
      `Uint8Array.prototype.set = () => {}; Uint8Array.prototype.subarray = () => new Uint8Array(9); DataView.prototype.setUint32 = () => {};`,
    ],
    [
      "TextEncoder",
      `TextEncoder.prototype.encodeInto = () => ({ read: 9e9, written: 9e9 }); TextDecoder.prototype.decode = () => "poison";`,
    ],
    ["Date", `globalThis.Date = class { static now() { return "poison"; } };`],
    ["time", `Date.now = () => NaN; performance.now = () => -1; globalThis.setTimeout = () => {};`],
    ["console", `globalThis.console = null;`],
  ];
  await platform.deploy("victim", `function handler(req) { return { got: JSON.parse(req.body) }; }`, {
    namespace: "team-b",
  });
  for (const [name, code] of poisons) {
    await step(name, async () => {
      const fn = `poison-${name.replaceAll(/\W/g, "-")}`;
      await platform.deploy(fn, `${code}\nfunction handler() { return { status: 200, body: "mine" }; }`, {
        timeout: 2,
      });
      const response = await platform.call(fn, { method: "POST", body: "{}" });
      // Whatever the attacker gets, it is an answer, and it is his own.
      assert.ok(response.status >= 200 && response.status < 600);
      assert.ok((await response.text()).length < 2_000);
      const victim = await platform.call("team-b/victim", { method: "POST", body: `{"a": 1}` });
      assert.deepEqual(await victim.json(), { got: { a: 1 } });
    });
  }
});
