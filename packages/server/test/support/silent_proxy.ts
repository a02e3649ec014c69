/**
 * A TCP proxy that can go silent, like a router that forgot its connections: nothing arrives any more on those that
 * are open, and no end of them either. New ones work.
 *
 * @module
 */
export interface SilentProxy {
  readonly port: number;
  /** Returns how many connections it took the voice from. */
  silence(): number;
  [Symbol.asyncDispose](): Promise<void>;
}

export function startSilentProxy(target: Deno.ConnectOptions): SilentProxy {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const connections = new Set<{ isSilent: boolean; readonly sides: readonly Deno.Conn[] }>();

  async function serve(near: Deno.Conn): Promise<void> {
    const far = await Deno.connect(target);
    const connection = { isSilent: false, sides: [near, far] };
    connections.add(connection);
    const pass = async (from: Deno.Conn, to: Deno.Conn) => {
      try {
        for await (const chunk of from.readable) {
          if (!connection.isSilent) await to.write(chunk);
        }
      } catch {
        // One side is gone.
      }
      if (!connection.isSilent) closeAll(connection.sides);
    };
    await Promise.all([pass(near, far), pass(far, near)]);
  }

  const accepting = (async () => {
    for await (const connection of listener) void serve(connection).catch(() => closeAll([connection]));
  })().catch(() => {});

  return {
    port: listener.addr.port,
    silence() {
      const speaking = [...connections].filter(({ isSilent }) => !isSilent);
      for (const connection of speaking) connection.isSilent = true;
      return speaking.length;
    },
    async [Symbol.asyncDispose]() {
      listener.close();
      for (const { sides } of connections) closeAll(sides);
      await accepting;
    },
  };
}

function closeAll(connections: readonly Deno.Conn[]): void {
  for (const connection of connections) {
    try {
      connection.close();
    } catch {
      // Closed already.
    }
  }
}
