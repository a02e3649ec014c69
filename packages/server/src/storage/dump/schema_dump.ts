/**
 * The statements that make a database's schema again, as pg_dump writes them.
 *
 * The program comes with us, compiled to WebAssembly. It has no network: what it says travels over a connection of ours,
 * which has logged in already. It waits for each answer, so it has a thread of its own (./schema_worker.ts).
 *
 * @module
 */
import { Buffer } from "node:buffer";
import pg from "pg";
import type { Secret } from "../../core/secret.ts";
import { socketOf } from "../pool.ts";
import { ANSWER, type FromWorker, SHARED_HEADER_BYTES, type ToWorker } from "./schema_messages.ts";

export interface SchemaDumpOptions {
  readonly url: Secret;
  /** As `pg_export_snapshot` named it. */
  readonly snapshot: string;
}

/** Before the rows come what they need; after them what would be in their way. */
export interface SchemaDump {
  readonly before: string;
  readonly after: string;
}

const SHARED_BYTES = 1024 * 1024;
const LENGTH_BYTES = 4;
const READY = "Z".charCodeAt(0);
const GOODBYE = "X".charCodeAt(0);

export async function dumpSchema(options: SchemaDumpOptions): Promise<SchemaDump> {
  return {
    before: await dumpSection("pre-data", options),
    after: await dumpSection("post-data", options),
  };
}

async function dumpSection(section: string, { url, snapshot }: SchemaDumpOptions): Promise<string> {
  const client = new pg.Client({ connectionString: url.reveal(), application_name: "fluxbase backup" });
  client.on("error", () => {});
  await client.connect();
  const greeting = await greetingFor(client);
  const socket = socketOf(client);
  const worker = new Worker(new URL("./schema_worker.ts", import.meta.url), { type: "module" });
  try {
    // The driver hears nothing of this connection any more.
    socket.removeAllListeners("data");
    const args = [`--section=${section}`, "--schema-only", `--snapshot=${snapshot}`, "--dbname=postgres"];
    return await talk(worker, { socket, greeting, args });
  } finally {
    worker.terminate();
    socket.destroy();
  }
}

const PARAMETERS = ["server_version", "server_encoding", "client_encoding", "standard_conforming_strings", "DateStyle"];

/** What a server says to whoever has logged in. */
async function greetingFor(client: pg.Client): Promise<Uint8Array> {
  const said = [message("R", new Uint8Array(LENGTH_BYTES))];
  for (const name of PARAMETERS) {
    const { rows: [row] } = await client.query("select pg_catalog.current_setting($1) as value", [name]);
    said.push(message("S", new TextEncoder().encode(`${name}\0${row.value}\0`)));
  }
  return joined([...said, message("K", new Uint8Array(2 * LENGTH_BYTES)), message("Z", new TextEncoder().encode("I"))]);
}

function message(type: string, body: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(1 + LENGTH_BYTES + body.length);
  bytes[0] = type.charCodeAt(0);
  new DataView(bytes.buffer).setUint32(1, LENGTH_BYTES + body.length);
  bytes.set(body, 1 + LENGTH_BYTES);
  return bytes;
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

interface Talk {
  readonly socket: ReturnType<typeof socketOf>;
  readonly greeting: Uint8Array;
  readonly args: readonly string[];
}

/** Resolves with what pg_dump wrote. */
async function talk(worker: Worker, { socket, greeting, args }: Talk): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const shared = new SharedArrayBuffer(SHARED_HEADER_BYTES + SHARED_BYTES);
  const state = new Int32Array(shared, 0, 2);
  const room = new Uint8Array(shared, SHARED_HEADER_BYTES);
  const isReady = createReadyFollower();
  let hasGreeted = false;
  let question = new Uint8Array();
  let answer = new Uint8Array();
  /** No more of it will come. */
  let isWhole = false;
  let isAwaited = false;

  /** As much as there is room for; nothing while the database is silent. */
  function hand(): void {
    if (!isAwaited || (answer.length === 0 && !isWhole)) return;
    const part = answer.subarray(0, room.length);
    room.set(part);
    answer = answer.subarray(part.length);
    isAwaited = false;
    Atomics.store(state, 1, part.length);
    Atomics.store(state, 0, isWhole && answer.length === 0 ? ANSWER.last : ANSWER.part);
    Atomics.notify(state, 0);
  }

  /** What it says first is how it would log in. A question may come in pieces; only a whole one has an answer. */
  function ask(bytes: Uint8Array): void {
    question = joined([question, bytes]) as Uint8Array<ArrayBuffer>;
    isWhole = true;
    if (!endsWithMessage(question, hasGreeted ? 1 : 0)) return;
    if (!hasGreeted) answer = new Uint8Array(greeting);
    else if (question[0] !== GOODBYE) {
      isWhole = false;
      socket.write(question);
    }
    hasGreeted = true;
    question = new Uint8Array();
  }

  socket.on("data", (bytes: Uint8Array) => {
    isWhole = isReady(bytes);
    answer = joined([answer, bytes]) as Uint8Array<ArrayBuffer>;
    hand();
  });
  socket.on("close", () => reject(new Error("the database closed the connection")));
  worker.onerror = (event) => {
    event.preventDefault();
    reject(new Error(event.message));
  };
  worker.onmessage = ({ data }: MessageEvent<FromWorker>) => {
    if (data.kind === "done") return resolve(data.text);
    if (data.kind === "failed") return reject(new Error(data.reason));
    if (data.kind === "ask") ask(data.bytes);
    isAwaited = true;
    hand();
  };
  worker.postMessage({ args, shared } satisfies ToWorker);
  return await promise;
}

/** `typeBytes`: before the length of each message. */
function endsWithMessage(bytes: Uint8Array, typeBytes: number): boolean {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let at = 0;
  while (at + typeBytes + LENGTH_BYTES <= bytes.length) at += typeBytes + view.getUint32(at + typeBytes);
  return at === bytes.length;
}

/** Tells after each piece whether the database has said that it is ready for the next question. */
function createReadyFollower(): (bytes: Uint8Array) => boolean {
  const header = new Uint8Array(1 + LENGTH_BYTES);
  let headerLength = 0;
  let bodyLeft = 0;
  return (bytes) => {
    for (let at = 0; at < bytes.length;) {
      if (bodyLeft > 0) {
        const step = Math.min(bodyLeft, bytes.length - at);
        bodyLeft -= step;
        at += step;
        continue;
      }
      header[headerLength++] = bytes[at++] ?? 0;
      if (headerLength < header.length) continue;
      bodyLeft = new DataView(header.buffer).getUint32(1) - LENGTH_BYTES;
      headerLength = 0;
    }
    return bodyLeft === 0 && headerLength === 0 && header[0] === READY;
  };
}
