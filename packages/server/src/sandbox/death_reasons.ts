/**
 * What the callers of a sandbox are told when it ends, or when its answer cannot be sent.
 *
 * @module
 */
import { PlatformError } from "@fluxbase/contract";
import { FrameError } from "../../sandbox_runtime/frames.ts";
import type { ProcessExit } from "./sandbox_process.ts";
import { scratchLimit } from "./scratch.ts";

export function invalidResponse(functionName: string, problem: string): PlatformError {
  return new PlatformError("INVALID_RESPONSE", `Cannot send the answer of function "${functionName}" with ${problem}`);
}

export function loopBlocked(limitMs: number, usedMs: number): PlatformError {
  return new PlatformError(
    "CPU_LIMIT",
    `The function blocked its event loop for ${usedMs} ms, and at most ${limitMs} ms are allowed`,
    { details: { limit: limitMs, used: usedMs } },
  );
}

/** `detail` says how it showed. */
export function outOfMemory(limitMiB: number, detail: string): PlatformError {
  return new PlatformError(
    "MEMORY_LIMIT",
    `The function used more memory than its limit of ${limitMiB} MB: ${detail}`,
    {
      details: { limit: limitMiB },
    },
  );
}

export function notReading(maxBytes: number): PlatformError {
  const cause = new FrameError(`Cannot keep more than ${maxBytes} bytes that the sandbox does not read`);
  return protocolError(cause);
}

export function protocolError(error: Error): PlatformError {
  return new PlatformError("SANDBOX_DIED", "The sandbox broke the protocol and was killed", { cause: error });
}

/** Why a process ended that the platform did not kill. */
export function describeExit(
  { code, signal, output }: ProcessExit,
  limits: { readonly memoryMiB: number; readonly scratchBytes: number },
): PlatformError {
  if (/heap limit|out of memory|OutOfMemory|memory allocation/i.test(output)) {
    return outOfMemory(limits.memoryMiB, "the JavaScript heap is full");
  }
  if (signal === "SIGXFSZ") return scratchLimit(limits.scratchBytes);
  const how = signal === null ? `exited with code ${code}` : `was ended by ${signal}`;
  return new PlatformError("SANDBOX_DIED", `The sandbox ${how} before the function answered`, { cause: output });
}
