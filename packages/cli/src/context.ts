/**
 * Which server a command speaks with, and as whom: flags, then the environment, then the profile that was logged in to.
 *
 * @module
 */
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join, resolve } from "node:path";
import process from "node:process";
import { createClient, type FluxbaseClient } from "@fluxbase/sdk";

export interface GlobalOptions {
  readonly url?: string;
  readonly key?: string;
  readonly profile?: string;
  readonly output: "table" | "json";
}

export interface Profile {
  readonly url: string;
  readonly key: string;
}

interface ConfigFile {
  current?: string;
  profiles?: Record<string, Profile>;
}

const DEFAULT_URL = "http://localhost:8080";
const KEY_NAMES = ["FLUXBASE_SERVICE_ROLE_KEY", "FLUXBASE_CLIENT_KEY", "FLUXBASE_ANON_KEY"];

export class UsageError extends Error {}

export function clientOf(options: GlobalOptions): FluxbaseClient {
  const { url, key } = placeOf(options);
  return createClient(url, key);
}

export function placeOf({ url, key, profile }: GlobalOptions): Profile {
  const config = readConfig();
  const name = profile ?? config.current;
  const known = name === undefined ? undefined : config.profiles?.[name];
  if (profile !== undefined && known === undefined) {
    throw new UsageError(`There is no profile "${profile}": make it with "fluxbase login --profile ${profile}"`);
  }
  const fromEnvironment = KEY_NAMES.map((one) => process.env[one]).find((value) => value);
  const chosen = key ?? (profile === undefined ? fromEnvironment : undefined) ?? known?.key;
  if (chosen === undefined) {
    throw new UsageError(`No key: set ${KEY_NAMES[0]}, give --key, or run "fluxbase login"`);
  }
  return {
    url: url ?? (profile === undefined ? process.env["FLUXBASE_URL"] : undefined) ?? known?.url ?? DEFAULT_URL,
    key: chosen,
  };
}

function configPath(): string {
  return join(process.env["XDG_CONFIG_HOME"] || join(homedir(), ".config"), "fluxbase", "config.json");
}

function readConfig(): ConfigFile {
  try {
    return JSON.parse(readFileSync(configPath(), "utf8"));
  } catch {
    return {};
  }
}

/** Readable by its owner only. */
export function keepProfile(name: string, profile: Profile): string {
  const path = configPath();
  const config = readConfig();
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const text = JSON.stringify({ current: name, profiles: { ...config.profiles, [name]: profile } }, null, 2);
  writeFileSync(path, `${text}\n`, { mode: 0o600 });
  chmodSync(path, 0o600);
  return path;
}

/** From where the command was given. */
export function pathOf(path: string): string {
  return resolve(process.env["FLUXBASE_CLI_CWD"] ?? process.cwd(), path);
}
