/**
 * Functions with packages from npm, each built, loaded and called.
 *
 * @module
 */
import { platformTest } from "../support/platform.ts";
import { PACKAGES } from "./table.ts";
import assert from "node:assert/strict";

/** A file for one line of JSON for each package; then all are tried, else some. */
const REPORT_VARIABLE = "FLUXBASE_TEST_PACKAGES_REPORT";
const report = Deno.env.get(REPORT_VARIABLE);
const wanted = Deno.env.get("FLUXBASE_TEST_PACKAGES")?.split(",");
const cases = PACKAGES.filter(({ name, everyTime }) =>
  wanted?.includes(name) ?? (report !== undefined || everyTime !== undefined)
);

platformTest("packages from npm build, load and answer", async (platform, step) => {
  for (const [index, { name, code, answers, everyTime }] of cases.entries()) {
    await step(everyTime === undefined ? name : `${name}: ${everyTime}`, async () => {
      const fn = `package-${index}`;
      const result: Record<string, unknown> = { name, builds: false, loads: false, answers: false };
      try {
        const startedMs = performance.now();
        const { status, body } = await platform.api("POST", "/functions", {
          name: fn,
          files: { [code.includes("@jsxImportSource") ? "index.tsx" : "index.ts"]: code },
          timeout_seconds: 30,
          memory_limit_mb: 512,
        });
        assert.equal(status, 201, JSON.stringify(body));
        result["ms"] = Math.round(performance.now() - startedMs);
        result["bytes"] = body.bundle_size;
        result["said"] = body.bundle_error;
        assert.equal(body.bundle_error, null);
        result["builds"] = true;
        const response = await platform.call(fn, { method: "POST" });
        const text = await response.text();
        result["said"] = text.slice(0, 400);
        result["loads"] = !/LOAD_FAILED|BUNDLE_FAILED/.test(text);
        assert.equal(response.status, 200, text);
        assert.ok(text.includes(answers), text);
        result["answers"] = true;
      } finally {
        if (report !== undefined) await Deno.writeTextFile(report, `${JSON.stringify(result)}\n`, { append: true });
      }
    });
  }
}, {
  FLUXBASE_FUNCTIONS_EGRESS_ALLOW: "127.0.0.1/32",
  FLUXBASE_LIMITS_BUNDLE_BYTES: "20000000",
  ...Object.fromEntries(
    Object.entries(Deno.env.toObject()).filter(([name]) => /proxy|npm_config_registry|cert/i.test(name)),
  ),
});
