/**
 * The first message of a driver of Postgres: who it wants to be, and where.
 *
 * @module
 */

export interface Startup {
  readonly user: string | undefined;
  readonly database: string | undefined;
  /** Of version 3. */
  readonly minorVersion: number;
  /** Parts of newer protocols that it asks for. */
  readonly options: readonly string[];
  /** What its session begins with, in order. */
  readonly settings: readonly (readonly [name: string, value: string])[];
}

const SSL_REQUEST = 80_877_103;
const GSS_REQUEST = 80_877_104;
const PROTOCOL_3 = 3;
const MAX_BYTES = 10_000;
const NO = new Uint8Array([0x4e]);
const decoder = new TextDecoder();

/** Answers what comes before it: encryption is asked for, and is not needed on the way to here. Undefined: no startup. */
export async function readStartup(
  reader: ReadableStreamDefaultReader<Uint8Array>,
  writer: WritableStreamDefaultWriter<Uint8Array>,
): Promise<Startup | undefined> {
  let bytes = new Uint8Array();
  for (;;) {
    while (bytes.length < 8 || bytes.length < lengthOf(bytes)) {
      const { done, value } = await reader.read();
      if (done) return undefined;
      bytes = joined(bytes, value);
      if (bytes.length >= 4 && (lengthOf(bytes) > MAX_BYTES || lengthOf(bytes) < 8)) return undefined;
    }
    const code = new DataView(bytes.buffer).getInt32(4);
    if (code === SSL_REQUEST || code === GSS_REQUEST) {
      await writer.write(NO);
      bytes = bytes.slice(lengthOf(bytes));
      continue;
    }
    if (code >> 16 !== PROTOCOL_3) return undefined;
    return startupOf(decoder.decode(bytes.subarray(8, lengthOf(bytes))).split("\0"), code & 0xffff);
  }
}

function startupOf(parts: readonly string[], minorVersion: number): Startup | undefined {
  const named = new Map<string, string>();
  for (let index = 0; index + 1 < parts.length && parts[index] !== ""; index += 2) {
    const [name = "", value = ""] = parts.slice(index);
    // A second one of the same name, or replication, is nothing that a driver sends.
    if (named.has(name) || name === "replication") return undefined;
    named.set(name, value);
  }
  const { user, database = user, options = "", ...others } = Object.fromEntries(named);
  const rest = Object.entries(others);
  return {
    user,
    database,
    minorVersion,
    options: rest.map(([name]) => name).filter((name) => name.startsWith("_pq_.")),
    settings: [...settingsIn(options), ...rest.filter(([name]) => !name.startsWith("_pq_."))],
  };
}

/** `-c name=value` and `--name=value`, as `options` has them; a backslash keeps a blank. */
function settingsIn(options: string): [string, string][] {
  const words = options.match(/(?:\\[\s\S]|\S)+/g)?.map((word) => word.replaceAll(/\\([\s\S])/g, "$1")) ?? [];
  return words.flatMap((word, index): [string, string][] => {
    const text = words[index - 1] === "-c"
      ? word
      : word.startsWith("--")
      ? word.slice(2)
      : word.startsWith("-c")
      ? word.slice(2)
      : "";
    const at = text.indexOf("=");
    return at > 0 ? [[text.slice(0, at).replaceAll("-", "_"), text.slice(at + 1)]] : [];
  });
}

function lengthOf(bytes: Uint8Array<ArrayBuffer>): number {
  return new DataView(bytes.buffer, bytes.byteOffset).getInt32(0);
}

function joined(first: Uint8Array, second: Uint8Array): Uint8Array<ArrayBuffer> {
  const both = new Uint8Array(first.length + second.length);
  both.set(first);
  both.set(second, first.length);
  return both;
}
