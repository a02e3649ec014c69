/**
 * Attacks with the credentials of one namespace on another: the key of a function, and a key limited to a namespace.
 *
 * @module
 */
import { type Attack, attackTest, type FunctionAttack } from "./corpus.ts";

const VICTIM = "/api/v1/functions/victim";

/** From a function of the namespace `evil`, with its own key. */
const own = (
  name: string,
  path: string,
  init: Record<string, unknown> = {},
  gets = /^(401|403|404) /,
): FunctionAttack => ({
  name: `its own key: ${name}`,
  fields: { namespace: "evil" },
  body: `const response = await fetch(Deno.env.get("FLUXBASE_BASE_URL") + ${JSON.stringify(path)}, {
      ...${
    JSON.stringify(init)
  }, headers: { "content-type": "application/json", authorization: "Bearer " + Deno.env.get("FLUXBASE_SERVICE_ROLE_KEY") } });
    return response.status + " " + await response.text();`,
  gets,
});
const post = (body: unknown, method = "POST") => ({ method, body: JSON.stringify(body) });

const OWN_KEY: readonly FunctionAttack[] = [
  own("read the victim", `${VICTIM}?namespace=team-b`),
  own("call the victim by its path", "/api/v1/functions/team-b/victim/invoke", { method: "POST" }),
  own("call the victim by a parameter", "/functions/v1/victim?namespace=team-b"),
  own("call the victim by a doubled parameter", "/functions/v1/victim?namespace=evil&namespace=team-b"),
  own("call the victim by an encoded path", "/api/v1/functions/team%2Db/victim/invoke", { method: "POST" }),
  own("call the victim by dots in the path", "/api/v1/functions/evil/..%2Fteam-b/victim/invoke", { method: "POST" }),
  own("change the victim", `${VICTIM}?namespace=team-b`, post({ code: "export default () => 'taken'" }, "PUT")),
  own("delete the victim", "/api/v1/functions/team-b/victim", { method: "DELETE" }),
  own("a lasting key of the server", "/api/v1/admin/service-keys", post({ name: "lasting" })),
  own("a lasting client key", "/api/v1/client-keys", post({ name: "lasting", scopes: ["*"] })),
  own("SQL", "/api/v1/admin/database/query", post({ sql: "select 1" })),
  own("a system secret", "/api/v1/admin/settings/custom/secrets"),
  own("the settings", "/api/v1/settings/secrets"),
  own("a function in the other namespace", "/api/v1/functions", post({ name: "b", namespace: "team-b", code: "1" })),
];

/** From a client with a key that may do everything, in the namespace `evil` alone. */
const limited = (name: string, method: string, path: string, body?: unknown): Attack => ({
  name: `a limited key: ${name}`,
  gets: /^(400|403|404) /,
  async run(platform) {
    const key = await platform.mintKey(["*"], ["evil"]);
    const answer = await platform.api(method, path, body, key);
    return `${answer.status} ${answer.body?.error}`;
  },
});

const LIMITED_KEY: readonly Attack[] = [
  limited("delete the victim", "DELETE", "/functions/team-b/victim"),
  limited("change the victim", "PATCH", "/functions/victim?namespace=team-b", { enabled: false }),
  limited("give the victim's namespace in path and parameter", "DELETE", "/functions/evil/victim?namespace=team-b"),
  limited("move a function by its annotation", "POST", "/functions", {
    name: "moved",
    code: "// @fluxbase:namespace team-b\nexport default () => 1",
  }),
  limited("follow the victim's logs", "GET", "/functions/team-b/victim/logs?follow=true"),
  limited("a module for all", "POST", "/functions/shared", { module_path: "_shared/a.ts", content: "" }),
  limited("a function that manages", "POST", "/functions", {
    name: "manager",
    namespace: "evil",
    code: "export default () => 1",
    permissions: { service: "admin" },
  }),
  limited("the same by its annotation", "POST", "/functions", {
    name: "manager",
    namespace: "evil",
    code: "export default () => 1",
    allow_service: "admin",
  }),
  limited("a key without limits", "POST", "/client-keys", { name: "wide", scopes: ["*"] }),
  limited("a secret of the victim's namespace", "POST", "/admin/settings/custom/secret", {
    key: "card",
    value: "0000",
    namespaces: ["team-b"],
  }),
  limited("a secret of both namespaces", "POST", "/admin/settings/custom/secret", {
    key: "card",
    value: "0000",
    namespaces: ["evil", "team-b"],
  }),
  limited("sync another namespace", "POST", "/admin/functions/sync", { namespace: "team-b", functions: [] }),
];

attackTest("namespace", () => [...OWN_KEY, ...LIMITED_KEY]);
