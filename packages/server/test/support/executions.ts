/**
 * Records of executions for tests.
 *
 * @module
 */
import type { ExecutionRecord } from "../../src/storage/executions.ts";

/** Of a call that worked just now, unless the fields say otherwise. */
export function executionRecord(fields: Partial<ExecutionRecord> & { readonly functionId: string }): ExecutionRecord {
  return {
    id: "r",
    requestId: null,
    functionName: "a",
    namespace: "default",
    version: 1,
    triggerType: "http",
    taskId: null,
    taskAttempt: null,
    status: "success",
    statusCode: 200,
    durationMs: 1.5,
    queueMs: 0,
    coldStart: false,
    method: "GET",
    path: "",
    userId: null,
    errorMessage: null,
    errorCode: null,
    errorStack: null,
    startedAtMs: Date.now(),
    node: "n",
    cpuMs: null,
    memoryMiB: null,
    bytesIn: 0,
    bytesOut: 0,
    firstByteMs: 1,
    traceId: null,
    logs: [],
    ...fields,
  };
}
