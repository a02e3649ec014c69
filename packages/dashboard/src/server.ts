/**
 * Where the server is, as it has written into the page.
 *
 * @module
 */

/** Path of the dashboard, with a slash at its end. */
export const BASE_PATH = new URL(document.baseURI).pathname;
export const SERVER_URL = location.origin + (metaOf("fluxbase-server")?.content ?? "");
/** Stylesheets that are made by script need it. */
export const STYLE_NONCE = document.querySelector<HTMLMetaElement>('meta[property="csp-nonce"]')?.nonce ?? "";

function metaOf(name: string): HTMLMetaElement | null {
  return document.querySelector(`meta[name="${name}"]`);
}
