/**
 * The sandboxes of one version, and the requests that wait for one of them.
 *
 * A start belongs to certain requests, those that come while it has room among them: should the version not load, they
 * are told so, and nobody else. Until it is over they wait like all others, and take a sandbox that is free before.
 *
 * A version that is not live any more leaves with its fleet: that serves who waited for it, and takes nobody new. When
 * the version becomes live again it gets another fleet.
 *
 * Owns: which sandbox gets a request, who waits in which order, whom a start is for.
 * Does not own: whether one more sandbox may start (./start_queue.ts), loading (./sandbox_pool.ts).
 *
 * @module
 */
import type { ColdStart, Exchange, ExchangeHolder } from "./exchange.ts";
import type { Tally } from "./function_tallies.ts";
import type { Sandbox } from "./sandbox.ts";
import type { SandboxVersion } from "./sandbox_version.ts";

export interface FleetLimits {
  readonly concurrencyCount: number;
  readonly sandboxRequestsCount: number;
}

/** All who wait, in whichever fleet. */
export interface Crowd {
  count: number;
}

export interface FleetOptions {
  readonly limits: FleetLimits;
  readonly tally: Tally;
  readonly crowd: Crowd;
  now(): number;
  /** The client of a request has left while it waited. */
  onAbandoned(exchange: Exchange): void;
}

/** A sandbox on its way to its version. */
export interface Start {
  readonly fleet: Fleet;
  readonly beganMs: number;
  /** How many more requests it will have room for. */
  freeCount: number;
}

export class Fleet implements ExchangeHolder {
  readonly version: SandboxVersion;
  readonly tally: Tally;
  readonly sandboxes: Sandbox[] = [];
  readonly starts = new Set<Start>();
  /** Of one sandbox in its life. */
  readonly requestsMaxCount: number;
  /** One is to be made ready although nobody waits. */
  isAwaited = false;
  /** Its version is not live any more. */
  isLeaving = false;

  readonly #options: FleetOptions;
  readonly #waiting: Exchange[] = [];
  /** Of those who wait: for whom a start has begun. */
  readonly #startOf = new Map<Exchange, Start>();

  constructor(version: SandboxVersion, options: FleetOptions) {
    this.version = version;
    this.tally = options.tally;
    this.requestsMaxCount = version.isolated ? 1 : options.limits.sandboxRequestsCount;
    this.#options = options;
    options.tally.fleets.add(this);
  }

  get waitingCount(): number {
    return this.#waiting.length;
  }
  get waiting(): readonly Exchange[] {
    return this.#waiting;
  }
  /** Sandboxes it has or will have. */
  get size(): number {
    return this.sandboxes.length + this.starts.size;
  }
  get isEmpty(): boolean {
    return this.size + this.#waiting.length === 0;
  }

  // Which sandbox.

  leastBusy(): Sandbox | undefined {
    let best: Sandbox | undefined;
    for (const sandbox of this.sandboxes) {
      if (sandbox.state !== "ready" || this.#roomIn(sandbox) <= 0 || sandbox.isStuck) continue;
      if (best === undefined || sandbox.load < best.load) best = sandbox;
    }
    return best;
  }

  #roomIn({ load, servedCount, requestsMaxCount }: Sandbox): number {
    return Math.min(this.#options.limits.concurrencyCount - load, requestsMaxCount - servedCount);
  }

  /** Sends it as many of those who wait as it has room for. */
  serve(sandbox: Sandbox, coldStart: ColdStart | null): void {
    if (this.#waiting.length === 0 || sandbox.state !== "ready" || sandbox.isStuck) return;
    for (const exchange of this.take(this.#roomIn(sandbox))) {
      exchange.coldStart = coldStart;
      sandbox.send(exchange, this.#options.now());
    }
  }

  // Who waits.

  wait(exchange: Exchange): void {
    this.#options.crowd.count += 1;
    this.#waiting.push(exchange);
    for (const start of this.starts) {
      if (start.freeCount > 0) return this.#assign(exchange, start);
    }
  }

  /** To the front: it has waited longer than the others. */
  waitAgain(exchange: Exchange): void {
    exchange.holder = this;
    this.#options.crowd.count += 1;
    this.#waiting.unshift(exchange);
  }

  /** From the front. */
  take(count: number): Exchange[] {
    const taken = this.#waiting.splice(0, Math.max(0, count));
    this.#options.crowd.count -= taken.length;
    for (const exchange of taken) this.#unassign(exchange);
    return taken;
  }

  /** The client has left. */
  abandon(exchange: Exchange): void {
    if (this.#leave(exchange)) this.#options.onAbandoned(exchange);
  }

  #leave(exchange: Exchange): boolean {
    const index = this.#waiting.indexOf(exchange);
    if (index < 0) return false;
    this.#waiting.splice(index, 1);
    this.#unassign(exchange);
    this.#options.crowd.count -= 1;
    return true;
  }

  // Starts.

  /** Sandboxes that have to start for those who wait and for whom none has begun to. */
  get neededCount(): number {
    const count = this.neededWith(0);
    return count === 0 && this.isAwaited && this.size === 0 ? 1 : count;
  }

  /** The same if so many more waited. */
  neededWith(moreCount: number): number {
    let count = this.#waiting.length - this.#startOf.size + moreCount;
    for (const { freeCount } of this.starts) count -= freeCount;
    return Math.ceil(Math.max(0, count) / this.#perStartCount);
  }

  get #perStartCount(): number {
    return Math.min(this.#options.limits.concurrencyCount, this.requestsMaxCount);
  }

  #assign(exchange: Exchange, start: Start): void {
    this.#startOf.set(exchange, start);
    start.freeCount -= 1;
  }

  #unassign(exchange: Exchange): void {
    const start = this.#startOf.get(exchange);
    if (start === undefined) return;
    this.#startOf.delete(exchange);
    start.freeCount += 1;
  }

  /** For the first of those for whom none has begun, and for those who come while it has room. */
  begin(): Start {
    const start: Start = { fleet: this, beganMs: this.#options.now(), freeCount: this.#perStartCount };
    this.starts.add(start);
    this.isAwaited = false;
    for (const exchange of this.#waiting) {
      if (start.freeCount === 0) break;
      if (!this.#startOf.has(exchange)) this.#assign(exchange, start);
    }
    return start;
  }

  /** It came to something, or its requests are to have another one. */
  end(start: Start): void {
    this.starts.delete(start);
    for (const [exchange, own] of this.#startOf) if (own === start) this.#startOf.delete(exchange);
  }

  /** It came to nothing: takes those it was for out of the queue, save those who can be served without it. */
  endFailed(start: Start): Exchange[] {
    this.starts.delete(start);
    const own = this.#waiting.filter((exchange) => this.#startOf.get(exchange) === start);
    const lost: Exchange[] = [];
    for (const exchange of own) {
      const sandbox = this.leastBusy();
      this.#leave(exchange);
      if (sandbox === undefined) lost.push(exchange);
      else sandbox.send(exchange, this.#options.now());
    }
    return lost;
  }
}
