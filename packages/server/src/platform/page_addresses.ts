/**
 * Where the pages of this server are; null for those that are switched off.
 *
 * @module
 */
import type { Config } from "../config/config.ts";
import { DOCS_PATH } from "../docs/docs.ts";

export function docsUrlOf(baseUrl: string, { docsEnabled }: Config): string | null {
  return docsEnabled ? baseUrl + DOCS_PATH : null;
}

export function dashboardUrlOf(baseUrl: string, { enabled, path, host }: Config["dashboard"]): string | null {
  if (!enabled) return null;
  const url = new URL(baseUrl + path);
  if (host !== null) url.hostname = host;
  return url.href;
}
