/**
 * What `req.body` is: text for the guide's handler, a stream for web handlers, and both at once for a default-exported
 * function, whose author may come from either.
 *
 * @module
 */
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { platformTest, type TestPlatform } from "./support/platform.ts";

const BYTES = crypto.getRandomValues(new Uint8Array(50_000));
const MANY_BYTES = new Uint8Array(200_000).map((_, index) => BYTES[index % BYTES.length] ?? 0);

async function answerOf(platform: TestPlatform, path: string, body: BodyInit | null): Promise<Response> {
  const response = await platform.call(path, { method: "POST", body, headers: { "content-type": "text/plain" } });
  if (response.status >= 400) assert.fail(`${path}: ${await response.text()}`);
  return response;
}

platformTest("the body of a default-exported function is text and stream at once", async (platform, step) => {
  const asText: Record<string, readonly [code: string, body: string, expected: unknown]> = {
    "JSON.parse": [`JSON.parse(req.body || "{}")`, `{"name":"Zoë"}`, { name: "Zoë" }],
    "JSON.parse of nothing": [`JSON.parse(req.body || "{}")`, "", {}],
    "empty is null": [`req.body === null`, "", true],
    "a template": ["`<${req.body}>`", "hi", "<hi>"],
    "plus": [`req.body + "!"`, "hi", "hi!"],
    "String": [`String(req.body)`, "hi", "hi"],
    "loose equality": [`req.body == "hi"`, "hi", true],
    "length": [`req.body.length`, "Zoë", 3],
    "methods of strings": [
      `[req.body.trim(), req.body.split(","), req.body.includes("b"), req.body.match(/b/)[0], req.body.at(-1), req.body.replaceAll("a", "c")]`,
      " a,b",
      ["a,b", [" a", "b"], true, "b", "b", " c,b"],
    ],
    "JSON.stringify": [`({ body: req.body })`, "hi", { body: "hi" }],
    "Buffer.from": [`Buffer.from(req.body).toString("hex")`, "hi", "6869"],
    "TextEncoder": [`new TextEncoder().encode(req.body).length`, "Zoë", 4],
    "URLSearchParams": [`Object.fromEntries(new URLSearchParams(String(req.body)))`, "a=1&b=2", { a: "1", b: "2" }],
    "text after text": [`[String(req.body), await req.text()]`, "hi", ["hi", "hi"]],
    "strict equality": [`req.body === "hi"`, "hi", true],
    "an index": [`req.body[1]`, "hi", "i"],
    "a hash": [
      `createHmac("sha256", "k").update(req.body).digest("hex")`,
      "hi",
      createHmac("sha256", "k").update("hi").digest("hex"),
    ],
    "string, typeof": [`"string" === typeof req.body ? JSON.parse(req.body) : req.body`, `{"a":1}`, { a: 1 }],
    "typeof string": [`typeof req.body === "string" ? JSON.parse(req.body) : req.body`, `{"a":1}`, { a: 1 }],
  };
  const asStream: Record<string, string> = {
    "is a ReadableStream":
      `if (!(req.body instanceof ReadableStream) || req.body !== req.body) throw new Error("no stream"); return req.body`,
    "new Response": `return new Response(req.body)`,
    "getReader":
      `const reader = req.body.getReader(); const chunks = []; for (;;) { const { done, value } = await reader.read(); if (done) break; chunks.push(value); } return new Blob(chunks)`,
    "for await": `const chunks = []; for await (const chunk of req.body) chunks.push(chunk); return new Blob(chunks)`,
    "pipeThrough": `return new Response(req.body.pipeThrough(new TransformStream()))`,
    "pipeTo":
      `const { readable, writable } = new TransformStream(); req.body.pipeTo(writable); return new Response(readable)`,
    "tee":
      `const [one, other] = req.body.tee(); const bytes = await new Response(one).bytes(); await other.cancel(); return bytes`,
    "Readable.fromWeb": `return new Response(Readable.toWeb(Readable.fromWeb(req.body)))`,
    "arrayBuffer": `return await req.arrayBuffer()`,
    "stream after text": `if (req.body.length === 0) throw new Error("empty"); return new Response(req.body)`,
    "clone":
      `const copy = req.clone(); const bytes = await req.bytes(); if ((await copy.bytes()).length !== bytes.length) throw new Error("differ"); return bytes`,
    "as body of the guide's answer": `return { status: 200, body: req.body }`,
    "new Request": `return await new Request("http://x.invalid/", req).bytes()`,
    "new Request with init":
      `return await new Request("http://x.invalid/", { method: "POST", body: req.body, duplex: "half" }).bytes()`,
    "fetch":
      `return await fetch(Deno.env.get("FLUXBASE_URL") + "/functions/v1/mirror", { method: req.method, headers: { apikey: Deno.env.get("FLUXBASE_ANON_KEY"), "content-type": req.headers.get("content-type") }, body: req.body, duplex: "half" })`,
    "fetch of a Request": `return await fetch(new Request(Deno.env.get("FLUXBASE_URL") + "/functions/v1/mirror", req))`,
  };
  await platform.deploy("mirror", `export default { fetch: (req) => new Response(req.body) };`);
  const code = [
    ...Object.values(asText).map(([code]) => `async (req) => (${code})`),
    ...Object.values(asStream).map((code) => `async (req) => { ${code}; }`),
  ];
  // One function for each: which face it gets is decided by its own code.
  for (const [index, [name, [, body, expected]]] of Object.entries(asText).entries()) {
    await step(name, async () => {
      await platform.deploy(
        `text-${index}`,
        `import { Buffer } from "node:buffer"; import { createHmac } from "node:crypto"; export default ${
          code[index]
        };`,
      );
      assert.deepEqual(await (await answerOf(platform, `text-${index}`, body)).json(), expected);
    });
  }
  await platform.deploy(
    "streams",
    `import { Readable } from "node:stream"; const ways = [${
      code.slice(Object.keys(asText).length).join(",\n")
    }]; export default (req) => ways[req.params.n](req);`,
  );
  for (const [index, name] of Object.keys(asStream).entries()) {
    for (const sent of [BYTES, MANY_BYTES]) {
      await step(`${name}, ${sent.length} bytes`, async () => {
        const response = await answerOf(platform, `streams/invoke?n=${index}`, sent);
        assert.deepEqual(await response.bytes(), sent);
      });
    }
  }
  await step("read once, as any body", async () => {
    await platform.deploy(
      "once",
      `export default async (req) => {
        const before = req.bodyUsed; const bytes = await new Response(req.body).bytes();
        return [before, req.bodyUsed, bytes.length, await req.text().catch((error) => error.name), String(req.body)];
      };`,
    );
    const seen = await (await answerOf(platform, "once/invoke", "hi")).json();
    assert.deepEqual(seen, [false, true, 2, "TypeError", "hi"]);
  });
  await step("console.log shows the text", async () => {
    await platform.deploy("log", `export default (req) => { console.log("got", req.body, { body: req.body }); };`);
    await answerOf(platform, "log/invoke", "hi there");
    await platform.executions("log");
    const { body: [line] } = await platform.api("GET", "/functions/log/logs");
    assert.match(line.message, /^got hi there \{ body: hi there \}$/);
  });
});

platformTest("bytes that are no text never become text silently", async (platform, step) => {
  const told = async (name: string) => {
    const { body } = await platform.api("GET", `/functions/${name}/logs`);
    return body.filter(({ message }: { message: string }) => message.includes("req.arrayBuffer()")).length;
  };
  for (
    const [name, code] of [["named", `function handler(req) { return req.body.length; }`], [
      "default",
      `export default (req) => String(req.body).length;`,
    ]] as const
  ) {
    await step(`${name}: said once`, async () => {
      await platform.deploy(name, code);
      for (let count = 0; count < 3; count += 1) await answerOf(platform, name, BYTES);
      await platform.executions(name, 3);
      assert.equal(await told(name), 1);
    });
  }
  await step("text is no reason to say it", async () => {
    await platform.deploy("text", `function handler(req) { return req.body; }`);
    const response = await answerOf(platform, "text", "Zoë 你");
    assert.equal(await response.json(), "Zoë 你");
    await platform.executions("text");
    assert.equal(await told("text"), 0);
  });
  await step("bytes read as bytes are no reason either", async () => {
    await platform.deploy("bytes", `export default async (req) => await req.bytes();`);
    assert.deepEqual(await (await answerOf(platform, "bytes", BYTES)).bytes(), BYTES);
    await platform.executions("bytes");
    assert.equal(await told("bytes"), 0);
  });
});
