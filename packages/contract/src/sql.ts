/**
 * Answers to the SQL of admins, as they travel over HTTP.
 *
 * @module
 */
export interface SqlAnswer {
  /** Such as `SELECT` or `CREATE`. */
  readonly command: string;
  readonly row_count: number;
  readonly columns: readonly string[];
  readonly rows: readonly Readonly<Record<string, unknown>>[];
}
