/**
 * Programs that only some tests need, where the machine has them.
 *
 * @module
 */
import { join } from "node:path";

export async function isInstalled(program: string): Promise<boolean> {
  // Deno.Command throws where there is none, at once and not in its promise.
  for (const dir of (Deno.env.get("PATH") ?? "").split(":")) {
    if (await Deno.stat(join(dir, program)).then(({ isFile }) => isFile, () => false)) return true;
  }
  return false;
}

export function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}
