/**
 * Attacks over the network: on private addresses, by every way that a runtime has.
 *
 * @module
 */
import { startNeighbour } from "../support/neighbour.ts";
import { attackTest, DENIED, type FunctionAttack } from "./corpus.ts";

const UNREACHED = /^(?!.*reached)/s;
const HOSTS = [
  "127.0.0.1",
  "localhost",
  "0.0.0.0",
  "127.1",
  "2130706433",
  "0x7f000001",
  "0177.0.0.1",
  "[::1]",
  "[::]",
  "[::ffff:127.0.0.1]",
  "[::ffff:7f00:1]",
  "169.254.169.254",
  "10.0.0.1",
  "192.168.0.1",
  "100.64.0.1",
  // A name that the machine itself resolves, to an address of its own.
  Deno.hostname(),
  "localhost.",
];

/** A port of the machine, by a name or an address that only shows late. */
const BY_PROXY: readonly (readonly [variable: string, protocol: string, url: string])[] = [
  ["HTTP_PROXY", "http", "http://example.invalid/"],
  ["ALL_PROXY", "http", "http://example.invalid/"],
  ["HTTPS_PROXY", "http", "https://example.invalid/"],
  ["ALL_PROXY", "socks5", "https://example.invalid/"],
];

const RESOLVES = `lookup: (_, { all }, done) => all ? done(null, [{ address, family: 4 }]) : done(null, address, 4)`;

const lateAttacks = (port: number): readonly FunctionAttack[] => [
  ...BY_PROXY.map(([variable, protocol, url]): FunctionAttack => ({
    name: `a ${protocol} proxy of the environment, ${variable}`,
    body:
      `Deno.env.set("${variable}", "${protocol}://127.0.0.1:${port}"); return await (await fetch("${url}")).text();`,
    gets: /fetch failed/,
  })),
  ...[`url: "socks5://127.0.0.1:${port}"`, `transport: "tcp", hostname: "127.0.0.1", port: ${port}`].map((
    proxy,
  ): FunctionAttack => ({
    name: `a client with a proxy, ${proxy.slice(0, 16)}`,
    body:
      `const client = Deno.createHttpClient({ proxy: { ${proxy} } }); return await (await fetch("http://example.invalid/", { client })).text();`,
    gets: DENIED,
  })),
  ...["127.0.0.1", "::ffff:127.0.0.1"].flatMap((address): FunctionAttack[] => [
    {
      name: `a name that node:net finds itself, ${address}`,
      body:
        `const address = "${address}"; return await new Promise((resolve, reject) => builtIn("net").connect({ host: "example.invalid", port: ${port}, ${RESOLVES} }, () => resolve("reached")).on("error", reject));`,
      gets: DENIED,
    },
    {
      name: `a name that node:http finds itself, ${address}`,
      body:
        `const address = "${address}"; return await new Promise((resolve, reject) => builtIn("http").get({ host: "example.invalid", port: ${port}, ${RESOLVES} }, () => resolve("reached")).on("error", reject));`,
      gets: DENIED,
    },
  ]),
  {
    name: "a proxy of node:http",
    body:
      `const { Agent, get } = builtIn("http"); const agent = new Agent({ proxyEnv: { HTTP_PROXY: "http://127.0.0.1:${port}" } });
      return await new Promise((resolve, reject) => get("http://example.invalid/", { agent }, () => resolve("reached")).on("error", reject));`,
    gets: /NotCapable|ENOTFOUND|Requires/,
  },
  {
    name: "node:http2",
    body:
      `return await new Promise((resolve, reject) => builtIn("http2").connect("http://127.0.0.1:${port}").on("connect", () => resolve("reached")).on("error", reject));`,
    gets: DENIED,
  },
  {
    name: "EventSource",
    body:
      `return await new Promise((resolve) => { const source = new EventSource("http://127.0.0.1:${port}/"); source.onopen = () => resolve("reached"); source.onerror = () => { source.close(); resolve("refused"); }; });`,
    gets: /^refused$/,
  },
];

/** By a function that knows the port of a server which listens on every address of the machine. */
const networkAttacks = (port: number, platformUrl: string): readonly FunctionAttack[] => [
  ...HOSTS.map((host) => ({
    name: `fetch of ${host}`,
    body:
      `const response = await fetch("http://${host}:${port}/", { signal: AbortSignal.timeout(3000) }); return await response.text();`,
    gets: UNREACHED,
  })),
  {
    name: "Deno.connect",
    body: `return (await Deno.connect({ hostname: "127.0.0.1", port: ${port} })).localAddr.port;`,
    gets: DENIED,
  },
  {
    name: "Deno.connect by name",
    body: `return (await Deno.connect({ hostname: "localhost", port: ${port} })).localAddr.port;`,
    gets: DENIED,
  },
  {
    name: "Deno.connectTls",
    body: `return (await Deno.connectTls({ hostname: "127.0.0.1", port: ${port} })).localAddr.port;`,
    gets: DENIED,
  },
  {
    name: "node:net",
    body:
      `const net = await import("node:net"); return await new Promise((resolve, reject) => { const s = net.connect(${port}, "127.0.0.1", () => resolve("reached")); s.on("error", reject); });`,
    gets: DENIED,
  },
  {
    name: "node:http",
    body:
      `const http = await import("node:http"); return await new Promise((resolve, reject) => http.get("http://127.0.0.1:${port}/", (r) => resolve("reached " + r.statusCode)).on("error", reject));`,
    gets: DENIED,
  },
  {
    name: "node:https",
    body:
      `const https = await import("node:https"); return await new Promise((resolve, reject) => https.get("https://localhost:${port}/", (r) => resolve("reached " + r.statusCode)).on("error", reject));`,
    gets: DENIED,
  },
  {
    name: "WebSocket",
    body:
      `return await new Promise((resolve, reject) => { const s = new WebSocket("ws://127.0.0.1:${port}/"); s.onopen = () => resolve("reached"); s.onerror = (e) => reject(new Error("denied " + e.message)); });`,
    gets: DENIED,
  },
  {
    name: "UDP",
    body:
      `const s = Deno.listenDatagram({ transport: "udp", port: 0, hostname: "127.0.0.1" }); return await s.send(new Uint8Array(1), { transport: "udp", hostname: "127.0.0.1", port: 53 });`,
    gets: /NotCapable|not a function|denied|Requires/i,
  },
  {
    name: "UDP of node:dgram",
    body:
      `const dgram = await import("node:dgram"); return await new Promise((resolve, reject) => { const s = dgram.createSocket("udp4"); s.on("error", reject); s.send("x", ${port}, "127.0.0.1", (error) => error ? reject(error) : resolve("reached")); setTimeout(resolve, 1000, "nothing happened"); });`,
    gets: UNREACHED,
  },
  {
    name: "DNS from a server on this machine",
    body: `return await Deno.resolveDns("example.com", "A", { nameServer: { ipAddr: "127.0.0.1", port: ${port} } });`,
    gets: DENIED,
  },
  {
    name: "a proxy on this machine",
    body:
      `const client = Deno.createHttpClient({ proxy: { url: "http://127.0.0.1:${port}" } }); return await (await fetch("http://example.com/", { client })).text();`,
    gets: UNREACHED,
  },
  {
    name: "another sandbox's socket",
    body: `return await Deno.connect({ transport: "unix", path: "/tmp/x" });`,
    gets: /NotCapable|Requires|No such file|denied/i,
  },
  {
    name: "the network when it has none",
    body: `return await fetch("http://93.184.216.34/");`,
    gets: DENIED,
    fields: { allow_net: false },
  },
  {
    name: "the platform itself without network",
    body: `return (await fetch(${JSON.stringify(platformUrl)} + "/health")).status;`,
    gets: DENIED,
    fields: { allow_net: false },
  },
];

const neighbour = startNeighbour("0.0.0.0");
Deno.test.afterAll(() => neighbour[Symbol.asyncDispose]());
attackTest("network", ({ url }) => [...networkAttacks(neighbour.port, url), ...lateAttacks(neighbour.port)]);
