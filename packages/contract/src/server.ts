/**
 * What a server says of itself, as it travels over HTTP.
 *
 * @module
 */
export interface Readiness {
  readonly status: "ready" | "not_ready";
  readonly database: "ok" | "unavailable";
  /** Where rows of users are: in a database of their own, in the platform's, or nowhere. */
  readonly users_database: "own" | "shared" | "off";
  readonly sandboxes: {
    readonly count: number;
    /** Started ahead. */
    readonly blank: number;
    readonly busy: number;
    /** Requests that wait for one. */
    readonly waiting: number;
    readonly memory_mib: number;
  };
  /** What stands between functions and the machine. */
  readonly fences: { readonly standing: readonly string[]; readonly missing: readonly string[] };
}
