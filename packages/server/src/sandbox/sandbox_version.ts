/**
 * What sandboxes know of a version.
 *
 * @module
 */
import type { SandboxProfile } from "./sandbox_process.ts";

/** One version of one function, as far as a sandbox needs to know it. */
export interface SandboxVersion {
  /** Unique for each version of each function. */
  readonly key: string;
  readonly functionId: string;
  readonly functionName: string;
  readonly namespace: string;
  readonly version: number;
  readonly profile: SandboxProfile;
  /** Every request gets a sandbox of its own, discarded after. */
  readonly isolated: boolean;
  /** Read when a sandbox loads the version: the cold path. */
  bundle(): Promise<string>;
  env(): Promise<Readonly<Record<string, string>>>;
  /** Of the server, for the `secrets` object. */
  secrets(): Readonly<Record<string, string>>;
  /** What must not be kept of what the function writes: the longest first. */
  hidden(): readonly string[];
}
