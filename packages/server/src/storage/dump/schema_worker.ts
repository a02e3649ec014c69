/**
 * Runs pg_dump, which is compiled to WebAssembly, in a thread of its own: it waits for each answer of the database.
 *
 * @module
 */
/// <reference lib="deno.worker" />
import { pgDump } from "@electric-sql/pglite-tools/pg_dump";
import { ANSWER, type FromWorker, SHARED_HEADER_BYTES, type ToWorker } from "./schema_messages.ts";

interface Exchange {
  onRawData(bytes: Uint8Array): void;
}

self.onmessage = async ({ data: { args, shared } }: MessageEvent<ToWorker>) => {
  const state = new Int32Array(shared, 0, 2);
  const room = new Uint8Array(shared, SHARED_HEADER_BYTES);

  function say(message: FromWorker): void {
    self.postMessage(message);
  }

  /** What it asks of the embedded database that it was made for. */
  const database = {
    query: () => Promise.resolve({ rows: [{ search_path: "''" }] }),
    exec: () => Promise.resolve([]),
    execProtocolRawStream(bytes: Uint8Array, { onRawData }: Exchange) {
      for (let question: FromWorker = { kind: "ask", bytes: bytes.slice() };; question = { kind: "more" }) {
        Atomics.store(state, 0, ANSWER.awaited);
        say(question);
        Atomics.wait(state, 0, ANSWER.awaited);
        onRawData(room.slice(0, Atomics.load(state, 1)));
        if (Atomics.load(state, 0) === ANSWER.last) return;
      }
    },
  };
  try {
    // deno-lint-ignore no-explicit-any -- the type is that of a whole database
    const file = await pgDump({ pg: database as any, args: [...args] });
    say({ kind: "done", text: await file.text() });
  } catch (error) {
    say({ kind: "failed", reason: error instanceof Error ? error.message : String(error) });
  }
};
