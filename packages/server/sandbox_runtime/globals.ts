// deno-lint-ignore-file no-console -- inside a sandbox the console is the log of the execution
/**
 * What user code finds in its global scope beyond the web platform, and what it does not find any more.
 *
 * @module
 */
import { type Call, completionOf, signalOf, type TriggerFacts } from "./call.ts";
import { currentCall } from "./current_call.ts";
import type { Secrets } from "./secrets.ts";
import { define } from "./taking_away.ts";
import { type TraceFacts, traceOf } from "./tracing.ts";

export interface FunctionIdentity {
  readonly functionName: string;
  readonly namespace: string;
  readonly version: number;
}

/** Who calls, for handlers. */
export interface UserFacts {
  readonly id: string;
  readonly email: string | null;
  readonly role: string | null;
  /** Of the token, beside those of the server. */
  readonly claims: Readonly<Record<string, unknown>>;
}

// Captured before user code runs.
const { freeze, setPrototypeOf } = Object;
const { get } = Reflect;

/** `call`: undefined outside any request. */
type Track = (call: Call | undefined, work: unknown) => void;

const ADDRESS = /^[^,]*/;
let hasToldOfPassing = false;

/**
 * The second argument of a handler.
 *
 * A class whose parts are made when asked for: closures made for each request outlived the young generation and cost
 * collections of 12 ms when measured.
 */
export class HandlerContext implements FunctionIdentity {
  readonly functionName: string;
  readonly namespace: string;
  readonly version: number;
  readonly executionId: string;
  readonly #call: Call;
  readonly #track: Track;
  readonly secrets: Secrets;

  constructor(
    call: Call,
    { functionName, namespace, version }: FunctionIdentity,
    { secrets, track }: { readonly secrets: Secrets; readonly track: Track },
  ) {
    this.functionName = functionName;
    this.namespace = namespace;
    this.version = version;
    this.executionId = call.executionId;
    this.#call = call;
    this.#track = track;
    this.secrets = secrets;
  }

  /** As Lambda calls them. */
  get awsRequestId(): string {
    return this.executionId;
  }
  get functionVersion(): string {
    return String(this.version);
  }

  /** Null for a caller without a user. */
  get user(): UserFacts | null {
    const { user_id, user_email, user_role, user_claims = {} } = this.#call.caller;
    if (user_id === undefined) return null;
    return { id: user_id, email: user_email ?? null, role: user_role ?? null, claims: user_claims };
  }
  /** Where the call belongs among others; null where nobody traces. */
  get trace(): TraceFacts | null {
    return traceOf(this.#call);
  }
  /** What called the function: `http`, or the task, schedule or hook. */
  get trigger(): TriggerFacts {
    return this.#call.trigger;
  }
  get env(): Readonly<Record<string, string>> {
    return Deno.env.toObject();
  }
  /** Fires when the client goes away or the time is over. */
  get signal(): AbortSignal {
    return signalOf(this.#call);
  }
  get log(): Console {
    return console;
  }
  /** Keeps the sandbox for this work after the answer has left. May be taken out of the context. */
  get waitUntil(): (work: Promise<unknown>) => void {
    return (work) => this.#track(this.#call, work);
  }

  /** Of the caller, as `info` of `Deno.serve` has it. */
  get remoteAddr(): Deno.NetAddr {
    const { headerPairs } = this.#call;
    const at = headerPairs.indexOf("x-forwarded-for");
    const first = at % 2 === 0 ? ADDRESS.exec(headerPairs[at + 1] ?? "")?.[0].trim() : undefined;
    return { transport: "tcp", hostname: first || "127.0.0.1", port: 0 };
  }
  /** Settles when the answer has left whole. */
  get completed(): Promise<void> {
    return completionOf(this.#call);
  }
  /** Of Workers, where it means their origin; here is none. */
  passThroughOnException(): void {
    if (!hasToldOfPassing) {
      console.warn("passThroughOnException does nothing here: there is no origin behind a function");
    }
    hasToldOfPassing = true;
  }
}

/** `secrets`, and `Fluxbase` and `EdgeRuntime`: the context for code that was not handed it. */
export function defineGlobals(identity: FunctionIdentity, secrets: Secrets, track: Track): void {
  function current(asker: string): Call {
    const call = currentCall();
    if (call === undefined) throw new Error(`Cannot use ${asker} outside a request: call it while a handler runs`);
    return call;
  }
  const fluxbase = {
    waitUntil(work: Promise<unknown>): Promise<unknown> {
      track(currentCall(), work);
      return work;
    },
    getExecutionContext() {
      const { executionId, caller } = current("Fluxbase.getExecutionContext");
      return { ...identity, executionId, ...caller };
    },
    getPayload() {
      const { body } = current("Fluxbase.getPayload");
      if (!(body instanceof Uint8Array) || body.length === 0) return null;
      const text = new TextDecoder().decode(body);
      try {
        return JSON.parse(text);
      } catch {
        return text;
      }
    },
    reportProgress: (percent: number, message?: string) =>
      console.info(`progress ${percent} %${message ? ` ${message}` : ""}`),
    isCancelled: () => current("Fluxbase.isCancelled").isAborted,
  };
  define(globalThis, "secrets", secrets);
  define(globalThis, "Fluxbase", Object.freeze(fluxbase));
  define(globalThis, "EdgeRuntime", Object.freeze({ waitUntil: (work: Promise<unknown>) => fluxbase.waitUntil(work) }));
}

/**
 * Shared between processes, leading to the harness or to drivers of the machine; none of it needs a permission, so it is
 * taken away. With each object go the classes whose methods would work on a forged one.
 */
const REMOVED_GLOBALS =
  /^(localStorage|sessionStorage|Storage|StorageEvent|caches|Cache|CacheStorage|Worker|nodeBootstrap|OffscreenCanvas|ImageBitmapRenderingContext|GPU.*)$/;

export function removeUnsafeGlobals(): void {
  forbidConstruction(globalThis.Worker);
  for (const name of Object.getOwnPropertyNames(globalThis)) {
    if (REMOVED_GLOBALS.test(name)) Reflect.deleteProperty(globalThis, name);
  }
  Reflect.deleteProperty(Navigator.prototype, "gpu");
  const key = Reflect.get(Deno, "internal");
  if (typeof key === "symbol") Reflect.deleteProperty(Deno, key);
  // How this process was started is nobody's business.
  Object.defineProperty(Deno, "args", { value: [], writable: true, enumerable: true, configurable: true });
  process.argv.length = 2;
}

/**
 * A worker is a second isolate: with Deno's internals, with a heap of its own, and with a loop that nobody watches. The
 * modules that hand out its class cannot be changed, but a class whose parent throws constructs nothing.
 */
function forbidConstruction(worker: object): void {
  setPrototypeOf(worker, function () {
    throw new TypeError("Cannot start a worker: a function runs on one thread; call another function instead");
  });
  freeze(worker);
}

/** Of node:worker_threads. */
export function removeWorkers(module: object): void {
  forbidConstruction(get(module, "Worker"));
}
