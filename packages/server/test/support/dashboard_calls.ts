/**
 * What the dashboard can do, anybody can: its pages speak with the server through the SDK only, and every method of the
 * SDK that they call leads to a route of the document.
 *
 * @module
 */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { FluxbaseClient } from "@fluxbase/sdk";

const SOURCES = fileURLToPath(new URL("../../../dashboard/src/", import.meta.url));
/** A client under one of the names that pages have for it. */
const CALL = /\b(?:client(?:\(\))?|me|own|admins|signedIn\.client|session\.client)\s*\.((?:\w+\s*\.\s*)*\w+)\s*[(<]/g;
/** Ways to a server that are not the SDK's. */
const OTHER_WAYS = /\bfetch\(|XMLHttpRequest|new WebSocket|EventSource|sendBeacon/;
/** Builders of queries, of which each is tried in the tests of tables; and a WebSocket. */
const NOT_TRIED: readonly string[] = [
  "from",
  "schema",
  "admin.language.connect",
  "close",
  "send",
  // These ask no server.
  "auth.onAuthStateChange",
  "auth.getSession",
];

export interface Asked {
  readonly method: string;
  readonly path: string;
}

export async function callsOfDashboard(): Promise<{ calls: string[]; otherWays: string[] }> {
  const calls = new Set<string>();
  const otherWays: string[] = [];
  for (const [name, text] of await sourcesBelow(SOURCES)) {
    // What is only shown to be copied stands in a text.
    const code = text.replaceAll(".fetch(", "").replaceAll(/`[^`]*`/g, "");
    if (OTHER_WAYS.test(code)) otherWays.push(name);
    for (const [, chain = ""] of text.matchAll(CALL)) calls.add(chain.replaceAll(/\s/g, ""));
  }
  return { calls: [...calls].filter((call) => !NOT_TRIED.includes(call)).sort(), otherWays };
}

/** What a call asks of a server; undefined for what is no method of the SDK. */
export async function askedBy(call: string): Promise<Asked | undefined> {
  const asked: Asked[] = [];
  const isAsked = Promise.withResolvers<void>();
  const client = new FluxbaseClient({
    url: "http://nobody.invalid",
    apiKey: "none",
    storage: null,
    retries: 0,
    fetch: (input, init) => {
      asked.push({ method: init?.method ?? "GET", path: new URL(String(input)).pathname });
      isAsked.resolve();
      return Promise.resolve(Response.json({ user: {}, expires_in: 60 }));
    },
  });
  const names = call.split(".");
  let owner: object = client;
  for (const name of names.slice(0, -1)) {
    owner = Reflect.get(owner, name);
    if (typeof owner !== "object" || owner === null) return undefined;
  }
  const method: unknown = Reflect.get(owner, names.at(-1) ?? "");
  if (typeof method !== "function") return undefined;
  // Those that ask for a session ask the server only with one.
  if (names[0] === "auth") await client.auth.setSession(SESSION);
  const made: unknown = Reflect.apply(method, owner, ["name", "other", {}]);
  const over = isGenerator(made) ? made.next() : Promise.resolve(made);
  // Who follows something asks, and goes on asking.
  await Promise.race([over.catch(() => {}), isAsked.promise]);
  if (isGenerator(made)) void made.return(undefined).catch(() => {});
  return asked[0];
}

const SESSION = {
  user: {
    id: "",
    email: null,
    email_verified: false,
    role: "admin",
    user_metadata: {},
    app_metadata: {},
    created_at: "",
    updated_at: "",
    disabled_at: null,
  },
  access_token: "none",
  refresh_token: "none",
  expires_in: 3_600,
  token_type: "bearer",
} as const;

function isGenerator(value: unknown): value is AsyncGenerator {
  return typeof value === "object" && value !== null && Symbol.asyncIterator in value;
}

async function sourcesBelow(dir: string): Promise<[name: string, text: string][]> {
  const found: [string, string][] = [];
  for await (const { name, isDirectory } of Deno.readDir(dir)) {
    if (isDirectory) found.push(...await sourcesBelow(join(dir, name)));
    else if (/\.tsx?$/.test(name)) found.push([name, await Deno.readTextFile(join(dir, name))]);
  }
  return found;
}
