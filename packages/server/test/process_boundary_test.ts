/**
 * What a sandbox's process has and has not, looked at from outside and tried from inside.
 *
 * @module
 */
import assert from "node:assert/strict";
import { eventually, platformTest, type TestPlatform } from "./support/platform.ts";
import { childrenOf } from "./support/processes.ts";

const DENIED =
  /NotCapable|PermissionDenied|Permission denied|not permitted|EACCES|EPERM|Cannot use|Unsupported fd type|EROFS|ENOENT/;

/** Runs the body of an async function in a handler; what it throws is its answer. */
function attempt(body: string, top = ""): string {
  return `${top}
  const outcome = async (work) => { try { return String(await work()); } catch (error) { return error.name + ": " + error.message + " " + (error.code ?? ""); } };
  const builtIn = (name) => process["getBuiltin" + "Module"]("node:" + name);
  export default async (req) => new Response(await outcome(async () => { ${body} }));`;
}

function sandboxPids(): number[] {
  return childrenOf(Deno.pid).filter(({ command }) => command.includes("sandbox_runtime/sandbox")).map(({ pid }) =>
    pid
  );
}

/** What each descriptor of a process is, without its number. */
function descriptorsOf(pid: number): string[] {
  return [...Deno.readDirSync(`/proc/${pid}/fd`)].map(({ name }) => {
    try {
      return Deno.readLinkSync(`/proc/${pid}/fd/${name}`).replace(/:\[\d+\]$/, "");
    } catch {
      return "closed";
    }
  });
}

platformTest("a loaded sandbox holds nothing that is privileged", async (platform, step) => {
  await platform.deploy("pid", `export default () => Deno.pid`);
  await platform.deploy("writer", `export default () => Deno.pid`, { allow_read: true, allow_write: true });
  const pids = await Promise.all(
    ["pid", "writer"].map(async (name) => Number(await (await platform.call(name)).text())),
  );
  const statusOf = (pid: number) =>
    Object.fromEntries(
      Deno.readTextFileSync(`/proc/${pid}/status`).split("\n").map((line) => line.split(":\t") as [string, string]),
    );

  await step("its open files are sockets, pipes and what the event loop waits on", () => {
    for (const pid of [...pids, ...sandboxPids()]) {
      for (const what of descriptorsOf(pid)) {
        assert.match(
          what,
          /^(socket|pipe|anon_inode:\[(eventpoll|eventfd|timerfd)\]|\/dev\/null|closed)/,
          `${pid}: ${what}`,
        );
      }
    }
  });
  await step("it has no privilege, and cannot get one", () => {
    for (const pid of pids) {
      const status = statusOf(pid);
      assert.equal(status["CapEff"]?.trim(), "0000000000000000");
      assert.equal(status["NoNewPrivs"]?.trim(), "1");
      assert.equal(status["Seccomp"]?.trim(), "2");
      if (Deno.uid() !== 0) continue;
      assert.equal(status["Groups"]?.trim(), "");
      const uids = new Set([...status["Uid"]?.split("\t") ?? [], ...status["Gid"]?.split("\t") ?? []]);
      assert.equal(uids.size, 1);
      assert.ok(Number([...uids][0]) > 1_000);
    }
  });
  await step("every one of its threads has all of it", () => {
    for (const pid of pids) {
      for (const { name } of Deno.readDirSync(`/proc/${pid}/task`)) {
        const status = Deno.readTextFileSync(`/proc/${pid}/task/${name}/status`);
        assert.match(status, /NoNewPrivs:\t1/);
        assert.match(status, /Seccomp:\t2/);
      }
    }
  });
  await step("it may write no file unless it may write to its scratch folder", () => {
    const [plain = 0, writer = 0] = pids;
    const fileSize = (pid: number) => /Max file size\s+(\d+)/.exec(Deno.readTextFileSync(`/proc/${pid}/limits`))?.[1];
    assert.equal(fileSize(plain), "0");
    assert.notEqual(fileSize(writer), "0");
  });
  await step("the server says which fences stand", async () => {
    const { fences } = await (await fetch(`${platform.url}/health/ready`)).json();
    for (const fence of ["landlock", "seccomp", "no-new-privileges"]) assert.ok(fences.standing.includes(fence), fence);
  });
});

async function refusals(
  platform: TestPlatform,
  step: (name: string, work: () => Promise<void>) => Promise<boolean>,
  attacks: Readonly<Record<string, { body: string; top?: string; gets?: RegExp; fields?: Record<string, unknown> }>>,
) {
  await platform.deploy("victim", `export default () => "unharmed"`, { namespace: "team-b" });
  let count = 0;
  for (const [name, { body, top, gets = DENIED, fields }] of Object.entries(attacks)) {
    await step(name, async () => {
      const fn = `attack-${count++}`;
      await platform.deploy(fn, attempt(body, top), fields);
      const [attacked, victim] = await Promise.all([platform.call(fn), platform.call("team-b/victim")]);
      assert.match(await attacked.text(), gets);
      assert.equal(await victim.text(), `"unharmed"`);
    });
  }
}

const SCRATCH = { allow_read: true, allow_write: true };

/** Reads a file of the machine through a link that WASI makes in the scratch folder. */
const WASI_LINK = `const dir = Deno.env.get("TMPDIR");
  const wasi = new WASI({ version: "preview1", preopens: { "/": dir } });
  const memory = new WebAssembly.Memory({ initial: 1 });
  wasi.finalizeBindings({ exports: { memory } }, { memory });
  const put = (at, text) => new TextEncoder().encodeInto(text, new Uint8Array(memory.buffer, at));
  put(0, "/etc/hostname"); put(100, "L");
  const code = wasi.wasiImport.path_symlink(0, 13, 3, 100, 1);
  return code + " " + await Deno.readTextFile(dir + "/L");`;

platformTest("no number becomes an open file", async (platform, step) => {
  const write =
    `const { Pipe, constants } = process.binding("pipe_wrap"); const p = new Pipe(constants.SOCKET); p.open(9); return "opened";`;
  await refusals(platform, step, {
    "process.binding": { body: write },
    "process._linkedBinding": {
      body: `return process._linkedBinding("pipe_wrap");`,
      gets: /Cannot use|not a function/,
    },
    "net.Socket with a number": {
      body:
        `const { Socket } = builtIn("net"); for (let fd = 3; fd < 40; fd += 1) { const s = new Socket({ fd, writable: true }); s.write("X"); } return "written";`,
    },
    "net.Socket imported": {
      top: `import net from "node:net";`,
      body: `new net.Socket({ fd: 9 }); return "opened";`,
    },
    "net.createServer listening on a number": {
      body:
        `return await new Promise((ok, no) => builtIn("net").createServer().on("error", no).listen({ fd: 9 }, () => ok("listens")));`,
    },
    "tty": { body: `new (builtIn("tty").WriteStream)(9); return "opened";`, gets: /ERR|TTY|NotCapable|invalid/i },
    "fs.writeSync with a number": {
      body:
        `const done = []; for (let fd = 3; fd < 40; fd += 1) { try { done.push(builtIn("fs").writeSync(fd, "X")); } catch {} } return "wrote " + done.length;`,
      gets: /^wrote 0$/,
    },
    "fs.fstatSync with a number": {
      body:
        `const done = []; for (let fd = 3; fd < 40; fd += 1) { try { builtIn("fs").fstatSync(fd); done.push(fd); } catch {} } return "saw " + done.length;`,
      gets: /^saw 0$/,
    },
    "a write stream with a number": {
      body:
        `return await new Promise((ok, no) => { const s = builtIn("fs").createWriteStream(null, { fd: 9 }); s.on("error", no); s.write("X", (e) => e ? no(e) : ok("written")); });`,
      gets: /EBADF|EINVAL|Cannot use|NotCapable/,
    },
    "node:wasi": { body: `const { WASI } = builtIn("wasi"); ${WASI_LINK}`, fields: SCRATCH },
    "node:wasi imported": { body: `const { WASI } = await import("node:" + "wasi"); ${WASI_LINK}`, fields: SCRATCH },
    "node:wasi at the top": { top: `import { WASI } from "node:wasi";`, body: WASI_LINK, fields: SCRATCH },
    "node:wasi required": {
      body: `const { WASI } = builtIn("module").createRequire("file:///x.js")("node:wasi"); ${WASI_LINK}`,
      fields: SCRATCH,
    },
    "node:wasi of a data: module": {
      body:
        `const source = 'import { WASI } from "node:wasi"; export default WASI;'; const WASI = (await import("data:text/javascript," + encodeURIComponent(source))).default; ${WASI_LINK}`,
      fields: SCRATCH,
    },
    "the methods of node:wasi by their names": {
      body:
        `const { WASI } = builtIn("wasi"); const wasi = new WASI({ version: "preview1" }); return wasi.getImportObject() && "got";`,
    },
    "process.binding of a data: module": {
      body:
        `const source = 'import process, * as all from "node:process"; export default () => (all.binding ?? process.binding)("pipe_wrap");'; return (await import("data:text/javascript," + encodeURIComponent(source))).default();`,
    },
    "net.Socket of a data: module": {
      body:
        `const source = 'import net from "node:net"; export default () => new net.Socket({ fd: 9 });'; (await import("data:text/javascript," + encodeURIComponent(source))).default(); return "opened";`,
    },
  });
});

platformTest("the kernel keeps the machine's files from a function with a scratch folder", async (platform, step) => {
  await refusals(platform, step, {
    "a link by Deno": {
      fields: SCRATCH,
      body:
        `const dir = Deno.env.get("TMPDIR"); Deno.symlinkSync("/etc/hostname", dir + "/l"); return Deno.readTextFileSync(dir + "/l");`,
    },
    "a hard link": {
      fields: SCRATCH,
      body:
        `const dir = Deno.env.get("TMPDIR"); Deno.linkSync("/etc/hostname", dir + "/l"); return Deno.readTextFileSync(dir + "/l");`,
    },
    "a file of the database, which is open to all": {
      fields: SCRATCH,
      body: `return await Deno.readTextFile("/etc/passwd");`,
    },
  });
  await step(
    "what it may do, it can: write, read, list, remove in its own folder, now and from another thread",
    async () => {
      await platform.deploy(
        "scratch",
        attempt(`const dir = Deno.env.get("TMPDIR");
        Deno.mkdirSync(dir + "/a"); Deno.writeTextFileSync(dir + "/a/b", "sync"); await Deno.writeTextFile(dir + "/c", "async");
        await Deno.rename(dir + "/c", dir + "/a/c"); const seen = [await Deno.readTextFile(dir + "/a/b"), Deno.readTextFileSync(dir + "/a/c")];
        const names = [...Deno.readDirSync(dir + "/a")].map(({ name }) => name).sort(); await Deno.remove(dir + "/a", { recursive: true });
        return [...seen, ...names].join();`),
        SCRATCH,
      );
      assert.equal(await (await platform.call("scratch")).text(), "sync,async,b,c");
    },
  );
});

platformTest("a function without permissions writes nowhere", async (platform, step) => {
  await refusals(platform, step, {
    "at its socket's path": {
      body: `const dir = Deno.execPath(); return Deno.writeTextFileSync(dir, "x");`,
    },
    "into the folder it stands in": { body: `return Deno.writeTextFileSync("x", "x");` },
    "through /proc": { body: `return Deno.writeTextFileSync("/proc/self/fd/1", "x");` },
    "by node:fs": { body: `return builtIn("fs").writeFileSync("/tmp/fluxbase-x", "x");` },
    "a database of node:sqlite": { body: `new (builtIn("sqlite").DatabaseSync)("/tmp/fluxbase-x.db"); return "made";` },
    "a socket that listens": {
      body: `return Deno.listen({ port: 0 }).addr.port;`,
      gets: /NotCapable|not permitted|denied|PermissionDenied/,
    },
    "a socket with a name": {
      body: `return Deno.listen({ transport: "unix", path: "/tmp/fluxbase-s" }).addr.path;`,
    },
    "datagrams": {
      body: `return Deno.listenDatagram({ transport: "udp", port: 0 }).addr.port;`,
      gets: /not a function|NotCapable|not permitted|denied/,
    },
    "datagrams of Node": {
      body:
        `return await new Promise((ok, no) => { const s = builtIn("dgram").createSocket("udp4"); s.on("error", no); s.bind(0, () => ok("bound")); setTimeout(() => ok("EPERM: nothing was bound"), 500); });`,
      gets: /EPERM|NotCapable|not permitted|EACCES|denied/,
    },
  });
});

platformTest(
  "connections that are refused are told to the operator, a few for each function",
  async (platform, step) => {
    const own = Deno.networkInterfaces().find(({ family, address }) =>
      family === "IPv4" && !address.startsWith("127.")
    );
    const ways: Readonly<Record<string, string>> = {
      "fetch": `await fetch("http://10.0.0.1/")`,
      "Deno.connect": `await Deno.connect({ hostname: "10.0.0.1", port: 80 })`,
      "node:net": `await new Promise((ok, no) => builtIn("net").connect(80, "10.0.0.1", ok).on("error", no))`,
      "WebSocket":
        `await new Promise((ok, no) => { const s = new WebSocket("ws://10.0.0.1:80"); s.onopen = ok; s.onerror = no; })`,
      "a name": `await fetch("http://localhost:9999/")`,
      ...own === undefined ? {} : { "the machine's own address": `await fetch("http://${own.address}:9999/")` },
    };
    const linesOf = (fn: string) =>
      platform.logLines.filter((line) => line.includes("refused") && line.includes(`function=${fn} `));
    for (const [name, code] of Object.entries(ways)) {
      await step(name, async () => {
        const fn = `egress-${name.replaceAll(/\W/g, "-").toLowerCase()}`;
        await platform.deploy(fn, attempt(`${code}; return "connected";`), { allow_net: true });
        for (let count = 0; count < 12; count += 1) {
          assert.match(await (await platform.call(fn)).text(), /NotCapable|Requires net|fetch failed/);
        }
        await eventually(() => linesOf(fn).length > 0);
        assert.match(linesOf(fn)[0] ?? "", / address=(10\.0\.0\.1:80|\S+:9999)/);
        assert.ok(linesOf(fn).length <= 6, linesOf(fn).join("\n"));
      });
    }
  },
);
