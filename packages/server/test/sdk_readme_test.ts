/**
 * The examples in the README of the SDK: their types are checked, and they run one after the other.
 *
 * @module
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { platformTest } from "./support/platform.ts";

const README = fileURLToPath(new URL("../../sdk/README.md", import.meta.url));
const ROOT = fileURLToPath(new URL("../../../", import.meta.url));

platformTest("the README of the SDK", async (platform, step) => {
  await step("every example runs as it is written", async () => {
    const blocks = [...(await Deno.readTextFile(README)).matchAll(/^```ts\n([^]*?)^```$/gm)].map(([, code = ""]) =>
      code
    );
    const [imports = "", ...examples] = blocks;
    assert.ok(examples.length >= 7, `${examples.length} examples`);
    // Each in a scope of its own, as whoever reads one of them has it.
    const [head = "", ...rest] = imports.split(/\n(?=const )/);
    const code = `${head}\ndeclare const process: { env: Record<string, string | undefined> };\n${rest.join("\n")}\n` +
      examples.map((example) => `{\n${example}}\n`).join("");
    // In the repository, where the SDK is found by its name.
    const dir = await Deno.makeTempDir({ dir: join(ROOT, "packages/sdk"), prefix: "dist-readme-" });
    try {
      await Deno.writeTextFile(join(dir, "readme.ts"), code);
      // As strict as Deno is by itself.
      await Deno.writeTextFile(join(dir, "deno.json"), `{"imports": {"@fluxbase/sdk": "../mod.ts"}}`);
      const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
        args: ["run", "--allow-net", "--allow-env", "--check", "--node-modules-dir=manual", "readme.ts"],
        cwd: dir,
        env: {
          NO_COLOR: "1",
          FLUXBASE_URL: platform.url,
          FLUXBASE_CLIENT_KEY: await platform.mintKey(["functions:*"]),
          FLUXBASE_ANON_KEY: platform.anonKey,
          FLUXBASE_SERVICE_ROLE_KEY: platform.serviceKey,
        },
      }).output();
      const [out, err] = [new TextDecoder().decode(stdout), new TextDecoder().decode(stderr)];
      assert.ok(success, out + err);
      assert.match(out, /Hello Alice!/);
      assert.match(out, /info greeting Alice/);
      assert.match(out, /404 FUNCTION_NOT_FOUND [\w-]{10,}/);
      assert.match(out, /\[ 1, true \]/);
      assert.match(out, /SIGNED_IN ada@example.com[^]*SIGNED_OUT/);
      assert.match(out, /Hello Bob! Write/);
      assert.match(out, /fbk_\S+ \[ "default" \]/);
    } finally {
      await Deno.remove(dir, { recursive: true });
    }
  });
});
