/**
 * What it costs to know who calls: the hello function without a credential, with a JWT and with a client key, in turns.
 *
 * @module
 */
import { join } from "node:path";
import { deploy, startPlatform } from "./server.ts";
import { median, type Row, type Suite } from "./suite.ts";
import { assertAnswers, load, type Target } from "./wrk.ts";

const SECONDS = 1;
const ROUNDS_COUNT = 15;
const HELLO = `// @fluxbase:allow-unauthenticated
async function handler(req) {
  const data = JSON.parse(req.body || '{}')
  return { status: 200, headers: { "Content-Type": "application/json" }, body: JSON.stringify({ message: \`Hello \${data.name}!\` }) }
}`;
const LEAST = 0.9;

export const callers: Suite = {
  name: "callers",
  async run(dir) {
    await using platform = await startPlatform(join(dir, "data"));
    await deploy(platform, "hello", HELLO);
    const made = await fetch(`${platform.url}/api/v1/client-keys`, {
      method: "POST",
      headers: { authorization: `Bearer ${platform.serviceRoleKey}` },
      body: JSON.stringify({ name: "bench", scopes: ["functions:invoke"] }),
    });
    const { key } = await made.json();
    const signedUp = await fetch(`${platform.url}/api/v1/auth/signup`, {
      method: "POST",
      body: JSON.stringify({ email: "bench@example.com", password: "a long password" }),
    });
    const { access_token } = await signedUp.json();
    const url = `${platform.url}/api/v1/functions/hello/invoke`;
    const anybody: Target = { url, authorization: "" };
    const known: Readonly<Record<string, Target>> = {
      "the anon key (JWT)": { url, authorization: `Bearer ${platform.anonKey}` },
      "a user's access token (JWT)": { url, authorization: `Bearer ${access_token}` },
      "a client key": { url, authorization: `Bearer ${key}` },
    };
    for (const target of [anybody, ...Object.values(known)]) {
      await assertAnswers(target);
      await load(target, { connectionCount: 64, seconds: 2, dir });
    }
    const ratios = new Map(Object.keys(known).map((name) => [name, [] as number[]]));
    for (let round = 0; round < ROUNDS_COUNT; round += 1) {
      const measure = async (target: Target) =>
        (await load(target, { connectionCount: 64, seconds: SECONDS, dir })).perSec;
      for (const [name, target] of Object.entries(known)) {
        // Side by side: the machine changes its speed from minute to minute.
        ratios.get(name)?.push(await measure(target) / await measure(anybody));
      }
    }
    return [...ratios].map(([name, all]): Row => ({
      what: `warm hello, wrk -c64, with ${name}: against no credential`,
      target: `≥ ${LEAST.toFixed(2)}`,
      measured: median(all).toFixed(2),
      isMet: median(all) >= LEAST,
    }));
  },
};
