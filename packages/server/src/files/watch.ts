/**
 * Follows changes of the functions folder at once.
 *
 * @module
 */
import type { Log } from "../core/log.ts";
import { type Loader, VANISHED_MS } from "./load.ts";

/** Editors write in steps: what follows within this time belongs together, */
const SETTLE_MS = 40;
/** unless it never ends. */
const SETTLE_MAX_MS = 400;
/** So often it is looked whether the folder is still the one that is watched. */
const LOOK_MS = 1_000;

export function watchFunctionsDir(
  dir: string,
  { loader, log }: { readonly loader: Loader; readonly log: Log },
): AsyncDisposable {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let waitsSinceMs: number | undefined;
  let loading: Promise<void> = Promise.resolve();
  let isStopping = false;
  let watched:
    | { readonly watcher: Deno.FsWatcher; readonly ino: number | null | undefined; readonly ended: Promise<void> }
    | undefined;

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
      if (loader.isWaiting) loadIn(VANISHED_MS);
    } catch {
      // The loader has said it.
    }
  }

  function loadIn(ms: number): void {
    if (isStopping) return;
    waitsSinceMs ??= performance.now();
    clearTimeout(timer);
    const left = Math.max(0, waitsSinceMs + SETTLE_MAX_MS - performance.now());
    timer = setTimeout(() => {
      waitsSinceMs = undefined;
      loading = loading.then(load);
    }, ms > SETTLE_MAX_MS ? ms : Math.min(ms, left));
  }

  async function follow(watcher: Deno.FsWatcher): Promise<void> {
    for await (const { kind, paths } of watcher) {
      if (kind === "access" || paths.every((path) => /\.tmp$|\/\.deleted(\/|$)/.test(path))) continue;
      loadIn(SETTLE_MS);
    }
  }

  /** A folder that was moved away or replaced says nothing any more. */
  function look(): void {
    const ino = inodeOf(dir);
    if (watched !== undefined && watched.ino !== ino) {
      watched.watcher.close();
      watched = undefined;
      // Deno forgets it in its own time: one that is opened at once stays silent.
    } else if (watched === undefined && ino !== undefined) {
      watch(ino);
      loadIn(SETTLE_MS);
    }
  }

  function watch(ino: number | null | undefined): void {
    const watcher = Deno.watchFs(dir, { recursive: true });
    const ended = follow(watcher).catch((error) => log.warn("Cannot follow the functions folder", { dir, error }));
    watched = { watcher, ino, ended };
  }

  watch(inodeOf(dir));
  const looking = setInterval(look, LOOK_MS);
  return {
    async [Symbol.asyncDispose]() {
      isStopping = true;
      clearInterval(looking);
      clearTimeout(timer);
      watched?.watcher.close();
      await watched?.ended;
      await loading;
    },
  };
}

/** Undefined when it is not there. */
function inodeOf(dir: string): number | null | undefined {
  try {
    return Deno.statSync(dir).ino;
  } catch {
    return undefined;
  }
}
