/**
 * Every example of docs/handlers.md, deployed as it stands there and called.
 *
 * @module
 */
import assert from "node:assert/strict";
import { platformTest } from "./support/platform.ts";

const TEXT = await Deno.readTextFile(new URL("../../../docs/handlers.md", import.meta.url));
const EXAMPLES = [...TEXT.matchAll(/^```(ts|js)\n(.*?)^```$/gms)].map(([, ending = "", code = ""]) => ({
  ending,
  code,
}));

platformTest(
  "the examples of docs/handlers.md answer as it says",
  async (platform, step) => {
    assert.ok(EXAMPLES.length >= 8);
    for (const [index, { ending, code }] of EXAMPLES.entries()) {
      await step(code.trim().split("\n")[0] ?? "", async () => {
        const name = `example-${index}`;
        const { status, body } = await platform.api("POST", "/functions?strict=true", {
          name,
          files: { [`index.${ending}`]: code },
        });
        assert.equal(status, 201, JSON.stringify(body));
        const response = await platform.call(name, {
          method: "POST",
          headers: { "content-type": "application/json" },
          body: `{"name": "Ada"}`,
        });
        assert.deepEqual([response.status, await response.text()], [200, "Hello, Ada!"]);
      });
    }
  },
  Object.fromEntries(
    Object.entries(Deno.env.toObject()).filter(([name]) => /proxy|npm_config_registry|cert/i.test(name)),
  ),
);
