/**
 * The way from one server to one of what all servers use: every byte of it passes here, so it can be made slow or end.
 *
 * @module
 */
import { delay } from "../../src/core/clock.ts";

export interface Link {
  readonly port: number;
  /** Of each piece, in both directions. */
  delayMs: number;
  /** While it is, nothing passes and nobody is told. */
  isCut: boolean;
  [Symbol.asyncDispose](): Promise<void>;
}

const PIECE_BYTES = 65_536;
const CUT_LOOK_MS = 20;

export function openLink(hostname: string, toPort: number): Link {
  const listener = Deno.listen({ hostname, port: 0 });
  const open = new Set<Deno.Conn>();
  let isClosed = false;

  async function pass(from: Deno.Conn, to: Deno.Conn): Promise<void> {
    const buffer = new Uint8Array(PIECE_BYTES);
    try {
      for (;;) {
        const count = await from.read(buffer);
        if (link.delayMs > 0) await delay(link.delayMs);
        while (link.isCut && !isClosed) await delay(CUT_LOOK_MS);
        if (count === null) break;
        for (let at = 0; at < count;) at += await to.write(buffer.subarray(at, count));
      }
    } catch {
      // One of both ends is gone: so is the other.
    }
    for (const end of [from, to]) close(end);
  }

  function close(end: Deno.Conn): void {
    if (open.delete(end)) end.close();
  }

  async function connect(near: Deno.Conn): Promise<void> {
    open.add(near);
    const far = await Deno.connect({ hostname: "127.0.0.1", port: toPort }).catch(() => undefined);
    if (far === undefined) return close(near);
    open.add(far);
    await Promise.all([pass(near, far), pass(far, near)]);
  }

  const listening = (async () => {
    const passing: Promise<void>[] = [];
    for await (const near of listener) passing.push(connect(near));
    await Promise.all(passing);
  })();
  const link: Link = {
    port: listener.addr.port,
    delayMs: 0,
    isCut: false,
    async [Symbol.asyncDispose]() {
      isClosed = true;
      listener.close();
      for (const end of [...open]) close(end);
      await listening;
    },
  };
  return link;
}
