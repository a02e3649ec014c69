/**
 * Rows of one table, as COPY writes and reads them.
 *
 * The driver hands messages of COPY to the query that runs; these are such queries.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { once } from "node:events";
import type pg from "pg";
import type { TableContents } from "./contents.ts";

/** Pieces of `pieceBytes` or a little more; a row may reach over two. */
export async function* readRows(
  client: pg.Client,
  { name, columns }: TableContents,
  pieceBytes: number,
): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  const reading = new CopyOut(`copy ${name} (${columns}) to stdout`, pieceBytes);
  client.query(reading);
  for (let piece; (piece = await reading.next()) !== undefined;) yield piece;
}

/** Takes pieces as `readRows` gave them, one after the other. */
export interface RowsWriter {
  write(piece: Uint8Array): Promise<void>;
  /** Resolves when every row is there. */
  end(): Promise<void>;
}

export async function writeRows(client: pg.Client, { name, columns }: TableContents): Promise<RowsWriter> {
  const writing = new CopyIn(`copy ${name} (${columns}) from stdin`);
  client.query(writing);
  await Promise.race([writing.accepted, writing.done]);
  return writing;
}

/** What its types leave out. */
interface CopyConnection extends pg.Connection {
  sendCopyFromChunk(chunk: Buffer): void;
  endCopyFrom(): void;
}

/** What the driver calls. */
abstract class Copy {
  readonly #text: string;
  readonly #done = Promise.withResolvers<void>();
  readonly done = this.#done.promise;
  protected connection: CopyConnection | undefined;

  constructor(text: string) {
    this.#text = text;
    this.done.catch(() => {});
  }

  submit(connection: pg.Connection): void {
    this.connection = connection as CopyConnection;
    connection.query(this.#text);
  }

  handleError(error: Error): void {
    this.#done.reject(error);
  }

  handleReadyForQuery(): void {
    this.#done.resolve();
  }

  handleCommandComplete(): void {}
  handleRowDescription(): void {}
  handleDataRow(): void {}
}

class CopyOut extends Copy {
  readonly #pieceBytes: number;
  #piece: Uint8Array<ArrayBuffer>;
  #length = 0;
  #full = Promise.withResolvers<void>();

  constructor(text: string, pieceBytes: number) {
    super(text);
    this.#pieceBytes = pieceBytes;
    this.#piece = new Uint8Array(pieceBytes);
  }

  /** The driver uses the memory of what it hands over again. */
  handleCopyData({ chunk }: { readonly chunk: Uint8Array }): void {
    if (this.#length + chunk.length > this.#piece.length) {
      const larger = new Uint8Array(2 * (this.#length + chunk.length));
      larger.set(this.#piece.subarray(0, this.#length));
      this.#piece = larger;
    }
    this.#piece.set(chunk, this.#length);
    this.#length += chunk.length;
    if (this.#length < this.#pieceBytes) return;
    this.connection?.stream.pause();
    this.#full.resolve();
  }

  /** Undefined: there are no more rows. */
  async next(): Promise<Uint8Array<ArrayBuffer> | undefined> {
    await Promise.race([this.#full.promise, this.done]);
    if (this.#length === 0) return undefined;
    const piece = this.#piece.slice(0, this.#length);
    this.#length = 0;
    this.#full = Promise.withResolvers();
    this.connection?.stream.resume();
    return piece;
  }
}

class CopyIn extends Copy {
  readonly #accepted = Promise.withResolvers<void>();
  readonly accepted = this.#accepted.promise;

  handleCopyInResponse(): void {
    this.#accepted.resolve();
  }

  /** A row that is refused ends it at any moment: whoever writes next hears of it. */
  async write(piece: Uint8Array): Promise<void> {
    const { connection } = this;
    if (connection === undefined) return;
    connection.sendCopyFromChunk(Buffer.from(piece.buffer, piece.byteOffset, piece.length));
    const drained = connection.stream.writableNeedDrain ? once(connection.stream, "drain") : Promise.resolve();
    await Promise.race([drained, this.done]);
  }

  async end(): Promise<void> {
    this.connection?.endCopyFrom();
    await this.done;
  }
}
