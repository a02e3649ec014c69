/**
 * Statements of the server itself in the users' database, as the role of the functions of `default`, each over a
 * connection of its own.
 *
 * @module
 */
import { DEFAULT_NAMESPACE } from "@fluxbase/contract";
import type pg from "pg";
import type { Secret } from "../core/secret.ts";
import { boundAnswer } from "../storage/pool.ts";
import { connectAs, searchPathOption, withRole } from "../storage/role_session.ts";
import type { Roles } from "../storage/roles.ts";

export interface DefaultRoleOptions {
  readonly url: Secret;
  readonly roles: Roles;
  readonly schemas: readonly string[];
  readonly statementMs: number;
}

const CONNECT_MS = 5_000;

/** Ends the connection behind `use`, whatever comes of it. */
export async function asDefaultRole<Result>(
  { url, roles, schemas, statementMs }: DefaultRoleOptions,
  { applicationName, answerMaxBytes }: { readonly applicationName: string; readonly answerMaxBytes: number },
  use: (client: pg.Client) => Promise<Result>,
): Promise<Result> {
  const client = await withRole(() => roles.forNamespace(DEFAULT_NAMESPACE), roles, (role) =>
    connectAs(role, {
      roles,
      url,
      connectionTimeoutMillis: CONNECT_MS,
      statement_timeout: statementMs,
      application_name: applicationName,
      options: searchPathOption(schemas),
    }));
  try {
    boundAnswer(client, answerMaxBytes, () => 0);
    return await use(client);
  } finally {
    await client.end().catch(() => {});
  }
}
