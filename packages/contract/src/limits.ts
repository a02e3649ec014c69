/**
 * Everything the platform bounds, each with its unit in its name.
 *
 * @module
 */

const KiB = 1024;
const MiB = 1024 * KiB;

type LimitName = `${string}${"Ms" | "Sec" | "Bytes" | "MiB" | "Count" | "Percent" | "PerSec"}`;

export interface Limit {
  readonly min: number;
  readonly default: number;
  readonly max: number;
}

/** `min` and `max` are inclusive. */
export const LIMITS = {
  /** From the first byte of the request to the last byte of the response. */
  wallMs: { min: 1, default: 30_000, max: 3_600_000 },
  /** What a function may ask for at most. */
  wallMaxMs: { min: 1, default: 60_000, max: 3_600_000 },
  /** JavaScript heap of one sandbox. */
  memoryMiB: { min: 32, default: 128, max: 1024 },
  requestBodyBytes: { min: 0, default: 6 * MiB, max: 1024 * MiB },
  /** Body of a webhook that is verified: it is read whole before anything runs. */
  webhookBodyBytes: { min: 64 * KiB, default: 1 * MiB, max: 32 * MiB },
  responseBodyBytes: { min: 0, default: 6 * MiB, max: 1024 * MiB },
  /** Headers of one answer of a function. */
  responseHeadersCount: { min: 1, default: 256, max: 1_000 },
  /** Their names and values together. */
  responseHeadBytes: { min: 1 * KiB, default: 64 * KiB, max: 128 * KiB },
  /** Fetching packages and putting a function's modules together. */
  bundlingMs: { min: 1_000, default: 60_000, max: 600_000 },
  bundleBytes: { min: 1 * KiB, default: 5 * MiB, max: 50 * MiB },
  sourceFileBytes: { min: 1 * KiB, default: 1 * MiB, max: 10 * MiB },
  sourceBytes: { min: 1 * KiB, default: 5 * MiB, max: 50 * MiB },
  /** A body sent to the control plane: sources of one function plus their JSON escapes. */
  controlBodyBytes: { min: 64 * KiB, default: 8 * MiB, max: 256 * MiB },
  /** Editors that have a language service at once; 0 switches it off. */
  languageSessionsCount: { min: 0, default: 4, max: 100 },
  /** A language service that nobody types for ends after this. */
  languageIdleMs: { min: 100, default: 300_000, max: 3_600_000 },
  logLineBytes: { min: 256, default: 64 * KiB, max: 1 * MiB },
  logLinesCount: { min: 0, default: 1_000, max: 100_000 },
  /** Of one function, over all its executions; a burst of a minute's worth is let through. */
  logBytesPerSec: { min: 1 * KiB, default: 1 * MiB, max: 1024 * MiB },
  /** Requests that are kept to be run again, of all functions, in the database. */
  capturesMiB: { min: 0, default: 256, max: 1_048_576 },
  /** Who follows logs, on all servers together. */
  logFollowersCount: { min: 1, default: 50, max: 10_000 },
  /** A sandbox whose event loop does not answer a ping for this long while requests run is killed. */
  eventLoopBlockedMs: { min: 100, default: 5_000, max: 60_000 },
  /** Requests one sandbox serves at once. */
  concurrencyCount: { min: 1, default: 32, max: 1_000 },
  /** A sandbox that has served this many requests is replaced; none is lost. */
  sandboxRequestsCount: { min: 1, default: 1_000_000, max: 1_000_000_000 },
  /** A sandbox that has lived this long is replaced; no request is lost. */
  sandboxLifeMs: { min: 100, default: 3_600_000, max: 86_400_000 },
  sandboxIdleMs: { min: 100, default: 60_000, max: 3_600_000 },
  /** Their memory is what bounds them first, unless a lower number is set. */
  sandboxCount: { min: 1, default: 1_000, max: 10_000 },
  /** Of all sandboxes of one server process together; 0: three fifths of what the machine or its container has. */
  sandboxesMemoryMiB: { min: 0, default: 0, max: 16 * 1024 * 1024 },
  /** Part of the sandboxes, and of the requests that wait for one, that one function may take. */
  functionSharePercent: { min: 1, default: 50, max: 100 },
  blankSandboxCount: { min: 0, default: 2, max: 100 },
  /** From the start of a sandbox process to its first frame. */
  sandboxStartMs: { min: 100, default: 10_000, max: 60_000 },
  /** Evaluating the top level of a bundle. */
  sandboxLoadMs: { min: 100, default: 10_000, max: 60_000 },
  /** Files that one sandbox writes to its scratch folder, together. */
  scratchBytes: { min: 0, default: 64 * MiB, max: 16 * 1024 * MiB },
  /** How long one WebSocket may stay open. */
  webSocketLifeMs: { min: 1_000, default: 3_600_000, max: 86_400_000 },
  /** Requests that wait for a free sandbox, over all functions. */
  waitingRequestsCount: { min: 0, default: 2_000, max: 100_000 },
  waitForSandboxMs: { min: 0, default: 10_000, max: 60_000 },
  /** Tasks that one server runs at once. */
  tasksCount: { min: 1, default: 100, max: 10_000 },
  /** Tasks of one function that may wait; more are refused. Counted every few seconds. */
  waitingTasksCount: { min: 1, default: 100_000, max: 100_000_000 },
  /** Their bodies together, as they are stored. */
  waitingTasksMiB: { min: 1, default: 1_024, max: 1_048_576 },
  /** Of one answer with rows of tables. */
  tableRowsCount: { min: 1, default: 100_000, max: 10_000_000 },
  /** What the database answers to one request for tables, errors and notices included. */
  tableAnswerBytes: { min: 64 * KiB, default: 32 * MiB, max: 1024 * MiB },
  /** One statement for a request for tables. */
  tableStatementMs: { min: 10, default: 10_000, max: 600_000 },
  /** Of the functions of one namespace, on all servers. */
  namespaceConnectionsCount: { min: 1, default: 20, max: 1_000 },
  /** Of all functions on one server. */
  functionConnectionsCount: { min: 1, default: 40, max: 10_000 },
  /** One transaction of a function that uses the database itself. */
  functionTransactionMs: { min: 100, default: 60_000, max: 3_600_000 },
  /** Private memory of one session of the embedded Postgres, whatever `work_mem` says. */
  sessionMemoryMiB: { min: 128, default: 512, max: 1_048_576 },
  /** Temporary files of one database session. */
  sessionTempFileMiB: { min: 1, default: 1_024, max: 1_048_576 },
  /** For a connection to bring its next request whole, a large body left out. */
  requestHeadMs: { min: 100, default: 15_000, max: 600_000 },
  /** For the body of a request to the management API. */
  controlBodyMs: { min: 100, default: 60_000, max: 600_000 },
  /** A connection that was answered and asks nothing more. */
  idleConnectionMs: { min: 100, default: 120_000, max: 3_600_000 },
  /** A client that does not take its answer. */
  stalledAnswerMs: { min: 100, default: 60_000, max: 3_600_000 },
  /** What a client takes at least of an answer that waits for it, on average; 0: anything. */
  slowAnswerBytesPerSec: { min: 0, default: 256, max: 1 * MiB },
  /** Of one client address that is no trusted proxy's. */
  connectionsPerAddressCount: { min: 1, default: 2_000, max: 1_000_000 },
  connectionsCount: { min: 1, default: 20_000, max: 1_000_000 },
  /** How long a stopping server waits for running requests. */
  drainDelayMs: { min: 0, default: 0, max: 600_000 },
  drainMs: { min: 0, default: 10_000, max: 600_000 },
} as const satisfies Record<LimitName, Limit>;

export type LimitKey = keyof typeof LIMITS;
