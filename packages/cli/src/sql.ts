/**
 * SQL of an admin, which the SDK has no method for: it is for people and programs that manage a server.
 *
 * @module
 */
import type { Profile } from "./context.ts";

export interface SqlAnswer {
  readonly command: string;
  readonly row_count: number;
  readonly columns: readonly string[];
  readonly rows: readonly object[];
}

/** @throws {Error} in the words of the database */
export async function runSql(
  { url, key }: Profile,
  text: string,
  parameters: readonly string[] = [],
): Promise<SqlAnswer> {
  const response = await fetch(`${url.replace(/\/+$/, "")}/api/v1/admin/database/query`, {
    method: "POST",
    headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
    body: JSON.stringify({ sql: text, parameters }),
  });
  const answer: SqlAnswer & { error?: string; hint?: string | null } = await response.json();
  if (response.ok) return answer;
  throw new Error([answer.error, answer.hint].filter((part) => part).join("; "));
}
