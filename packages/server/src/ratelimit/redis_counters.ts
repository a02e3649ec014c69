/**
 * Counters that all servers on one Redis or Valkey share.
 *
 * @module
 */
import { createClient, defineScript } from "@redis/client";
import type { Log } from "../core/log.ts";
import type { Secret } from "../core/secret.ts";
import type { Counter, Counters } from "./counters.ts";

const CONNECT_MS = 2_000;
const RECONNECT_MAX_MS = 5_000;
/** Clocks of servers differ: a window is kept for a little longer than it lasts. */
const GRACE_MS = 60_000;

/** Counts in all keys or in none. ARGV: the limit and the end of each. */
const TAKE = `
local counts = {}
local allowed = 1
for i, key in ipairs(KEYS) do
  counts[i] = tonumber(redis.call("GET", key) or "0")
  if counts[i] >= tonumber(ARGV[2 * i - 1]) then allowed = 0 end
end
if allowed == 1 then
  for i, key in ipairs(KEYS) do
    counts[i] = redis.call("INCR", key)
    redis.call("PEXPIREAT", key, ARGV[2 * i])
  end
end
table.insert(counts, 1, allowed)
return counts`;

/** Connects in the background, again and again. While there is no connection `take` rejects at once. */
export function startRedisCounters({ url, log }: { readonly url: Secret; readonly log: Log }): Counters & Disposable {
  const client = createClient({
    url: url.reveal(),
    // Nobody waits for a store that is away.
    disableOfflineQueue: true,
    socket: {
      connectTimeout: CONNECT_MS,
      reconnectStrategy: (retries: number) => Math.min(100 * 2 ** retries, RECONNECT_MAX_MS),
    },
    scripts: {
      takeRate: defineScript({
        SCRIPT: TAKE,
        parseCommand(parser, counters: readonly Counter[]) {
          parser.pushKeysLength(counters.map(({ key }) => `fluxbase:rate:${key}`));
          parser.push(...counters.flatMap(({ limit, endsAtMs }) => [`${limit}`, `${endsAtMs + GRACE_MS}`]));
        },
        transformReply: (counts: unknown) => Array.isArray(counts) ? counts.map(Number) : [],
      }),
    },
  });
  client.on("ready", () => log.info("Rate limits are counted in Redis"));
  // Whoever wants to count is told that the connection is gone, and says so.
  client.on("error", (error: unknown) => log.debug("The connection to Redis failed", { error }));
  client.connect().catch(() => {});
  return {
    async take(counters) {
      const [allowed, ...counts] = await client.takeRate(counters);
      return { isAllowed: allowed === 1, counts };
    },
    [Symbol.dispose]: () => client.destroy(),
  };
}
