/**
 * Follows changes of the functions folder at once.
 *
 * @module
 */
import type { Log } from "../core/log.ts";
import type { Loader } from "./load.ts";

/** Editors write in steps: what follows within this time belongs together. */
const SETTLE_MS = 40;

export function watchFunctionsDir(
  dir: string,
  { loader, log }: { readonly loader: Loader; readonly log: Log },
): AsyncDisposable {
  const watcher = Deno.watchFs(dir, { recursive: true });
  let timer: ReturnType<typeof setTimeout> | undefined;
  let loading: Promise<void> = Promise.resolve();

  async function load(): Promise<void> {
    try {
      const { created, updated, deleted, errors, warnings } = await loader.load({
        deletes: "vanished",
        dryRun: false,
        createdBy: "watch",
      });
      for (const [what, names] of Object.entries({ created, updated, deleted })) {
        if (names.length > 0) log.info(`Functions folder: ${what} ${names.join(", ")}`);
      }
      for (const { name, error } of errors) log.warn(`Functions folder: ${name}: ${error}`);
      for (const warning of warnings) log.warn(`Functions folder: ${warning}`);
    } catch {
      // The loader has said it.
    }
  }

  const watching = (async () => {
    for await (const { kind, paths } of watcher) {
      if (kind === "access" || paths.every((path) => /\.tmp$|\/\.deleted(\/|$)/.test(path))) continue;
      clearTimeout(timer);
      timer = setTimeout(() => loading = loading.then(load), SETTLE_MS);
    }
  })();

  return {
    async [Symbol.asyncDispose]() {
      clearTimeout(timer);
      watcher.close();
      await watching.catch(() => {});
      await loading;
    },
  };
}
