/**
 * `/tmp` of code that was written for a machine of its own means the scratch folder of the sandbox.
 *
 * Changes where paths lead and nothing else: what may be read and written is up to permissions and kernel.
 *
 * @module
 */
const TMP = /^\/tmp(?=\/|$)/;

// Captured before user code runs.
const { apply, get } = Reflect;
const { assign, defineProperty, getOwnPropertyNames } = Object;
const NativeURL = URL;

/** How many of their first arguments are paths. */
const DENO_CALLS: Readonly<Record<string, number>> = {
  chdir: 1,
  chmod: 1,
  chown: 1,
  copyFile: 2,
  create: 1,
  link: 2,
  lstat: 1,
  mkdir: 1,
  open: 1,
  readDir: 1,
  readFile: 1,
  readLink: 1,
  readTextFile: 1,
  realPath: 1,
  remove: 1,
  rename: 2,
  stat: 1,
  symlink: 2,
  truncate: 1,
  utime: 1,
  watchFs: 1,
  writeFile: 1,
  writeTextFile: 1,
};
/** They take the folder as an option. */
const WITH_FOLDER = ["makeTempDir", "makeTempFile"];
const WITH_TWO_PATHS = /^(copyFile|cp|link|rename|symlink)(Sync)?$/;

export interface ScratchPaths {
  /** Names of each module of Node that are not what they were. */
  readonly changed: Readonly<Record<string, readonly string[]>>;
}

/** @param usesNode whether the bundle names Node's files; loading them costs milliseconds */
export function mapTmp(dir: string, { usesNode }: { readonly usesNode: boolean }): ScratchPaths {
  // The scratch folder itself may lie there.
  const pathOf = (path: string) => path === dir || path.startsWith(`${dir}/`) ? path : path.replace(TMP, dir);
  const mapped = (place: unknown): unknown => {
    if (typeof place === "string") return pathOf(place);
    if (!(place instanceof NativeURL) || place.protocol !== "file:") return place;
    return new NativeURL(`file://${pathOf(place.pathname)}`);
  };
  const mapFirst = (values: readonly unknown[], count: number) =>
    values.map((value, index) => index < count ? mapped(value) : value);

  for (const [name, count] of Object.entries(DENO_CALLS)) {
    for (const one of [name, `${name}Sync`]) wrap(Deno, one, (values) => mapFirst(values, count));
  }
  for (const name of WITH_FOLDER.flatMap((one) => [one, `${one}Sync`])) {
    wrap(Deno, name, ([options, ...rest]) => [withFolder(options, mapped), ...rest]);
  }
  if (!usesNode) return { changed: {} };

  const files = process.getBuiltinModule("node:fs");
  const wrapAll = (owner: object) => {
    const names = getOwnPropertyNames(owner).filter((name) =>
      /^[a-z]/.test(name) && typeof get(owner, name) === "function"
    );
    for (const name of names) wrap(owner, name, (values) => mapFirst(values, WITH_TWO_PATHS.test(name) ? 2 : 1));
    return names;
  };
  return { changed: { "node:fs": wrapAll(files), "node:fs/promises": wrapAll(files.promises) } };
}

function withFolder(options: unknown, mapped: (place: unknown) => unknown): unknown {
  if (typeof options !== "object" || options === null || !("dir" in options)) return options;
  return { ...options, dir: mapped(options.dir) };
}

function wrap(owner: object, name: string, change: (values: readonly unknown[]) => readonly unknown[]): void {
  const native: unknown = get(owner, name);
  if (typeof native !== "function") return;
  const value = function (this: unknown, ...values: unknown[]): unknown {
    return apply(native, this, change(values));
  };
  // Some have others as properties.
  assign(value, native);
  defineProperty(value, "name", { value: name });
  defineProperty(owner, name, { value, writable: true, configurable: true, enumerable: true });
}
