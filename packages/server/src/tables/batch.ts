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

/** The first row of each statement. Rejects with the error of the database. */
export function runBatch(client: pg.PoolClient, statements: readonly BatchStatement[]): Promise<readonly TextRow[]> {
  const batch = new Batch(statements);
  // The types of the driver know less of its connection than it has.
  client.query(batch as unknown as pg.Submittable);
  return batch.done;
}

/** SQL made the session forget what was prepared, so nothing of the batch was done; it is prepared anew. */
export const STATEMENT_GONE = "26000";

/** Of all that `discard all` takes from a session, everything but statements and their plans. */
export const EMPTYING =
  "close all; set session authorization default; reset all; unlisten *; discard temp; discard sequences; " +
  "select pg_catalog.pg_advisory_unlock_all()";
export const COUNTING =
  "select pg_catalog.count(*)::int4 as count, pg_catalog.bool_or(from_sql) as foreign from pg_catalog.pg_prepared_statement()";

/**
 * Takes from a session what a transaction left in it: settings, temporary tables, cursors, locks, what it listens to,
 * last values of sequences. A transaction of its own, since a trigger may run as late as the end of the one before.
 * `areNamesHidden`: SQL cannot look up what is prepared.
 *
 * @throws when the session must not be used again
 */
export async function emptySession(
  client: pg.PoolClient,
  { areNamesHidden }: { readonly areNamesHidden: boolean },
): Promise<void> {
  if (areNamesHidden) return void await client.query(EMPTYING);
  const answer: unknown = await client.query(`${EMPTYING}; ${COUNTING}`);
  const results: readonly pg.QueryResult[] = Array.isArray(answer) ? answer : [];
  const { count, foreign } = results.at(-1)?.rows[0] ?? {};
  const expected = preparedBy(client.connection as unknown as Connection).shapes.size;
  if (count !== expected || foreign === true) {
    throw new Error(`A session has ${count} prepared statements, ${expected} were expected`);
  }
}

/** Speaks for itself where the driver would speak for a query: what it calls is named by it. */
class Batch {
  readonly done: Promise<readonly TextRow[]>;
  readonly #statements: readonly BatchStatement[];
  readonly #rows: TextRow[] = [];
  readonly #fresh: number[] = [];
  readonly #settle: { resolve(rows: readonly TextRow[]): void; reject(error: unknown): void };
  #prepared: Prepared | undefined;
  #index = 0;

  constructor(statements: readonly BatchStatement[]) {
    const { promise, resolve, reject } = Promise.withResolvers<readonly TextRow[]>();
    this.done = promise;
    this.#settle = { resolve, reject };
    this.#statements = statements;
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
    } finally {
      connection.stream.uncork();
    }
    return null;
  }

  handleDataRow({ fields }: { readonly fields: TextRow }): void {
    this.#rows[this.#index] ??= fields;
  }

  handleCommandComplete(): void {
    this.#rows[this.#index] ??= [];
    this.#index += 1;
  }

  handleReadyForQuery(): void {
    for (const shape of this.#fresh) this.#prepared?.shapes.add(shape);
    this.#settle.resolve(this.#rows);
  }

  handleError(error: unknown): void {
    if (codeOf(error) === STATEMENT_GONE) this.#prepared?.shapes.clear();
    this.#settle.reject(error);
  }

  handleCopyInResponse(connection: Connection): void {
    connection.sendCopyFail("Nothing is sent");
  }

  handleRowDescription(): void {}
  handlePortalSuspended(): void {}
  handleEmptyQuery(): void {}
  handleCopyData(): void {}
}

function textOf(value: unknown): string | null {
  return value === null || value === undefined ? null : String(value);
}
