/**
 * Addresses that the operator opens to functions, and nothing beside them.
 *
 * @module
 */
import assert from "node:assert/strict";
import { DENIED } from "./attacks/corpus.ts";
import { startNeighbour } from "./support/neighbour.ts";
import { platformTest } from "./support/platform.ts";

platformTest("a hole opens its address and nothing else, also not by a redirect", async (platform, step) => {
  await using open = startNeighbour("127.9.9.9");
  await using closed = startNeighbour("127.8.8.8");
  await platform.deploy(
    "reach",
    `async function handler(req) {
    try { return await (await fetch(req.params.url)).text(); } catch (error) { return "refused: " + error.message; }
  }`,
  );
  const reach = async (url: string) =>
    await (await platform.call(`reach/invoke?url=${encodeURIComponent(url)}`)).json();
  const closedUrl = `http://127.8.8.8:${closed.port}/`;

  await step("the hole", async () => {
    assert.equal(await reach(`http://127.9.9.9:${open.port}/`), "reached");
  });
  await step("beside it", async () => {
    assert.match(await reach(closedUrl), /^refused/);
    assert.match(await reach(`http://127.9.9.8:${open.port}/`), /^refused/);
  });
  await step("a redirect out of the hole", async () => {
    const to = encodeURIComponent(closedUrl);
    assert.match(await reach(`http://127.9.9.9:${open.port}/redirect?to=${to}`), /^refused/);
  });
  await step("a list of hosts opens those hosts, and no address that is denied", async () => {
    const openUrl = `http://127.9.9.9:${open.port}/`;
    const reachWith = async (net: readonly string[], ...urls: string[]): Promise<string[]> => {
      const { body } = await platform.api("PATCH", "/functions/reach", { permissions: { net } });
      assert.deepEqual([body.allow_net, body.bundle_error], [net.length === 0 ? false : net, null]);
      return await Promise.all(urls.map(reach));
    };
    const [listed = "", unlisted = "", byName = ""] = await reachWith(
      ["127.9.9.9", "api.example.com"],
      openUrl,
      "http://93.184.216.34/",
      "http://api.example.org/",
    );
    assert.equal(listed, "reached");
    assert.match(unlisted, DENIED);
    assert.match(byName, DENIED);
    const [wrongPort = ""] = await reachWith(["*.example.com", "127.9.9.9:1"].sort(), openUrl);
    assert.match(wrongPort, DENIED);
    // Listed, and nevertheless addresses of this machine.
    for (const url of [closedUrl, closedUrl.replace("127.8.8.8", "localhost")]) {
      const [answer = ""] = await reachWith(["127.8.8.8", "localhost"], url);
      assert.match(answer, /^refused/);
    }
    const [own = ""] = await reachWith(["api.example.com"], `${platform.url}/health`);
    assert.match(own, /"status":"ok"/);
    const [none = ""] = await reachWith([], openUrl);
    assert.match(none, DENIED);
  });

  await step("the operator is told that a port is no fence", () => {
    assert.ok(platform.logLines.some((line) => line.includes("every port") && line.includes("127.9.9.9:81")));
  });
}, { FLUXBASE_FUNCTIONS_EGRESS_ALLOW: "127.9.9.9:81" });
