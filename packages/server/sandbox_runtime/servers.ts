/**
 * What a function starts while it loads instead of exporting a handler: it may be one server, however it asks for it.
 *
 * Owns: that there is one, where it was started, whether it was closed again.
 * Does not own: the forms in which it is started (./deno_serve.ts, ./fetch_events.ts, ./node_servers.ts), and what of it
 * and of the exports answers (./handler.ts).
 *
 * @module
 */
export type UserHandler = (request: unknown, context: unknown) => unknown;

export interface StartedServer {
  /** As its author wrote it: `Deno.serve`. */
  readonly kind: string;
  /** File, line and column; empty when they are not known. */
  readonly place: string;
  readonly handle: UserHandler;
  /** The handler as it was given, where that is what `handle` calls. */
  readonly original: unknown;
}

export interface ServerHandle {
  /** The function does not want more requests. */
  close(): void;
}

export class Servers {
  #started: StartedServer | undefined;
  #problem: TypeError | undefined;
  #firstNoted: { readonly reason: unknown } | undefined;
  #closed: StartedServer | undefined;
  #isClosed = false;
  #isSealed = false;
  readonly #settled = Promise.withResolvers<undefined>();
  readonly #noted = Promise.withResolvers<undefined>();

  /** Settles when one is started. */
  get settled(): Promise<undefined> {
    return this.#settled.promise;
  }
  get hasStarted(): boolean {
    return this.#started !== undefined;
  }
  /** One that was started and closed again while the function loaded. */
  get closed(): StartedServer | undefined {
    return this.#closed;
  }
  /** Settles when something goes wrong that nobody catches. */
  get noted(): Promise<undefined> {
    return this.#noted.promise;
  }
  get firstNoted(): { readonly reason: unknown } | undefined {
    return this.#firstNoted;
  }

  /** @throws {TypeError} for a second one, and once the function is loaded */
  start(kind: string, handle: UserHandler, original: unknown = handle): ServerHandle {
    const place = callerPlace();
    const before = this.#started;
    if (before !== undefined) {
      const error = new TypeError(
        `Cannot start a second server with ${named({ kind, place })}: the function has one, by ${
          named(before)
        }; make one of both, or two functions`,
      );
      this.#problem ??= error;
      throw error;
    }
    if (this.#isSealed) {
      throw new TypeError(
        `Cannot start a server with ${named({ kind, place })}: the function is loaded; start it at top level`,
      );
    }
    const started: StartedServer = { kind, place, handle, original };
    this.#started = started;
    this.#settled.resolve(undefined);
    return {
      close: () => {
        if (this.#started !== started) return;
        if (this.#isSealed) this.#isClosed = true;
        else {
          this.#started = undefined;
          this.#closed = started;
        }
      },
    };
  }

  /** Something went wrong while the function loads, and nobody catches it: it may be why there is no server. */
  note(reason: unknown): void {
    this.#firstNoted ??= { reason };
    this.#noted.resolve(undefined);
  }

  /** No more are started from now on. @throws {TypeError} when a second one was tried */
  seal(): StartedServer | undefined {
    if (this.#problem !== undefined) throw this.#problem;
    this.#isSealed = true;
    const started = this.#started;
    if (started === undefined) return undefined;
    const { kind, handle } = started;
    return {
      ...started,
      handle: (request, context) => {
        if (this.#isClosed) throw new Error(`Cannot answer: the function has closed its server (${kind})`);
        return handle(request, context);
      },
    };
  }
}

export function named({ kind, place }: Pick<StartedServer, "kind" | "place">): string {
  return place === "" ? kind : `${kind} at ${place}`;
}

const PLACE = /\(?([^\s()]+:\d+:\d+)\)?$/;

/** Where user code is now, as far as its stack says it. */
function callerPlace(): string {
  const frame = String(new Error().stack).split("\n").find((line) => line.trimStart().startsWith("at "));
  return frame === undefined ? "" : PLACE.exec(frame)?.[1] ?? "";
}
