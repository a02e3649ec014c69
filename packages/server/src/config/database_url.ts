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
  if (url !== null) return inTermsOfDriver(url);
  if (host === null) return null;
  const credentials = password === null
    ? encodeURIComponent(user)
    : `${encodeURIComponent(user)}:${encodeURIComponent(password.reveal())}`;
  const place = host.includes(":") && !host.startsWith("[") ? `[${host}]` : host;
  const path = `${place}:${port}/${encodeURIComponent(database)}`;
  return inTermsOfDriver(new Secret(`postgres://${credentials}@${path}?sslmode=${sslMode}`));
}

/**
 * What libpq's words are to the driver: it takes "require" for "verify-full", and knows no way to try TLS first, so what
 * need not be encrypted is not. Null: without the parameter.
 */
const MODES: Readonly<Record<string, string | null>> = {
  "disable": null,
  "allow": null,
  "prefer": null,
  "require": "no-verify",
  "verify-ca": "verify-full",
};

export function inTermsOfDriver(given: Secret): Secret {
  const url = URL.parse(given.reveal());
  const mode = url?.searchParams.get("sslmode") ?? "";
  if (url === null || !Object.hasOwn(MODES, mode)) return given;
  // A root certificate that is named is one to check by.
  const changed = mode === "require" && url.searchParams.has("sslrootcert") ? "verify-full" : MODES[mode];
  if (typeof changed === "string") url.searchParams.set("sslmode", changed);
  else url.searchParams.delete("sslmode");
  return new Secret(url.href);
}
