/**
 * Serves the documentation and the API reference: files that were built before.
 *
 * Owns: which paths are the documentation's, its caching and its Content-Security-Policy.
 * Does not own: what it says (packages/docs, docs/).
 *
 * @module
 */
import { fileURLToPath } from "node:url";
import { type BuiltFile, builtFiles, fileResponse, plain, redirect, wantsPage } from "../core/built_files.ts";

export interface DocsOptions {
  readonly enabled: boolean;
  /** What was built may change while the server runs. */
  readonly development: boolean;
}

export interface Docs {
  /** Undefined: the request is not for the documentation. */
  handle(request: Request): Promise<Response> | undefined;
}

export const DOCS_PATH = "/docs";

/** In the repository and in the package, where the build leaves it. */
const BUILT_DIR = fileURLToPath(new URL("../../../docs/dist", import.meta.url));
const API_PAGE = "api.html";

export function createDocs({ enabled, development }: DocsOptions, dir: string = BUILT_DIR): Docs {
  const built = builtFiles(dir, { mayChange: development });

  async function answer(request: Request, name: string): Promise<Response> {
    const files = await built();
    if (files.size === 0) return plain(503, "The documentation is not built: start the server with npm start");
    const page = name === "" || name.endsWith("/") ? `${name}index.html` : `${name}.html`;
    const file = files.get(name) ?? files.get(page);
    if (file === undefined) return plain(404, "There is no such page: see the contents at /docs/");
    if (request.headers.get("if-none-match")?.includes(file.etag)) return unchanged(file);
    return await fileResponse(request, file, [
      ...cached(file),
      ["content-security-policy", file === files.get(API_PAGE) ? policyOf(OWN_STYLES) : policyOf()],
    ]);
  }

  return {
    handle(request) {
      if (!enabled || (request.method !== "GET" && request.method !== "HEAD")) return undefined;
      const url = URL.parse(request.url);
      if (url === null) return undefined;
      const { pathname } = url;
      if (pathname === "/") return wantsPage(request) ? Promise.resolve(redirect(`.${DOCS_PATH}/`)) : undefined;
      if (pathname === DOCS_PATH) return Promise.resolve(redirect(`.${DOCS_PATH}/`));
      return pathname.startsWith(`${DOCS_PATH}/`) ? answer(request, pathname.slice(DOCS_PATH.length + 1)) : undefined;
    },
  };
}

function unchanged(file: BuiltFile): Response {
  return new Response(null, { status: 304, headers: cached(file) });
}

function cached({ etag }: BuiltFile): [string, string][] {
  return [["cache-control", "no-cache"], ["etag", etag]];
}

/** The reference of the API writes styles into its page; scripts come from files like everywhere else. */
const OWN_STYLES = "style-src 'self' 'unsafe-inline'";

function policyOf(styles = "style-src 'self'"): string {
  return [
    "default-src 'none'",
    "script-src 'self'",
    styles,
    "img-src 'self' data:",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join("; ");
}
