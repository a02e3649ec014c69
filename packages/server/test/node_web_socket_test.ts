/**
 * WebSockets that a server of Node accepts itself, with the usual package for it.
 *
 * @module
 */
import assert from "node:assert/strict";
import { eventually, platformTest } from "./support/platform.ts";

const CODE = `
import http from "node:http";
import { WebSocketServer } from "npm:ws@8";
const server = http.createServer((req, res) => res.end("http " + wss.clients.size));
const wss = new WebSocketServer({ noServer: true, maxPayload: 8_000_000, handleProtocols: (offered) => offered.has("chat") ? "chat" : false });
wss.on("connection", (ws, req) => {
  ws.on("message", (data, isBinary) => {
    const text = isBinary ? "" : data.toString();
    if (text === "close") ws.close(4001, "as asked");
    else if (text === "terminate") ws.terminate();
    else if (text === "ping") { ws.ping("p"); ws.once("pong", (bytes) => ws.send("pong " + bytes)); }
    else if (text === "parts") { ws.send("on", { fin: false }); ws.send("e", { fin: true }); }
    else if (text === "throw") Promise.reject(new Error("in a socket"));
    else ws.send(isBinary ? data : text, { binary: isBinary });
  });
  ws.on("close", (code, reason) => console.log("closed", code, String(reason)));
  ws.send("hello " + req.url.split("?")[1]);
});
server.on("upgrade", (req, socket, head) => {
  if (req.url.includes("refused")) { socket.write("HTTP/1.1 403 Forbidden\\r\\nContent-Length: 2\\r\\n\\r\\nno"); socket.end(); return; }
  wss.handleUpgrade(req, socket, head, (ws) => wss.emit("connection", ws, req));
});
server.listen(8080);
`;

platformTest("WebSockets of a server of Node", async (platform, step) => {
  await platform.deploy("sockets", CODE, { allow_unauthenticated: true });
  const url = `${platform.url.replace("http", "ws")}/api/v1/functions/sockets/invoke`;

  async function connect(query: string, protocols: string[] = []) {
    const socket = new WebSocket(`${url}?${query}`, protocols);
    socket.binaryType = "arraybuffer";
    const messages: unknown[] = [];
    const closed = Promise.withResolvers<CloseEvent>();
    socket.onmessage = ({ data }) => messages.push(data);
    socket.onclose = (event) => closed.resolve(event);
    const receive = async (count: number) => {
      await eventually(() => messages.length >= count);
      return messages.slice(0, count);
    };
    await new Promise((resolve, reject) => {
      socket.onopen = resolve;
      socket.onerror = reject;
    });
    return { socket, receive, closed: closed.promise };
  }

  await step("messages of both kinds and every size, in order", async () => {
    const { socket, receive, closed } = await connect("n=1", ["other", "chat"]);
    assert.equal(socket.protocol, "chat");
    const texts = ["", "a", "ü".repeat(100), "b".repeat(126), "c".repeat(70_000), "d".repeat(900_000)];
    for (const text of texts) socket.send(text);
    const bytes = crypto.getRandomValues(new Uint8Array(60_000));
    socket.send(bytes);
    const received = await receive(texts.length + 2);
    assert.deepEqual(received.slice(0, -1), ["hello n=1", ...texts]);
    assert.deepEqual(new Uint8Array(received.at(-1) as ArrayBuffer), bytes);
    socket.close(4000, "bye");
    assert.equal((await closed).code, 4000);
    await eventually(async () => {
      const { body } = await platform.api("GET", "/functions/sockets/logs");
      return body.some(({ message }: { message: string }) => message === "closed 4000 bye");
    });
  });

  await step("pings, messages in parts, closing by the function", async () => {
    const { socket, receive, closed } = await connect("n=2");
    socket.send("ping");
    socket.send("parts");
    assert.deepEqual(new Set(await receive(3)), new Set(["hello n=2", "one", "pong p"]));
    socket.send("close");
    const { code, reason } = await closed;
    assert.deepEqual([code, reason], [4001, "as asked"]);
  });

  await step("a connection that breaks, beside one that stays", async () => {
    const [breaks, stays] = await Promise.all([connect("n=3"), connect("n=4")]);
    breaks.socket.send("terminate");
    assert.equal((await breaks.closed).code, 1011);
    stays.socket.send("throw");
    stays.socket.send("still here");
    assert.deepEqual(await stays.receive(2), ["hello n=4", "still here"]);
    stays.socket.close();
    await stays.closed;
  });

  await step("a refused upgrade, and plain requests beside", async () => {
    await assert.rejects(connect("refused"));
    assert.match(await (await platform.call("sockets")).text(), /^http \d$/);
  });
}, {
  ...Object.fromEntries(
    Object.entries(Deno.env.toObject()).filter(([name]) => /proxy|npm_config_registry|cert/i.test(name)),
  ),
});
