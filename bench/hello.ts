/**
 * `npm run bench`: the hello function through the platform against the same handler on bare `Deno.serve`, in one run.
 *
 * Everything of the platform is on: caller by anon key, limits, execution records. Load comes from `wrk`, which shares
 * the machine: only the ratio within one run says something.
 *
 * @module
 */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { deploy, median, print, startPlatform, startServer } from "./server.ts";

const SECONDS = Number(Deno.args[0] ?? 5);
const ROUNDS_COUNT = Number(Deno.args[1] ?? 3);
const CONNECTION_COUNTS = [64, 1];
const BARE = fileURLToPath(new URL("./bare.ts", import.meta.url));
const HELLO = `async function handler(req) {
  const data = JSON.parse(req.body || '{}')
  return {
    status: 200,
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ message: \`Hello \${data.name || 'World'}!\` }),
  }
}`;
const EXPECTED = `{"message":"Hello Alice!"}`;
const decoder = new TextDecoder();

interface Result {
  readonly perSec: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly failedCount: number;
}

interface Target {
  readonly url: string;
  readonly authorization: string;
}

async function load({ url, authorization }: Target, connectionCount: number, dir: string): Promise<Result> {
  const script = join(dir, "hello.lua");
  await Deno.writeTextFile(
    script,
    `wrk.method = "POST"
wrk.body = '{"name":"Alice"}'
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = "${authorization}"
done = function(summary, latency)
  local failed = summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.timeout
  io.write(string.format("RESULT %d %d %d %d %d\\n", summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), failed))
end`,
  );
  const { stdout } = await new Deno.Command("wrk", {
    args: ["-t1", `-c${connectionCount}`, `-d${SECONDS}`, "-s", script, url],
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

async function assertAnswers({ url, authorization }: Target): Promise<void> {
  const response = await fetch(url, { method: "POST", headers: { authorization }, body: `{"name":"Alice"}` });
  const text = await response.text();
  if (response.status !== 200 || text !== EXPECTED) throw new Error(`${url} answered ${response.status} ${text}`);
}

async function run(dir: string): Promise<void> {
  await using platform = await startPlatform(join(dir, "data"));
  await using bare = await startServer(BARE, {}, /^http/m);
  await deploy(platform, "hello", HELLO);
  const { url, anonKey } = platform;
  const authorization = `Bearer ${anonKey}`;
  const targets: Record<string, Target> = {
    "bare Deno.serve": { url: bare.output().trim(), authorization },
    "platform": { url: `${url}/api/v1/functions/hello/invoke`, authorization },
  };
  for (const target of Object.values(targets)) {
    await assertAnswers(target);
    await load(target, 64, dir);
  }
  print(`wrk -t1 -d${SECONDS}, ${ROUNDS_COUNT} rounds in turn, medians\n`);
  print("connections  target            requests/s   p50 ms   p99 ms   failed   ratio");
  for (const connectionCount of CONNECTION_COUNTS) {
    const results = new Map<string, Result[]>();
    for (let round = 0; round < ROUNDS_COUNT; round += 1) {
      for (const [name, target] of Object.entries(targets)) {
        results.set(name, [...results.get(name) ?? [], await load(target, connectionCount, dir)]);
      }
    }
    const base = median((results.get("bare Deno.serve") ?? []).map(({ perSec }) => perSec));
    for (const [name, rounds] of results) {
      const perSec = median(rounds.map((round) => round.perSec));
      const failedCount = rounds.reduce((sum, round) => sum + round.failedCount, 0);
      print(
        [
          String(connectionCount).padEnd(12),
          name.padEnd(17),
          perSec.toFixed(0).padStart(10),
          median(rounds.map((round) => round.p50Ms)).toFixed(2).padStart(8),
          median(rounds.map((round) => round.p99Ms)).toFixed(2).padStart(8),
          String(failedCount).padStart(8),
          (perSec / base).toFixed(2).padStart(7),
        ].join(" "),
      );
    }
  }
}

const hasWrk = await new Deno.Command("wrk", { args: ["-v"], stdout: "null", stderr: "null" }).output()
  .then(() => true, () => false);
if (!hasWrk) {
  print("Cannot measure without wrk: install it first, for example with `apt-get install wrk`");
  Deno.exit(1);
}
const dir = await Deno.makeTempDir({ prefix: "fluxbase-bench-" });
await Deno.chmod(dir, 0o755);
try {
  await run(dir);
} finally {
  await Deno.remove(dir, { recursive: true });
}
