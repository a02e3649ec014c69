/**
 * Statements that go to the database together and come back together: one transaction of one way there and back.
 *
 * The driver sends one statement at a time, or waits between them. In the protocol of Postgres everything up to the next
 * Sync is one transaction unless one was begun, and the first statement that fails ends it. See docs/decisions/0032.
 *
 * @module
 */
import type pg from "pg";

export interface BatchStatement {
  readonly text: string;
  readonly values: readonly unknown[];
}

/** Of a first row, as Postgres writes values. */
export type TextRow = readonly (string | null)[];

/** What the driver calls the connection of a client; its cursors use it in the same way. */
type Connection = {
  readonly stream: { cork(): void; uncork(): void };
  parse(message: { text: string; name: string }): void;
  bind(message: { statement: string; values: readonly (string | null)[] }): void;
  execute(message: { rows: number }): void;
  sync(): void;
  sendCopyFail(reason: string): void;
};

/** The first row of each statement. Rejects with the error of the database. */
export function runBatch(client: pg.PoolClient, statements: readonly BatchStatement[]): Promise<readonly TextRow[]> {
  const batch = new Batch(statements);
  // The types of the driver know less of its connection than it has.
  client.query(batch as unknown as pg.Submittable);
  return batch.done;
}

/**
 * Takes from a session everything that a transaction left in it: settings, temporary tables, prepared statements and
 * plans, cursors, locks, what it listens to, last values of sequences. Its own transaction, since a trigger may run as
 * late as the end of the one before.
 */
export async function emptySession(client: pg.PoolClient): Promise<void> {
  await runBatch(client, [{ text: "discard all", values: [] }]);
}

/** Speaks for itself where the driver would speak for a query: what it calls is named by it. */
class Batch {
  readonly done: Promise<readonly TextRow[]>;
  readonly #statements: readonly BatchStatement[];
  readonly #rows: TextRow[] = [];
  readonly #settle: { resolve(rows: readonly TextRow[]): void; reject(error: unknown): void };
  #index = 0;

  constructor(statements: readonly BatchStatement[]) {
    const { promise, resolve, reject } = Promise.withResolvers<readonly TextRow[]>();
    this.done = promise;
    this.#settle = { resolve, reject };
    this.#statements = statements;
  }

  submit(connection: Connection): null {
    connection.stream.cork();
    try {
      for (const { text, values } of this.#statements) {
        connection.parse({ text, name: "" });
        connection.bind({ statement: "", values: values.map(textOf) });
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
    this.#settle.resolve(this.#rows);
  }

  handleError(error: unknown): void {
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
