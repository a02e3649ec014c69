/**
 * A headless browser of the machine, where there is one.
 *
 * @module
 */
import { join } from "node:path";

const NAMES = ["chromium", "chromium-browser", "google-chrome", "chrome"];

/** Undefined: none is installed. */
export async function findBrowser(): Promise<string | undefined> {
  for (const dir of (Deno.env.get("PATH") ?? "").split(":")) {
    for (const name of NAMES) {
      const path = join(dir, name);
      if (await Deno.stat(path).then(({ isFile }) => isFile, () => false)) return path;
    }
  }
  return undefined;
}

export async function openPage(browser: string, url: string): Promise<AsyncDisposable> {
  const profile = await Deno.makeTempDir({ prefix: "fluxbase-browser-" });
  const child = new Deno.Command(browser, {
    // Its own sandbox refuses to run as root, and in many containers.
    args: ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", `--user-data-dir=${profile}`, url],
    stdout: "null",
    stderr: "null",
  }).spawn();
  return {
    async [Symbol.asyncDispose]() {
      child.kill();
      await child.status;
      // Its helpers may write for a moment longer.
      await Deno.remove(profile, { recursive: true }).catch(() => {});
    },
  };
}
