/**
 * Connections to the database: drivers connect to a name that exists only here, and their bytes travel in frames over
 * the sandbox's socket. So no address has to be opened for them.
 *
 * @module
 */
import type { Duplex } from "node:stream";

/** In DATABASE_URL. No resolver knows it. */
export const DATABASE_HOST = "database.fluxbase.internal";

export interface Tunnel {
  readonly readable: ReadableStream<Uint8Array>;
  readonly writable: WritableStream<Uint8Array>;
}

type OpenTunnel = () => Promise<Tunnel>;

/** `usesNode`: the bundle imports Node's sockets, as drivers from npm do; loading them costs milliseconds. */
export function installDatabase(open: OpenTunnel, { usesNode }: { readonly usesNode: boolean }): void {
  const nativeConnect = Deno.connect;
  const connect = (options: Deno.ConnectOptions | Deno.UnixConnectOptions) =>
    "hostname" in options && options.hostname === DATABASE_HOST
      ? open().then(connectionOf)
      : nativeConnect(options as Deno.ConnectOptions);
  Object.defineProperty(Deno, "connect", { value: connect, writable: true, configurable: true });
  if (usesNode) replaceNodeConnect(open);
}

/** What drivers use of a connection of Deno. */
function connectionOf({ readable, writable }: Tunnel): Deno.Conn {
  const reader = readable.getReader();
  const writer = writable.getWriter();
  let rest = new Uint8Array();
  const address: Deno.NetAddr = { transport: "tcp", hostname: DATABASE_HOST, port: 5432 };
  const connection = {
    localAddr: address,
    remoteAddr: address,
    readable,
    writable,
    async read(target: Uint8Array): Promise<number | null> {
      if (rest.length === 0) {
        const { done, value } = await reader.read();
        if (done) return null;
        rest = new Uint8Array(value);
      }
      const count = Math.min(target.length, rest.length);
      target.set(rest.subarray(0, count));
      rest = rest.subarray(count);
      return count;
    },
    async write(bytes: Uint8Array): Promise<number> {
      await writer.write(bytes.slice());
      return bytes.length;
    },
    closeWrite: () => writer.close(),
    close() {
      void writer.close().catch(() => {});
      void reader.cancel().catch(() => {});
    },
    ref() {},
    unref() {},
    [Symbol.dispose]() {
      connection.close();
    },
  };
  return connection as unknown as Deno.Conn;
}

interface NodeSocket extends Duplex {
  connecting: boolean;
}

function replaceNodeConnect(open: OpenTunnel): void {
  const { Socket } = process.getBuiltinModule("node:net");
  const native: unknown = Socket.prototype.connect;
  Object.defineProperty(Socket.prototype, "connect", {
    writable: true,
    configurable: true,
    value: function connect(this: NodeSocket, ...args: unknown[]) {
      // `net.connect` hands over its arguments as one list.
      const [first, second] = Array.isArray(args[0]) ? args[0] : args;
      const host = typeof first === "object" && first !== null ? Reflect.get(first, "host") : second;
      if (host !== DATABASE_HOST) return Reflect.apply(native as typeof Socket.prototype.connect, this, args);
      const listener = (Array.isArray(args[0]) ? args[0] : args).findLast((one) => typeof one === "function");
      if (typeof listener === "function") this.once("connect", listener as () => void);
      tunnelInto(this, open());
      return this;
    },
  });
}

/** Gives one socket of Node another way to read and write; everything else of it stays. */
function tunnelInto(socket: NodeSocket, opening: Promise<Tunnel>): void {
  socket.connecting = true;
  const opened = opening.then(({ readable, writable }) => ({
    reader: readable.getReader(),
    writer: writable.getWriter(),
  }));
  const write = (bytes: Uint8Array, done: (error?: Error | null) => void) =>
    void opened.then(({ writer }) => writer.write(bytes.slice())).then(() => done(), done);
  const asBytes = (chunk: Uint8Array | string, encoding: BufferEncoding) =>
    typeof chunk === "string" ? Buffer.from(chunk, encoding) : chunk;
  const methods: Partial<Duplex> = {
    _read() {
      void opened.then(({ reader }) => reader.read()).then(
        ({ done, value }) => socket.push(done ? null : Buffer.from(value)),
        (error) => socket.destroy(error),
      );
    },
    _write: (chunk, encoding, done) => write(asBytes(chunk, encoding), done),
    _writev: (chunks, done) =>
      write(Buffer.concat(chunks.map(({ chunk, encoding }) => asBytes(chunk, encoding))), done),
    _final: (done) => void opened.then(({ writer }) => writer.close()).then(() => done(), () => done()),
    _destroy(error, done) {
      void opened.then(({ reader, writer }) => Promise.allSettled([reader.cancel(), writer.abort()])).catch(() => {});
      done(error);
      // Sockets of Node say so themselves, not as other streams do.
      process.nextTick(() => socket.emit("close", error !== null));
    },
  };
  Object.assign(socket, methods);
  opened.then(() => {
    socket.connecting = false;
    socket.emit("connect");
    socket.emit("ready");
    socket.read(0);
  }, (error) => socket.destroy(error));
}
