/**
 * Where modules come from instead of from where an import says: npm's registry for what esm.sh serves of it, a mirror of
 * the operator's for a host, modules of our own for what only exists to start a server.
 *
 * @module
 */
import type { Redirect } from "./import_map.ts";

/** `from` is an address, or `jsr:`; `to` an address, or `npm:` with what goes before the name. */
export interface Mirror {
  readonly from: string;
  readonly to: string;
}

const MIRRORED = /^(?:https:\/\/[^\s/?#=]+(?:\/[^\s?#=]*)?|jsr:(?:@[\w-]+(?:\/|\/[\w-]+)?)?)$/;
const MIRROR = /^(?:npm:(?:@[\w.-]+\/)?(?:[\w.-]+)?|https?:\/\/[^\s/?#@]+(?:\/[^\s?#]*)?)$/;

/** `from=to`; undefined when that is no mirror. */
export function parseMirror(text: string): Mirror | undefined {
  const at = text.indexOf("=");
  const [from = "", to = ""] = at < 0 ? [] : [text.slice(0, at), text.slice(at + 1)].map(withSlash);
  if (!MIRRORED.test(from) || !MIRROR.test(to) || (to.startsWith("http") && !URL.canParse(to))) return undefined;
  // Another registry of JSR stands for all of it.
  return from.startsWith("jsr:@") && !to.startsWith("npm:") ? undefined : { from, to };
}

/** Behind an address without a path. */
function withSlash(address: string): string {
  return /^https?:\/\/[^/]+$/.test(address) ? `${address}/` : address;
}

/** Of npm's registry, `@scope/name` of JSR is `@jsr/scope__name`. */
const JSR_ON_NPM = "npm:@jsr/";
/** Version of the build, name, version of the package, parameters, path. */
const CDN_PATH =
  /^(?:(?:v\d+|stable)\/)?\*?((?:@[\w.~-]+\/)?[\w~-][\w.~-]*)(@[^/&?#]+)?(?:&[^/?#]*)?(\/[^?#]*)?(?:\?([^#]*))?(?:#.*)?$/;
/** What such hosts serve beside npm's packages. */
const NO_PACKAGE = /^(?:gh|pr|tgz|run|node|jsr)$/;
/** Files that were built for one kind of runtime, and what is no module. */
const NO_MODULE = /^\/(?:X-[^/]+\/)?(?:es20\d\d|esnext|deno(?:next)?|node)\/|\.(?:css|wasm)$/;
/** They say that something else is wanted than the package as it is. */
const OTHER_CONTENT = ["alias", "path", "worker", "css", "raw", "wasm"];

/** Built-in modules, by the addresses that they answer for. */
const OWN_MODULES = {
  /** `serve` of Deno's std from 0.107 on, which Deno has had itself since. */
  "serve.js": {
    address: /^https:\/\/deno\.land\/std(?:@v?0\.(?:10[7-9]|1[1-9]\d|2\d\d)\.\d+)?\/http\/server\.ts$/,
    names: ["serve"],
  },
  /** Declarations, such as those of Supabase's runtime, are nothing when a function runs. */
  "nothing.js": { address: /^(?:jsr|npm|https):.*\.d\.[cm]?ts(?:$|[?#])/, names: [] },
} as const;

/** In the folder of a build. */
export const OWN_MODULES_FOLDER = "_built_in";

export const OWN_MODULE_SOURCES: Readonly<Record<keyof typeof OWN_MODULES, string>> = {
  "serve.js": `export function serve(handler, { port = 8000, hostname = "0.0.0.0", signal, onError, onListen } = {}) {
  const localAddr = { transport: "tcp", hostname, port };
  const options = { port, hostname, ...signal && { signal }, ...onError && { onError }, ...onListen && { onListen } };
  return Deno.serve(options, (request, info) => handler(request, { localAddr, remoteAddr: info.remoteAddr })).finished;
}
`,
  "nothing.js": "export {};\n",
};

/** The specifier itself where nothing stands for it. `names`: those that are imported, where that is known. */
export function mirrored(
  specifier: string,
  { mirrors, names }: { readonly mirrors: readonly Mirror[]; readonly names: readonly string[] | undefined },
): string {
  for (const [file, own] of Object.entries(OWN_MODULES)) {
    const has = (name: string) => (own.names as readonly string[]).includes(name);
    if (own.address.test(specifier) && names?.every(has)) return `./${OWN_MODULES_FOLDER}/${file}`;
  }
  const wanted = specifier.replace(/^jsr:\//, "jsr:");
  const [mirror] = mirrors.filter(({ from }) => isBelow(wanted, from)).sort((a, b) => b.from.length - a.from.length);
  if (mirror === undefined) return specifier;
  const rest = wanted.slice(mirror.from.length);
  if (mirror.from.startsWith("jsr:")) {
    if (mirror.to === JSR_ON_NPM) return `${mirror.to}${rest.replace(/^@([^/]+)\//, "$1__")}`;
    // The address of another registry is for Deno to use.
    return mirror.to.startsWith("npm:") ? `${mirror.to}${rest}` : specifier;
  }
  if (mirror.to !== "npm:") return `${mirror.to}${rest}`;
  const [, ofJsr] = /^(?:v\d+\/)?jsr\/(@[^?#]+)/.exec(rest) ?? [];
  if (ofJsr !== undefined) return mirrored(`jsr:${ofJsr}`, { mirrors, names });
  const found = packageOf(rest);
  return found === undefined ? specifier : `npm:${found}`;
}

/** What a path of such a host names, as npm has it; undefined for anything but a package as it is. */
function packageOf(path: string): string | undefined {
  const [, name, version = "", inside = "", query = ""] = CDN_PATH.exec(path) ?? [];
  if (name === undefined || NO_PACKAGE.test(name) || NO_MODULE.test(inside)) return undefined;
  const asked = new URLSearchParams(query);
  if (OTHER_CONTENT.some((key) => asked.has(key))) return undefined;
  try {
    return `${name}${decodeURIComponent(version)}${inside === "/" ? "" : inside}`;
  } catch {
    return undefined;
  }
}

function isBelow(specifier: string, from: string): boolean {
  if (!specifier.startsWith(from)) return false;
  return /[/:]$/.test(from) || /^$|^[/@?#]/.test(specifier.slice(from.length));
}

/** The registry that stands for JSR's own. */
export function jsrUrl(mirrors: readonly Mirror[]): string | undefined {
  return mirrors.find(({ from, to }) => from === "jsr:" && !to.startsWith("npm:"))?.to;
}

/** What modules that come by URL import themselves: nobody reads these before they are fetched. */
export function mirroredHosts(mirrors: readonly Mirror[]): Redirect[] {
  return mirrors.filter(({ from, to }) => from.startsWith("https:") && !to.startsWith("npm:") && from.endsWith("/"))
    .map(({ from, to }) => ({ scope: undefined, specifier: from, to }));
}

/** An operator who names a mirror means its host. */
export function mirrorHosts(mirrors: readonly Mirror[]): string[] {
  return mirrors.flatMap(({ to }) => to.startsWith("npm:") ? [] : [new URL(to).host]);
}
