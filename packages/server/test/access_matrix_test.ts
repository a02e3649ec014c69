/**
 * Every route of the table with every kind of credential: whether it gets in, as one matrix.
 *
 * What is behind the door is asked for by names that do not exist, so nothing changes. What a credential sees of another
 * namespace is ./namespaces_test.ts.
 *
 * @module
 */
import assert from "node:assert/strict";
import { SignJWT } from "jose";
import { SCOPES } from "../src/auth/permissions.ts";
import { platformTest, type TestPlatform } from "./support/platform.ts";

/** What the document says of who may use a route, and what the tests call it. */
const DOORS: Readonly<Record<string, string>> = {
  "Public": "public",
  "Requires any valid credential": "credential",
  "Requires an admin or the service role": "admin",
  ...Object.fromEntries(
    SCOPES.map((scope) => [`Requires the scope ${scope}, an admin or the service role`, scope]),
  ),
};

const EVERY_DOOR = Object.values(DOORS);
const ALL_SCOPES: readonly string[] = SCOPES;

/** Doors that each credential passes. Nothing passes a door that is not named here. */
const PASSES: Readonly<Record<string, readonly string[]>> = {
  "nobody": ["public"],
  "a wrong key": [],
  "the anon key": ["public", "credential"],
  "a user": ["public", "credential"],
  "an admin": EVERY_DOOR,
  "the service role": EVERY_DOOR,
  "a service key": EVERY_DOOR,
  "a client key without scopes": ["public", "credential"],
  ...Object.fromEntries(SCOPES.map((scope) => [`a client key with ${scope}`, ["public", "credential", scope]])),
  "a client key with functions:*": [
    "public",
    "credential",
    ...ALL_SCOPES.filter((scope) => scope.startsWith("functions:")),
  ],
  "a client key with *": ["public", "credential", ...ALL_SCOPES],
  "a client key with * in another namespace": ["public", "credential", ...ALL_SCOPES],
  "the key of a function": ["public", "credential"],
  "the key of a function with the grant": EVERY_DOOR,
};

/** Admins who have signed in: the service role is nobody. */
const WANTS_A_USER = /\/admin\/me$/;

const OWN_KEY = `export default () => Deno.env.get("FLUXBASE_SERVICE_ROLE_KEY");`;

async function credentialsOf(platform: TestPlatform): Promise<Readonly<Record<string, string | null>>> {
  const { api } = platform;
  const expiresAtSec = Math.floor(Date.now() / 1_000) + 3_600;
  const mint = (claims: Record<string, unknown>) =>
    new SignJWT({ ...claims, exp: expiresAtSec }).setProtectedHeader({ alg: "HS256" })
      .sign(new TextEncoder().encode(platform.jwtSecret.reveal()));
  await platform.deploy("own", OWN_KEY, { namespace: "evil" });
  await platform.deploy("granted", OWN_KEY, { namespace: "evil", permissions: { service: "admin" } });
  const keyOf = async (name: string): Promise<string> => await (await platform.call(`evil/${name}`)).json();
  const found: Record<string, string | null> = {
    "nobody": null,
    "a wrong key": "fbk_nobody-has-this-one",
    "the anon key": platform.anonKey,
    "a user": await mint({ role: "authenticated", sub: crypto.randomUUID() }),
    "an admin": await mint({ role: "admin", sub: crypto.randomUUID() }),
    "the service role": platform.serviceKey,
    "a service key": (await api("POST", "/admin/service-keys", { name: "matrix" })).body.key,
    "a client key without scopes": await platform.mintKey([]),
    "a client key with functions:*": await platform.mintKey(["functions:*"]),
    "a client key with *": await platform.mintKey(["*"]),
    "a client key with * in another namespace": await platform.mintKey(["*"], ["evil"]),
    "the key of a function": await keyOf("own"),
    "the key of a function with the grant": await keyOf("granted"),
  };
  for (const scope of SCOPES) found[`a client key with ${scope}`] = await platform.mintKey([scope]);
  return found;
}

platformTest("every route with every credential", async (platform) => {
  const credentials = await credentialsOf(platform);
  assert.deepEqual(Object.keys(credentials).sort(), Object.keys(PASSES).sort());
  const document = (await platform.api("GET", "/openapi.json")).body;
  const wrong: string[] = [];
  const seen = new Set<string>();

  async function check(method: string, path: string, door: string): Promise<void> {
    const isBodiless = method === "GET" || method === "DELETE";
    await Promise.all(
      Object.entries(credentials).map(async ([name, key]) => {
        const response = await fetch(platform.url + path.replaceAll(/\{\w+\}/g, "nobody"), {
          method,
          headers: key === null ? {} : { authorization: `Bearer ${key}` },
          body: isBodiless ? null : "{}",
        });
        const { status } = response;
        await response.body?.cancel();
        const passes = PASSES[name]?.includes(door) === true;
        // Behind an open door a route may still want a user, or a right on the table: that is not the door's.
        const isOpen = door === "public" || door === "credential" || WANTS_A_USER.test(path);
        const isRefused = name === "nobody" || name === "a wrong key"
          ? status === 401
          : status === 401 || status === 403;
        if (passes ? isRefused && !isOpen : !isRefused) {
          wrong.push(`${name}: ${method} ${path} (${door}) gave ${status}`);
        }
        if (passes && door === "public" && status === 401 && key === null && !/refresh|login|signin/.test(path)) {
          wrong.push(`${name}: ${method} ${path} asks for a credential`);
        }
        // 501: what the path is for is not there, for anybody.
        if (status >= 500 && status !== 503 && status !== 501) wrong.push(`${name}: ${method} ${path} gave ${status}`);
      }),
    );
  }

  for (const [path, methods] of Object.entries<Record<string, { description: string }>>(document.paths)) {
    if (path.includes("/invoke")) continue;
    for (const [method, { description }] of Object.entries(methods)) {
      const door = DOORS[description];
      assert.ok(door !== undefined, `${method} ${path} says "${description}"`);
      seen.add(door);
      await check(method.toUpperCase(), path, door);
    }
  }
  assert.deepEqual(wrong, []);
  for (const door of ["public", "credential", "admin", "functions:read", "functions:write", "secrets:read"]) {
    assert.ok(seen.has(door), `no route is for ${door}`);
  }
}, {
  FLUXBASE_AUTH_ATTEMPTS_PER_ADDRESS: "100000",
  FLUXBASE_RATE_LIMIT_FAILURES_PER_MINUTE: "100000",
});
