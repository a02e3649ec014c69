/**
 * A platform with a folder of functions, for tests.
 *
 * @module
 */
import { dirname, join } from "node:path";
import { type TestPlatform, withTestPlatform } from "./platform.ts";
import { withoutLeakedProcesses } from "./processes.ts";

export const answering = (text: string) => `export default () => ({ status: 200, body: ${JSON.stringify(text)} });`;

export async function write(dir: string, files: Readonly<Record<string, string | Uint8Array>>): Promise<void> {
  for (const [path, content] of Object.entries(files)) {
    await Deno.mkdir(dirname(join(dir, path)), { recursive: true });
    if (typeof content === "string") await Deno.writeTextFile(join(dir, path), content);
    else await Deno.writeFile(join(dir, path), content);
  }
}

export function filesTest(
  name: string,
  files: Readonly<Record<string, string | Uint8Array>>,
  run: (platform: TestPlatform, dir: string) => Promise<void>,
  env: Readonly<Record<string, string>> = {},
) {
  Deno.test(name, { sanitizeResources: false, sanitizeOps: false }, async () => {
    const dir = await Deno.makeTempDir({ prefix: "fluxbase-functions-" });
    try {
      await write(dir, files);
      await withoutLeakedProcesses(() =>
        withTestPlatform((platform) => run(platform, dir), { FLUXBASE_FUNCTIONS_FUNCTIONS_DIR: dir, ...env })
      );
    } finally {
      await Deno.remove(dir, { recursive: true });
    }
  });
}

export const read = (dir: string, path: string) => Deno.readTextFile(join(dir, path));
export const say = async (platform: TestPlatform, name: string) => await (await platform.call(name)).text();
