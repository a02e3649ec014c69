/**
 * What a function answers cannot end the server, split an answer, or harm the requests beside it.
 *
 * @module
 */
import assert from "node:assert/strict";
import { platformTest, type TestPlatform } from "./support/platform.ts";

const ECHO = `
const slow = () => new Promise((resolve) => setTimeout(resolve, 400));
async function handler(req) {
  const { way, name = "x-echo", text = "" } = req.params;
  if (way === "slow") { await slow(); return { status: 200, body: "slow done" }; }
  if (way === "web") return new Response("x", { headers: { [name]: text } });
  if (way === "list") return { status: 200, headers: { [name]: ["a", text] }, body: "x" };
  if (way === "pairs") return { status: 200, headers: [[name, text]], body: "x" };
  if (way === "stream") {
    return new Response(new ReadableStream({ pull(controller) { controller.enqueue(new Uint8Array(100_000)); } }), { headers: { [name]: text } });
  }
  if (way === "many") return { status: 200, headers: { [name]: Array.from({ length: 24_000 - 1 }, (_, i) => String(i)) }, body: "x" };
  if (way === "large") return { status: 200, headers: { [name]: "x".repeat(300_000) }, body: "x" };
  return { status: 200, headers: { [name]: text }, body: "x" };
}`;

/** Every byte that came back for one request. */
async function rawCall({ url, anonKey }: TestPlatform, path: string): Promise<string> {
  const { hostname, port } = new URL(url);
  await using connection = await connect(hostname, Number(port));
  const head = `GET ${path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${anonKey}\r\nConnection: close\r\n\r\n`;
  await connection.write(new TextEncoder().encode(head));
  let text = "";
  const decoder = new TextDecoder("latin1");
  for await (const chunk of connection.readable) text += decoder.decode(chunk);
  return text;
}

async function connect(hostname: string, port: number) {
  const connection = await Deno.connect({ hostname, port });
  return Object.assign(connection, {
    [Symbol.asyncDispose]() {
      try {
        connection.close();
      } catch {
        // The server closed it, and reading to its end too.
      }
      return Promise.resolve();
    },
  });
}

const REFUSED_CHARACTERS = [0x00, 0x01, 0x08, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x1b, 0x1f, 0x7f, 0x100, 0x2019, 0xd800];

platformTest("a header that HTTP does not allow fails its own request alone", async (platform, step) => {
  const query = (facts: Record<string, string>) => `?${new URLSearchParams(facts)}`;
  await platform.deploy("echo", ECHO);
  await platform.deploy("victim", `function handler() { return "unharmed"; }`, { namespace: "team-b" });

  async function besideOthers(work: () => Promise<unknown>): Promise<void> {
    const neighbours = [1, 2].map(() => platform.call("echo/invoke?way=slow"));
    await work();
    for (const neighbour of neighbours) assert.equal(await (await neighbour).text(), "slow done");
    assert.equal(await (await platform.call("team-b/victim")).text(), `"unharmed"`);
  }
  async function fails(facts: Record<string, string>, says: RegExp): Promise<void> {
    const text = await rawCall(platform, `/api/v1/functions/echo/invoke${query(facts)}`);
    const [head = "", body = ""] = text.split("\r\n\r\n");
    assert.match(head, /^HTTP\/1\.1 500 /, text.slice(0, 300));
    assert.doesNotMatch(head, /evil/);
    const json = new TextDecoder().decode(Uint8Array.from(body, (character) => character.charCodeAt(0)));
    const { error, code, request_id: id } = JSON.parse(json.slice(json.indexOf("{"), json.lastIndexOf("}") + 1));
    assert.match(error, says);
    assert.equal(code, "FUNCTION_ERROR");
    const executions = await platform.executions("echo");
    const record = executions.find((one: { error_message: string | null }) => one.error_message === error);
    assert.ok(record !== undefined, `no execution says "${error}" (${id})`);
    assert.deepEqual([record.status, record.status_code, record.error_code], ["error", 500, "FUNCTION_ERROR"]);
  }

  for (const way of ["plain", "list", "pairs"]) {
    await step(`every refused character, ${way} answer`, async () => {
      // A lone half of a character cannot be sent: it arrives as the replacement character.
      const texts = REFUSED_CHARACTERS.map((code) => `a${String.fromCharCode(code)}evil: 1`);
      await besideOthers(() => Promise.all(texts.map((text) => fails({ way, text }, /header "x-echo"/))));
    });
  }
  await step("characters that the class Headers lets through", async () => {
    const texts = [0x01, 0x08, 0x0b, 0x0c, 0x0e, 0x1b, 0x1f, 0x7f].map((code) => `a${String.fromCharCode(code)}b`);
    await besideOthers(() =>
      Promise.all(["web", "stream"].flatMap((way) => texts.map((text) => fails({ way, text }, /header "x-echo"/))))
    );
  });
  await step("two header lines in one value", () => fails({ text: "b\nset-cookie\nevil=1" }, /"x-echo".*U\+000A/));
  await step("two header lines in one name", () => fails({ name: "x-a\n1\nset-cookie" }, /header "x-a\\n1/));
  await step("a name that is none", async () => {
    for (const name of ["X Bad", "x:", "", "ümlaut", "x\u0000y"]) await fails({ name, text: "1" }, /header "/);
  });
  await step("24,000 headers", () => fails({ way: "many", name: "x-m" }, /24000 headers: at most 256/));
  await step("300 kB in one header", () => fails({ way: "large", name: "x-l" }, /"x-l".*more than 65536 bytes/));
  await step("Latin-1 and tabs pass as they are", async () => {
    const text = await rawCall(platform, `/api/v1/functions/echo/invoke${query({ text: "Zo\u00eb\tx" })}`);
    assert.match(text, /\r\nx-echo: Zo\u00eb\tx\r\n/i);
  });
});

platformTest("a stored CORS header cannot hold what HTTP does not allow", async (platform) => {
  for (const name of ["cors_headers", "cors_methods", "cors_origins"]) {
    for (const value of ["x\u0001y", "x\ny", "a b", "x\u007f"]) {
      const code = `function handler() { return 1; }`;
      const answer = await platform.api("POST", "/functions", { name: "cors", code, [name]: [value] });
      assert.equal(answer.status, 400, `${name} ${JSON.stringify(value)}: ${JSON.stringify(answer.body)}`);
      assert.match(answer.body.error, new RegExp(name));
    }
  }
  const annotated = await platform.api("POST", "/functions", {
    name: "annotated",
    code: `// @fluxbase:cors-headers x-a\u0001b\nfunction handler() { return 1; }`,
  });
  const preflight = await fetch(`${platform.url}/api/v1/functions/annotated/invoke`, {
    method: "OPTIONS",
    headers: { origin: "https://a.example", "access-control-request-method": "GET" },
  });
  await preflight.body?.cancel();
  const allowed = preflight.headers.get("access-control-allow-headers") ?? "";
  assert.ok(!allowed.includes("\u0001"), `${annotated.status}`);
  assert.equal((await fetch(`${platform.url}/health`)).status, 200);
});

platformTest("a request that ends its process ends only itself", async (platform, step) => {
  await platform.deploy(
    "exits",
    `const later = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
     const load = (text) => import("data:text/javascript," + encodeURIComponent(text));
     const ways = {
       deno: () => Deno.exit(3),
       process: () => process.exit(1),
       reallyExit: () => process.reallyExit(1),
       abort: () => process.abort(),
       kill: () => process.kill(process.pid, "SIGTERM"),
       denoKill: () => Deno.kill(Deno.pid, "SIGKILL"),
       builtIn: () => process["getBuiltin" + "Module"]("node:process").exit(4),
       close: () => close(),
       selfClose: () => self.close(),
       data: async (use, imports) => (await load(\`import \${imports} from "node:\${"process"}"; export default () => \${use};\`)).default(),
       timer: () => { setTimeout(() => Deno.exit(5), 1); return later(10_000); },
       caught: () => { try { Deno.exit(6); } catch {} return "went on"; },
     };
     async function handler(req) {
       if (req.params.way === "slow") { await later(500); return { status: 200, body: "slow done" }; }
       if (req.params.way === "code") { process.exitCode = 3; return { status: 200, body: "set" }; }
       if (req.params.way === "pid") return { status: 200, body: String(Deno.pid) };
       const { way, use, imports } = req.params;
       return await ways[way](use, imports);
     }`,
  );
  const pid = async () => await (await platform.call("exits/invoke?way=pid")).text();
  const before = await pid();
  const ways = [
    ...[
      "deno",
      "process",
      "reallyExit",
      "abort",
      "kill",
      "denoKill",
      "close",
      "selfClose",
      "builtIn",
      "timer",
      "caught",
    ],
    // A module that is made at run time gets Node's module from Deno itself.
    ...["exit(8)", "abort()", "kill(pid, 'SIGKILL')", "reallyExit(9)"].map((use) =>
      `data&imports={${use.replace(/\(.*/, "")}, pid}&use=${use}`
    ),
    ...["exit(8)", "abort()", "reallyExit(9)"].map((use) => `data&imports=process&use=process.${use}`),
  ];
  for (const way of ways) {
    await step(way, async () => {
      const neighbours = [1, 2, 3].map(() => platform.call("exits/invoke?way=slow"));
      const response = await platform.call(`exits/invoke?way=${way}`);
      const body = await response.json();
      assert.equal(response.status, 500, JSON.stringify(body));
      assert.match(body.error, /^The function ended this request with ((Deno|process)\.\w+|close)\(/);
      for (const neighbour of neighbours) assert.equal(await (await neighbour).text(), "slow done");
    });
  }
  await step("the sandbox is the same as before", async () => {
    assert.equal(await (await platform.call("exits/invoke?way=code")).text(), "set");
    assert.equal(await pid(), before);
  });
  await step("at the top level it fails the load with a sentence", async () => {
    await platform.deploy("exits-early", `process.exit(1); function handler() { return 1; }`);
    const response = await platform.call("exits-early");
    const body = await response.json();
    assert.deepEqual([response.status, body.code], [500, "BUNDLE_FAILED"]);
    assert.match(body.error, /Cannot end the process with process\.exit\(1\)/);
  });
});

platformTest("whatever is thrown is told, with its causes", async (platform, step) => {
  await platform.deploy(
    "throws",
    `const hostile = (name) => Object.defineProperty(new Error("real reason"), name, { get() { throw new Error("no"); } });
     const circular = { name: "circ" }; circular.self = circular;
     const ways = {
       stack: () => { throw hostile("stack"); },
       message: () => { throw hostile("message"); },
       text: () => { throw "just a string"; },
       object: () => { throw { code: "E42" }; },
       circular: () => { throw circular; },
       nothing: () => { throw undefined; },
       empty: () => { throw new TypeError(); },
       symbol: () => { throw Symbol("s"); },
       proxy: () => { throw new Proxy({}, { get() { throw 1; }, getPrototypeOf() { throw 2; }, ownKeys() { throw 3; } }); },
       cause: () => { throw new Error("outer", { cause: new TypeError("inner") }); },
       several: () => { throw new AggregateError([new Error("first"), "second"], "several failed"); },
       large: () => { throw new Error("m".repeat(2_000_000)); },
       deep: () => { const f = () => f(); f(); },
     };
     function handler(req) { return ways[req.params.way]?.() ?? "fine"; }`,
  );
  const expected: Record<string, { says: RegExp; stack?: RegExp }> = {
    stack: { says: /real reason/ },
    message: { says: /cannot be shown/ },
    text: { says: /^just a string$/ },
    object: { says: /E42/ },
    circular: { says: /name, self/ },
    nothing: { says: /threw undefined/ },
    empty: { says: /^The function threw TypeError without a message$/ },
    symbol: { says: /threw Symbol\(s\)/ },
    proxy: { says: /cannot be shown/ },
    cause: { says: /^outer$/, stack: /outer[^]*\.ts:\d+[^]*Caused by: TypeError: inner/ },
    several: { says: /^several failed$/, stack: /\[errors 0\]: Error: first[^]*\[errors 1\]: second/ },
    large: { says: /^m{8192} … \(2000000 characters\)$/ },
    deep: { says: /call stack/i },
  };
  for (const [way, { says, stack }] of Object.entries(expected)) {
    await step(way, async () => {
      const response = await platform.call(`throws/invoke?way=${way}`);
      const body = await response.json();
      assert.equal(response.status, 500);
      assert.match(body.error, says);
      if (stack === undefined) return;
      const executions = await platform.executions("throws");
      const record = executions.find((one: { error_message: string }) => one.error_message === body.error);
      assert.match(record.error_stack, stack);
    });
  }
  assert.equal(await (await platform.call("throws")).text(), `"fine"`);
});

platformTest(
  "what a function asks or says in a way that HTTP does not know fails its own request alone",
  async (platform, step) => {
    await platform.deploy(
      "odd",
      `const later = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
     const ways = {
       method: () => fetch(Deno.env.get("FLUXBASE_URL") + "/health", { method: "foo-bar" }),
       longMethod: () => fetch(Deno.env.get("FLUXBASE_URL") + "/health", { method: "X".repeat(50) }),
       status: () => Object.defineProperty(new Response("x"), "status", { value: 99 }),
       text: () => Object.defineProperty(new Response("x"), "status", { value: "200" }),
       close: () => { close(); return "went on"; },
     };
     async function handler(req) {
       if (req.params.way === "slow") { await later(400); return { status: 200, body: "slow done" }; }
       await ways[req.params.way](); return await ways[req.params.way]();
     }`,
    );
    for (const way of ["method", "longMethod", "status", "text", "close"]) {
      await step(way, async () => {
        const neighbours = [1, 2].map(() => platform.call("odd/invoke?way=slow"));
        const response = await platform.call(`odd/invoke?way=${way}`);
        const body = await response.json();
        assert.deepEqual([response.status, body.code], [500, "FUNCTION_ERROR"], JSON.stringify(body));
        for (const neighbour of neighbours) assert.equal(await (await neighbour).text(), "slow done");
      });
    }
  },
);
