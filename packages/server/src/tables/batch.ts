/**
 * Statements that go to the database together and come back together: one transaction of one way there and back.
 *
 * The driver sends one statement at a time, or waits between them. In the protocol of Postgres everything up to the next
 * Sync is one transaction unless one was begun, and the first statement that fails ends it (docs/decisions/0032).
 *
 * Statements stay prepared, and SQL could give the name of one to another. So names cannot be guessed, and where SQL
 * could look them up, a session is asked after each request whether it still has what it had (docs/decisions/0044).
 *
 * @module
 */
import type pg from "pg";
import { codeOf } from "../storage/db.ts";

export interface BatchStatement {
  readonly text: string;
  /** The same number for the same text, which is kept prepared; undefined: for one use. */
  readonly shape: number | undefined;
  readonly values: readonly unknown[];
}

/** Of a first row, as Postgres writes values. */
export type TextRow = readonly (string | null)[];

/** What the driver calls the connection of a client; its cursors use it in the same way. */
type Connection = {
  readonly stream: { cork(): void; uncork(): void };
  close(message: { type: "S"; name: string }): void;
  parse(message: { text: string; name: string }): void;
  bind(message: { statement: string; values: readonly (string | null)[] }): void;
  execute(message: { rows: number }): void;
  sync(): void;
  query(text: string): void;
  sendCopyFail(reason: string): void;
};

interface Prepared {
  /** Begins every name on this connection. */
  readonly secret: string;
  readonly shapes: Set<number>;
}

const preparedOn = new WeakMap<Connection, Prepared>();

function preparedBy(connection: Connection): Prepared {
  let prepared = preparedOn.get(connection);
  if (prepared === undefined) {
    prepared = { secret: crypto.getRandomValues(new Uint8Array(16)).toHex(), shapes: new Set() };
    preparedOn.set(connection, prepared);
  }
  return prepared;
}

/** What the driver knows of a client whose turn it is. */
type Turn = { _activeQuery: unknown; readyForQuery: boolean };

/** The first row of each statement. Rejects with the error of the database. */
export function runBatch(client: pg.PoolClient, statements: readonly BatchStatement[]): Promise<readonly TextRow[]> {
  return submitted(client, new Batch(statements)).done;
}

export interface Emptied {
  readonly rows: Promise<readonly TextRow[]>;
  /** Rejects when the session must not be used again. */
  readonly emptied: Promise<void>;
}

/** As {@linkcode runBatch}; what empties the session is sent along, and done behind the answer. */
export function runAndEmpty(
  client: pg.PoolClient,
  statements: readonly BatchStatement[],
  { areNamesHidden }: { readonly areNamesHidden: boolean },
): Emptied {
  const emptying = areNamesHidden ? EMPTYING : `${EMPTYING}; ${COUNTING}`;
  const batch = submitted(client, new Batch(statements, { emptying, turn: client as unknown as Turn }));
  const emptied = batch.emptied.then((last) => {
    if (!areNamesHidden) assertNothingPrepared(client, last);
  });
  return { rows: batch.done, emptied };
}

function submitted(client: pg.PoolClient, batch: Batch): Batch {
  // The types of the driver know less of its connection than it has.
  client.query(batch as unknown as pg.Submittable);
  return batch;
}

/** SQL made the session forget what was prepared, so nothing of the batch was done; it is prepared anew. */
export const STATEMENT_GONE = "26000";

/** Of all that `discard all` takes from a session, everything but statements and their plans. */
export const EMPTYING =
  "close all; set session authorization default; reset all; unlisten *; discard temp; discard sequences; " +
  "select pg_catalog.pg_advisory_unlock_all()";
const COUNTING =
  "select pg_catalog.count(*)::int4 as count, pg_catalog.bool_or(from_sql) as foreign from pg_catalog.pg_prepared_statement()";

/** @throws when the session has other statements than were prepared here */
function assertNothingPrepared(client: pg.PoolClient, [count, foreign]: TextRow): void {
  const expected = preparedBy(client.connection as unknown as Connection).shapes.size;
  if (Number(count) !== expected || foreign === "t") {
    throw new Error(`A session has ${count} prepared statements, ${expected} were expected`);
  }
}

/**
 * Speaks for itself where the driver would speak for a query: what it calls is named by it.
 *
 * With `emptying` it has two turns, of which the driver knows one: it takes the second itself, and gives it back when
 * the session is empty. A connection that breaks is told to whoever has the turn, until it has ended.
 */
class Batch {
  readonly done: Promise<readonly TextRow[]>;
  readonly emptied: Promise<TextRow>;
  readonly #statements: readonly BatchStatement[];
  readonly #second: { readonly emptying: string; readonly turn: Turn } | undefined;
  readonly #rows: TextRow[] = [];
  readonly #fresh: number[] = [];
  readonly #settle = Promise.withResolvers<readonly TextRow[]>();
  readonly #settleSecond = Promise.withResolvers<TextRow>();
  #prepared: Prepared | undefined;
  #index = 0;
  #hasFailed = false;
  #isSecond = false;
  #last: TextRow = [];

  constructor(
    statements: readonly BatchStatement[],
    second?: { readonly emptying: string; readonly turn: Turn },
  ) {
    this.done = this.#settle.promise;
    this.emptied = this.#settleSecond.promise;
    // Not everybody has a second turn.
    this.emptied.catch(() => {});
    this.#statements = statements;
    this.#second = second;
  }

  submit(connection: Connection): null {
    const prepared = this.#prepared = preparedBy(connection);
    connection.stream.cork();
    try {
      for (const { shape, text, values } of this.#statements) {
        const name = shape === undefined ? "" : `${prepared.secret}${shape}`;
        if (shape === undefined || !prepared.shapes.has(shape)) {
          if (shape !== undefined) {
            // One that failed before it was known to be there may be there.
            connection.close({ type: "S", name });
            this.#fresh.push(shape);
          }
          connection.parse({ text, name });
        }
        connection.bind({ statement: name, values: values.map(textOf) });
        connection.execute({ rows: 0 });
      }
      connection.sync();
      if (this.#second !== undefined) connection.query(this.#second.emptying);
    } finally {
      connection.stream.uncork();
    }
    return null;
  }

  handleDataRow({ fields }: { readonly fields: TextRow }): void {
    if (this.#isSecond) this.#last = fields;
    else this.#rows[this.#index] ??= fields;
  }

  handleCommandComplete(): void {
    if (this.#isSecond) return;
    this.#rows[this.#index] ??= [];
    this.#index += 1;
  }

  handleReadyForQuery(): void {
    if (this.#isSecond) return this.#settleSecond.resolve(this.#last);
    if (!this.#hasFailed) {
      for (const shape of this.#fresh) this.#prepared?.shapes.add(shape);
      this.#settle.resolve(this.#rows);
    }
    if (this.#second === undefined) return;
    this.#isSecond = true;
    this.#second.turn._activeQuery = this;
    this.#second.turn.readyForQuery = false;
  }

  handleError(error: unknown): void {
    if (this.#isSecond || this.#hasFailed) return this.#settleSecond.reject(error);
    if (codeOf(error) === STATEMENT_GONE) this.#prepared?.shapes.clear();
    this.#hasFailed = true;
    this.#settle.reject(error);
    // What the server refuses is followed by more of its answers; anything else is the end of the connection.
    if (!isOfServer(error)) this.#settleSecond.reject(error);
    else if (this.#second !== undefined) this.#second.turn._activeQuery = this;
  }

  handleCopyInResponse(connection: Connection): void {
    connection.sendCopyFail("Nothing is sent");
  }

  handleRowDescription(): void {}
  handlePortalSuspended(): void {}
  handleEmptyQuery(): void {}
  handleCopyData(): void {}
}

function isOfServer(error: unknown): boolean {
  return error instanceof Error && typeof Reflect.get(error, "severity") === "string";
}

function textOf(value: unknown): string | null {
  return value === null || value === undefined ? null : String(value);
}
