/**
 * WebSockets: what a client and a function say to each other, how a connection ends, and what is refused.
 *
 * @module
 */
import assert from "node:assert/strict";
import { eventually, platformTest, type TestPlatform } from "./support/platform.ts";

const ECHO = `Deno.serve((req) => {
  if (req.headers.get("upgrade") !== "websocket") return new Response("only sockets", { status: 426 });
  const { socket, response } = Deno.upgradeWebSocket(req, { protocol: new URL(req.url).searchParams.get("protocol") ?? "" });
  socket.binaryType = "arraybuffer";
  socket.onopen = () => socket.send("hello " + (socket instanceof WebSocket) + socket.readyState);
  socket.onmessage = ({ data }) => {
    console.log("got", typeof data === "string" ? data.slice(0, 20) : data.byteLength);
    if (data === "close") socket.close(4001, "as you wish");
    else if (data === "loop") for (;;);
    else if (data === "exit") Deno.exit(1);
    else if (data === "many") for (let i = 0; i < 5000; i++) socket.send("x".repeat(1000));
    else if (data === "version") socket.send(Deno.env.get("FLUXBASE_FUNCTION_VERSION"));
    else socket.send(data);
  };
  socket.onclose = ({ code, reason, wasClean }) => console.log("closed", code, reason, wasClean);
  return response;
});`;

/** A client that keeps what it got. */
function connect(platform: TestPlatform, path: string, protocols: string[] = []) {
  const socket = new WebSocket(`${platform.url.replace("http", "ws")}/functions/v1/${path}`, protocols);
  socket.binaryType = "arraybuffer";
  const got: (string | ArrayBuffer)[] = [];
  const closed = Promise.withResolvers<CloseEvent>();
  socket.onmessage = ({ data }) => void got.push(data);
  socket.onclose = closed.resolve;
  return {
    socket,
    got,
    closed: closed.promise,
    opened: new Promise<void>((resolve, reject) => {
      socket.onopen = () => resolve();
      socket.onerror = () => reject(new Error("refused"));
    }),
    hasGot: (count: number) => eventually(() => got.length >= count),
  };
}

/** What the server says to these lines of a head. */
async function rawAnswer({ url }: TestPlatform, lines: readonly string[]): Promise<string> {
  using connection = await Deno.connect({ hostname: "127.0.0.1", port: Number(new URL(url).port) });
  await connection.write(new TextEncoder().encode([...lines, "", ""].join("\r\n")));
  const buffer = new Uint8Array(4_096);
  return new TextDecoder().decode(buffer.subarray(0, await connection.read(buffer) ?? 0));
}

platformTest("WebSockets", async (platform, step) => {
  const fields = { allow_unauthenticated: true, timeout: 1 };
  await platform.deploy("echo", ECHO, fields);
  await platform.deploy("plain", `async function handler() { return "no socket"; }`, fields);

  await step("texts and bytes of any size go both ways, in their order", async () => {
    const client = connect(platform, "echo");
    await client.opened;
    const bytes = new Uint8Array(1_000_000).map((_, index) => index * 31);
    client.socket.send("ü");
    client.socket.send(bytes);
    client.socket.send("");
    await client.hasGot(4);
    assert.deepEqual(client.got[0], "hello true1");
    assert.equal(client.got[1], "ü");
    assert.deepEqual(new Uint8Array(client.got[2] as ArrayBuffer), bytes);
    assert.equal(client.got[3], "");
    client.socket.close(4000, "enough");
    const { code, reason } = await client.closed;
    assert.deepEqual([code, reason], [4000, "enough"]);
    const [execution] = await platform.executions("echo");
    assert.deepEqual([execution.status, execution.status_code, execution.error], ["success", 101, null]);
    assert.equal(execution.logs, "got ü\ngot 1000000\ngot \nclosed 4000 enough true");
  });

  await step("a connection outlives the time limit of the function", async () => {
    const client = connect(platform, "echo");
    await client.opened;
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    client.socket.send("still here");
    await client.hasGot(2);
    assert.equal(client.got[1], "still here");
    client.socket.close();
    await client.closed;
  });

  await step("the function closes with its own code", async () => {
    const client = connect(platform, "echo");
    await client.opened;
    client.socket.send("close");
    const { code, reason, wasClean } = await client.closed;
    assert.deepEqual([code, reason, wasClean], [4001, "as you wish", true]);
  });

  await step("a protocol is chosen among those the client offers", async () => {
    const client = connect(platform, "echo?protocol=b", ["a", "b"]);
    await client.opened;
    assert.equal(client.socket.protocol, "b");
    client.socket.close();
    await client.closed;
    const other = connect(platform, "echo?protocol=c", ["a", "b"]);
    await assert.rejects(other.opened);
  });

  await step("five megabytes at once arrive whole though the window is smaller", async () => {
    const client = connect(platform, "echo");
    await client.opened;
    client.socket.send("many");
    await client.hasGot(5_001);
    client.socket.close();
    await client.closed;
  });

  await step("a function that ends takes its sockets with it, and the next connection works", async () => {
    for (const word of ["exit", "loop"]) {
      const client = connect(platform, "echo");
      await client.opened;
      client.socket.send(word);
      const { code } = await client.closed;
      assert.equal(code, 1011);
    }
    const next = connect(platform, "echo");
    await next.opened;
    next.socket.close();
    await next.closed;
  });

  await step("a message over the limit ends the connection with 1009", async () => {
    const client = connect(platform, "echo");
    await client.opened;
    client.socket.send(new Uint8Array(1024 * 1024 + 1));
    assert.equal((await client.closed).code, 1009);
  });

  await step("a function may refuse, and one that knows no sockets answers as ever", async () => {
    const plain = connect(platform, "plain");
    await assert.rejects(plain.opened);
    const response = await fetch(`${platform.url}/functions/v1/echo`);
    assert.deepEqual([response.status, await response.text()], [426, "only sockets"]);
  });

  await step("a broken handshake is refused before the function runs, and nothing is recorded", async () => {
    await platform.deploy("untouched", ECHO, fields);
    const good: readonly string[] = [
      "Host: x",
      "Connection: keep-alive, Upgrade",
      "Upgrade: websocket",
      "Sec-WebSocket-Version: 13",
      "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
    ];
    const without = (name: string) => good.filter((line) => !line.startsWith(name));
    const broken: Readonly<Record<string, readonly string[]>> = {
      "no key": without("Sec-WebSocket-Key"),
      "a key of 15 bytes": [...without("Sec-WebSocket-Key"), "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAA"],
      "a key that is no base64": [...without("Sec-WebSocket-Key"), "Sec-WebSocket-Key: ********************=="],
      "two keys": [...good, "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="],
      "no version": without("Sec-WebSocket-Version"),
      "an old version": [...without("Sec-WebSocket-Version"), "Sec-WebSocket-Version: 8"],
      "no Connection": without("Connection"),
      "another Connection": [...without("Connection"), "Connection: close"],
    };
    const path = "/functions/v1/untouched";
    for (const [what, lines] of Object.entries(broken)) {
      const answer = await rawAnswer(platform, [`GET ${path} HTTP/1.1`, ...lines]);
      assert.match(answer, /^HTTP\/1.1 400 [^]*Cannot open a WebSocket for this request[^]*INVALID_ARGUMENT/, what);
    }
    for (const method of ["POST", "PUT", "HEAD"]) {
      const answer = await rawAnswer(platform, [`${method} ${path} HTTP/1.1`, ...good]);
      assert.match(answer, /^HTTP\/1.1 400 /, method);
    }
    assert.match(await rawAnswer(platform, [`GET ${path} HTTP/1.1`, ...good]), /^HTTP\/1.1 101 Switching Protocols/);
    const executions = await platform.executions("untouched");
    assert.deepEqual(executions.map((one: { status_code: number }) => one.status_code), [101]);
  });

  await step("headers that a function changes make no handshake of its request", async () => {
    await platform.deploy(
      "pretends",
      `Deno.serve(async (req) => {
        if (new URL(req.url).searchParams.get("way") === "wait") {
          await new Promise((done) => setTimeout(done, 500));
          return new Response("waited");
        }
        req.headers.set("upgrade", "websocket");
        req.headers.set("sec-websocket-protocol", "mine");
        return Deno.upgradeWebSocket(req).response;
      });`,
      fields,
    );
    const [beside, answer] = await Promise.all(
      ["pretends/invoke?way=wait", "pretends"].map((path) => platform.call(path)),
    );
    assert.equal(await beside?.text(), "waited");
    assert.equal(answer?.status, 500);
    assert.match((await answer?.json()).error, /Cannot upgrade this request: it came without the header/);
  });

  await step("without a credential the connection is refused where one is needed", async () => {
    await platform.deploy("guarded", ECHO);
    await assert.rejects(connect(platform, "guarded").opened);
  });

  await step("a new version: open connections get the function's time, then 1012", async () => {
    const before = connect(platform, "echo");
    await before.opened;
    before.socket.send("version");
    await before.hasGot(2);
    const { body } = await platform.api("PUT", "/functions/echo", { code: `${ECHO} // next` });
    const after = connect(platform, "echo");
    await after.opened;
    after.socket.send("version");
    await after.hasGot(2);
    assert.equal(after.got[1], String(body.live_version));
    before.socket.send("version");
    await before.hasGot(3);
    assert.deepEqual(before.got.slice(1), [String(body.live_version - 1), String(body.live_version - 1)]);
    assert.equal((await before.closed).code, 1012);
    after.socket.close();
    await after.closed;
  });

  await step("200 connections at once, each with its own words", async () => {
    const clients = Array.from({ length: 200 }, () => connect(platform, "echo"));
    await Promise.all(clients.map(({ opened }) => opened));
    clients.forEach(({ socket }, index) => socket.send(`word ${index}`));
    await Promise.all(clients.map(({ hasGot }) => hasGot(2)));
    clients.forEach(({ got }, index) => assert.equal(got[1], `word ${index}`));
    for (const { socket } of clients) socket.close();
    await Promise.all(clients.map(({ closed }) => closed));
  });
});

platformTest("a WebSocket ends when its time is over", async (platform) => {
  await platform.deploy("echo", ECHO, { allow_unauthenticated: true });
  const client = connect(platform, "echo");
  await client.opened;
  assert.equal((await client.closed).code, 1001);
}, { FLUXBASE_LIMITS_WEB_SOCKET_LIFE_MS: "1000" });
