/**
 * The hello handler on workerd, which is installed on demand, outside the packages of this project.
 *
 * @module
 */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { delay } from "../packages/server/src/core/clock.ts";
import { type RunningServer, startProgram } from "./server.ts";

const VERSION = "1.20261117.1";
const INSTALL_DIR = fileURLToPath(new URL("./out/workerd", import.meta.url));
const PORT = 8_907;

const CONFIG = `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [(name = "main", worker = .hello)],
  sockets = [(name = "http", address = "127.0.0.1:${PORT}", http = (), service = "main")]
);
const hello :Workerd.Worker = (modules = [(name = "hello.js", esModule = embed "hello.js")], compatibilityDate = "2025-11-01");`;
const HELLO = `export default {
  async fetch(request) {
    const data = JSON.parse(await request.text() || "{}");
    return new Response(JSON.stringify({ message: \`Hello \${data.name || "World"}!\` }), { headers: { "content-type": "application/json" } });
  },
};`;

export interface Workerd extends RunningServer {
  readonly url: string;
}

export async function startWorkerd(dir: string): Promise<Workerd> {
  await Deno.writeTextFile(join(dir, "config.capnp"), CONFIG);
  await Deno.writeTextFile(join(dir, "hello.js"), HELLO);
  // It says nothing when it is ready.
  const server = await startProgram(await binary(), ["serve", join(dir, "config.capnp")], { isReady: /^/ });
  const url = `http://127.0.0.1:${PORT}/`;
  while (!await fetch(url).then((response) => response.ok, () => false)) await delay(50);
  return { ...server, url };
}

async function binary(): Promise<string> {
  const architecture = Deno.build.arch === "aarch64" ? "arm64" : "64";
  const path = join(INSTALL_DIR, "node_modules", "@cloudflare", `workerd-linux-${architecture}`, "bin", "workerd");
  const isInstalled = await Deno.stat(path).then(() => true, () => false);
  if (isInstalled) return path;
  await Deno.mkdir(INSTALL_DIR, { recursive: true });
  const { success } = await new Deno.Command("npm", {
    args: [
      "install",
      "--prefix",
      INSTALL_DIR,
      "--no-save",
      "--ignore-scripts",
      "--no-audit",
      "--no-fund",
      `workerd@${VERSION}`,
    ],
    stdout: "null",
  }).output();
  if (!success) throw new Error(`Cannot install workerd ${VERSION} to compare with`);
  return path;
}
