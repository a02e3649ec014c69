/**
 * The load generator: `wrk`, with the hello request.
 *
 * @module
 */
import { join } from "node:path";

export interface Load {
  readonly perSec: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly failedCount: number;
}

export interface Target {
  readonly url: string;
  /** Empty for none. */
  readonly authorization: string;
}

const BODY = `{"name":"Alice"}`;
const ANSWER = `{"message":"Hello Alice!"}`;
const decoder = new TextDecoder();

export async function assertAnswers({ url, authorization }: Target): Promise<void> {
  const response = await fetch(url, {
    method: "POST",
    headers: authorization === "" ? {} : { authorization },
    body: BODY,
  });
  const text = await response.text();
  if (response.status !== 200 || text !== ANSWER) throw new Error(`${url} answered ${response.status} ${text}`);
}

export async function load(
  { url, authorization }: Target,
  { connectionCount, seconds, dir }: { connectionCount: number; seconds: number; dir: string },
): Promise<Load> {
  const script = join(dir, "hello.lua");
  await Deno.writeTextFile(
    script,
    `wrk.method = "POST"
wrk.body = '${BODY}'
wrk.headers["Content-Type"] = "application/json"
${authorization === "" ? "" : `wrk.headers["Authorization"] = "${authorization}"`}
done = function(summary, latency)
  local failed = summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.timeout
  io.write(string.format("RESULT %d %d %d %d %d\\n", summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), failed))
end`,
  );
  const { stdout } = await new Deno.Command("wrk", {
    args: ["-t1", `-c${connectionCount}`, `-d${seconds}`, "-s", script, url],
  }).output();
  const [, requests, microseconds, p50, p99, failed] =
    /RESULT (\d+) (\d+) (\d+) (\d+) (\d+)/.exec(decoder.decode(stdout))?.map(Number) ?? [];
  return {
    perSec: (requests ?? 0) / ((microseconds ?? 1) / 1e6),
    p50Ms: (p50 ?? 0) / 1_000,
    p99Ms: (p99 ?? 0) / 1_000,
    failedCount: failed ?? 0,
  };
}

export async function hasWrk(): Promise<boolean> {
  return await new Deno.Command("wrk", { args: ["-v"], stdout: "null", stderr: "null" }).output()
    .then(() => true, () => false);
}
