/**
 * What a sandbox's process has and has not, looked at from outside and tried from inside.
 *
 * @module
 */
import assert from "node:assert/strict";
import { eventually, platformTest } from "./support/platform.ts";
import { sandboxesOf, zygotesOf } from "./support/processes.ts";

/** Runs the body of an async function in a handler; what it throws is its answer. */
function attempt(body: string, top = ""): string {
  return `${top}
  const outcome = async (work) => { try { return String(await work()); } catch (error) { return error.name + ": " + error.message + " " + (error.code ?? ""); } };
  const builtIn = (name) => process["getBuiltin" + "Module"]("node:" + name);
  export default async (req) => new Response(await outcome(async () => { ${body} }));`;
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

platformTest(
  "copies of one process share nothing that one of them could use against another",
  async (platform, step) => {
    const draw =
      `const first = [Math.random(), crypto.randomUUID(), String(crypto.getRandomValues(new Uint32Array(4)))];
    const { randomBytes } = await import("node:crypto");
    first.push(randomBytes(8).toString("hex"));
    const form = new FormData();
    form.append("a", "b");
    first.push(new Response(form).headers.get("content-type"));
    export default () => ({ status: 200, body: { pid: Deno.pid, first } });`;
    const names = Array.from({ length: 12 }, (_, index) => `draws-${index}`);
    await Promise.all(names.map((name) => platform.deploy(name, draw)));
    const answers = await Promise.all(names.map(async (name) => (await platform.call(name)).json()));

    await step("random numbers", () => {
      const drawn = answers.flatMap(({ first }) => first);
      assert.equal(new Set(drawn).size, 5 * names.length);
      for (const { first } of answers) assert.ok(first[0] >= 0 && first[0] < 1);
    });
    await step("a collection of garbage cannot be asked for: it writes files", async () => {
      await platform.deploy("collects", `export default () => ({ status: 200, body: typeof globalThis.gc });`);
      assert.equal(await (await platform.call("collects")).text(), "undefined");
    });
    await step("memory: each shares one page with the process it is a copy of, and none with the others", () => {
      if (Deno.uid() !== 0) return;
      for (const { pid } of answers) {
        const shared = Deno.readTextFileSync(`/proc/${pid}/maps`).split("\n").filter((line) => /^\S+ rw-s/.test(line));
        assert.equal(shared.length, 1, shared.join("\n"));
        const [start = 0, end = 0] = shared[0]?.split(" ")[0]?.split("-").map((text) => parseInt(text, 16)) ?? [];
        assert.equal(end - start, 4_096);
      }
    });
    await step("the process they are copies of can do nothing but make them and end them", () => {
      const zygotes = zygotesOf(Deno.pid);
      assert.ok(zygotes.length > 0);
      for (const pid of zygotes) {
        const status = Deno.readTextFileSync(`/proc/${pid}/status`);
        assert.match(status, Deno.uid() === 0 ? /CapEff:\t00000000000000e0/ : /CapEff:\t0000000000000000/);
        assert.match(status, /NoNewPrivs:\t1/);
      }
    });
    await step("a signal to the number that Node has for the process ends the request, and nothing else", async () => {
      await platform.deploy("signals", `export default () => process.kill(process.pid, "SIGKILL");`);
      assert.equal((await platform.call("signals")).status, 500);
      for (const [index, name] of names.entries()) {
        const { pid } = await (await platform.call(name)).json();
        assert.equal(pid, answers[index].pid);
      }
    });
  },
);

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
    // Another user of the machine, or its own without root, may not even look.
    if (Deno.uid() !== 0) return assert.throws(() => descriptorsOf(pids[0] ?? 0), Deno.errors.PermissionDenied);
    for (const pid of [...pids, ...sandboxesOf(Deno.pid)]) {
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

platformTest("what a function may do in its scratch folder, it can, now and from another thread", async (platform) => {
  await platform.deploy(
    "scratch",
    attempt(`const dir = Deno.env.get("TMPDIR");
        Deno.mkdirSync(dir + "/a"); Deno.writeTextFileSync(dir + "/a/b", "sync"); await Deno.writeTextFile(dir + "/c", "async");
        await Deno.rename(dir + "/c", dir + "/a/c"); const seen = [await Deno.readTextFile(dir + "/a/b"), Deno.readTextFileSync(dir + "/a/c")];
        const names = [...Deno.readDirSync(dir + "/a")].map(({ name }) => name).sort(); await Deno.remove(dir + "/a", { recursive: true });
        return [...seen, ...names].join();`),
    { allow_read: true, allow_write: true },
  );
  assert.equal(await (await platform.call("scratch")).text(), "sync,async,b,c");
});

platformTest("modules of data: and blob: URLs are JavaScript and JSON", async (platform) => {
  await platform.deploy(
    "modules",
    attempt(`const load = async (text, type) => (await import(URL.createObjectURL(new Blob([text], { type })))).default;
      const { readFileSync, ...path } = await import("data:text/javascript," + encodeURIComponent('export { sep } from "node:path"; export default import.meta.url.slice(0, 5);'));
      const refused = await load("const a: number = 1;", "application/typescript").catch((error) => error.message);
      return [path.sep, path.default, await load("export default await Promise.resolve(7)", "text/javascript"),
        (await load('{ "a": 8 }', "application/json")).a, refused].join("|");`),
  );
  const answer = await (await platform.call("modules")).text();
  assert.match(answer, /^\/\|data:\|7\|8\|Cannot import a module of type "application\/typescript"/);
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
