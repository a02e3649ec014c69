/**
 * Which server a command speaks with, and as whom: flags, then a profile that is asked for, the environment, the server
 * that runs in this folder, and the profile that was logged in to last.
 *
 * @module
 */
import { mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join, resolve } from "node:path";
import process from "node:process";
import type { SessionStorage } from "@fluxbase/sdk";

export interface GlobalOptions {
  readonly url?: string;
  readonly key?: string;
  readonly profile?: string;
  readonly output: "table" | "json";
}

export interface Connection {
  readonly url: string;
  readonly key: string | undefined;
  /** Where the tokens of a profile's user are kept, who signed in with a password. */
  readonly storage: SessionStorage | null;
}

interface Profile {
  readonly url: string;
  readonly key?: string;
  /** What the SDK keeps of a session, by its own names. */
  readonly session?: Readonly<Record<string, string>>;
}

interface ConfigFile {
  readonly current?: string;
  readonly profiles?: Readonly<Record<string, Profile>>;
}

const DEFAULT_URL = "http://localhost:8080";
const KEY_NAMES = ["FLUXBASE_SERVICE_ROLE_KEY", "FLUXBASE_CLIENT_KEY", "FLUXBASE_ANON_KEY"];
const LOCAL_HOST = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/;

/** What was typed cannot be done: not the server's fault. */
export class UsageError extends Error {}

type Source = Partial<Profile> & { readonly name?: string };

/** The first that has an answer gives it. @throws {UsageError} */
function sourcesOf({ url, key, profile }: GlobalOptions): readonly Source[] {
  if (profile !== undefined) return [given({ url, key }), { name: profile, ...profileOf(profile) }];
  const { current = "", profiles = {} } = readConfig();
  const last = profiles[current] === undefined ? [] : [{ name: current, ...profiles[current] }];
  return [given({ url, key }), fromEnvironment(), ...localServer(), ...last];
}

function urlIn(sources: readonly Source[]): string {
  return sources.find(({ url }) => url !== undefined)?.url ?? DEFAULT_URL;
}

/** @throws {UsageError} when there is nobody to speak as */
export function connectionOf(options: GlobalOptions): Connection {
  const sources = sourcesOf(options);
  const speaker = sources.find(({ key, session }) => key !== undefined || session !== undefined);
  if (speaker === undefined) {
    throw new UsageError(`No key: set ${KEY_NAMES[0]}, pass --key, or run "fluxbase login"`);
  }
  const url = urlIn(sources);
  // A key that was kept for one server must not reach another because of a variable that is set.
  if (speaker.url !== undefined && originOf(speaker.url) !== originOf(url)) {
    throw new UsageError(`The key for ${speaker.url} is not sent to ${url}: pass --key or another --profile`);
  }
  return {
    url,
    key: speaker.key,
    storage: speaker.session === undefined ? null : profileStorage(speaker.name ?? ""),
  };
}

/** For what needs no key. */
export function urlOf(options: GlobalOptions): string {
  return urlIn(sourcesOf(options));
}

/** For a profile that is being made: no other one says where its server is. */
export function urlOfNewProfile({ url }: GlobalOptions): string {
  return urlIn([given({ url, key: undefined }), fromEnvironment(), ...localServer()]);
}

function originOf(url: string): string {
  return URL.canParse(url) ? new URL(url).origin : url;
}

export function isLocal(url: string): boolean {
  return URL.canParse(url) && LOCAL_HOST.test(new URL(url).hostname);
}

function profileOf(name: string): Profile {
  const known = readConfig().profiles?.[name];
  if (known === undefined) {
    throw new UsageError(`There is no profile "${name}": create it with "fluxbase login --profile ${name}"`);
  }
  return known;
}

function fromEnvironment(): Partial<Profile> {
  return given({
    url: process.env["FLUXBASE_URL"],
    key: KEY_NAMES.map((name) => process.env[name]).find((value) => value),
  });
}

function given({ url, key }: { url: string | undefined; key: string | undefined }): Partial<Profile> {
  return { ...(url ? { url } : {}), ...(key ? { key } : {}) };
}

/**
 * What a server that runs in this folder, or in one above it, says of itself. A folder may come from anybody: the file
 * counts only when nobody else could write it, and only for this machine.
 */
function localServer(): Profile[] {
  for (let dir = pathOf("."), before = ""; dir !== before; before = dir, dir = dirname(dir)) {
    const path = join(dir, ".fluxbase", "server.json");
    try {
      const { mode, uid } = statSync(path);
      if ((mode & 0o077) !== 0 || uid !== process.getuid?.()) continue;
      const { url, service_role_key: key } = JSON.parse(readFileSync(path, "utf8"));
      if (isLocal(url)) return [{ url, key }];
    } catch {
      // Not here.
    }
  }
  return [];
}

function configPath(): string {
  return join(process.env["XDG_CONFIG_HOME"] || join(homedir(), ".config"), "fluxbase", "config.json");
}

function readConfig(): ConfigFile {
  const path = configPath();
  let text;
  try {
    text = readFileSync(path, "utf8");
  } catch {
    return {};
  }
  try {
    return JSON.parse(text);
  } catch {
    throw new UsageError(`Cannot read ${path}: fix the JSON, or delete the file and log in again`);
  }
}

/** Makes it the one that is used without `--profile`. Returns where it is kept. */
export function keepProfile(name: string, profile: Profile): string {
  return writeConfig({ current: name, profiles: { ...readConfig().profiles, [name]: profile } });
}

/** Tokens change while a profile is used. */
export function profileStorage(name: string): SessionStorage {
  const change = (key: string, value: string | undefined) => {
    const config = readConfig();
    const { url = DEFAULT_URL, session } = config.profiles?.[name] ?? {};
    const { [key]: _, ...others } = session ?? {};
    const kept = { url, session: value === undefined ? others : { ...others, [key]: value } };
    writeConfig({ ...config, profiles: { ...config.profiles, [name]: kept } });
  };
  return {
    getItem: (key) => readConfig().profiles?.[name]?.session?.[key] ?? null,
    setItem: (key, value) => change(key, value),
    removeItem: (key) => change(key, undefined),
  };
}

/** Readable by its owner only; whole or not at all. */
function writeConfig(config: ConfigFile): string {
  const path = configPath();
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const fresh = `${path}.${process.pid}`;
  writeFileSync(fresh, `${JSON.stringify(config, null, 2)}\n`, { mode: 0o600 });
  renameSync(fresh, path);
  return path;
}

/** From where the command was given. */
export function pathOf(path: string): string {
  return resolve(process.env["FLUXBASE_CLI_CWD"] ?? process.cwd(), path);
}
