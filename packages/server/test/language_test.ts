/**
 * The language service of editors, as an editor uses it: over a WebSocket, with a real language server behind it.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { LanguageAnswer, LanguageAsk, LanguageReply } from "@fluxbase/contract";
import { createClient } from "@fluxbase/sdk";
import { eventually, platformTest, type TestPlatform } from "./support/platform.ts";

type Said<Type extends LanguageReply["type"]> = Extract<LanguageReply, { type: Type }>;

interface Editor {
  readonly said: LanguageReply[];
  readonly socket: WebSocket;
  files(files: Readonly<Record<string, string | null>>, entry?: string): void;
  ask<What extends LanguageAsk["what"]>(ask: LanguageAsk & { what: What }): Promise<LanguageAnswer[What]>;
  /** Why the session ended. */
  readonly ended: Promise<Said<"ended">>;
  readonly closed: Promise<void>;
}

function edit(platform: TestPlatform, { key = platform.serviceKey, path = "/api/v1/admin/language" } = {}): Editor {
  const url = platform.url.replace("http", "ws") + path;
  const socket = new WebSocket(url, ["fluxbase.language", `fluxbase.bearer.${key}`]);
  const opened = Promise.withResolvers<void>();
  const closed = Promise.withResolvers<void>();
  const ended = Promise.withResolvers<Said<"ended">>();
  const said: LanguageReply[] = [];
  let nextId = 1;
  socket.onopen = () => opened.resolve();
  socket.onerror = () => opened.reject(new Error("refused"));
  opened.promise.catch(() => {});
  socket.onclose = () => closed.resolve();
  socket.onmessage = ({ data }) => {
    const reply: LanguageReply = JSON.parse(data);
    said.push(reply);
    if (reply.type === "ended") ended.resolve(reply);
  };
  const send = (message: object) => void opened.promise.then(() => socket.send(JSON.stringify(message)), () => {});
  return {
    said,
    socket,
    files: (files, entry = "index.ts") => send({ type: "files", entry, files }),
    async ask<What extends LanguageAsk["what"]>(ask: LanguageAsk & { what: What }) {
      const id = nextId++;
      send({ type: "ask", id, ...ask });
      const answered = () => said.find((one) => (one.type === "answer" || one.type === "failed") && one.id === id);
      await eventually(() => answered() !== undefined || said.some(({ type }) => type === "ended"));
      const reply = answered();
      if (reply?.type === "answer") return reply.result as LanguageAnswer[What];
      throw new Error(reply?.type === "failed" ? reply.message : JSON.stringify(said.at(-1)));
    },
    ended: ended.promise,
    closed: closed.promise,
  };
}

const SOURCE = `import { corsHeaders } from "_shared/cors.ts";
import { createClient } from "@fluxbase/sdk";
import { twice } from "./lib/twice.ts";
async function handler(req) {
  const wrong: number = corsHeaders("x");
  const key = secrets.get("KEY");
  const client = createClient("http://localhost", key ?? "");
  console.log(client.func, req.user_id.length, twice("2"), Fluxbase.getExecutionContext().version);
  return { status: 200, wrong };
}
`;
const LIB = "export function twice(n: number): number { return 2 * n; }\n";

function placeBehind(needle: string, source = SOURCE): { line: number; character: number } {
  const before = source.slice(0, source.indexOf(needle) + needle.length).split("\n");
  return { line: before.length - 1, character: before.at(-1)?.length ?? 0 };
}

/** Processes below the server's that are language servers. */
async function languageServers(): Promise<number[]> {
  const found: number[] = [];
  for await (const { name } of Deno.readDir("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const line = await Deno.readTextFile(`/proc/${name}/cmdline`).catch(() => "");
    const status = await Deno.readTextFile(`/proc/${name}/status`).catch(() => "");
    if (line.endsWith("\0lsp\0") && status.includes(`\nPPid:\t${Deno.pid}\n`)) found.push(Number(name));
  }
  return found;
}

platformTest("the language service", async (platform, step) => {
  const made = await platform.api("POST", "/functions/shared", {
    module_path: "_shared/cors.ts",
    content: "export function corsHeaders(origin: string): Record<string, string> { return { origin }; }\n",
  });
  assert.equal(made.status, 201);
  const editor = edit(platform);
  // However slow the machine is, somebody types.
  const typing = setInterval(() => editor.files({ "typed.ts": "" }), 500);

  await step("says what is wrong, with the types that functions have here", async () => {
    editor.files({ "index.ts": SOURCE, "lib/twice.ts": LIB });
    const problems = await editor.ask({ what: "problems", path: "index.ts" });
    const found = problems.filter(({ severity }) => severity === "error").map((
      { message, from },
    ) => [from.line, message]);
    assert.deepEqual(found, [
      [4, "Type 'Record<string, string>' is not assignable to type 'number'."],
      [7, "Property 'func' does not exist on type 'FluxbaseClient<ClientTypes>'."],
      [7, "'req.user_id' is possibly 'undefined'."],
      [7, "Argument of type 'string' is not assignable to parameter of type 'number'."],
    ]);
    assert.deepEqual(editor.said[0], { type: "ready" });
  });

  await step("completes, explains and formats", async () => {
    const labels = async (needle: string) => {
      const { items } = await editor.ask({ what: "completions", path: "index.ts", place: placeBehind(needle) });
      return items.map(({ label }) => label);
    };
    assert.deepEqual(await labels("secrets.get"), ["get", "getRequired", "getSystem", "getUser"]);
    assert.deepEqual((await labels("req.user_")).slice(0, 2), ["user_claims", "user_email"]);
    const details = await editor.ask({ what: "details", index: 0 });
    assert.match(details?.markdown ?? "", /user_/);
    const hover = await editor.ask({ what: "hover", path: "index.ts", place: placeBehind("= corsHead") });
    assert.match(hover?.markdown ?? "", /corsHeaders\(origin: string\): Record<string, string>/);
    const signatures = await editor.ask({ what: "signatures", path: "index.ts", place: placeBehind('twice("2') });
    assert.equal(signatures?.signatures[0]?.label, "twice(n: number): number");
    editor.files({ "index.ts": "export default (req) => {return   1}" });
    assert.equal(
      await editor.ask({ what: "format", path: "index.ts" }),
      "export default (req) => {\n  return 1;\n};\n",
    );
    editor.files({ "index.ts": "export default () => 1;\n" });
    assert.deepEqual(await editor.ask({ what: "problems", path: "index.ts" }), []);
  });

  await step("fetches packages that the source names as a build does, and knows their types then", async () => {
    const source = `import { z } from "npm:zod@3.25.76";\nexport default () => z.string().nonsense();\n`;
    editor.files({ "index.ts": source });
    await editor.ask({ what: "problems", path: "index.ts" });
    await eventually(() => editor.said.some((one) => one.type === "packages" && one.state === "fetched"));
    const [problem] = await editor.ask({ what: "problems", path: "index.ts" });
    assert.equal(problem?.message, "Property 'nonsense' does not exist on type 'ZodString'.");
  });

  await step("has the server's rights in nothing", async () => {
    const [pid, ...others] = await languageServers();
    assert.ok(pid !== undefined && others.length === 0);
    const status = await Deno.readTextFile(`/proc/${pid}/status`);
    assert.match(status, /^NoNewPrivs:\t1$/m);
    assert.match(status, /^Seccomp:\t2$/m);
    if (Deno.uid() === 0) assert.doesNotMatch(status, /^Uid:\t0\t/m);
    const limits = await Deno.readTextFile(`/proc/${pid}/limits`);
    assert.match(limits, /^Max data size +\d+ /m);
    // A file of the machine is no module, wherever the source says that it is.
    editor.files({
      "index.ts": `import "/etc/passwd"; import x from "../../../../../etc/hostname.json"; export default x;`,
    });
    const problems = await editor.ask({ what: "problems", path: "index.ts" });
    assert.equal(problems.filter(({ severity }) => severity === "error").length >= 2, true);
  });

  await step("lets in who may write functions, and nobody else", async () => {
    const refusals: readonly (readonly [key: string, path: string])[] = [
      [platform.anonKey, "/api/v1/admin/language"],
      ["fbk_wrong", "/api/v1/admin/language"],
      [await platform.mintKey(["functions:read"]), "/api/v1/admin/language"],
      [await platform.mintKey(["functions:write"]), "/api/v1/admin/language"],
      [await platform.mintKey(["functions:*"], ["theirs"]), "/api/v1/admin/language?namespace=default"],
    ];
    for (const [key, path] of refusals) {
      const refused = edit(platform, { key, path });
      await refused.closed;
      assert.deepEqual(refused.said, []);
    }
    const plain = await platform.api("GET", "/admin/language");
    assert.equal(plain.status, 400);
    assert.match(plain.body.message ?? plain.body.error, /headers of a WebSocket/);
  });

  await step("ends who sends what is no message, and nobody beside", async () => {
    const hostile: readonly string[] = [
      "no JSON",
      "null",
      `{"type":"files","entry":"../x.ts","files":{}}`,
      `{"type":"files","entry":"x.ts","files":{"/etc/passwd":"x"}}`,
      `{"type":"files","entry":"a/../../x.ts","files":{}}`,
      `{"type":"ask","id":1,"what":"hover","path":"x.ts","place":{"line":-1,"character":0}}`,
      `{"jsonrpc":"2.0","id":1,"method":"workspace/executeCommand","params":{"command":"deno.cache"}}`,
      JSON.stringify({ type: "files", entry: "x.ts", files: { "x.ts": "x".repeat(6_000_000) } }),
    ];
    for (const message of hostile) {
      const other = edit(platform);
      other.socket.addEventListener("open", () => other.socket.send(message));
      const { reason } = await other.ended;
      assert.equal(reason, "message", message.slice(0, 80));
      await other.closed;
    }
    const bytes = edit(platform);
    bytes.socket.addEventListener("open", () => bytes.socket.send(new Uint8Array(10)));
    assert.equal((await bytes.ended).reason, "message");
    editor.files({ "index.ts": "export default () => 1;\n" });
    assert.deepEqual(await editor.ask({ what: "problems", path: "index.ts" }), []);
  });

  await step("has room for two: a third is told so", async () => {
    const second = edit(platform);
    second.files({ "index.ts": "export default () => missing;\n" });
    assert.match(
      (await second.ask({ what: "problems", path: "index.ts" }))[0]?.message ?? "",
      /Cannot find name 'missing'/,
    );
    assert.equal((await languageServers()).length, 2);
    const third = edit(platform);
    const { reason, message } = await third.ended;
    assert.equal(reason, "busy");
    assert.match(message, /All 2 places for editors are taken/);
    second.socket.close();
    await eventually(async () => (await languageServers()).length === 1);
  });

  await step("says so when its process is killed, and another connection gets another one", async () => {
    const [pid] = await languageServers();
    Deno.kill(pid ?? 0, "SIGKILL");
    clearInterval(typing);
    assert.equal((await editor.ended).reason, "died");
    await editor.closed;
    const said: LanguageReply[] = [];
    const closed = Promise.withResolvers<void>();
    const next = await createClient(platform.url, platform.serviceKey).admin.language.connect({
      on: { reply: (reply) => said.push(reply), close: closed.resolve },
    });
    next.send({ type: "files", entry: "index.ts", files: { "index.ts": "export default () => 1;\n" } });
    await closed.promise;
    assert.deepEqual(said.map((reply) => reply.type === "ended" ? reply.reason : reply.type), ["ready", "idle"]);
    await eventually(async () => (await languageServers()).length === 0);
  });
}, { FLUXBASE_LIMITS_LANGUAGE_SESSIONS_COUNT: "2", FLUXBASE_LIMITS_LANGUAGE_IDLE_MS: "3000" });
