/**
 * A server with 10,000 functions against one with a single function.
 *
 * @module
 */
import { join } from "node:path";
import { deploy, type RunningPlatform, startPlatform } from "./server.ts";
import { median, type Suite, timeOf } from "./suite.ts";
import { load } from "./wrk.ts";

const COUNT = 10_000;
const AT_ONCE_COUNT = 16;
const ROUNDS_COUNT = 7;
const SECONDS = 3;
const HELLO =
  `async function handler(req) { const data = JSON.parse(req.body); return { status: 200, body: JSON.stringify({ message: "Hello " + data.name + "!" }) }; }`;

export const many: Suite = {
  name: "many",
  async run(dir) {
    const fullDir = join(dir, "full");
    {
      await using filling = await startPlatform(fullDir);
      await fill(filling);
    }
    await using single = await startPlatform(join(dir, "single"));
    await deploy(single, "hello-0", HELLO);
    let full: RunningPlatform | undefined;
    const startMs = await timeOf(async () => {
      full = await startPlatform(fullDir);
    });
    if (full === undefined) throw new Error("The server did not start");
    await using _ = full;
    const both = [single, full].map(({ url, anonKey }) => ({
      url: `${url}/api/v1/functions/hello-0/invoke`,
      authorization: `Bearer ${anonKey}`,
    }));
    for (const target of both) await load(target, { connectionCount: 64, seconds: 2, dir });
    const ratios: number[] = [];
    for (let round = 0; round < ROUNDS_COUNT; round += 1) {
      const loads = [];
      for (const target of both) loads.push(await load(target, { connectionCount: 64, seconds: SECONDS, dir }));
      ratios.push((loads[1]?.perSec ?? 0) / (loads[0]?.perSec ?? 1));
    }
    return [
      {
        what: `throughput of one of ${COUNT} functions, against that of a single one`,
        target: "≥ 0.90",
        measured: median(ratios).toFixed(2),
        isMet: median(ratios) >= 0.9,
      },
      {
        what: `start of a server with ${COUNT} functions`,
        target: "≤ 3 s",
        measured: `${(startMs / 1_000).toFixed(2)} s`,
        isMet: startMs <= 3_000,
      },
    ];
  },
};

async function fill(platform: RunningPlatform): Promise<void> {
  let next = 0;
  await Promise.all(Array.from({ length: AT_ONCE_COUNT }, async () => {
    while (next < COUNT) await deploy(platform, `hello-${next++}`, HELLO);
  }));
}
