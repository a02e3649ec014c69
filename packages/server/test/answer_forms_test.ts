/**
 * What a handler may return: other platforms' forms, values that JSON has no form for, answers of other servers.
 *
 * @module
 */
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { brotliCompressSync, gzipSync } from "node:zlib";
import type { AddressInfo } from "node:net";
import { platformTest, type TestPlatform } from "./support/platform.ts";

const PAGE = "grüße ".repeat(20_000);

/** A server that answers `/gzip`, `/br` or `/plain` with the page, coded so. */
async function withOrigin(run: (origin: string) => Promise<void>): Promise<void> {
  const server = createServer((request, response) => {
    const coding = request.url?.slice(1) ?? "";
    const code = { gzip: gzipSync, br: brotliCompressSync }[coding];
    const body = code === undefined ? new TextEncoder().encode(PAGE) : code(PAGE);
    response.writeHead(200, {
      "content-type": "text/html; charset=utf-8",
      "content-length": body.length,
      etag: `"v1"`,
      ...(code === undefined ? {} : { "content-encoding": coding }),
    });
    response.end(request.method === "HEAD" ? undefined : body);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    await run(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}

type Expected = readonly [status: number, body: string | RegExp, headers?: Readonly<Record<string, string | null>>];

async function answers(platform: TestPlatform, path: string, [status, body, headers = {}]: Expected, init = {}) {
  const response = await platform.call(path, init);
  const text = await response.text();
  assert.equal(response.status, status, text.slice(0, 300));
  if (typeof body === "string") assert.equal(text, body);
  else assert.match(text, body);
  for (const [name, value] of Object.entries(headers)) assert.equal(response.headers.get(name), value, name);
}

const JSON_TYPE = { "content-type": "application/json" };

platformTest("every value that a handler returns is an answer or says why not", async (platform, step) => {
  const cases: Record<string, readonly [code: string, ...Expected]> = {
    "more fields than the guide's": [
      `{ status: 404, headers: { "x-a": "1" }, body: "nope", statusText: "Not Found", extra: {} }`,
      404,
      "nope",
      { "x-a": "1" },
    ],
    "headers as pairs": [`{ status: 201, headers: [["x-a", "1"]], body: "made" }`, 201, "made", { "x-a": "1" }],
    "Headers": [`{ status: 201, headers: new Headers({ "x-a": "1" }), body: "x" }`, 201, "x", { "x-a": "1" }],
    "a status alone": [`{ status: 404 }`, 404, "", { "content-type": null }],
    "a status and data": [`{ status: 422, error: "no name" }`, 422, `{"status":422,"error":"no name"}`, JSON_TYPE],
    "a row with a state": [`{ id: 1, status: 3 }`, 200, `{"id":1,"status":3}`, JSON_TYPE],
    "a table with a state": [
      `{ status: 1, headers: ["Name"], rows: [["Zoë"]] }`,
      200,
      `{"status":1,"headers":["Name"],"rows":[["Zoë"]]}`,
      JSON_TYPE,
    ],
    "no status of HTTP, and nothing else": [`{ status: 99 }`, 500, /integer from 200 to 599/],
    "Lambda": [`{ statusCode: 201, headers: { "x-a": "1" }, body: "made" }`, 201, "made", { "x-a": "1" }],
    "Lambda with bytes": [
      `{ statusCode: 200, headers: { "content-type": "image/png" }, body: btoa("\\xff\\0"), isBase64Encoded: true }`,
      200,
      "\ufffd\0",
      { "content-type": "image/png" },
    ],
    "Lambda with lists": [
      `{ statusCode: "200", multiValueHeaders: { "x-a": ["1", "2"] }, cookies: ["a=1", "b=2"], body: "x" }`,
      200,
      "x",
      { "x-a": "1, 2", "set-cookie": "a=1, b=2" },
    ],
    "Lambda's bad base64": [`{ statusCode: 200, body: "@", isBase64Encoded: true }`, 500, /isBase64Encoded/],
    "an error": [`new TypeError("returned")`, 500, /"error":"returned".*FUNCTION_ERROR/],
    "an error as body": [`{ status: 200, body: new TypeError("as body") }`, 500, /"error":"as body"/],
    "an error inside": [`{ error: new TypeError("inside") }`, 200, `{"error":{"name":"TypeError","message":"inside"}}`],
    "BigInt": [`{ rows: [{ count: 12n, big: 2n ** 64n }] }`, 200, `{"rows":[{"count":12,"big":18446744073709551616}]}`],
    "BigInt alone": [`-12n`, 200, "-12", JSON_TYPE],
    "Map": [`new Map([["a", 1], [2, new Map()]])`, 200, `{"2":{},"a":1}`, JSON_TYPE],
    "Set": [`{ status: 201, body: new Set([1, new Set(["b"])]) }`, 201, `[1,["b"]]`, JSON_TYPE],
    "Map of objects": [`{ found: new Map([[{}, 1]]) }`, 500, /Map \(in \\"found\\"\) that has a key of type object/],
    "Date": [
      `{ at: new Date(Date.UTC(2024, 1, 29)), none: new Date(NaN) }`,
      200,
      /^{"at":"2024-02-29T00:00:00.000Z","none":null}$/,
    ],
    "empty objects": [`{ a: {}, b: [], c: [{}] }`, 200, `{"a":{},"b":[],"c":[{}]}`],
    "a circle": [
      `(() => { const a = { list: [] }; a.list.push(a); return a; })()`,
      500,
      /circular.*closes the circle/,
    ],
    "a circle of Maps": [`(() => { const a = new Map(); a.set("a", a); return a; })()`, 500, /circular/],
    "a nest without end": [
      `(() => { let nest = {}; for (let depth = 0; depth < 100_000; depth += 1) nest = { nest }; return nest; })()`,
      500,
      /nested so deeply/,
    ],
    "a promise inside": [
      `{ rows: [Promise.resolve(1)] }`,
      500,
      /Cannot answer with a Promise \(in \\"0\\"\).*await it/,
    ],
    "an iterator": [`[1].values()`, 500, /Array.from/],
    "a function": [`() => 1`, 500, /Cannot answer with a function: it has no JSON form/],
    "toJSON throws": [`{ toJSON() { throw new Error("toJSON broke"); } }`, 500, /"error":"toJSON broke"/],
    "toJSON of their own": [
      `(BigInt.prototype.toJSON = function () { return String(this); }, { a: 1n })`,
      200,
      `{"a":"1"}`,
    ],
    "a quote in a file name": [
      `new Response("x", { headers: { "content-disposition": 'attachment; filename="WHAT\u2019S.html"' } })`,
      500,
      /header \\"content-disposition\\": its value has the character U\+2019 at position 26.*encodeURIComponent/,
    ],
    "a header of Response.json": [
      `Response.json(1, { headers: { "x-name": "你" } })`,
      500,
      /header \\"x-name\\".*U\+4F60/,
    ],
    "a header that is set": [`(new Headers().set("x name", "1"), 1)`, 500, /header \\"x name\\": HTTP does not allow/],
    "a Response is still one": [
      `[new Response() instanceof Response, new Response().constructor === Response, new (class extends Response {})() instanceof Response, Response.name]`,
      200,
      `[true,true,true,"Response"]`,
    ],
    "an async generator": [
      `(async function* () { yield "a"; yield new Uint8Array([98]); })()`,
      200,
      "ab",
      { "content-type": null },
    ],
    "a stream of Node": [
      `{ status: 200, headers: { "content-type": "text/plain" }, body: Readable.from(["a", "b"]) }`,
      200,
      "ab",
      { "content-type": "text/plain" },
    ],
    "204 with a type": [
      `new Response(null, { status: 204, headers: { "content-type": "text/html", "x-a": "1" } })`,
      204,
      "",
      { "content-type": null, "x-a": "1" },
    ],
    "304 with a type": [`{ status: 304, headers: { "Content-Type": "text/html", ETag: '"a"' }, body: "x" }`, 304, "", {
      "content-type": null,
      etag: '"a"',
    }],
    "204 as JSON": [`{ status: 204, body: {} }`, 204, "", { "content-type": null }],
  };
  const code = Object.values(cases).map(([code], index) => `case ${index}: return ${code};`).join("\n");
  await platform.deploy(
    "values",
    `import { Readable } from "node:stream";
     async function handler(req) { switch (Number(req.params.n)) { ${code} } }`,
  );
  for (const [index, [name, [, ...expected]]] of Object.entries(cases).entries()) {
    await step(name, () => answers(platform, `values/invoke?n=${index}`, expected));
  }
});

platformTest("an answer of another server goes on as it is", async (platform, step) => {
  await withOrigin(async (origin) => {
    await platform.deploy(
      "proxy",
      `const ways = {
        whole: (r) => r,
        copy: (r) => new Response(r.body, { status: r.status, headers: r.headers }),
        init: (r) => new Response(r.body, r),
        text: async (r) => new Response(await r.text(), { headers: r.headers }),
        clone: (r) => r.clone(),
        cloneOfClone: (r) => { const again = r.clone().clone(); return new Response(again.body, again); },
        guide: async (r) => ({ status: 200, headers: Object.fromEntries(r.headers), body: await r.bytes() }),
        piped: (r) => new Response(r.body.pipeThrough(new TransformStream()), { headers: r.headers }),
      };
      export default async (req) => {
        const { way, coding } = req.params;
        return await ways[way](await fetch("${origin}/" + coding, { method: req.method, headers: req.params.range ? { range: "bytes=0-" } : {} }));
      };`,
    );
    for (const coding of ["plain", "gzip", "br"]) {
      for (const way of ["whole", "copy", "init", "text", "clone", "cloneOfClone", "guide", "piped"]) {
        await step(`${coding}, ${way}`, async () => {
          const headers = { "content-encoding": null, etag: `"v1"`, "content-type": "text/html; charset=utf-8" };
          await answers(platform, `proxy/invoke?way=${way}&coding=${coding}`, [200, PAGE, headers]);
        });
      }
    }
    await step("what was not decoded stays coded", async () => {
      await answers(platform, `proxy/invoke?way=whole&coding=gzip&range=1`, [200, PAGE]);
    });
    await step("HEAD keeps the length and the coding", async () => {
      const length = String(gzipSync(PAGE).length);
      const expected: Expected = [200, "", { "content-length": length, "content-encoding": "gzip" }];
      await answers(platform, `proxy/invoke?way=whole&coding=gzip`, expected, { method: "HEAD" });
    });
  });
}, { FLUXBASE_FUNCTIONS_EGRESS_ALLOW: "127.0.0.1/32" });

platformTest("what a function coded itself stays coded, and HEAD has a length", async (platform, step) => {
  await platform.deploy(
    "own",
    `import { gzipSync } from "node:zlib";
    export default { fetch(req) {
      const { pathname } = new URL(req.url);
      if (pathname.endsWith("/gzip")) return new Response(gzipSync("hello"), { headers: { "content-encoding": "gzip" } });
      if (pathname.endsWith("/length")) return new Response(null, { headers: { "content-length": "1234" } });
      if (pathname.endsWith("/bad")) return new Response(null, { headers: { "content-length": "12, 13" } });
      if (pathname.endsWith("/stream")) return new Response(new ReadableStream({ pull(c) { c.enqueue(new Uint8Array(100_000)); } }));
      return new Response("hello");
    } };`,
  );
  await step("gzip of its own", () => answers(platform, "own/invoke/gzip", [200, "hello"]));
  const head = { method: "HEAD" };
  await step(
    "HEAD with a length",
    () => answers(platform, "own/invoke/length", [200, "", { "content-length": "1234" }], head),
  );
  await step("HEAD with a length that is none", () => answers(platform, "own/invoke/bad", [200, ""], head));
  await step("HEAD of a body", () => answers(platform, "own/invoke/", [200, "", { "content-length": "5" }], head));
  await step("HEAD of an endless stream", () => answers(platform, "own/invoke/stream", [200, ""], head));
});
