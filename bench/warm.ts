/**
 * Warm calls of the hello function, with everything on (caller by anon key, limits, logs, execution records), against
 * the same handler on bare `Deno.serve`, on workerd, and with a process for each call.
 *
 * Load generator, server and sandbox share the machine, and machines change their speed from minute to minute: targets
 * take turns, and only ratios within one run say something.
 *
 * @module
 */
import { join } from "node:path";
import { deploy, startPlatform, startScript } from "./server.ts";
import { median, print, type Row, type Suite } from "./suite.ts";
import { startWorkerd } from "./workerd.ts";
import { assertAnswers, type Load, load, type Target } from "./wrk.ts";

/** All of it takes three minutes, or half a minute. */
const USUAL = { seconds: 4, roundsCount: 5 };
const QUICK = { seconds: 1, roundsCount: 3 };
const CONNECTION_COUNTS = [64, 1];
const HELLO = `async function handler(req) {
  const data = JSON.parse(req.body || '{}')
  return {
    status: 200,
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ message: \`Hello \${data.name || 'World'}!\` }),
  }
}`;

type Name = "bare" | "platform" | "workerd" | "spawning";

export const warm: Suite = {
  name: "warm",
  async run(dir, { isQuick }) {
    const { seconds, roundsCount } = isQuick ? QUICK : USUAL;
    await using platform = await startPlatform(join(dir, "data"));
    await using bare = await startScript("./bare.ts");
    await using spawning = await startScript("./spawning.ts");
    await using workerd = await startWorkerd(dir);
    await deploy(platform, "hello", HELLO);
    const authorization = `Bearer ${platform.anonKey}`;
    const targets: Record<Name, Target> = {
      bare: { url: bare.output().trim(), authorization },
      platform: { url: `${platform.url}/api/v1/functions/hello/invoke`, authorization },
      workerd: { url: workerd.url, authorization },
      spawning: { url: spawning.output().trim(), authorization },
    };
    for (const target of Object.values(targets)) {
      await assertAnswers(target);
      await load(target, { connectionCount: 64, seconds: Math.ceil(seconds / 2), dir });
    }
    const rows: Row[] = [];
    for (const connectionCount of CONNECTION_COUNTS) {
      const rounds: Record<Name, Load>[] = [];
      for (let round = 0; round < roundsCount; round += 1) {
        print(`warm, ${connectionCount} connections: round ${round + 1} of ${roundsCount}`);
        const measure = (name: Name) => load(targets[name], { connectionCount, seconds, dir });
        rounds.push({
          bare: await measure("bare"),
          platform: await measure("platform"),
          workerd: await measure("workerd"),
          spawning: await measure("spawning"),
        });
      }
      rows.push(...(connectionCount === 1 ? rowsAlone(rounds) : rowsTogether(rounds, connectionCount)));
    }
    return rows;
  },
};

const over = (rounds: readonly Record<Name, Load>[], of: (round: Record<Name, Load>) => number) =>
  median(rounds.map(of));

function rowsTogether(rounds: readonly Record<Name, Load>[], connectionCount: number): Row[] {
  const toBare = over(rounds, ({ platform, bare }) => platform.perSec / bare.perSec);
  const toWorkerd = over(rounds, ({ platform, workerd }) => platform.perSec / workerd.perSec);
  const toSpawning = over(rounds, ({ platform, spawning }) => platform.perSec / spawning.perSec);
  const p99 = over(rounds, ({ platform }) => platform.p99Ms);
  const failedCount = rounds.reduce((sum, { platform }) => sum + platform.failedCount, 0);
  const perSec = (name: Name) => `${over(rounds, (round) => round[name].perSec).toFixed(0)}/s`;
  const place = `warm hello, wrk -c${connectionCount}`;
  return [
    {
      what: `${place}: against bare Deno.serve`,
      target: "≥ 0.40",
      measured: `${toBare.toFixed(2)} (${perSec("platform")} of ${perSec("bare")})`,
      isMet: toBare >= 0.4,
    },
    {
      what: `${place}: against workerd`,
      target: "≥ 2",
      measured: `${toWorkerd.toFixed(1)} (${perSec("workerd")})`,
      isMet: toWorkerd >= 2,
    },
    {
      what: `${place}: against a process for each call`,
      target: "≥ 100",
      measured: `${toSpawning.toFixed(0)} (${perSec("spawning")})`,
      isMet: toSpawning >= 100,
    },
    {
      what: `${place}: p99`,
      target: "≤ 5 ms",
      measured: `${p99.toFixed(2)} ms (bare Deno.serve ${over(rounds, ({ bare }) => bare.p99Ms).toFixed(2)} ms)`,
      isMet: p99 <= 5,
    },
    { what: `${place}: failed requests`, target: "0", measured: String(failedCount), isMet: failedCount === 0 },
  ];
}

function rowsAlone(rounds: readonly Record<Name, Load>[]): Row[] {
  const p50 = over(rounds, ({ platform }) => platform.p50Ms);
  const bare = over(rounds, (round) => round.bare.p50Ms);
  return [{
    what: "warm hello, wrk -c1: p50",
    target: "≤ 0.3 ms",
    measured: `${p50.toFixed(2)} ms (bare Deno.serve ${bare.toFixed(2)} ms)`,
    isMet: p50 <= 0.3,
  }];
}
