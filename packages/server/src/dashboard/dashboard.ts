/**
 * Serves the dashboard: files that were built before, and one page that says where the server is.
 *
 * Owns: which paths are the dashboard's, its caching and its Content-Security-Policy.
 * Does not own: what it shows; it asks the API like any other client.
 *
 * @module
 */
import { fileURLToPath } from "node:url";
import { NOSNIFF } from "../core/error_response.ts";
import { type BuiltFile, builtFiles, fileResponse, plain, redirect, wantsPage } from "../core/built_files.ts";

export interface DashboardOptions {
  readonly enabled: boolean;
  /** Begins with a slash and does not end in one. */
  readonly path: string;
  /** The only host that has it; null: every one. */
  readonly host: string | null;
  /** The public URL of the server. */
  readonly place: { readonly baseUrl: string };
  /** What was built may change while the server runs. */
  readonly development: boolean;
}

export interface Dashboard {
  /** Undefined: the request is not for the dashboard. */
  handle(request: Request): Promise<Response> | undefined;
}

/** In the repository and in the package, where the build leaves it. */
const BUILT_DIR = fileURLToPath(new URL("../../../dashboard/dist", import.meta.url));
/** Routes of the API that have always stood here. */
const API_PREFIX = "/dashboard/auth/";
const FOR_EVER: [string, string] = ["cache-control", "public, max-age=31536000, immutable"];
const ASSETS = "/assets/";

export function createDashboard(
  { enabled, path, host, place, development }: DashboardOptions,
  dir: string = BUILT_DIR,
): Dashboard {
  const built = builtFiles(dir, { mayChange: development });

  async function answer(request: Request, below: string): Promise<Response> {
    const known = await built();
    if (below.startsWith(ASSETS)) {
      const file = known.get(below.slice(1));
      return file === undefined ? plain(404, "There is no such file") : await fileResponse(request, file, [FOR_EVER]);
    }
    const page = known.get("index.html");
    if (page === undefined) return plain(503, "The dashboard is not built: start the server with npm start");
    return pageResponse(request, page);
  }

  function pageResponse({ method }: Request, { bytes }: BuiltFile): Response {
    // For the script of the page, and for the stylesheets that the editor makes.
    const nonce = crypto.getRandomValues(new Uint8Array(18)).toBase64();
    const below = new URL(place.baseUrl).pathname.replace(/\/$/, "");
    const html = new TextDecoder().decode(bytes)
      .replace('<base href="/">', `<base href="${escaped(`${below}${path}/`)}">`)
      .replace('name="fluxbase-server" content=""', `name="fluxbase-server" content="${escaped(below)}"`)
      .replace('property="csp-nonce" nonce=""', `property="csp-nonce" nonce="${nonce}"`)
      .replaceAll("<script ", `<script nonce="${nonce}" `)
      .replaceAll('<link rel="modulepreload"', `<link nonce="${nonce}" rel="modulepreload"`);
    return new Response(method === "HEAD" ? null : html, {
      headers: [
        ["content-type", "text/html; charset=utf-8"],
        ["cache-control", "no-store"],
        ["content-security-policy", policyOf(nonce)],
        ["cross-origin-opener-policy", "same-origin"],
        ["referrer-policy", "no-referrer"],
        NOSNIFF,
      ],
    });
  }

  return {
    handle(request) {
      if (!enabled || (request.method !== "GET" && request.method !== "HEAD")) return undefined;
      // A Host that makes no URL is refused with everything else that is wrong.
      const url = URL.parse(request.url);
      if (url === null) return undefined;
      const { pathname, hostname, search } = url;
      if (host !== null && hostname !== host) return undefined;
      if (pathname === "/") return wantsPage(request) ? Promise.resolve(redirect(`.${path}`)) : undefined;
      if (pathname !== path && !pathname.startsWith(`${path}/`)) return undefined;
      if (pathname.startsWith(API_PREFIX)) return undefined;
      // Links of the page are below its path.
      if (pathname === path && search === "") return answer(request, "");
      return answer(request, pathname.slice(path.length));
    },
  };
}

/**
 * The script that the page names and what that loads, whatever a page shows; nothing that a function of the same origin
 * answers.
 */
function policyOf(nonce: string): string {
  return [
    "default-src 'none'",
    `script-src 'nonce-${nonce}' 'strict-dynamic'`,
    `style-src 'self' 'nonce-${nonce}'`,
    "img-src 'self' data:",
    "connect-src 'self'",
    "base-uri 'self'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].join("; ");
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll('"', "&quot;").replaceAll("<", "&lt;");
}
