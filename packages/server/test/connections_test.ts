/**
 * Connections that wait for nothing are ended; those that wait for an answer are not, however long it takes.
 *
 * @module
 */
import assert from "node:assert/strict";
import { eventually, platformTest, type TestPlatform } from "./support/platform.ts";

const LIMITS = {
  FLUXBASE_LIMITS_REQUEST_HEAD_MS: "600",
  FLUXBASE_LIMITS_IDLE_CONNECTION_MS: "1200",
  FLUXBASE_LIMITS_STALLED_ANSWER_MS: "1500",
  FLUXBASE_LIMITS_SLOW_ANSWER_BYTES_PER_SEC: "1000000",
  FLUXBASE_LIMITS_CONTROL_BODY_MS: "700",
};
const encoder = new TextEncoder();
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

class RawClient implements Disposable {
  readonly #connection: Deno.TcpConn;
  isEnded = false;
  text = "";

  private constructor(connection: Deno.TcpConn, reads: boolean) {
    this.#connection = connection;
    if (reads) void this.#read();
  }
  static async open({ url }: TestPlatform, { reads = true } = {}): Promise<RawClient> {
    return new RawClient(await Deno.connect({ hostname: "127.0.0.1", port: Number(new URL(url).port) }), reads);
  }
  async #read(): Promise<void> {
    const buffer = new Uint8Array(4_096);
    try {
      for (
        let count = await this.#connection.read(buffer);
        count !== null;
        count = await this.#connection.read(buffer)
      ) {
        this.text += new TextDecoder().decode(buffer.subarray(0, count));
      }
    } catch {
      // Reset: ended as well.
    }
    this.isEnded = true;
  }
  async send(text: string): Promise<void> {
    await this.sendBytes(encoder.encode(text));
  }
  async sendBytes(bytes: Uint8Array): Promise<void> {
    await this.#connection.write(bytes);
  }
  /** Of a client that does not read else. */
  async take(byteCount: number): Promise<void> {
    try {
      await this.#connection.read(new Uint8Array(byteCount));
    } catch {
      // Reset.
    }
  }
  /** Of a client that does not read: whether the server has let it go. */
  async isRefused(): Promise<boolean> {
    try {
      await this.send("x");
      return false;
    } catch {
      return true;
    }
  }
  [Symbol.dispose](): void {
    try {
      this.#connection.close();
    } catch {
      // By the server.
    }
  }
}

const head = (path: string, key: string, more = "") =>
  `GET ${path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${key}\r\n${more}\r\n`;

platformTest("connections have deadlines", async (platform, step) => {
  await platform.deploy(
    "waits",
    `const later = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
     export default async (req) => {
       const way = new URL(req.url).searchParams.get("way");
       if (way === "long") { await later(4_000); return new Response("long done"); }
       if (way === "quiet") {
         return new Response(new ReadableStream({ async start(c) { c.enqueue(new TextEncoder().encode("first;")); await later(4_000); c.enqueue(new TextEncoder().encode("last")); c.close(); } }));
       }
       if (way === "events") {
         const bytes = new Uint8Array(65_536).fill(10);
         return new Response(new ReadableStream({ pull(c) { c.enqueue(bytes); } }), { headers: { "content-type": "text/event-stream" } });
       }
       if (way === "large") {
         return new Response(new ReadableStream({ pull(c) { c.enqueue(new Uint8Array(65_536)); } }));
       }
       if (req.headers.get("upgrade") === "websocket") {
         const { socket, response } = Deno.upgradeWebSocket(req);
         socket.onmessage = ({ data }) => socket.send("echo " + data);
         return response;
       }
       return new Response("short");
     };`,
    { timeout: 30, max_response_bytes: 500_000_000, allow_unauthenticated: true },
  );
  const path = "/api/v1/functions/waits/invoke";

  await step("half a head, nothing at all, dripped bytes: ended", async () => {
    using nothing = await RawClient.open(platform);
    using half = await RawClient.open(platform);
    await half.send("GET /health HTTP/1.1\r\nHost: x\r\n");
    using dripping = await RawClient.open(platform);
    await eventually(async () => {
      if (!dripping.isEnded) await dripping.send("X").catch(() => {});
      await pause(100);
      return nothing.isEnded && half.isEnded && dripping.isEnded;
    });
  });
  await step("a second request that does not come whole: ended", async () => {
    using client = await RawClient.open(platform);
    await client.send(head("/health", platform.anonKey));
    await eventually(() => client.text.includes("200 OK"));
    await client.send("GET /health HTT");
    await eventually(() => client.isEnded);
  });
  await step("half a small body, for a function and for the management API: ended", async () => {
    using ofFunction = await RawClient.open(platform);
    await ofFunction.send(
      head(path, platform.anonKey, "Content-Length: 100\r\n").replace("GET", "POST") + "half",
    );
    using ofApi = await RawClient.open(platform);
    await ofApi.send(
      head("/api/v1/functions", platform.serviceKey, "Content-Length: 100\r\n").replace("GET", "POST") + "{",
    );
    await eventually(() => ofFunction.isEnded);
    await eventually(() => /408 Request Timeout[^]*REQUEST_TIMEOUT/.test(ofApi.text));
  });
  await step("answered and quiet: ended", async () => {
    using client = await RawClient.open(platform);
    await client.send(head("/health", platform.anonKey));
    await eventually(() => client.text.includes("200 OK"));
    await eventually(() => client.isEnded);
  });
  await step("an answer that nobody takes: ended", async () => {
    using client = await RawClient.open(platform, { reads: false });
    await client.send(head(`${path}?way=large`, platform.anonKey));
    await eventually(async () => {
      await pause(200);
      return await client.isRefused();
    });
  });
  await step("HTTP/2 that sends pings and no request: ended, and one that asks now and then is not", async () => {
    const frame = (type: number, payload: Uint8Array) => {
      const bytes = new Uint8Array(9 + payload.length);
      bytes.set([0, 0, payload.length, type]);
      bytes.set(payload, 9);
      return bytes;
    };
    const PING = frame(6, new Uint8Array(8));
    using pinging = await RawClient.open(platform);
    await pinging.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    await pinging.sendBytes(frame(4, new Uint8Array(0)));
    using asking = await RawClient.open(platform);
    let askedCount = 0;
    await eventually(async () => {
      if (!pinging.isEnded) await pinging.sendBytes(PING).catch(() => {});
      await asking.send(head("/health", platform.anonKey));
      askedCount += 1;
      await pause(400);
      return pinging.isEnded;
    });
    assert.equal(asking.isEnded, false);
    await eventually(() => asking.text.split("HTTP/1.1 200").length - 1 === askedCount);
  });
  await step("an answer that is taken byte by byte: ended, and an event stream taken like that is not", async () => {
    const endedFor = (why: string) =>
      platform.logLines.filter((line) => line.includes(`Connections were ended ${why}`));
    const stalledBefore = endedFor("stalled").length;
    using events = await RawClient.open(platform, { reads: false });
    await events.send(head(`${path}?way=events`, platform.anonKey));
    using slow = await RawClient.open(platform, { reads: false });
    await slow.send(head(`${path}?way=large`, platform.anonKey));
    let moreRounds = 10;
    await eventually(async () => {
      await Promise.all([events.take(20_000), slow.take(20_000)]);
      await pause(100);
      if (endedFor("too slow").length > 0) moreRounds -= 1;
      return moreRounds === 0;
    });
    assert.deepEqual([endedFor("too slow").length, endedFor("stalled").length], [1, stalledBefore]);
  });
  await step("a long call, a quiet stream, a WebSocket and a busy client outlive all deadlines", async () => {
    using busy = await RawClient.open(platform);
    let askedCount = 0;
    let isOver = false;
    const asking = (async () => {
      while (!isOver) {
        askedCount += 1;
        await busy.send(head("/health", platform.anonKey));
        await pause(300);
      }
    })();
    const socket = new WebSocket(`${platform.url.replace("http", "ws")}/functions/v1/waits`);
    const opened = new Promise<boolean>((resolve) => {
      socket.onopen = () => resolve(true);
      socket.onerror = socket.onclose = () => resolve(false);
    });
    const [long, quiet] = await Promise.all(
      ["long", "quiet"].map(async (way) => await (await platform.call(`waits/invoke?way=${way}`)).text()),
    );
    assert.deepEqual([long, quiet], ["long done", "first;last"]);
    isOver = true;
    await asking;
    await eventually(() => busy.text.split("HTTP/1.1 200").length - 1 === askedCount);
    if (!await opened) return assert.fail("the WebSocket did not open");
    const answer = new Promise((resolve) => socket.onmessage = ({ data }) => resolve(data));
    socket.send("hello");
    assert.equal(await answer, "echo hello");
    socket.close();
  });
}, LIMITS);

platformTest("one address has its part of the connections, and no more", async (platform) => {
  await platform.deploy("ok", `export default () => new Response("ok")`);
  const clients = await Promise.all(Array.from({ length: 60 }, () => RawClient.open(platform)));
  try {
    await eventually(() => clients.filter(({ isEnded }) => !isEnded).length <= 20);
    assert.equal(await (await platform.call("ok")).text(), "ok");
  } finally {
    for (const client of clients) client[Symbol.dispose]();
  }
}, { FLUXBASE_LIMITS_CONNECTIONS_PER_ADDRESS_COUNT: "20", FLUXBASE_LIMITS_REQUEST_HEAD_MS: "60000" });

platformTest("who leaves in the middle of a body is a client that left, not a failure", async (platform) => {
  await platform.deploy("reads", `export default async (req) => new Response(String((await req.bytes()).length));`);
  for (const announced of [100, 1_000_000]) {
    const client = await RawClient.open(platform);
    const path = "/api/v1/functions/reads/invoke";
    await client.send(head(path, platform.anonKey, `Content-Length: ${announced}\r\n`).replace("GET", "POST") + "half");
    await pause(200);
    client[Symbol.dispose]();
  }
  const executions = await platform.executions("reads", 2);
  const codes = executions.map((one: { error_code: string }) => one.error_code);
  assert.deepEqual(codes, ["CLIENT_CLOSED_REQUEST", "CLIENT_CLOSED_REQUEST"]);
  assert.ok(!platform.logLines.some((line) => line.includes("failed unexpectedly")));
});

platformTest("a function is counted as itself, whatever address it claims", async (platform, step) => {
  await platform.deploy(
    "limited",
    `// @fluxbase:rate-limit 3/min\nexport default (req) => Response.json(Object.fromEntries(req.headers));`,
    { allow_unauthenticated: true },
  );
  await platform.deploy(
    "caller",
    `export default async (req) => {
       const statuses = [];
       for (let i = 0; i < 6; i += 1) {
         const headers = { "x-forwarded-for": "7.7.7." + i, forwarded: "for=7.7.7." + i, "x-real-ip": "7.7.7." + i };
         const answer = await fetch(Deno.env.get("FLUXBASE_URL") + "/functions/v1/limited", { headers });
         statuses.push(answer.status); await answer.text();
       }
       return statuses;
     };`,
  );
  await step("behind a trusted proxy on the same machine", async () => {
    assert.deepEqual(await (await platform.call("caller")).json(), [200, 200, 200, 429, 429, 429]);
    // The budgets of others are whole.
    const headers = { "x-forwarded-for": "7.7.7.1" };
    const other = await fetch(`${platform.url}/functions/v1/limited`, { headers });
    assert.equal(other.status, 200, await other.text());
  });
  await step("guessing passwords", async () => {
    await platform.deploy(
      "guesses",
      `export default async () => {
         const statuses = new Set();
         for (let i = 0; i < 80; i += 1) {
           const answer = await fetch(Deno.env.get("FLUXBASE_URL") + "/api/v1/auth/signin", {
             method: "POST", headers: { "content-type": "application/json", "x-forwarded-for": "8.8.8." + i },
             body: JSON.stringify({ email: "someone" + i + "@example.com", password: "a wrong password" }),
           });
           statuses.add(answer.status); await answer.text();
           if (answer.status === 429) break;
         }
         return [...statuses];
       };`,
      { timeout: 30 },
    );
    const statuses: number[] = await (await platform.call("guesses")).json();
    assert.ok(statuses.includes(429), String(statuses));
  });
  await step("headers that only the server may set do not reach a function", async () => {
    const headers = { "x-fluxbase-attempt": "1", "X-User-Id": "root", "x-user-role": "admin", "x-mine": "yes" };
    const answer = await fetch(`${platform.url}/functions/v1/limited`, {
      headers: { ...headers, "x-forwarded-for": "9.9.9.9" },
    });
    const seen = await answer.json();
    assert.equal(seen["x-mine"], "yes");
    for (const name of ["x-fluxbase-attempt", "x-user-id", "x-user-role"]) assert.equal(seen[name], undefined);
  });
}, { FLUXBASE_SERVER_TRUSTED_PROXIES: "127.0.0.1", FLUXBASE_AUTH_ATTEMPTS_PER_ADDRESS: "20" });

platformTest("requests that two readers could understand in two ways are refused", async (platform, step) => {
  await platform.deploy("echo", `export default async (req) => new Response("body:" + await req.text())`);
  const post = (more: string, body: string) =>
    head("/api/v1/functions/echo/invoke", platform.anonKey, more).replace("GET", "POST") + body;
  const refused: Record<string, string> = {
    "a Host that reaches into the path": `GET /nothing HTTP/1.1\r\nHost: x/health?\r\n\r\n`,
    "a Host that names a function":
      `GET /health HTTP/1.1\r\nHost: x/functions/v1/echo\r\nAuthorization: Bearer ${platform.anonKey}\r\n\r\n`,
    "a Host with a user": "GET /health HTTP/1.1\r\nHost: a@b\r\n\r\n",
    "a Host with a port that is none": "GET /health HTTP/1.1\r\nHost: x:99999\r\n\r\n",
    "a Host with an address that is none": "GET /health HTTP/1.1\r\nHost: 1.2.3.999\r\n\r\n",
    "a coding before chunked": post("Transfer-Encoding: gzip, chunked\r\n", "5\r\nhello\r\n0\r\n\r\n"),
    "a length and a coding": post(
      "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
      "0\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n",
    ),
    "two lengths": post("Content-Length: 5\r\nContent-Length: 6\r\n", "hello!"),
    "a length that is none": post("Content-Length: +5\r\n", "hello"),
    "an unknown coding": post("Transfer-Encoding: xchunked\r\n", "5\r\nhello\r\n0\r\n\r\n"),
    "a coding behind another": post("Transfer-Encoding: chunked, identity\r\n", "5\r\nhello\r\n0\r\n\r\n"),
    "a folded line": "GET /health HTTP/1.1\r\nHost: x\r\nX-A: b\r\n c\r\n\r\n",
    "a space before the colon": "GET /health HTTP/1.1\r\nHost: x\r\nX-A : b\r\n\r\n",
    "NUL in a value": "GET /health HTTP/1.1\r\nHost: x\r\nX-A: b\0c\r\n\r\n",
    "NUL in a path": "GET /hea\0lth HTTP/1.1\r\nHost: x\r\n\r\n",
    "a head of a megabyte": `GET /health HTTP/1.1\r\nHost: x\r\nX-A: ${"b".repeat(1_000_000)}\r\n\r\n`,
    "another protocol": "HELO there\r\n\r\n",
  };
  for (const [name, bytes] of Object.entries(refused)) {
    await step(name, async () => {
      using client = await RawClient.open(platform);
      await client.send(bytes).catch(() => {});
      await eventually(() => client.isEnded || /^HTTP\/1\.1 (4\d\d|501)/.test(client.text));
      assert.doesNotMatch(client.text, /HTTP\/1\.1 200|smuggled/, client.text.slice(0, 300));
    });
  }
  assert.equal((await fetch(`${platform.url}/health`)).status, 200);
});
