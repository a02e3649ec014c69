/**
 * One URL from the two ways in which an external database may be named.
 *
 * @module
 */
import { Secret } from "../core/secret.ts";

export interface DatabaseParts {
  readonly url: Secret | null;
  readonly host: string | null;
  readonly port: number;
  readonly user: string;
  readonly password: Secret | null;
  readonly database: string;
  readonly sslMode: string;
}

/** Null: no external database is named. A whole URL wins over parts. */
export function databaseOf({ url, host, port, user, password, database, sslMode }: DatabaseParts): Secret | null {
  if (url !== null) return url;
  if (host === null) return null;
  const credentials = password === null
    ? encodeURIComponent(user)
    : `${encodeURIComponent(user)}:${encodeURIComponent(password.reveal())}`;
  // libpq's "prefer" (try TLS, else go on without) is nothing the driver knows; without the parameter it uses no TLS.
  const query = sslMode === "prefer" || sslMode === "disable"
    ? ""
    : `?sslmode=${sslMode === "require" ? "no-verify" : sslMode}`;
  const place = host.includes(":") && !host.startsWith("[") ? `[${host}]` : host;
  return new Secret(`postgres://${credentials}@${place}:${port}/${encodeURIComponent(database)}${query}`);
}
