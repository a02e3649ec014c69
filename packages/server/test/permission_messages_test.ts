/**
 * What a function is told when it is refused something names this product's settings, never a flag of a command line.
 *
 * @module
 */
import assert from "node:assert/strict";
import { platformTest } from "./support/platform.ts";

const TRIES: Readonly<Record<string, [code: string, says: RegExp]>> = {
  read: [`Deno.readTextFileSync("./a.txt")`, /Cannot read .*a\.txt.*permissions\.read/],
  write: [`Deno.writeTextFileSync("/tmp/a.txt", "x")`, /Cannot write .*permissions\.write/],
  connect: [
    `await Deno.connect({ hostname: "192.168.0.1", port: 5432 })`,
    /Cannot connect to 192\.168\.0\.1.*EGRESS_ALLOW/,
  ],
  run: [`new Deno.Command("/bin/ls").outputSync()`, /a function starts no programs/],
  ffi: [`Deno.dlopen("libc.so.6", {})`, /native code/],
  system: [`Deno.hostname()`, /hidden from it/],
  memory: [`Deno.systemMemoryInfo()`, /hidden from it/],
  temporary: [`Deno.makeTempFileSync()`, /permissions\.write/],
  "of Node": [`process["getBuiltin" + "Module"]("node:fs").readFileSync("/etc/hosts")`, /Cannot read/],
};

platformTest("refusals speak of what an author can set", async (platform, step) => {
  const source = ([code]: [string, RegExp]) =>
    `export default async () => { try { return new Response("got " + ${code}); } catch (error) { return new Response(error.message); } };`;
  for (const [index, [name, tried]] of Object.entries(TRIES).entries()) {
    await step(name, async () => {
      await platform.deploy(`tries-${index}`, source(tried));
      const text = await (await platform.call(`tries-${index}`)).text();
      assert.match(text, tried[1]);
      assert.doesNotMatch(text, /run again with|--allow|--unstable/);
    });
  }
  await step("without network", async () => {
    await platform.deploy("alone", source([`await fetch("http://example.invalid/")`, /./]), { allow_net: false });
    assert.match(await (await platform.call("alone")).text(), /Cannot connect to example\.invalid.*permissions\.net/);
  });
});
