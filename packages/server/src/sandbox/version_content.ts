/**
 * What a sandbox loads to become one of a version: reading it, and handing it over.
 *
 * @module
 */
import { PlatformError } from "@fluxbase/contract";
import type { HeadLimits } from "../../sandbox_runtime/header_rules.ts";
import { withDeadline } from "../core/clock.ts";
import type { Fleet } from "./fleet.ts";
import type { Sandbox } from "./sandbox.ts";
import type { SandboxVersion } from "./sandbox_version.ts";

export interface Content {
  readonly bundle: string;
  readonly env: Readonly<Record<string, string>>;
}

export interface Unread {
  readonly error: unknown;
}

export interface LoadOptions {
  readonly content: Content;
  readonly limits: { readonly sandboxLoadMs: number; readonly logLineBytes: number; readonly logLinesCount: number };
  readonly head: HeadLimits;
  readonly ownOrigins: readonly string[];
  readonly traceHosts: readonly string[];
}

/** Resolves to the error instead of rejecting with it: whoever needs it may come later. */
export function readContent(version: SandboxVersion, limitMs: number): Promise<Content | Unread> {
  const reading = (async () => {
    const [bundle, env] = await Promise.all([version.bundle(), version.env()]);
    return { bundle, env };
  })();
  const tooLate = () => new Error(`Bundle and environment were not read within ${limitMs} ms`);
  return withDeadline(reading, limitMs, tooLate).catch((error: unknown) => ({ error }));
}

/** Resolves when the sandbox is ready for requests; rejects when its top level failed, was too slow, or ended it. */
export async function loadContent(
  sandbox: Sandbox,
  { version, requestsMaxCount }: Fleet,
  { content: { bundle, env }, limits, head, ownOrigins, traceHosts }: LoadOptions,
): Promise<void> {
  sandbox.requestsMaxCount = requestsMaxCount;
  const overdue = setTimeout(() => sandbox.kill(loadTooSlow(limits.sandboxLoadMs)), limits.sandboxLoadMs);
  try {
    await sandbox.loadBundle(bundle, {
      functionName: version.functionName,
      namespace: version.namespace,
      version: version.version,
      env: version.profile.write && sandbox.scratchDir !== null ? { TMPDIR: sandbox.scratchDir, ...env } : env,
      secrets: version.secrets(),
      ownOrigins,
      traceHosts,
      logLineBytes: limits.logLineBytes,
      logLinesCount: limits.logLinesCount,
      head,
    });
  } finally {
    clearTimeout(overdue);
  }
}

function loadTooSlow(limitMs: number): PlatformError {
  return new PlatformError(
    "BUNDLE_FAILED",
    `Cannot load the function: its top level did not finish within ${limitMs} ms`,
    { details: { limit: limitMs } },
  );
}
