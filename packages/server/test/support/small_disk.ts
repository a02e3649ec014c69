/**
 * A small disk of its own for a test: needs the right to mount one.
 *
 * @module
 */
import { isInstalled } from "./programs.ts";

export async function canMount(): Promise<boolean> {
  return Deno.uid() === 0 && Deno.build.os === "linux" && await isInstalled("unshare") &&
    (await new Deno.Command("unshare", { args: ["-m", "true"] }).output()).success;
}

/** Goes away with everything on it. */
export async function mountSmallDisk(dir: string, megabytes: number): Promise<AsyncDisposable> {
  await run("mount", "-t", "tmpfs", "-o", `size=${megabytes}m,mode=755`, "tmpfs", dir);
  return { [Symbol.asyncDispose]: () => run("umount", "-l", dir) };
}

async function run(name: string, ...args: string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command(name, { args }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
}
