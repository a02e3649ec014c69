/**
 * Namespaces as a boundary: what a credential that is limited to one gets at, with a victim in another.
 *
 * Attacks run from real functions and over real HTTP; each asks what it got, and whether the victim is as it was.
 *
 * @module
 */
import assert from "node:assert/strict";
import { type Answer, eventually, platformTest, type TestPlatform } from "./support/platform.ts";

const VICTIM = `
  import { tax } from "_shared/tax.ts";
  export default (req) => { console.log("victim's line"); return { tax, secret: secrets.getSystem("card") ?? null }; };`;

/** Does with its own service-role key what its caller asks for. */
const PUPPET = `
  export default async (req) => {
    const { method, path, body, anon } = JSON.parse(req.body);
    const key = Deno.env.get(anon ? "FLUXBASE_ANON_KEY" : "FLUXBASE_SERVICE_ROLE_KEY");
    const response = await fetch(Deno.env.get("FLUXBASE_BASE_URL") + path, {
      method, headers: { authorization: "Bearer " + key, "content-type": "application/json" },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return Response.json({ status: response.status, text: await response.text() });
  };`;

interface Sent {
  readonly method: string;
  readonly path: string;
  readonly body?: unknown;
  readonly anon?: boolean;
}

/** What the platform answers to the function's own key. */
async function asFunction(
  platform: TestPlatform,
  place: string,
  sent: Sent,
): Promise<{ status: number; text: string }> {
  const response = await platform.call(place, { method: "POST", body: JSON.stringify(sent) });
  const answer = await response.json();
  assert.equal(response.status, 200, JSON.stringify(answer));
  return answer;
}

async function setUp(platform: TestPlatform): Promise<void> {
  await platform.api("POST", "/functions/shared", {
    module_path: "_shared/tax.ts",
    content: "export const tax = 19;",
    namespace: "victims",
  });
  await platform.deploy("victim", VICTIM, { namespace: "victims" });
  await platform.deploy("open", `export default () => "open";`, { namespace: "victims", allow_unauthenticated: true });
  await platform.deploy("neighbour", `export default () => "neighbour";`, { namespace: "evil", is_public: false });
  await (await platform.call("victims/victim")).body?.cancel();
}

/** Routes that are about one thing in the other namespace; where the namespace may stand in two places, both. */
const AIMED: readonly Sent[] = [
  "/functions/victims/victim",
  "/functions/victim?namespace=victims",
].flatMap((path): Sent[] => {
  const [bare = "", query = ""] = path.split("?");
  const at = (tail: string) => `${bare}${tail}${query === "" ? "" : `?${query}`}`;
  return [
    { method: "GET", path: at("") },
    { method: "PUT", path: at(""), body: { code: "export default () => 'taken';" } },
    { method: "PATCH", path: at(""), body: { enabled: false } },
    { method: "DELETE", path: at("") },
    { method: "GET", path: at("/versions") },
    { method: "GET", path: at("/versions/1") },
    { method: "POST", path: at("/rollback"), body: { version: 1 } },
    { method: "POST", path: at("/restore") },
    { method: "GET", path: at("/executions") },
    { method: "GET", path: at("/logs") },
    { method: "GET", path: at("/logs").replace("/logs", "/logs") + (query === "" ? "?follow=true" : "&follow=true") },
    { method: "POST", path: at("/invoke") },
  ];
}).concat([
  { method: "GET", path: "/functions/shared/tax.ts?namespace=victims" },
  { method: "PUT", path: "/functions/shared/tax.ts?namespace=victims", body: { content: "export const tax = 0;" } },
  { method: "DELETE", path: "/functions/shared/tax.ts?namespace=victims&force=true" },
]);

/** The same request about something that is not there. */
function missing({ path, ...sent }: Sent): Sent {
  return {
    ...sent,
    path: path.replaceAll("victim?", "nobody?").replace("/victim/", "/nobody/").replace(/\/victim$/, "/nobody")
      .replaceAll("tax.ts", "none.ts"),
  };
}

function bare(text: string): string {
  return text.replaceAll("nobody", "victim").replaceAll("none.ts", "tax.ts").replaceAll(/"request_id":"[^"]+"/g, "");
}

platformTest("namespaces are a boundary for every credential", async (platform, step) => {
  const { api } = platform;
  await setUp(platform);
  await platform.deploy("puppet", PUPPET, { namespace: "evil" });
  const limited = await platform.mintKey(["*"], ["evil"]);
  const nowhere = await platform.mintKey(["*"], []);

  const victimIsWhole = async () => {
    const { body } = await api("GET", "/functions/victims/victim");
    assert.deepEqual([body.enabled, body.version, body.live_version], [true, 1, 1]);
    assert.deepEqual(await (await platform.call("victims/victim")).json(), { tax: 19, secret: null });
  };

  await step("what a limited key asks for elsewhere does not exist, in the same words", async () => {
    for (const key of [limited, nowhere]) {
      for (const sent of AIMED) {
        const answers: Answer[] = [];
        for (const { method, path, body } of [sent, missing(sent)]) answers.push(await api(method, path, body, key));
        const [there, absent] = answers;
        assert.equal(there?.status, 404, `${sent.method} ${sent.path}: ${JSON.stringify(there?.body)}`);
        assert.equal(
          bare(JSON.stringify(there?.body)),
          bare(JSON.stringify(absent?.body)),
          `${sent.method} ${sent.path}`,
        );
      }
    }
    await victimIsWhole();
  });

  await step("disabled, with CORS of its own, in other letters: still no difference", async () => {
    await platform.deploy("asleep", "export default () => 1;", {
      namespace: "victims",
      enabled: false,
      cors_origins: ["https://victims.example.com"],
    });
    const ask = async (path: string) => {
      const headers = { authorization: `Bearer ${limited}`, origin: "https://victims.example.com" };
      const response = await fetch(`${platform.url}/api/v1${path}`, { method: "POST", headers });
      const shown = [...response.headers].filter(([name]) => name.startsWith("access-control")).join();
      return [response.status, shown, bare(await response.text()).replaceAll("asleep", "victim")];
    };
    assert.deepEqual(await ask("/functions/victims/asleep/invoke"), await ask("/functions/victims/nobody/invoke"));
    for (
      const path of [
        "/functions/VICTIMS/victim",
        "/functions/Victims/victim/logs",
        "/functions/victim?namespace=Victims",
      ]
    ) {
      assert.equal((await api("GET", path, undefined, limited)).status, 404, path);
    }
    // The function and its public name are another's: nor is the key's own namespace found in other letters.
    assert.equal((await api("GET", "/functions/EVIL/puppet", undefined, limited)).status, 404);
  });

  await step("lists show the own namespace only, and creating elsewhere is refused whatever is there", async () => {
    const names = async (path: string, key: string) =>
      (await api("GET", path, undefined, key)).body.map(({ namespace }: { namespace: string }) => namespace);
    assert.deepEqual([...new Set(await names("/functions", limited))], ["evil"]);
    assert.deepEqual(await names("/functions?namespace=victims", limited), []);
    assert.deepEqual(await names("/functions/shared", limited), []);
    assert.deepEqual(await names("/functions/shared?namespace=victims", limited), []);
    assert.deepEqual(await names("/functions", nowhere), []);
    const code = "export default () => 1;";
    for (const name of ["victim", "nobody"]) {
      const bodies: readonly (readonly [string, unknown])[] = [
        ["/functions", { name, code, namespace: "victims" }],
        ["/functions?namespace=victims", { name, code }],
        ["/functions", { name, code: `// @fluxbase:namespace victims\n${code}` }],
        ["/functions/shared", { module_path: `_shared/${name}.ts`, content: "", namespace: "victims" }],
        ["/functions/shared?namespace=victims", { module_path: `_shared/${name}.ts`, content: "" }],
      ];
      for (const [path, body] of bodies) {
        const answer = await api("POST", path, body, limited);
        assert.deepEqual([answer.status, answer.body.code], [403, "FORBIDDEN"], `${path} ${JSON.stringify(body)}`);
      }
    }
    await victimIsWhole();
  });

  await step("routes of the whole server are closed to a limited key, whatever its scopes", async () => {
    const document = (await api("GET", "/openapi.json")).body;
    let count = 0;
    for (const [path, methods] of Object.entries<Record<string, { description: string }>>(document.paths)) {
      for (const [method, { description }] of Object.entries(methods)) {
        if (description !== "Requires an admin or the service role") continue;
        count += 1;
        const isBodiless = method === "get" || method === "delete";
        // From /api/v1 on; what clients of Supabase call lies beside it.
        const target = path.startsWith("/api/v1") ? path.slice("/api/v1".length) : `/../..${path}`;
        const body = isBodiless ? undefined : { namespace: "evil", functions: [], sql: "select 1" };
        assert.equal(
          (await api(method.toUpperCase(), target.replace(/\{\w+\}/g, "x"), body, limited)).status,
          403,
          `${method} ${path}`,
        );
        const own = await asFunction(platform, "evil/puppet", {
          method: method.toUpperCase(),
          path: path.replace(/\{\w+\}/g, "x"),
          body,
        });
        assert.equal(own.status, 403, `${method} ${path} with a function's key: ${own.text}`);
        assert.match(own.text, /manages nothing/);
      }
    }
    assert.ok(count >= 12, `only ${count} routes`);
  });

  await step("the key of a function: its own namespace's calls, and what anybody may call", async () => {
    const call = async (path: string, fields: Partial<Sent> = {}) =>
      await asFunction(platform, "evil/puppet", { method: "POST", path: `/api/v1${path}`, ...fields });
    assert.deepEqual(await call("/functions/evil/neighbour/invoke"), { status: 200, text: `"neighbour"` });
    assert.deepEqual(await call("/functions/victims/open/invoke"), { status: 200, text: `"open"` });
    assert.equal((await call("/functions/victims/victim/invoke")).status, 404);
    const other = { method: "GET", path: "/functions/v1/victim?namespace=victims" };
    assert.equal((await asFunction(platform, "evil/puppet", other)).status, 404);
    // What any visitor may do, a function may do with the key of visitors.
    assert.equal((await call("/functions/victims/victim/invoke", { anon: true })).status, 200);
  });

  await step("the key of a function manages nothing, in its own namespace neither", async () => {
    const own: readonly Sent[] = AIMED.filter(({ path }) => !path.includes("/invoke")).map(({ path, ...sent }) => ({
      ...sent,
      path: `/api/v1${path.replaceAll("victims", "evil").replace("/victim", "/neighbour")}`,
    }));
    const more: readonly Sent[] = [
      { method: "POST", path: "/api/v1/functions", body: { name: "more", namespace: "evil", code: PUPPET } },
      { method: "GET", path: "/api/v1/functions/shared" },
      {
        method: "POST",
        path: "/api/v1/functions/shared",
        body: { module_path: "_shared/a.ts", content: "", namespace: "evil" },
      },
      { method: "GET", path: "/api/v1/client-keys" },
      { method: "POST", path: "/api/v1/client-keys", body: { name: "lasting", scopes: ["*"] } },
      { method: "POST", path: "/api/v1/admin/service-keys", body: { name: "lasting" } },
      { method: "GET", path: "/api/v1/admin/settings/custom/secrets" },
      { method: "POST", path: "/api/v1/admin/settings/custom/secret", body: { key: "card", value: "0000" } },
      { method: "POST", path: "/api/v1/admin/database/query", body: { sql: "select 1" } },
      { method: "GET", path: "/api/v1/auth/user" },
      { method: "GET", path: "/api/v1/settings/secrets" },
    ];
    for (const sent of [...own, ...more]) {
      const { status, text } = await asFunction(platform, "evil/puppet", sent);
      // Reading a function shows what any caller of the namespace sees of public ones; this one is not public.
      assert.ok([401, 403, 404].includes(status), `${sent.method} ${sent.path}: ${status} ${text}`);
    }
    const { body: fn } = await api("GET", "/functions/evil/neighbour");
    assert.deepEqual([fn.version, fn.enabled], [1, true]);
    assert.deepEqual(
      (await api("GET", "/client-keys")).body.filter(({ name }: { name: string }) => name === "lasting"),
      [],
    );
    const { body: log } = await api("GET", "/admin/audit-log?limit=200&actor=function%20evil/puppet");
    assert.ok(
      log.some(({ actor_kind, code }: Record<string, string>) => actor_kind === "function" && code === "FORBIDDEN"),
    );
  });

  await step("a followed log ends when its key may not follow any more", async () => {
    const { body: key } = await api("POST", "/client-keys", {
      name: "follower",
      scopes: ["functions:read"],
      namespaces: ["victims"],
    });
    const follow = async () => {
      const response = await fetch(`${platform.url}/api/v1/functions/victims/victim/logs?follow=true`, {
        headers: { authorization: `Bearer ${key.key}` },
      });
      assert.equal(response.status, 200);
      return response;
    };
    const first = await follow();
    await api("PATCH", `/client-keys/${key.id}`, { namespaces: ["evil"] });
    await first.text();
    await api("PATCH", `/client-keys/${key.id}`, { namespaces: ["victims"] });
    const second = await follow();
    await api("POST", `/client-keys/${key.id}/revoke`);
    await second.text();
  });

  await step("one key does not take the places of all who follow", async () => {
    const left = new AbortController();
    const follow = (key: string) =>
      fetch(`${platform.url}/api/v1/functions/evil/neighbour/logs?follow=true`, {
        headers: { authorization: `Bearer ${key}` },
        signal: left.signal,
      });
    const answers = await Promise.all(Array.from({ length: 12 }, () => follow(limited)));
    assert.deepEqual(answers.map(({ status }) => status).sort(), [...Array(10).fill(200), 429, 429]);
    assert.equal((await follow(platform.serviceKey)).status, 200);
    left.abort();
    await eventually(async () => {
      const again = await fetch(`${platform.url}/api/v1/functions/evil/neighbour/logs?follow=true`, {
        headers: { authorization: `Bearer ${limited}` },
      });
      await again.body?.cancel();
      return again.status === 200;
    });
  });

  await step("a client's request id is no key to another's record", async () => {
    const id = "the-victim-chose-this";
    const first = await platform.call("victims/victim", { headers: { "x-request-id": id } });
    await first.body?.cancel();
    const executionId = first.headers.get("x-execution-id") ?? "";
    await platform.executions("victims/victim", 3);
    for (const guess of [id, executionId]) {
      const own = await platform.call("evil/neighbour", {
        headers: { "x-request-id": guess, authorization: `Bearer ${limited}` },
      });
      assert.equal(own.headers.get("x-request-id"), guess);
      assert.notEqual(own.headers.get("x-execution-id"), guess);
      await own.body?.cancel();
      for (const path of [`/functions/evil/neighbour/logs?execution_id=${guess}`]) {
        assert.deepEqual((await api("GET", path, undefined, limited)).body, []);
      }
      assert.equal((await api("GET", `/admin/functions/executions/${guess}/logs`, undefined, limited)).status, 403);
    }
    await platform.executions("evil/neighbour", 3);
    const { body } = await api("GET", `/admin/functions/executions/${executionId}/logs`);
    assert.deepEqual(body.entries.map(({ message }: { message: string }) => message), ["victim's line"]);
    assert.equal((await api("GET", `/admin/functions/executions/${id}/logs`)).status, 404);
    const found = (await api("GET", `/functions/victims/victim/executions?request_id=${id}`)).body;
    assert.deepEqual(found.map((one: { id: string }) => one.id), [executionId]);
  });
});

platformTest("rows of another namespace", async (platform) => {
  const { api } = platform;
  await api("POST", "/admin/database/query", {
    sql:
      "create table notes (id int primary key, text text); insert into notes values (1, 'of default'); grant select on notes to anon",
  });
  await platform.deploy("puppet", PUPPET, { namespace: "evil" });
  await platform.deploy("puppet", PUPPET);
  const limited = await platform.mintKey(["*"], ["evil"]);
  for (const path of ["/tables/notes", "/tables/public/notes", "/tables/notes/1", "/rpc/now"]) {
    assert.equal((await api("GET", path, undefined, limited)).status, 403, path);
    const { status, text } = await asFunction(platform, "evil/puppet", { method: "GET", path: `/api/v1${path}` });
    assert.equal(status, 403, `${path} ${text}`);
  }
  const write = { method: "POST", path: "/rest/v1/notes", body: { id: 2 } };
  assert.equal((await asFunction(platform, "evil/puppet", write)).status, 403);
  const own = await asFunction(platform, "default/puppet", { method: "GET", path: "/api/v1/tables/notes" });
  assert.deepEqual([own.status, JSON.parse(own.text)], [200, [{ id: 1, text: "of default" }]]);
});

platformTest("the grant that makes a function's key manage the server", async (platform, step) => {
  const { api } = platform;
  const limited = await platform.mintKey(["*"], ["evil"]);
  const writer = await platform.mintKey(["*"]);
  const MANAGES: Sent = { method: "GET", path: "/api/v1/admin/service-keys" };
  const manages = async (place: string) => (await asFunction(platform, place, MANAGES)).status === 200;
  const isRefused = ({ status, body }: Answer, says: RegExp) => {
    assert.deepEqual([status, body.code], [403, "FORBIDDEN"], JSON.stringify(body));
    assert.match(body.error, says);
  };

  await step("only an admin gives it, on creation, change and under either name", async () => {
    const fields = { name: "taken", namespace: "evil", code: PUPPET };
    for (const key of [limited, writer]) {
      for (const asked of [{ permissions: { service: "admin" } }, { allow_service: "admin" }]) {
        isRefused(await api("POST", "/functions", { ...fields, ...asked }, key), /only an admin or the service role/);
      }
    }
    await api("POST", "/functions", fields, limited);
    isRefused(
      await api("PATCH", "/functions/evil/taken", { permissions: { service: "admin" } }, limited),
      /only an admin or the service role/,
    );
    assert.equal(await manages("evil/taken"), false);
    // Nor does the source give it to itself.
    const { body } = await api("PATCH", "/functions/evil/taken", {
      code: `// @fluxbase:service admin\n// @fluxbase:allow-service admin\n${PUPPET}`,
    }, limited);
    assert.deepEqual([body.permissions.service, body.allow_service], ["namespace", "namespace"]);
    assert.equal(await manages("evil/taken"), false);
    assert.equal((await api("PATCH", "/functions/evil/taken", { permissions: { service: "root" } })).status, 400);
  });

  await step("a granted function manages, and is closed to everybody who could not have granted it", async () => {
    await platform.deploy("granted", PUPPET, { namespace: "evil", permissions: { service: "admin" } });
    assert.equal(await manages("evil/granted"), true);
    const shown = (await api("GET", "/functions/evil/granted", undefined, limited)).body;
    assert.deepEqual([shown.permissions.service, shown.settings_origins.allow_service], ["admin", "api"]);
    for (const key of [limited, writer]) {
      const changes = [{ code: "export default () => 'mine';" }, { timeout: 3 }, { env: { A: "1" } }, {
        enabled: true,
        description: "x",
      }, { permissions: { service: "namespace" } }];
      for (const change of changes) {
        isRefused(await api("PATCH", "/functions/evil/granted", change, key), /may manage the server/);
      }
    }
    const { body } = await api("PATCH", "/functions/evil/granted", { timeout: 7 });
    assert.equal(body.permissions.service, "admin");
    assert.equal(await manages("evil/granted"), true);
  });

  await step("taken away with a new version; what is brought back needs an admin again", async () => {
    await api("PATCH", "/functions/evil/granted", { permissions: { service: "namespace" } });
    assert.equal(await manages("evil/granted"), false);
    assert.equal((await api("PATCH", "/functions/evil/granted", { timeout: 8 }, limited)).status, 200);
    isRefused(await api("POST", "/functions/evil/granted/rollback", { version: 1 }, limited), /bring it back/);
    assert.equal(await manages("evil/granted"), false);
    assert.equal((await api("POST", "/functions/evil/granted/rollback", { version: 1 })).status, 200);
    assert.equal(await manages("evil/granted"), true);
    assert.equal((await api("DELETE", "/functions/evil/granted", undefined, limited)).status, 204);
    isRefused(await api("POST", "/functions/evil/granted/restore", undefined, limited), /bring it back/);
    assert.equal((await api("GET", "/functions/evil/granted")).status, 404);
    await api("POST", "/functions", { name: "granted", namespace: "evil", code: PUPPET }, limited);
    assert.equal(await manages("evil/granted"), false);
  });

  await step("no shared module gets into it that an admin has not seen", async () => {
    const module = { module_path: "_shared/part.ts", content: "export const part = 1;", namespace: "evil" };
    assert.equal((await api("POST", "/functions/shared", module, limited)).status, 201);
    const code = (name: string) => `import { part } from "_shared/part.ts"; export default () => part; // ${name}`;
    await platform.deploy("imports", code("imports"), { namespace: "evil", permissions: { service: "admin" } });
    await platform.deploy("follows", code("follows"), { namespace: "evil" });
    const changed = await api("PUT", "/functions/shared/part.ts?namespace=evil", {
      content: "export const part = 666;",
    }, limited);
    assert.deepEqual(changed.body.rebuilding, ["evil/follows"]);
    await eventually(async () => await (await platform.call("evil/follows")).text() === "666");
    assert.equal(await (await platform.call("evil/imports")).text(), "1");
    // Saving is seeing.
    await api("PATCH", "/functions/evil/imports", { timeout: 5 });
    assert.equal(await (await platform.call("evil/imports")).text(), "666");
  });
});

platformTest("rights of a user's key never widen", async (platform) => {
  const { api } = platform;
  const { body: ada } = await api(
    "POST",
    "/auth/signup",
    { email: "ada@example.com", password: "a long password" },
    null,
  );
  const { body: key } = await api("POST", "/client-keys", {
    name: "given by an admin",
    scopes: ["functions:*"],
    namespaces: ["team-a"],
    user_id: ada.user.id,
  });
  const path = `/client-keys/${key.id}`;
  for (
    const change of [{ namespaces: null }, { namespaces: ["team-a", "victims"] }, { expires_at: null }, {
      rate_limit_per_minute: null,
    }]
  ) {
    assert.equal((await api("PATCH", path, change, ada.access_token)).status, 403, JSON.stringify(change));
  }
  assert.deepEqual((await api("GET", path)).body.namespaces, ["team-a"]);
  assert.equal((await api("PATCH", path, { name: "mine" }, ada.access_token)).status, 200);
  assert.equal(
    (await api("PATCH", path, { scopes: ["functions:invoke"], namespaces: null }, ada.access_token)).status,
    200,
  );
});
