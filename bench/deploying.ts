/**
 * From source to live: building with packages, many functions in one call, following files, other servers.
 *
 * @module
 */
import { join } from "node:path";
import { deploy, invoke, type RunningPlatform, startPlatform } from "./server.ts";
import { median, percentile, type Suite, timeOf } from "./suite.ts";

const SYNCED_COUNT = 1_000;
const BOOTED_COUNT = 5_000;
const ROUNDS_COUNT = 20;
const PACKAGES = `import { z } from "npm:zod@3.22.4";
import dayjs from "npm:dayjs@1.11.10";
export default (req) => ({ status: 200, body: z.string().parse(dayjs(0).format("YYYY")) });`;
const answering = (text: string) => `export default () => ({ status: 200, body: ${JSON.stringify(text)} });`;

export const deploying: Suite = {
  name: "deploying",
  async run(dir) {
    const functionsDir = join(dir, "functions");
    await Deno.mkdir(functionsDir);
    const env = { FLUXBASE_FUNCTIONS_FUNCTIONS_DIR: functionsDir, FLUXBASE_FUNCTIONS_WATCH: "true" };
    const dataDir = join(dir, "data");
    const rows = [];
    {
      await using platform = await startPlatform(dataDir, env);
      await deploy(platform, "warm-cache", PACKAGES);
      const builds: number[] = [];
      for (let round = 0; round < ROUNDS_COUNT; round += 1) {
        builds.push(await timeOf(() => deploy(platform, `packages-${round}`, `// ${round}\n${PACKAGES}`)));
      }
      rows.push({
        what: "a function with zod and dayjs, from the request to live, packages in the cache",
        target: "≤ 250 ms",
        measured: `p50 ${median(builds).toFixed(0)} ms, p95 ${percentile(builds, 95).toFixed(0)} ms`,
        isMet: median(builds) <= 250,
      });

      const functions = Array.from({ length: SYNCED_COUNT }, (_, index) => ({
        name: `synced-${index}`,
        code: answering(`${index}`),
      }));
      const sync = async (expected: string) => {
        const summary = await syncAll(platform, { namespace: "bulk", functions });
        if (summary[expected] !== SYNCED_COUNT) throw new Error(`Not all ${expected}: ${JSON.stringify(summary)}`);
      };
      const firstMs = await timeOf(() => sync("created"));
      const againMs = await timeOf(() => sync("unchanged"));
      rows.push({
        what: `${SYNCED_COUNT} functions without imports in one sync`,
        target: "≤ 20 s",
        measured: `${(firstMs / 1_000).toFixed(1)} s`,
        isMet: firstMs <= 20_000,
      }, {
        what: "the same again, unchanged",
        target: "≤ 2 s",
        measured: `${(againMs / 1_000).toFixed(2)} s`,
        isMet: againMs <= 2_000,
      });

      const saves: number[] = [];
      await Deno.writeTextFile(join(functionsDir, "saved.ts"), answering("0"));
      await until(platform, "saved", "0");
      for (let round = 1; round <= ROUNDS_COUNT; round += 1) {
        await Deno.writeTextFile(join(functionsDir, "saved.ts"), answering(`${round}`));
        saves.push(await timeOf(() => until(platform, "saved", `${round}`)));
      }
      rows.push({
        what: "from saving a file to the first answer of the new version, while watching",
        target: "≤ 500 ms",
        measured: `p50 ${median(saves).toFixed(0)} ms, most ${Math.max(...saves).toFixed(0)} ms`,
        isMet: Math.max(...saves) <= 500,
      });
    }

    for (let index = 0; index < BOOTED_COUNT; index += 1) {
      await Deno.writeTextFile(join(functionsDir, `file-${index}.ts`), answering(`${index}`));
    }
    for (const when of ["the first time", "again, unchanged"]) {
      await using platform = await startPlatform(dataDir, env);
      const loadMs = await timeOf(async () => {
        while (!/Reloaded the functions folder/.test(platform.output())) await new Promise((r) => setTimeout(r, 20));
      });
      rows.push({
        what: `${BOOTED_COUNT} functions as files on boot, ${when}: after the server is ready`,
        target: "reported",
        measured: `${(loadMs / 1_000).toFixed(1)} s`,
        isMet: true,
      });
    }
    return rows;
  },
};

async function syncAll(
  { url, serviceRoleKey }: RunningPlatform,
  body: { namespace: string; functions: readonly unknown[] },
): Promise<Record<string, number>> {
  const response = await fetch(`${url}/api/v1/admin/functions/sync`, {
    method: "POST",
    headers: { authorization: `Bearer ${serviceRoleKey}` },
    body: JSON.stringify(body),
  });
  const answer = await response.json();
  if (!response.ok) throw new Error(JSON.stringify(answer));
  return answer.summary;
}

async function until(platform: RunningPlatform, name: string, text: string): Promise<void> {
  while (await (await invoke(platform, `${name}/invoke`)).text() !== text) await new Promise((r) => setTimeout(r, 2));
}
