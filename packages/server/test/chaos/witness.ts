/**
 * Whom attempts of tasks call while they run, so that two at once are seen.
 *
 * @module
 */
export interface Witness {
  /** Host and port. */
  readonly address: string;
  readonly attemptsCount: number;
  [Symbol.asyncDispose](): Promise<void>;
}

const ATTEMPT_MS = 100;

/** Answers after a while; the connection of an attempt whose server or sandbox dies ends at once. */
export function startWitness(hostname: string, wrong: string[]): Witness {
  const running = new Set<string>();
  let attemptsCount = 0;
  const server = Deno.serve({ hostname, port: 0, onListen: () => {} }, async (request) => {
    const id = new URL(request.url).pathname.slice(1);
    attemptsCount += 1;
    if (running.has(id)) wrong.push(`The task ${id} ran twice at once`);
    running.add(id);
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ATTEMPT_MS);
      request.signal.addEventListener("abort", () => {
        clearTimeout(timer);
        resolve();
      });
    });
    running.delete(id);
    return new Response("seen");
  });
  return {
    address: `${hostname}:${server.addr.port}`,
    get attemptsCount() {
      return attemptsCount;
    },
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}
