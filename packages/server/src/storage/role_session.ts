/**
 * Connections to the users' database as one of its roles.
 *
 * A role may have changed its own password and settings, for good and for every session to come. So each new connection
 * looks, and has the role set right before it is used; a connection that is refused is tried once more after that.
 *
 * @module
 */
import pg from "pg";
import type { Secret } from "../core/secret.ts";
import { codeOf, urlAs } from "./db.ts";
import type { LoginRole, Roles } from "./roles.ts";

/** Failures that have nothing to do with what a role may change: the database is away, or full of connections. */
const NOT_THE_ROLE = /^(53|57|E[A-Z]+)/;

/** Every name is Postgres' own, whatever the settings of the session make of others. They may be of any length. */
export const SETTINGS_OF_ROLE = `select pg_catalog.left(pg_catalog.array_to_string(s.setconfig, ', '), 1000)
  from pg_catalog.pg_db_role_setting s join pg_catalog.pg_roles r on r.oid = s.setrole
  where r.rolname = session_user`;

/** Says how the role of a session differs from what it should be. */
class AlteredRoleError extends Error {
  override readonly name = "AlteredRoleError";
}

/** @throws {AlteredRoleError} */
export async function assertUnaltered(client: pg.ClientBase, roles: Roles): Promise<void> {
  const { rows } = await client.query({ text: SETTINGS_OF_ROLE, rowMode: "array" });
  const found = rows.map(([settings]) => String(settings)).join(", ");
  if (found !== roles.settings.join(", ")) throw new AlteredRoleError(`its own settings were changed: ${found}`);
}

/** Runs `open` with a role; once more when the role had to be set right. */
export async function withRole<Result>(
  login: () => Promise<LoginRole>,
  roles: Roles,
  open: (role: LoginRole) => Promise<Result>,
): Promise<Result> {
  const role = await login();
  try {
    return await open(role);
  } catch (error) {
    const reason = reasonToRepair(error);
    if (reason === undefined) throw error;
    await roles.repair(role.name, reason);
    return await open(await login());
  }
}

function reasonToRepair(error: unknown): string | undefined {
  if (error instanceof AlteredRoleError) return error.message;
  const code = codeOf(error);
  // What comes without a code is of the network.
  if (code === "" || NOT_THE_ROLE.test(code)) return undefined;
  return code === "28P01" ? "its password was changed" : `it could not log in (${code})`;
}

export interface RoleSessionOptions extends Omit<pg.ClientConfig, "connectionString"> {
  readonly roles: Roles;
  /** Of the users' database, as anybody. */
  readonly url: Secret;
  /** What the database says of a session by itself, such as its encoding. */
  readonly onStatus?: (name: string, value: string) => void;
}

interface Status {
  readonly parameterName: string;
  readonly parameterValue: string;
}

/** @throws what the driver says, or {@linkcode AlteredRoleError} */
export async function connectAs(
  role: LoginRole,
  { roles, url, onStatus, ...config }: RoleSessionOptions,
): Promise<pg.Client> {
  const client = new pg.Client({ ...config, connectionString: urlAs(url, role).reveal() });
  client.on("error", () => {});
  if (onStatus !== undefined) {
    // The types of the driver know less of it than it has.
    const { connection } = client as unknown as {
      connection: { on(event: string, listen: (status: Status) => void): void };
    };
    connection.on("parameterStatus", ({ parameterName, parameterValue }) => onStatus(parameterName, parameterValue));
  }
  try {
    await client.connect();
    await assertUnaltered(client, roles);
    return client;
  } catch (error) {
    await client.end().catch(() => {});
    throw error;
  }
}

/** What a driver calls `options`, so that names without a schema are looked for in these. */
export function searchPathOption(schemas: readonly string[]): string {
  const path = schemas.map((schema) => pg.escapeIdentifier(schema)).join(",");
  return `-c search_path=${path.replaceAll(/[\\\s]/g, "\\$&")}`;
}
