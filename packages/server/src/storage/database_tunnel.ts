/**
 * Lets functions speak with the database themselves: what a driver in a sandbox sends arrives here, and goes on to the
 * database over a connection of its own.
 *
 * The first message is read before anything is passed on: it must be for the role of functions and for this database,
 * since a function could else try the passwords of others.
 *
 * @module
 */
import { once } from "node:events";
import net from "node:net";
import { Duplex } from "node:stream";
import tls from "node:tls";
import type { Secret } from "../core/secret.ts";

export interface DatabaseTunnel {
  /** The body of the request is what the driver sends, that of the answer what the database does. */
  open(request: Request, functionId: string): Promise<Response>;
}

export interface DatabaseTunnelOptions {
  /** With the role of functions. */
  readonly url: Secret;
  /** Of one function on this server. */
  readonly connectionsMaxCount: number;
}

const SSL_REQUEST = 80_877_103;
const GSS_REQUEST = 80_877_104;
const PROTOCOL_3 = 3;
const STARTUP_MAX_BYTES = 10_000;
const NO = new Uint8Array([0x4e]);
const TLS_MODES = /^(require|verify-ca|verify-full|no-verify)$/;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

export function createDatabaseTunnel({ url, connectionsMaxCount }: DatabaseTunnelOptions): DatabaseTunnel {
  const place = new URL(url.reveal());
  const user = decodeURIComponent(place.username);
  const database = decodeURIComponent(place.pathname.slice(1));
  const counts = new Map<string, number>();

  async function pass(
    incoming: ReadableStream<Uint8Array>,
    outgoing: WritableStream<Uint8Array>,
    functionId: string,
  ): Promise<void> {
    const count = counts.get(functionId) ?? 0;
    counts.set(functionId, count + 1);
    const reader = incoming.getReader();
    const writer = outgoing.getWriter();
    try {
      const startup = await readStartup(reader, writer);
      if (startup === undefined) return;
      const refused = count >= connectionsMaxCount
        ? refusal("53300", `a function may have ${connectionsMaxCount} connections to the database`)
        : startup.user !== user || startup.database !== database
        ? refusal("28000", `functions connect as "${user}" to database "${database}": use DATABASE_URL as it is`)
        : undefined;
      if (refused !== undefined) return await writer.write(refused);
      const connection = await connect(place);
      const back = (async () => {
        for await (const chunk of connection.readable) await writer.write(chunk);
      })().catch(() => {});
      const forth = (async () => {
        const out = connection.writable.getWriter();
        await out.write(startup.bytes);
        for (let next = await reader.read(); !next.done; next = await reader.read()) await out.write(next.value);
        await out.close();
      })().catch(() => closeQuietly(connection));
      // The database has the last word; a driver that went away makes it close.
      await back;
      closeQuietly(connection);
      await reader.cancel().catch(() => {});
      await forth;
    } catch {
      await writer.write(refusal("08006", "the database does not answer")).catch(() => {});
    } finally {
      const left = (counts.get(functionId) ?? 1) - 1;
      if (left === 0) counts.delete(functionId);
      else counts.set(functionId, left);
      await writer.close().catch(() => {});
      await reader.cancel().catch(() => {});
    }
  }

  return {
    open(request, functionId) {
      if (request.body === null) return Promise.resolve(new Response("A stream is needed", { status: 400 }));
      const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
      void pass(request.body, writable, functionId);
      return Promise.resolve(new Response(readable));
    },
  };
}

interface Startup {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly user: string | undefined;
  readonly database: string | undefined;
}

/** Answers what comes before it: encryption is asked for, and is not needed on the way to here. */
async function readStartup(
  reader: ReadableStreamDefaultReader<Uint8Array>,
  writer: WritableStreamDefaultWriter<Uint8Array>,
): Promise<Startup | undefined> {
  let bytes = new Uint8Array();
  for (;;) {
    while (bytes.length < 8 || bytes.length < lengthOf(bytes)) {
      const { done, value } = await reader.read();
      if (done) return undefined;
      bytes = joined(bytes, value);
      if (bytes.length >= 4 && (lengthOf(bytes) > STARTUP_MAX_BYTES || lengthOf(bytes) < 8)) return undefined;
    }
    const code = new DataView(bytes.buffer).getInt32(4);
    if (code === SSL_REQUEST || code === GSS_REQUEST) {
      await writer.write(NO);
      bytes = bytes.slice(lengthOf(bytes));
      continue;
    }
    if (code >> 16 !== PROTOCOL_3) return undefined;
    const parts = decoder.decode(bytes.subarray(8, lengthOf(bytes))).split("\0");
    const named = (name: string) => {
      for (let index = 0; index + 1 < parts.length; index += 2) if (parts[index] === name) return parts[index + 1];
      return undefined;
    };
    const user = named("user");
    // A second one of the same name, or replication, is nothing that a driver sends.
    const isOdd = parts.filter((part, index) =>
      index % 2 === 0 && /^(user|database|replication)$/.test(part)
    ).length > 2;
    return { bytes, user: isOdd ? undefined : user, database: named("database") ?? user };
  }
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

/** An ErrorResponse as drivers read it. */
function refusal(code: string, message: string): Uint8Array {
  const fields = encoder.encode(`SFATAL\0VFATAL\0C${code}\0M${message}\0\0`);
  const bytes = new Uint8Array(5 + fields.length);
  bytes[0] = 0x45;
  new DataView(bytes.buffer).setInt32(1, 4 + fields.length);
  bytes.set(fields, 5);
  return bytes;
}

interface Connection {
  readonly readable: ReadableStream<Uint8Array>;
  readonly writable: WritableStream<Uint8Array>;
  close(): void;
}

/** As the driver connects, for the same words in the URL. */
async function connect({ hostname, port, searchParams }: URL): Promise<Connection> {
  const host = hostname.replace(/^\[|\]$/g, "");
  const mode = searchParams.get("sslmode") ?? "";
  if (!TLS_MODES.test(mode)) {
    const connection = await Deno.connect({ hostname: host, port: Number(port || 5432) });
    connection.setNoDelay(true);
    return connection;
  }
  const socket = net.connect({ host, port: Number(port || 5432), noDelay: true });
  const request = new Uint8Array(8);
  new DataView(request.buffer).setInt32(0, 8);
  new DataView(request.buffer).setInt32(4, SSL_REQUEST);
  socket.write(request);
  const closed = () => socket.destroy(new Error("The database closed the connection"));
  socket.once("end", closed);
  const [answer] = await once(socket, "data");
  socket.off("end", closed);
  if (answer[0] !== 0x53) {
    socket.destroy();
    throw new Error("The database refuses TLS");
  }
  const rootPath = searchParams.get("sslrootcert");
  const encrypted = tls.connect({
    socket,
    ...(net.isIP(host) === 0 ? { servername: host } : {}),
    // Deno.startTls knows no way to go on without a check, which is what libpq's "require" means.
    rejectUnauthorized: mode !== "no-verify",
    ...(rootPath === null ? {} : { ca: await Deno.readTextFile(rootPath) }),
  });
  await once(encrypted, "secureConnect");
  const { readable, writable } = Duplex.toWeb(encrypted);
  return {
    readable: readable as ReadableStream<Uint8Array>,
    writable: writable as WritableStream<Uint8Array>,
    close: () => void encrypted.destroy(),
  };
}

function closeQuietly(connection: Connection): void {
  try {
    connection.close();
  } catch {
    // Closed already.
  }
}
