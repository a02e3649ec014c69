/**
 * The keys that a function finds in its environment: what they may do, and how long.
 *
 * @module
 */
import assert from "node:assert/strict";
import { decodeJwt } from "jose";
import { eventually, platformTest } from "./support/platform.ts";

const OWN = `
  const base = Deno.env.get("FLUXBASE_BASE_URL");
  const names = ["FLUXBASE_SERVICE_ROLE_KEY", "FLUXBASE_ANON_KEY"];
  async function handler(req) {
    if (req.params.show) return names.map((name) => Deno.env.get(name));
    if (req.params.say) console.log("the key is " + Deno.env.get(names[0]));
    const statuses = {};
    for (const name of names) {
      const response = await fetch(base + "/api/v1/client-keys", { headers: { authorization: "Bearer " + Deno.env.get(name) } });
      statuses[name] = response.status;
    }
    return statuses;
  }`;

/** The right that makes a function's own key manage the server. */
const GRANTED = { permissions: { service: "admin" } };

platformTest("the keys of a function", async (platform, step) => {
  const { api } = platform;
  await platform.deploy("own", OWN, GRANTED);
  const keysOf = async (name: string): Promise<string[]> => await (await platform.call(`${name}/invoke?show=1`)).json();
  const mayManage = async (key: string | undefined) =>
    (await api("GET", "/client-keys", undefined, key ?? "missing")).status;

  await step("one of the service role, one for anybody; neither is the server's own", async () => {
    assert.deepEqual(await (await platform.call("own")).json(), {
      FLUXBASE_SERVICE_ROLE_KEY: 200,
      FLUXBASE_ANON_KEY: 401,
    });
    const [serviceKey = "", anonKey = ""] = await keysOf("own");
    assert.notEqual(serviceKey, platform.serviceKey);
    const { role, exp = 0, iat = 0, ...claims } = decodeJwt(serviceKey);
    assert.deepEqual([role, claims["version"], claims["function"]], ["service_role", 1, "default/own"]);
    assert.ok(exp - iat <= 6 * 3_600, `valid for ${exp - iat} s`);
    assert.equal(decodeJwt(anonKey)["role"], "anon");
    assert.equal(await mayManage(serviceKey), 200);
  });

  await step("the audit log says which function it was", async () => {
    const [key = ""] = await keysOf("own");
    const made = await api("POST", "/client-keys", { name: "by a function" }, key);
    assert.deepEqual([made.status, made.body.created_by], [201, "function default/own"]);
    const { body } = await api("GET", "/admin/audit-log?limit=5");
    assert.match(JSON.stringify(body), /function default\/own/);
  });

  await step("its log never has it", async () => {
    await platform.call("own/invoke?say=1").then((response) => response.body?.cancel());
    await eventually(async () => JSON.stringify(await platform.executions("own")).includes("the key is [secret]"));
  });

  await step("refused when the function is disabled, deleted, or was made up", async () => {
    const [key = ""] = await keysOf("own");
    await api("PATCH", "/functions/own", { enabled: false });
    const refused = await api("GET", "/client-keys", undefined, key);
    assert.deepEqual([refused.status, refused.body.code], [401, "INVALID_CREDENTIAL"]);
    assert.match(refused.body.error, /not live any more/);
    await api("PATCH", "/functions/own", { enabled: true });
    assert.equal(await mayManage(key), 200);
    await platform.deploy("short", OWN, GRANTED);
    const [shortKey] = await keysOf("short");
    assert.equal(await mayManage(shortKey), 200);
    await api("DELETE", "/functions/short");
    assert.equal(await mayManage(shortKey), 401);
  });

  await step("a new version has a new one; the old one is good only as long as its requests may run", async () => {
    const [before] = await keysOf("own");
    await api("PATCH", "/functions/own", { code: `${OWN}\n// changed` });
    const [after] = await keysOf("own");
    assert.notEqual(after, before);
    assert.deepEqual([await mayManage(before), await mayManage(after)], [200, 200]);
    await api("PATCH", "/functions/own", { permissions: { env: false } });
    assert.deepEqual(await keysOf("own"), [null, null]);
  });
});
