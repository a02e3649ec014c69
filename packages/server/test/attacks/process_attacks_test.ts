/**
 * Attacks on the process: the machine's files, programs, descriptors and what is privileged.
 *
 * @module
 */
import assert from "node:assert/strict";
import { attackTest, DENIED, type FunctionAttack, SCRATCH } from "./corpus.ts";

const read = (path: string): FunctionAttack => ({
  name: `reading ${path}`,
  body: `return await Deno.readTextFile(${JSON.stringify(path)});`,
  gets: DENIED,
});

const MACHINE: readonly FunctionAttack[] = [
  read("/etc/passwd"),
  read("/proc/self/environ"),
  read("/proc/1/environ"),
  read("/tmp"),
  { name: "listing folders", body: `return [...Deno.readDirSync("/")].length;`, gets: DENIED },
  {
    name: "reading with a permission for scratch only",
    body: `return await Deno.readTextFile("/etc/passwd");`,
    gets: DENIED,
    fields: { allow_read: true, allow_write: true },
  },
  {
    name: "writing outside scratch, past what /tmp stands for",
    body: `return await Deno.writeTextFile("/tmp/../../../../../../../tmp/fluxbase-escape", "x");`,
    gets: DENIED,
    fields: { allow_write: true },
  },
  {
    name: "writing outside scratch",
    // Written so, it is not the /tmp that stands for the scratch folder.
    body: `return await Deno.writeTextFile(["", "tmp", "fluxbase-escape"].join("/"), "x");`,
    gets: DENIED,
    fields: { allow_write: true },
  },
  { name: "its own socket's folder", body: `return Deno.readDirSync(Deno.execPath());`, gets: DENIED },
  { name: "Deno.Command", body: `return await new Deno.Command("/bin/true").output();`, gets: DENIED },
  {
    name: "node:child_process at run time",
    body:
      `const cp = process["getBuiltin" + "Module"]("node:child_process") ?? await import(["node:", "child_process"].join("")); return cp.execSync("id");`,
    // It would have succeeded, had it run.
    gets: /Command failed|NotCapable/,
  },
  {
    name: "node:fs at run time",
    body: `const fs = await import(["node:", "fs"].join("")); return fs.readFileSync("/etc/passwd", "utf8");`,
    gets: DENIED,
  },
  {
    name: "Deno.dlopen",
    body: `return Deno.dlopen("libc.so.6", { getpid: { parameters: [], result: "i32" } });`,
    gets: DENIED,
  },
  {
    name: "permissions asked for again",
    body:
      `return [(await Deno.permissions.request({ name: "read" })).state, (await Deno.permissions.request({ name: "ffi" })).state, (await Deno.permissions.request({ name: "run" })).state].join();`,
    gets: /^denied,denied,denied$/,
  },
  {
    name: "npm: at run time",
    body: `return await import(["npm:", "zod"].join(""));`,
    gets: /^TypeError: Cannot import "npm:zod" while the function runs/,
  },
  {
    name: "https: at run time",
    body: `return await import(["https://", "example.com/x.js"].join(""));`,
    gets: /^TypeError: Cannot import "https:\/\/example.com\/x.js" while the function runs/,
  },
  {
    name: "file: at run time",
    body: `return await import(["file://", "/etc/passwd"].join(""));`,
    gets: /^TypeError: Cannot import "file:\/\/\/etc\/passwd" while the function runs/,
  },
  ...[
    '"npm:zod"',
    '"https://example.com/x.js"',
    '"file:///etc/passwd"',
    '"file:///etc/hostname" with { type: "text" }',
  ].map(
    (from): FunctionAttack => ({
      name: `import from ${from} in a data: module`,
      body: `return Object.keys(await import("data:text/javascript," + encodeURIComponent(${
        JSON.stringify(`import all from ${from}; export default all;`)
      })));`,
      gets: /only node:, data: and blob: modules can be/,
    }),
  ),
  {
    name: "text import of a file",
    body: `return (await import(["file://", "/etc/hostname"].join(""), { with: { type: "text" } })).default;`,
    gets: /Requires read access|NotCapable|unprepared|denied|TypeError/i,
  },
  { name: "Deno[Deno.internal]", body: `return typeof Deno[Deno.internal];`, gets: /undefined/ },
  {
    name: "what is shared between processes, or a driver of the machine",
    body:
      `const names = ["localStorage", "sessionStorage", "Storage", "Cache", "CacheStorage", "Worker", "GPU", "GPUDevice", "OffscreenCanvas"];
        return [...names.filter((name) => name in globalThis), typeof navigator.gpu, Object.prototype.toString.call(caches)].join();`,
    gets: /^undefined,\[object Object\]$/,
  },
  {
    name: "a worker of node:worker_threads, by every way to its class",
    body: `const direct = await import(["node:", "worker_threads"].join(""));
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
    body: `return JSON.stringify([Deno.args, process.argv.slice(2), process.execArgv]);`,
    gets: /^\[\[\],\[\],\[\]\]$/,
  },
  {
    name: "flags of V8",
    body:
      `const v8 = await import(["node:", "v8"].join("")); v8.setFlagsFromString("--allow-natives-syntax"); return eval("%GetOptimizationStatus(() => 1)");`,
    gets: /SyntaxError/,
  },
  {
    name: "Deno.openKv",
    body: `return typeof Deno.openKv === "function" ? await Deno.openKv("/tmp/kv") : "no kv: NotCapable";`,
    gets: DENIED,
  },
  {
    name: "node:sqlite",
    body:
      `const { DatabaseSync } = await import(["node:", "sqlite"].join("")); return new DatabaseSync("/tmp/fluxbase-x.db");`,
    gets: DENIED,
  },
  { name: "signals to others", body: `return Deno.kill(Deno.ppid, "SIGKILL");`, gets: DENIED },
  { name: "system information", body: `return Deno.hostname();`, gets: DENIED },
  {
    name: "listening",
    body: `const tries = [() => Deno.listen({ port: 0 }), () => Deno.listen({ hostname: "127.0.0.1", port: 0 }),
        () => Deno.listen({ transport: "unix", path: "\\0fluxbase-abstract" }), () => Deno.listen({ transport: "unix", path: "/tmp/fluxbase-listen" })];
        return tries.map((listen) => { try { listen(); return "listens"; } catch { return "refused"; } }).join();`,
    gets: /^refused,refused,refused,refused$/,
  },
  {
    name: "connecting to an abstract socket",
    body: `return await Deno.connect({ transport: "unix", path: "\\0fluxbase-abstract" });`,
    gets: /Address family not supported/,
  },
  {
    name: "the environment of the server",
    body: `return JSON.stringify(Deno.env.toObject());`,
    // The database is there with a role of its own, never as the server has it.
    gets: /^(?!.*((?<!SUPABASE_)SECRET|PASSWORD|postgres:\/\/(?!fluxbase_ns_\d+_default@))).*FLUXBASE_FUNCTION_NAME/,
  },
  {
    name: "the inspector",
    body:
      `const inspector = await import(["node:", "inspector"].join("")); return inspector.open(9229) ?? inspector.url();`,
    gets: DENIED,
  },
];

/** Reads a file of the machine through a link that WASI makes in the scratch folder. */
const WASI_LINK = `const dir = Deno.env.get("TMPDIR");
  const wasi = new WASI({ version: "preview1", preopens: { "/": dir } });
  const memory = new WebAssembly.Memory({ initial: 1 });
  wasi.finalizeBindings({ exports: { memory } }, { memory });
  const put = (at, text) => new TextEncoder().encodeInto(text, new Uint8Array(memory.buffer, at));
  put(0, "/etc/hostname"); put(100, "L");
  const code = wasi.wasiImport.path_symlink(0, 13, 3, 100, 1);
  return code + " " + await Deno.readTextFile(dir + "/L");`;

/** Ways to a module that do not go through `import` of the function itself; each is an expression. */
const WAYS_TO_WASI: Readonly<Record<string, string>> = {
  "an export of node:process": `(await import(["node", "process"].join(":"))).getBuiltinModule("node:wasi")`,
  "an export of node:module": `(await import("node:module")).getBuiltinModule("wasi")`,
  "the loader of node:module": `builtIn("module")._load("wasi")`,
  "a module of node:module": `new (builtIn("module"))("x").require("node:wasi")`,
  "a hook of node:module":
    `(builtIn("module").registerHooks({ resolve: () => ({ url: "node:wasi", format: "builtin", shortCircuit: true }) }), builtIn("module").createRequire("file:///x.js")("anything"))`,
  "an imported hook of node:module":
    `((await import("node:module")).registerHooks({ resolve: () => ({ url: "node:wasi", format: "builtin", shortCircuit: true }) }), builtIn("module").createRequire("file:///x.js")("anything"))`,
  "Deno's loader by node:vm":
    `await builtIn("vm").runInThisContext("import('node:wasi')", { importModuleDynamically: builtIn("vm").constants.USE_MAIN_CONTEXT_DEFAULT_LOADER })`,
  "a function made of text": `await Function("return import('node:wasi')")()`,
  "changed built-ins": `await (async () => {
    const { exec } = RegExp.prototype, { get } = Map.prototype;
    RegExp.prototype.exec = () => null; Map.prototype.get = () => undefined;
    try { return await import("node:wasi"); } finally { RegExp.prototype.exec = exec; Map.prototype.get = get; }
  })()`,
};
const WAYS_TO_WORKERS: Readonly<Record<string, string>> = {
  "require": `builtIn("module").createRequire("file:///x.js")("worker_threads")`,
  "the loader of node:vm":
    `await builtIn("vm").runInThisContext("import('node:worker_threads')", { importModuleDynamically: builtIn("vm").constants.USE_MAIN_CONTEXT_DEFAULT_LOADER })`,
};

const NUMBERS: readonly FunctionAttack[] = [
  ...Object.entries(WAYS_TO_WASI).map(([name, way]): FunctionAttack => ({
    name: `node:wasi by ${name}`,
    gets: DENIED,
    body: `const { WASI } = ${way}; ${WASI_LINK}`,
    fields: SCRATCH,
  })),
  ...Object.entries(WAYS_TO_WORKERS).map(([name, way]): FunctionAttack => ({
    name: `a worker by ${name}`,
    gets: /Cannot start a worker/,
    body: `const { Worker } = ${way}; new Worker("1", { eval: true }); return "started";`,
  })),
  {
    name: "process.binding",
    gets: DENIED,
    body:
      `const { Pipe, constants } = process.binding("pipe_wrap"); const p = new Pipe(constants.SOCKET); p.open(9); return "opened";`,
  },
  {
    name: "process._linkedBinding",
    body: `return process._linkedBinding("pipe_wrap");`,
    gets: /Cannot use|not a function/,
  },
  ...["internal/test/binding", "internal/child_process", "internal/dgram"].flatMap((name): FunctionAttack[] => [
    {
      name: `${name} required`,
      body: `return Object.keys(builtIn("module").createRequire("file:///x.js")("${name}"));`,
      gets: /Cannot use an internal module/,
    },
    {
      name: `${name} of a module that is compiled`,
      body:
        `const { Module } = builtIn("module"); const one = Object.assign(new Module("x"), { filename: "/x.js", paths: [] });
        one._compile("module.exports = Object.keys(require('${name}'))", "/x.js"); return one.exports;`,
      gets: /Cannot use an internal module/,
    },
  ]),
  {
    name: "built-in modules that need internal ones themselves",
    body: `const require = builtIn("module").createRequire("file:///x.js");
      return ["http2", "tls", "child_process", "node:net", "vm", "readline"].map((name) => typeof require(name)).join();`,
    gets: /^object,object,object,object,object,object$/,
  },
  {
    name: "tty.ReadStream with every number",
    body:
      `const made = []; for (let fd = 3; fd < 40; fd += 1) { try { new (builtIn("tty").ReadStream)(fd); made.push(fd); } catch {} } return "made " + made.length;`,
    gets: /^made 0$/,
  },
  {
    name: "a socket of datagrams with every number",
    body:
      `const made = []; for (let fd = 3; fd < 40; fd += 1) { const s = builtIn("dgram").createSocket("udp4"); s.on("error", () => {}); s.on("listening", () => made.push(fd)); try { s.bind({ fd }); } catch {} }
      await new Promise((resolve) => setTimeout(resolve, 50)); return "made " + made.length;`,
    gets: /^made 0$/,
  },
  {
    name: "other files by node:sqlite",
    body: `const { DatabaseSync } = builtIn("sqlite"); const db = new DatabaseSync(":memory:");
      return ["attach '/etc/hostname' as other", "vacuum into '/tmp/fluxbase-x.db'", "select load_extension('libc.so.6')"].map((text) => { try { db.exec(text); return "done"; } catch (error) { return error.message; } }).join(" | ");`,
    gets: /^too many attached databases[^|]* \| too many attached databases[^|]* \| not authorized$/,
  },
  {
    name: "who runs it, and what its machine looks like, by Node",
    body:
      `const os = builtIn("os"); const said = [os.userInfo().username, os.userInfo().uid, Object.keys(os.networkInterfaces()).length, os.hostname(), os.release(), os.cpus()[0].model].join(); const tries = [() => os.setPriority(1, 5), () => process.setuid(0), () => process.chdir("/"), () => process.loadEnvFile("/etc/hostname"), () => builtIn("dns").getServers(), () => process.dlopen({ exports: {} }, "/lib/x86_64-linux-gnu/libc.so.6")];
      return said + " " + [...new Set(tries.map((one) => { try { return String(one()); } catch (error) { return error.name; } }))].join();`,
    gets: /^function,65534,0,function,0\.0\.0, NotCapable$/,
  },
  {
    name: "objects of the harness on the stack",
    body:
      `const sites = []; const before = Error.prepareStackTrace; Error.prepareStackTrace = (_, all) => { sites.push(...all); return ""; };
      try { new Error("x").stack; } finally { Error.prepareStackTrace = before; }
      return sites.length > 3 ? [...new Set(sites.flatMap((site) => [typeof site.getThis(), typeof site.getFunction()]))].join() : "no stack";`,
    gets: /^undefined$/,
  },
  {
    name: "net.Socket with a number",
    gets: DENIED,
    body:
      `const { Socket } = builtIn("net"); for (let fd = 3; fd < 40; fd += 1) { const s = new Socket({ fd, writable: true }); s.write("X"); } return "written";`,
  },
  {
    name: "net.Socket imported",
    gets: DENIED,
    top: `import net from "node:net";`,
    body: `new net.Socket({ fd: 9 }); return "opened";`,
  },
  {
    name: "net.createServer listening on a number",
    gets: DENIED,
    body:
      `return await new Promise((ok, no) => builtIn("net").createServer().on("error", no).listen({ fd: 9 }, () => ok("listens")));`,
  },
  { name: "tty", body: `new (builtIn("tty").WriteStream)(9); return "opened";`, gets: /ERR|TTY|NotCapable|invalid/i },
  {
    name: "fs.writeSync with a number",
    body:
      `const done = []; for (let fd = 3; fd < 40; fd += 1) { try { done.push(builtIn("fs").writeSync(fd, "X")); } catch {} } return "wrote " + done.length;`,
    gets: /^wrote 0$/,
  },
  {
    name: "fs.fstatSync with a number",
    body:
      `const done = []; for (let fd = 3; fd < 40; fd += 1) { try { builtIn("fs").fstatSync(fd); done.push(fd); } catch {} } return "saw " + done.length;`,
    gets: /^saw 0$/,
  },
  {
    name: "a write stream with a number",
    body:
      `return await new Promise((ok, no) => { const s = builtIn("fs").createWriteStream(null, { fd: 9 }); s.on("error", no); s.write("X", (e) => e ? no(e) : ok("written")); });`,
    gets: /EBADF|EINVAL|Cannot use|NotCapable/,
  },
  { name: "node:wasi", gets: DENIED, body: `const { WASI } = builtIn("wasi"); ${WASI_LINK}`, fields: SCRATCH },
  {
    name: "node:wasi imported",
    gets: DENIED,
    body: `const { WASI } = await import("node:" + "wasi"); ${WASI_LINK}`,
    fields: SCRATCH,
  },
  {
    name: "node:wasi at the top",
    gets: DENIED,
    top: `import { WASI } from "node:wasi";`,
    body: WASI_LINK,
    fields: SCRATCH,
  },
  {
    name: "node:wasi required",
    gets: DENIED,
    body: `const { WASI } = builtIn("module").createRequire("file:///x.js")("node:wasi"); ${WASI_LINK}`,
    fields: SCRATCH,
  },
  {
    name: "node:wasi of a data: module",
    gets: DENIED,
    body:
      `const source = 'import { WASI } from "node:wasi"; export default WASI;'; const WASI = (await import("data:text/javascript," + encodeURIComponent(source))).default; ${WASI_LINK}`,
    fields: SCRATCH,
  },
  {
    name: "the methods of node:wasi by their names",
    gets: DENIED,
    body:
      `const { WASI } = builtIn("wasi"); const wasi = new WASI({ version: "preview1" }); return wasi.getImportObject() && "got";`,
  },
  {
    name: "process.binding of a data: module",
    gets: DENIED,
    body:
      `const source = 'import process, * as all from "node:process"; export default () => (all.binding ?? process.binding)("pipe_wrap");'; return (await import("data:text/javascript," + encodeURIComponent(source))).default();`,
  },
  {
    name: "net.Socket of a data: module",
    gets: DENIED,
    body:
      `const source = 'import net from "node:net"; export default () => new net.Socket({ fd: 9 });'; (await import("data:text/javascript," + encodeURIComponent(source))).default(); return "opened";`,
  },
];

/** By a function that may write nowhere. */
const WRITES: readonly FunctionAttack[] = [
  {
    name: "at its socket's path",
    gets: DENIED,
    body: `const dir = Deno.execPath(); return Deno.writeTextFileSync(dir, "x");`,
  },
  { name: "into the folder it stands in", gets: DENIED, body: `return Deno.writeTextFileSync("x", "x");` },
  { name: "through /proc", gets: DENIED, body: `return Deno.writeTextFileSync("/proc/self/fd/1", "x");` },
  { name: "by node:fs", gets: DENIED, body: `return builtIn("fs").writeFileSync("/tmp/fluxbase-x", "x");` },
  {
    name: "a database of node:sqlite",
    gets: DENIED,
    body: `new (builtIn("sqlite").DatabaseSync)("/tmp/fluxbase-x.db"); return "made";`,
  },
  {
    name: "a socket that listens",
    body: `return Deno.listen({ port: 0 }).addr.port;`,
    gets: DENIED,
  },
  {
    name: "a server of node:http that is sent past our listen",
    body: `Deno.env.set("DENO_SERVE_ADDRESS", "tcp:127.0.0.1:0"); const http = process.getBuiltinModule("http");
      const server = http.createServer(() => {}); const tried = new Promise((resolve, reject) => { server.on("error", reject); server.listen(0, () => resolve(server)); });
      await tried; return JSON.stringify(server.address());`,
    gets: DENIED,
  },
  {
    name: "a socket with a name",
    gets: DENIED,
    body: `return Deno.listen({ transport: "unix", path: "/tmp/fluxbase-s" }).addr.path;`,
  },
  {
    name: "datagrams",
    body: `return Deno.listenDatagram({ transport: "udp", port: 0 }).addr.port;`,
    gets: /not a function|NotCapable|not permitted|denied/,
  },
  {
    name: "datagrams of Node",
    body:
      `return await new Promise((ok, no) => { const s = builtIn("dgram").createSocket("udp4"); s.on("error", no); s.bind(0, () => ok("bound")); setTimeout(() => ok("EPERM: nothing was bound"), 500); });`,
    gets: /EPERM|NotCapable|not permitted|EACCES|denied/,
  },
];

attackTest("process", () => [
  ...MACHINE,
  ...NUMBERS,
  ...WRITES,
  {
    name: "nothing was written",
    gets: /^nothing$/,
    run() {
      for (const path of ["/tmp/fluxbase-escape", "/tmp/fluxbase-x.db", "/tmp/fluxbase-x", "/tmp/fluxbase-s"]) {
        assert.throws(() => Deno.statSync(path), Deno.errors.NotFound);
      }
      return Promise.resolve("nothing");
    },
  },
]);
