/**
 * A folder with sources, for a process that may read it and nothing else of the machine.
 *
 * @module
 */
import { dirname, join } from "node:path";

export interface SourceFolder {
  /** What ends in `.wasm` is base64. */
  write(path: string, text: string): Promise<void>;
  make(path: string): Promise<void>;
  /** Of all that was made, when it is complete. */
  handOver(): Promise<void>;
}

/** @param uid of the process; null: that of the server */
export function createFolder(dir: string, uid: number | null): SourceFolder {
  const made = new Set<string>();
  async function makeAll(folder: string): Promise<void> {
    for (let one = folder; !made.has(one) && one.length >= dir.length; one = dirname(one)) {
      await Deno.mkdir(one, { recursive: true, mode: 0o700 });
      made.add(one);
    }
  }
  return {
    async write(path, text) {
      const full = join(dir, path);
      await makeAll(dirname(full));
      const bytes = path.endsWith(".wasm") ? Uint8Array.fromBase64(text) : new TextEncoder().encode(text);
      await Deno.writeFile(full, bytes);
      if (uid !== null) await Deno.chown(full, uid, uid);
    },
    make: (path) => makeAll(join(dir, path)),
    async handOver() {
      if (uid === null) return;
      for (const folder of made) await Deno.chown(folder, uid, uid);
    },
  };
}
