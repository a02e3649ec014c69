/**
 * Lets functions speak with the users' database: what a driver in a sandbox sends arrives here, and goes on to the
 * database over a connection of its own.
 *
 * This side logs in, as the role of the function's namespace, so no password is ever in a sandbox. The first message of
 * the driver is answered here: it must name that role and that database, and what it asks for besides are settings that
 * any session may choose. From then on bytes are passed on as they are.
 *
 * @module
 */
import type { Duplex } from "node:stream";
import pg from "pg";
import type { Secret } from "../core/secret.ts";
import { codeOf } from "./db.ts";
import { connectAs, searchPathOption, withRole } from "./role_session.ts";
import type { Roles } from "./roles.ts";
import { readStartup, type Startup } from "./startup_message.ts";

export interface DatabaseTunnel {
  /** The body of the request is what the driver sends, that of the answer what the database does. */
  open(request: Request, caller: TunnelCaller): Promise<Response>;
}

export interface TunnelCaller {
  readonly functionId: string;
  /** Undefined: the function is gone. */
  readonly namespace: string | undefined;
}

export interface DatabaseTunnelOptions {
  /** Of the users' database. */
  readonly url: Secret;
  readonly roles: Roles;
  /** Of one function on this server. */
  readonly connectionsMaxCount: number;
  /** Of all functions on this server. */
  readonly allConnectionsMaxCount: number;
  /** One statement, and one transaction that waits for its next. */
  readonly transactionMs: number;
}

const CONNECT_MS = 5_000;
/** Of the connections of all functions, so many are kept for namespaces that have none. */
const KEPT_FOR_OTHERS = 0.25;
const encoder = new TextEncoder();

export function createDatabaseTunnel(options: DatabaseTunnelOptions): DatabaseTunnel {
  const { url, roles, connectionsMaxCount, allConnectionsMaxCount, transactionMs } = options;
  const counts = new Map<string, number>();
  let total = 0;

  function add(key: string, change: 1 | -1): void {
    const count = (counts.get(key) ?? 0) + change;
    if (count === 0) counts.delete(key);
    else counts.set(key, count);
  }

  /** Undefined: there is room for one more. Namespaces and functions cannot have one key: ids are UUIDs. */
  function refusalOf({ functionId, namespace }: { functionId: string; namespace: string }): string | undefined {
    if ((counts.get(functionId) ?? 0) >= connectionsMaxCount) {
      return `a function may have ${connectionsMaxCount} connections to the database`;
    }
    const kept = counts.has(`ns ${namespace}`) ? Math.floor(allConnectionsMaxCount * KEPT_FOR_OTHERS) : 0;
    return total >= allConnectionsMaxCount - kept
      ? `all ${allConnectionsMaxCount} connections of functions to the database are in use`
      : undefined;
  }

  async function pass(
    incoming: ReadableStream<Uint8Array>,
    outgoing: WritableStream<Uint8Array>,
    caller: { functionId: string; namespace: string },
  ): Promise<void> {
    const refused = refusalOf(caller);
    const place = roles.placeOf(caller.namespace);
    const keys = [caller.functionId, `ns ${caller.namespace}`];
    for (const key of keys) add(key, 1);
    total += 1;
    const reader = incoming.getReader();
    const writer = outgoing.getWriter();
    try {
      const startup = await readStartup(reader, writer);
      if (startup === undefined) return;
      if (refused !== undefined) return await writer.write(refusal("53300", refused));
      if (startup.user !== place.role || startup.database !== roles.databaseName) {
        return await writer.write(refusal(
          "28000",
          `functions of this namespace connect as "${place.role}" to database "${roles.databaseName}": use DATABASE_URL as it is`,
        ));
      }
      const session = await openSession(caller.namespace, startup);
      await writer.write(session.greeting);
      const { stream } = session;
      const back = (async () => {
        for await (const chunk of stream) await writer.write(chunk);
      })().catch(() => {});
      const forth = (async () => {
        for (let next = await reader.read(); !next.done; next = await reader.read()) await send(stream, next.value);
        stream.end();
      })().catch(() => stream.destroy());
      // The database has the last word; a driver that went away makes it close.
      await back;
      stream.destroy();
      await reader.cancel().catch(() => {});
      await forth;
    } catch (error) {
      await writer.write(refusalFor(error)).catch(() => {});
    } finally {
      for (const key of keys) add(key, -1);
      total -= 1;
      await writer.close().catch(() => {});
      await reader.cancel().catch(() => {});
    }
  }

  async function openSession(namespace: string, startup: Startup): Promise<Session> {
    const { schemas } = roles.placeOf(namespace);
    const session = await withRole(() => roles.forNamespace(namespace), roles, async (role) => {
      const status = new Map<string, string>();
      const client = await connectAs(role, {
        roles,
        url,
        connectionTimeoutMillis: CONNECT_MS,
        statement_timeout: transactionMs,
        idle_in_transaction_session_timeout: transactionMs,
        application_name: "fluxbase-function",
        options: searchPathOption(schemas),
        onStatus: (name, value) => void status.set(name, value),
      });
      return { client, status };
    });
    return await handOver(session, startup);
  }

  return {
    open(request, { functionId, namespace }) {
      if (namespace === undefined) return Promise.resolve(new Response("The function is gone", { status: 404 }));
      if (request.body === null) return Promise.resolve(new Response("A stream is needed", { status: 400 }));
      const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
      void pass(request.body, writable, { functionId, namespace });
      return Promise.resolve(new Response(readable));
    },
  };
}

interface Session {
  /** What a driver is told at the end of a log-in. */
  readonly greeting: Uint8Array;
  readonly stream: Duplex;
}

/** What the driver has below its surface: the socket, encrypted or not, and the key to cancel with. */
interface Inside {
  readonly connection: { readonly stream: Duplex };
  readonly processID: number;
  readonly secretKey: number;
}

/** The session belongs to the function's driver from here on; ours forgets its socket. */
async function handOver(
  { client, status }: { readonly client: pg.Client; readonly status: ReadonlyMap<string, string> },
  startup: Startup,
): Promise<Session> {
  try {
    for (const [name, value] of startup.settings) {
      await client.query("select pg_catalog.set_config($1, $2, false)", [name, value]);
    }
  } catch (error) {
    await client.end().catch(() => {});
    throw error;
  }
  const { connection: { stream }, processID, secretKey } = client as unknown as Inside;
  stream.pause();
  stream.removeAllListeners("data");
  return { greeting: greetingOf(startup, { status, processID, secretKey }), stream };
}

/** Resolves when there is room for more; rejects when the stream is gone. */
function send(stream: Duplex, bytes: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.write(bytes, (error) => error === null || error === undefined ? resolve() : reject(error));
  });
}

function greetingOf(
  { minorVersion, options }: Startup,
  { status, processID, secretKey }: {
    readonly status: ReadonlyMap<string, string>;
    readonly processID: number;
    readonly secretKey: number;
  },
): Uint8Array {
  const negotiation = minorVersion === 0 && options.length === 0
    ? []
    : [message("v", numbers(3 << 16, options.length), ...options.map(text))];
  return joined([
    ...negotiation,
    message("R", numbers(0)),
    ...[...status].map(([name, value]) => message("S", text(name), text(value))),
    message("K", numbers(processID, secretKey)),
    message("Z", encoder.encode("I")),
  ]);
}

function refusalFor(error: unknown): Uint8Array {
  const code = codeOf(error);
  // Of Postgres, five characters; others are of the network, and nothing that a function is told.
  return /^[0-9A-Z]{5}$/.test(code) && error instanceof Error
    ? refusal(code, error.message)
    : refusal("08006", "the database does not answer");
}

/** An ErrorResponse as drivers read it. */
function refusal(code: string, what: string): Uint8Array {
  return message("E", text("SFATAL"), text("VFATAL"), text(`C${code}`), text(`M${what}`), new Uint8Array(1));
}

function message(kind: string, ...parts: readonly Uint8Array[]): Uint8Array {
  const length = parts.reduce((sum, part) => sum + part.length, 4);
  return joined([encoder.encode(kind), numbers(length), ...parts]);
}

function numbers(...values: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(4 * values.length);
  const view = new DataView(bytes.buffer);
  values.forEach((value, index) => view.setInt32(4 * index, value));
  return bytes;
}

function text(value: string): Uint8Array {
  return encoder.encode(`${value}\0`);
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
