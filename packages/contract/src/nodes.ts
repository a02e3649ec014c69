/**
 * Servers that share a database.
 *
 * @module
 */

/** What a server had to do when it was seen last. */
export interface NodeLoad {
  readonly sandboxes: number;
  readonly busy: number;
  /** Requests that wait for a sandbox. */
  readonly waiting: number;
  /** Of all its sandboxes. */
  readonly memory_mb: number;
  /** Of the machine, as the kernel counts it: processes that run or want to, over a minute. */
  readonly machine_load: number;
}

export interface NodeView {
  readonly id: string;
  /** As it is called on lines of the log and on executions. */
  readonly name: string;
  readonly version: string;
  readonly started_at: string;
  readonly seen_at: string;
  /** `lost`: it has said nothing for 15 s, and no goodbye. */
  readonly status: "alive" | "lost";
  readonly load: NodeLoad;
  /** What it alone does for all of them. */
  readonly leases: readonly string[];
}
