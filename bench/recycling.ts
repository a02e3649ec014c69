/**
 * Two minutes of load without a pause on sandboxes that live five seconds, with a new version every second.
 *
 * @module
 */
import { join } from "node:path";
import { deploy, invoke, startPlatform } from "./server.ts";
import type { Suite } from "./suite.ts";

const SECONDS = 120;
const SIDES_COUNT = 16;
const CODE = (version: number) =>
  `async function handler(req) {
    await new Promise((resolve) => setTimeout(resolve, Math.random() * 20));
    return { version: ${version} };
  }`;

export const recycling: Suite = {
  name: "recycling",
  async run(dir) {
    await using platform = await startPlatform(join(dir, "data"), { FLUXBASE_LIMITS_SANDBOX_LIFE_MS: "5000" });
    await deploy(platform, "changes", CODE(0));
    let isOver = false;
    let callCount = 0;
    const failures: string[] = [];
    let newest = 0;
    const sides = Array.from({ length: SIDES_COUNT }, async () => {
      while (!isOver) {
        const response = await invoke(platform, "changes/invoke");
        const text = await response.text();
        callCount += 1;
        if (response.status !== 200) failures.push(`${response.status} ${text}`);
      }
    });
    const until = performance.now() + SECONDS * 1_000;
    while (performance.now() < until) {
      await new Promise((resolve) => setTimeout(resolve, 1_000));
      newest += 1;
      await deploy(platform, "changes", CODE(newest));
    }
    isOver = true;
    await Promise.all(sides);
    return [{
      what: `${SECONDS} s of load, sandboxes live 5 s, a new version every second: failed requests`,
      target: "0",
      measured: `${failures.length} of ${callCount}, ${newest} versions${
        failures[0] === undefined ? "" : `: ${failures[0]}`
      }`,
      isMet: failures.length === 0,
    }];
  },
};
