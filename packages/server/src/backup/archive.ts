/**
 * The file of a backup: a compressed tar archive, so that it can be looked into without us. Its last entry has the
 * SHA-256 of every other one.
 *
 * @module
 */
import { createTarDecoder, createTarPacker } from "modern-tar";
import { StartError } from "../storage/start_error.ts";

export interface ArchiveEntry {
  readonly name: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

export interface ArchiveWriter {
  add(name: string, content: Uint8Array<ArrayBuffer> | string): Promise<void>;
  /** Resolves when the whole file is written. */
  finish(): Promise<void>;
  abort(reason: unknown): Promise<void>;
}

const CHECKSUMS = "SHA256SUMS";
/** Rows come in small pieces; only statements may be longer. */
const ENTRY_MAX_BYTES = 256 * 1024 * 1024;

export function createArchiveWriter(file: WritableStream<Uint8Array>): ArchiveWriter {
  const { readable, controller } = createTarPacker();
  const written = readable.pipeThrough(new CompressionStream("gzip")).pipeTo(file);
  // Whoever adds next hears of it.
  written.catch(() => {});
  const sums: string[] = [];

  async function put(name: string, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    const writer = controller.add({ name, size: bytes.length, type: "file", mode: 0o600 }).getWriter();
    const added = writer.write(bytes).then(() => writer.close());
    await Promise.race([added, written]);
    await added;
  }

  return {
    async add(name, content) {
      const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
      sums.push(`${await sumOf(bytes)}  ${name}\n`);
      await put(name, bytes);
    },
    async finish() {
      await put(CHECKSUMS, new TextEncoder().encode(sums.join("")));
      controller.finalize();
      await written;
    },
    async abort(reason) {
      controller.error(reason);
      await written.catch(() => {});
    },
  };
}

/**
 * Every entry but the last, in order. Whoever reads must not trust what came before the end is reached.
 *
 * @throws {StartError} when the file is cut short, damaged, or no backup
 */
export async function* readArchive(file: ReadableStream<Uint8Array<ArrayBuffer>>): AsyncGenerator<ArchiveEntry> {
  const sums: string[] = [];
  let isWhole = false;
  try {
    const entries = file.pipeThrough(new DecompressionStream("gzip")).pipeThrough(createTarDecoder({ strict: true }));
    for await (const { header, body } of entries) {
      if (isWhole) throw new StartError("something follows its checksums");
      if (header.size > ENTRY_MAX_BYTES) throw new StartError(`its entry "${header.name}" is too large`);
      const bytes = new Uint8Array(await new Response(body as ReadableStream<Uint8Array<ArrayBuffer>>).arrayBuffer());
      if (header.name === CHECKSUMS) {
        isWhole = true;
        if (new TextDecoder().decode(bytes) !== sums.join("")) throw new StartError("its checksums do not match");
        continue;
      }
      sums.push(`${await sumOf(bytes)}  ${header.name}\n`);
      yield { name: header.name, bytes };
    }
  } catch (error) {
    throw unreadable(error instanceof Error ? error.message : String(error));
  }
  if (!isWhole) throw unreadable("it ends too soon");
}

function unreadable(reason: string): StartError {
  return new StartError(`Cannot read the backup: ${reason}; take another copy of the file, or another backup`);
}

async function sumOf(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
}
