/**
 * The request on whose behalf code runs now, through every await, timer and callback that it starts.
 *
 * On the engine's own async context, which Deno's AsyncLocalStorage stands on too. AsyncLocalStorage itself keeps every
 * store alive until a collection (its values live in a WeakMap that young collections do not clear): scavenges of 7 to
 * 12 ms instead of 0.1, and half of the throughput, when measured. See docs/decisions/0012.
 *
 * @module
 */
import type { Call } from "./call.ts";
import { getAsyncContext, setAsyncContext } from "./deno_internals.ts";

/**
 * What Deno calls an async context mapping: AsyncLocalStorage in user code copies its enumerable properties and adds its
 * own, whose names are numbers, so this one stays visible below it.
 */
class CallContext {
  readonly fluxbaseCall: Call;

  constructor(call: Call) {
    this.fluxbaseCall = call;
  }
}

/** Undefined for code that runs outside any request. */
export function currentCall(): Call | undefined {
  return getAsyncContext()?.fluxbaseCall;
}

/** Runs `work` and everything it starts as part of the request. */
export function runAs<T>(call: Call, work: (call: Call) => T): T {
  const outer = getAsyncContext();
  setAsyncContext(new CallContext(call));
  try {
    return work(call);
  } finally {
    setAsyncContext(outer);
  }
}

class JoinedContext extends CallContext {
  readonly fluxbaseJoined = true;
}

/** For code that goes from one request to the next by itself: from now on it runs as part of this one, or of none. */
export function continueAs(call: Call | undefined): void {
  setAsyncContext(call === undefined ? undefined : new JoinedContext(call));
}

/** As `continueAs`, where the code is not the handler of another request that is still to be answered. */
export function joinCall(call: Call): void {
  const context = getAsyncContext();
  const current = context?.fluxbaseCall;
  if (current === call) return;
  if (current === undefined || current.answered || context?.fluxbaseJoined === true) continueAs(call);
}
