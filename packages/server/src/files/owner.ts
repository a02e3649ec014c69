/**
 * Of several servers of one database, one brings it in step with its functions folder: two folders would undo each other.
 *
 * @module
 */
import type { Log } from "../core/log.ts";
import type { Lease } from "../nodes/nodes.ts";

export interface FolderOwnerOptions {
  readonly lease: Lease;
  readonly dir: string;
  readonly log: Log;
  /** Once, when the folder becomes this server's. */
  readonly load: () => Promise<void>;
  /** From then on, until it is another's. */
  readonly watch: () => AsyncDisposable | Disposable | undefined;
}

/** Resolves when the folder is loaded, or somebody else's. */
export async function keepFolder({ lease, dir, log, load, watch }: FolderOwnerOptions): Promise<AsyncDisposable> {
  let watching: AsyncDisposable | Disposable | undefined;
  let isEnding = false;

  async function begin(): Promise<void> {
    await load();
    if (!isEnding && lease.isOurs) watching = watch();
  }

  async function end(): Promise<void> {
    const before = watching;
    watching = undefined;
    if (before === undefined) return;
    if (Symbol.asyncDispose in before) await before[Symbol.asyncDispose]();
    else before[Symbol.dispose]();
  }

  let changing = Promise.resolve();
  lease.onChange((isOurs) => {
    log.info(
      isOurs
        ? "The functions folder of this server is used from now on"
        : "The functions folder is another server's now",
      { dir },
    );
    changing = changing.then(isOurs ? begin : end);
  });
  if (lease.isOurs) await begin();
  else {
    log.warn("The functions folder of this server is not used while another server's is", {
      dir,
      server: lease.holder,
    });
  }
  return {
    async [Symbol.asyncDispose]() {
      isEnding = true;
      await changing;
      await end();
    },
  };
}
