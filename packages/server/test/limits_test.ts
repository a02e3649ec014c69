/**
 * Every limit from both sides: what is within it works, what is over it is refused or cut, and the record says why.
 *
 * @module
 */
import assert from "node:assert/strict";
import { type Answer, eventually, platformTest, type TestPlatform } from "./support/platform.ts";

const LIMITS = {
  FLUXBASE_LIMITS_REQUEST_BODY_BYTES: "100000",
  FLUXBASE_LIMITS_RESPONSE_BODY_BYTES: "200000",
  FLUXBASE_LIMITS_SOURCE_FILE_BYTES: "5000",
  FLUXBASE_LIMITS_BUNDLE_BYTES: "4000",
  FLUXBASE_LIMITS_LOG_LINE_BYTES: "1000",
  FLUXBASE_LIMITS_LOG_LINES_COUNT: "10",
  FLUXBASE_LIMITS_EVENT_LOOP_BLOCKED_MS: "1000",
  FLUXBASE_LIMITS_SCRATCH_BYTES: "1000000",
};

/** The answer of a call, and what its record says of it. */
async function callAndRead(platform: TestPlatform, path: string, init: RequestInit = {}) {
  const id = crypto.randomUUID();
  const response = await platform.call(path, { ...init, headers: { "x-request-id": id } });
  const text = await response.text().catch((error) => `cut: ${error.message}`);
  // An execution is recorded when its handler has settled, which may be after the answer.
  let record: Answer["body"];
  await eventually(async () => {
    record = (await platform.executions(path)).find((execution: { request_id: string }) => execution.request_id === id);
    return record !== undefined;
  });
  return { status: response.status, text, record };
}

platformTest("limits", async (platform, step) => {
  /** Says limit and, where there is one, what was used; names function, version and request. */
  function explains(record: Record<string, unknown>, code: string, message: RegExp): void {
    assert.equal(record["error_code"], code);
    assert.match(String(record["error"]), message);
    assert.equal(record["version"], 1);
  }

  await step("wall time", async () => {
    await platform.deploy(
      "sleeps",
      `async function handler(req) { console.log("before"); await new Promise((r) => setTimeout(r, Number(req.params.ms))); return 1; }`,
      { timeout: 1 },
    );
    assert.equal((await callAndRead(platform, "sleeps/invoke?ms=500")).status, 200);
    const { status, text, record } = await callAndRead(platform, "sleeps/invoke?ms=3000");
    assert.equal(status, 504);
    assert.equal(JSON.parse(text).limit, 1_000);
    explains(record, "WALL_LIMIT", /within 1000 ms/);
    assert.equal(record.status, "timeout");
    assert.equal(record.logs, "before");
  });

  await step("memory, in the heap and outside it", async () => {
    await platform.deploy(
      "hungry",
      `const kept = [];
      async function handler(req) {
        const { heap = 0, buffers = 0 } = req.params;
        console.log("eating", heap, buffers);
        await new Promise((resolve) => setTimeout(resolve, 20));
        for (let i = 0; i < heap; i++) { kept.push(Array.from({ length: 10_000 }, (_, j) => "text " + i + j + Math.random())); await new Promise((r) => setTimeout(r, 1)); }
        for (let i = 0; i < buffers; i++) { kept.push(new Uint8Array(1_000_000).fill(1)); await new Promise((r) => setTimeout(r, 1)); }
        kept.length = 0;
        return "enough";
      }`,
      { memory: 96, timeout: 20 },
    );
    assert.equal((await callAndRead(platform, "hungry/invoke?heap=20")).text, `"enough"`);
    assert.equal((await callAndRead(platform, "hungry/invoke?buffers=60")).text, `"enough"`);
    for (const query of ["heap=2000", "buffers=2000"]) {
      const { status, text, record } = await callAndRead(platform, `hungry/invoke?${query}`);
      assert.equal(status, 502, text);
      assert.equal(JSON.parse(text).limit, 96);
      explains(record, "MEMORY_LIMIT", /limit of 96 MB: /);
      assert.equal(record.status, "killed");
      assert.match(record.logs, /^eating/);
    }
  });

  await step("request body", async () => {
    await platform.deploy("reads", `async function handler(req) { return req.body.length; }`);
    const post = (size: number) => callAndRead(platform, "reads", { method: "POST", body: "x".repeat(size) });
    assert.equal((await post(100_000)).text, "100000");
    const response = await platform.call("reads", { method: "POST", body: "x".repeat(100_001) });
    assert.equal(response.status, 413);
    assert.deepEqual([(await response.json()).code], ["BODY_TOO_LARGE"]);
  });

  await step("response body, also one of the function's own", async () => {
    const code = `async function handler(req) { return new Response("x".repeat(Number(req.params.size))); }`;
    await platform.deploy("writes", code);
    await platform.deploy("writes-more", code, { max_response_bytes: 300_000 });
    assert.equal((await callAndRead(platform, "writes/invoke?size=200000")).text.length, 200_000);
    assert.equal((await callAndRead(platform, "writes-more/invoke?size=300000")).text.length, 300_000);
    for (const [name, limit] of [["writes", 200_000], ["writes-more", 300_000]] as const) {
      const { status, text, record } = await callAndRead(platform, `${name}/invoke?size=${limit + 1}`);
      assert.equal(status, 502);
      assert.deepEqual([JSON.parse(text).limit, JSON.parse(text).used], [limit, limit + 1]);
      explains(record, "RESPONSE_TOO_LARGE", new RegExp(`${limit + 1} bytes or more, .* ${limit}`));
    }
    await platform.deploy(
      "gushes",
      `export default (req) => new Response(new ReadableStream({ start(c) { for (let i = 0; i < 3; i++) c.enqueue(new Uint8Array(100_000)); c.close(); } }))`,
    );
    const cut = await callAndRead(platform, "gushes");
    assert.match(cut.text, /^cut/);
    explains(cut.record, "RESPONSE_TOO_LARGE", /has \d{6} bytes or more, and the limit of this function is 200000/);
  });

  await step("source and bundle", async () => {
    const source = (size: number) => {
      const code = `const pad = ""; function handler() { return pad.length; }`;
      return code.replace(`""`, `"${"x".repeat(size - code.length)}"`);
    };
    const tooLarge = await platform.api("POST", "/functions", { name: "source", code: source(5_001) });
    assert.deepEqual([tooLarge.status, tooLarge.body.limit, tooLarge.body.used], [413, 5_000, 5_001]);
    const { body: first } = await platform.api("POST", "/functions", { name: "source", code: source(3_000) });
    assert.equal(first.bundle_error, null);
    const exact = await platform.api("PUT", "/functions/source", { code: source(3_900) });
    // What is measured is the JavaScript; its source map is kept with it.
    const javascript = await bundleLimit(platform, source);
    assert.deepEqual([exact.status, javascript], [200, 4_000]);
  });

  await step("log lines and their length", async () => {
    await platform.deploy(
      "logs",
      `function handler(req) { for (let i = 0; i < req.params.count; i++) console.log("x".repeat(Number(req.params.size ?? 1))); return 1; }`,
    );
    assert.equal((await callAndRead(platform, "logs/invoke?count=10")).record.logs.split("\n").length, 10);
    const many = (await callAndRead(platform, "logs/invoke?count=11")).record.logs.split("\n");
    assert.deepEqual([many.length, many[10]], [11, "[log truncated: more than 10 lines]"]);
    assert.equal((await callAndRead(platform, "logs/invoke?count=1&size=1000")).record.logs, "x".repeat(1_000));
    const long = (await callAndRead(platform, "logs/invoke?count=1&size=1001")).record.logs;
    assert.equal(long, `${"x".repeat(1_000)} [line truncated at 1000 bytes]`);
  });

  await step("a blocked event loop", async () => {
    await platform.deploy(
      "spins",
      `function handler(req) { const until = Date.now() + Number(req.params.ms); while (Date.now() < until); return 1; }`,
      { timeout: 20 },
    );
    assert.equal((await callAndRead(platform, "spins/invoke?ms=500")).status, 200);
    const { status, text, record } = await callAndRead(platform, "spins/invoke?ms=10000");
    assert.equal(status, 502);
    assert.equal(JSON.parse(text).limit, 1_000);
    explains(record, "CPU_LIMIT", /blocked its event loop for \d+ ms, and at most 1000 ms are allowed/);
  });

  await step("files in the scratch folder", async () => {
    await platform.deploy(
      "keeps",
      `async function handler(req) {
        const name = await Deno.makeTempFile();
        for (let i = 0; i < req.params.files; i++) await Deno.writeFile("file" + i, new Uint8Array(Number(req.params.size)));
        await new Promise((resolve) => setTimeout(resolve, Number(req.params.ms ?? 0)));
        return [...Deno.readDirSync(".")].length + (await Deno.readFile(name)).length;
      }`,
      { allow_read: true, allow_write: true },
    );
    assert.equal((await callAndRead(platform, "keeps/invoke?files=3&size=300000")).text, "4");
    for (const query of ["files=1&size=1000001&ms=5000", "files=30&size=100000&ms=5000"]) {
      const { status, text, record } = await callAndRead(platform, `keeps/invoke?${query}`);
      assert.equal(status, 502, text);
      explains(record, "DISK_LIMIT", /1000000 bytes/);
    }
    // The next sandbox finds its folder empty.
    assert.equal((await callAndRead(platform, "keeps/invoke?files=0&size=0")).text, "1");
  });
}, LIMITS);

/** The largest JavaScript that is accepted, found by trying. */
async function bundleLimit(platform: TestPlatform, source: (size: number) => string): Promise<number> {
  let [accepted, refused] = [3_000, 4_900];
  while (refused - accepted > 1) {
    const size = Math.floor((accepted + refused) / 2);
    const { body } = await platform.api("PUT", "/functions/source", { code: source(size) });
    if (body.bundle_error === null) accepted = size;
    else refused = size;
  }
  const { body } = await platform.api("PUT", "/functions/source", { code: source(refused) });
  const [, used, limit] = /it has (\d+) bytes, and at most (\d+) are allowed/.exec(body.bundle_error) ?? [];
  assert.equal(Number(used), Number(limit) + 1);
  return Number(limit);
}
