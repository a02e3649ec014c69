/**
 * Connections of Node that exist only in memory: what is written at one end is read at the other.
 *
 * @module
 */
import type { Duplex } from "node:stream";

/** What code for servers asks of its socket. */
export interface MemorySocket extends Duplex {
  readonly remoteAddress: string;
}

interface Facts {
  readonly remoteAddress: string;
  readonly encrypted: boolean;
}

/** The client's end, and the server's. */
export interface Connections {
  pair(facts: Facts): readonly [Duplex, MemorySocket];
}

export function createConnections({ Duplex }: typeof import("node:stream")): Connections {
  class End extends Duplex {
    readonly remoteAddress: string;
    readonly remotePort = 0;
    readonly remoteFamily: string;
    readonly localAddress = "127.0.0.1";
    readonly localPort = 0;
    readonly encrypted: boolean;
    readonly connecting = false;
    readonly readyState = "open";
    other: End | undefined;
    /** Tells the other end that its chunk was taken. */
    taken: (() => void) | undefined;

    constructor({ remoteAddress, encrypted }: Facts) {
      super();
      this.remoteAddress = remoteAddress;
      this.remoteFamily = remoteAddress.includes(":") ? "IPv6" : "IPv4";
      this.encrypted = encrypted;
    }
    override _read(): void {
      const { taken } = this;
      this.taken = undefined;
      taken?.();
    }
    override _write(chunk: Uint8Array, _encoding: string, done: () => void): void {
      const { other } = this;
      if (other === undefined || other.destroyed || other.readableEnded || other.push(chunk)) return done();
      other.taken = done;
    }
    override _final(done: () => void): void {
      this.other?.push(null);
      done();
    }
    override _destroy(error: Error | null, done: (error: Error | null) => void): void {
      const { other, taken } = this;
      this.taken = undefined;
      taken?.();
      done(error);
      // What was written before still arrives, as it does on a network.
      if (other === undefined || other.destroyed) return;
      if (!other.readableEnded && error === null) other.push(null);
      process.nextTick(() => setTimeout(() => other.destroy(), 0));
    }
    setTimeout(): this {
      return this;
    }
    setNoDelay(): this {
      return this;
    }
    setKeepAlive(): this {
      return this;
    }
    ref(): this {
      return this;
    }
    unref(): this {
      return this;
    }
    address(): object {
      return { address: this.localAddress, family: "IPv4", port: this.localPort };
    }
    destroySoon(): void {
      if (this.writable) this.end();
      if (this.writableFinished) this.destroy();
      else this.once("finish", () => this.destroy());
    }
  }
  return {
    pair(facts) {
      const near = new End(facts);
      const far = new End(facts);
      near.other = far;
      far.other = near;
      // Who destroys an end with an error tells the other side by its own words.
      near.on("error", () => {});
      far.on("error", () => {});
      return [near, far];
    },
  };
}
