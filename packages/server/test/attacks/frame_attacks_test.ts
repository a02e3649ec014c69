/**
 * Attacks on the frames between a sandbox and the server, and on the built-ins that the harness uses.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { TestPlatform } from "../support/platform.ts";
import { type Attack, attackTest, recordOf, shown } from "./corpus.ts";

/**
 * Forges what the sandbox writes to its socket, by way of a built-in that the harness uses. `pieces` gives the bytes that
 * leave instead of the first batch after a request has begun; `frame(type, id, payload)` makes one.
 */
const FORGER = `
const subarray = Uint8Array.prototype.subarray;
let forged;
Uint8Array.prototype.subarray = function (...args) {
  if (forged === undefined || this.length < 8192 || args.length !== 2 || args[0] !== 0) return Reflect.apply(subarray, this, args);
  const bytes = forged;
  forged = undefined;
  return bytes;
};
function frame(type, id, payload = []) {
  const bytes = new Uint8Array(9 + payload.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 5 + payload.length, true);
  view.setUint8(4, type);
  view.setUint32(5, id, true);
  bytes.set(payload, 9);
  return [...bytes];
}
const text = (value) => [...new TextEncoder().encode(JSON.stringify(value))];
const pieces = {
  unknown: () => frame(200, 1),
  huge: () => [255, 255, 255, 255, 19, 0, 0, 0, 0],
  tiny: () => [1, 0, 0, 0, 19],
  zero: () => frame(19, 0, new Array(20).fill(0)),
  ready: () => frame(16, 0, text({ protocol: 2, fences: ["uid"] })),
  loaded: () => frame(17, 0),
  pong: () => frame(23, 0),
  refused: () => frame(24, 0, text("a b")),
  short: () => allIds().flatMap((id) => frame(19, id, [1, 200])),
  status: () => allIds().flatMap((id) => frame(19, id, [9, 231, 3, 0, 0, 0, 0, 0, 0, 0, 0])),
  socket: () => allIds().flatMap((id) => frame(19, id, [32, 101, 0, 0, 0, 0, 0, 0, 0, 0, 0])),
  done: () => allIds().flatMap((id) => frame(22, id)),
  log: () => frame(21, 0, [123]),
  call: () => frame(66, 1, [0, 255, 255, 255, 255]),
};
/** The ids that requests of a young sandbox can have. */
function allIds() { const ids = []; for (let uses = 1; uses < 40; uses++) for (let slot = 0; slot < 4; slot++) ids.push(uses << 12 | slot); return ids; }
export default (req) => { const kind = new URL(req.url).searchParams.get("kind"); if (kind) forged = new Uint8Array(pieces[kind]()); return "mine"; };
`;
const KINDS = [
  "unknown",
  "huge",
  "tiny",
  "zero",
  "ready",
  "loaded",
  "pong",
  "short",
  "status",
  "socket",
  "done",
  "log",
  "call",
];

/** Ends the sandbox that sent it, and the operator is told. */
const forged = (kind: string): Attack => ({
  name: `a forged frame: ${kind}`,
  gets: /^502 SANDBOX_DIED: .*broke the protocol/,
  says: /502 SANDBOX_DIED$/,
  async run(platform) {
    const fn = `forger-${kind}`;
    await platform.deploy(fn, FORGER);
    assert.equal(await (await platform.call(fn)).json(), "mine");
    const response = await platform.call(`${fn}/invoke?kind=${kind}`);
    const { code, error } = await response.json();
    const warnings = platform.logLines.filter((line) =>
      line.includes(`function=${fn} `) && line.includes("broke the protocol")
    );
    assert.match(warnings.join("\n"), /Refused from the sandbox|Cannot read/);
    const executions = await platform.executions(fn, 2);
    const record = executions.find((one: { error_code: string | null }) => one.error_code !== null);
    return { got: `${response.status} ${code}: ${error}`, record: shown(record) };
  },
});

const POISONS: readonly (readonly [string, string])[] = [
  ["JSON", `JSON.stringify = () => "poison"; JSON.parse = () => { throw new Error("poison"); };`],
  [
    "Response and Headers",
    `globalThis.Response = class {}; globalThis.Headers = class {}; globalThis.Request = class {};`,
  ],
  ["then", `Promise.prototype.then = function () { return this; };`],
  [
    "Object.prototype",
    `Object.defineProperty(Object.prototype, "status", { value: 500, configurable: true }); Object.prototype.done = true; Object.prototype.toJSON = () => "poison";`,
  ],
  [
    "Array.prototype",
    `Array.prototype.push = () => 0; Array.prototype[Symbol.iterator] = function* () {}; Array.prototype.map = () => [];`,
  ],
  [
    "typed arrays",
    `Uint8Array.prototype.set = () => {}; Uint8Array.prototype.subarray = () => new Uint8Array(9); DataView.prototype.setUint32 = () => {};`,
  ],
  [
    "TextEncoder",
    `TextEncoder.prototype.encodeInto = () => ({ read: 9e9, written: 9e9 }); TextDecoder.prototype.decode = () => "poison";`,
  ],
  ["Date", `globalThis.Date = class { static now() { return "poison"; } };`],
  ["time", `Date.now = () => NaN; performance.now = () => -1; globalThis.setTimeout = () => {};`],
  ["console", `globalThis.console = null;`],
];

/** Whatever the attacker gets, it is an answer, and it is his own. */
const poisoned = ([name, code]: readonly [string, string]): Attack => ({
  name: `a changed built-in: ${name}`,
  gets: /^[2-5]\d\d in \d{1,4} characters$/,
  async run(platform: TestPlatform) {
    const fn = `poison-${name.replaceAll(/\W/g, "-")}`;
    await platform.deploy(fn, `${code}\nfunction handler() { return { status: 200, body: "mine" }; }`, { timeout: 2 });
    const response = await platform.call(fn, { method: "POST", body: "{}" });
    const got = `${response.status} in ${(await response.text()).length} characters`;
    return { got, record: shown(await recordOf(platform, fn)) };
  },
});

attackTest("frame", () => [...KINDS.map(forged), ...POISONS.map(poisoned)], {
  victim: { source: `export default (req) => JSON.parse('{"got":[1]}')`, answers: `{"got":[1]}` },
});
