/**
 * Functions that take more than their part of the processors yield to the others.
 *
 * @module
 */
import assert from "node:assert/strict";
import { eventually, platformTest } from "./support/platform.ts";
import { sandboxesOf } from "./support/processes.ts";

platformTest("a function that burns the processors yields to others", async (platform) => {
  await platform.deploy(
    "hog",
    `export default async () => {
      for (;;) {
        for (let i = 0, pause = Date.now() + 20; Date.now() < pause; i++);
        await new Promise((resolve) => setTimeout(resolve, 0));
      }
    }`,
    { isolation: "request", timeout: 60 },
  );
  await platform.deploy(
    "victim",
    `function handler(req) { let n = 0; for (let i = 0; i < 3e6; i++) n += i; return { got: req.body }; }`,
    { namespace: "team-b" },
  );
  const hogCount = 2 * navigator.hardwareConcurrency;
  const leaving = new AbortController();
  const hogs = Array.from({ length: hogCount }, () => platform.call("hog", { signal: leaving.signal }));
  let isOver = false;
  const victims = (async () => {
    while (!isOver) {
      const response = await platform.call("team-b/victim", { method: "POST", body: "x" });
      assert.deepEqual(await response.json(), { got: "x" });
    }
  })();
  try {
    await eventually(() => {
      const nice = sandboxesOf(Deno.pid).map(niceOf);
      return nice.filter((value) => value > 0).length === hogCount && nice.includes(0);
    });
  } finally {
    isOver = true;
    leaving.abort();
    await Promise.allSettled([...hogs, victims]);
  }
  await victims;
});

function niceOf(pid: number): number {
  const stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
  return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[16]);
}
