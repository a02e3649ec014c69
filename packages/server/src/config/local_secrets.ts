/**
 * Secrets that the server makes for itself, once, and keeps in the data directory.
 *
 * @module
 */
import { join } from "node:path";
import { Secret } from "../core/secret.ts";
import { StartError } from "../storage/start_error.ts";

export interface LocalSecrets {
  readonly jwtSecret: Secret;
  /** Base64 of 32 bytes. */
  readonly encryptionKey: Secret;
  /** A key for the owner of this machine: may do everything a client key can. */
  readonly clientKey: Secret;
  /** When they were made; role tokens count from here, so that they are the same at every start. */
  readonly createdAtSec: number;
}

interface SecretsFile {
  readonly jwt_secret: string;
  readonly encryption_key: string;
  readonly client_key: string;
  readonly created_at: number;
}

export async function readLocalSecrets(dataDir: string, makeClientKey: () => string): Promise<LocalSecrets> {
  const path = join(dataDir, "secrets.json");
  try {
    const text = await readText(path) ?? await makeSecrets(path, makeClientKey);
    return parse(text, path);
  } catch (error) {
    if (error instanceof StartError) throw error;
    const reason = error instanceof Error ? error.message : error;
    throw new StartError(`Cannot keep secrets in "${path}": ${reason}; check who owns the data directory and its disk`);
  }
}

/** Of two servers that start at once one writes, and both read the same. */
async function makeSecrets(path: string, makeClientKey: () => string): Promise<string> {
  const fresh: SecretsFile = {
    jwt_secret: randomBytes().toHex(),
    encryption_key: randomBytes().toBase64(),
    client_key: makeClientKey(),
    created_at: Math.floor(Date.now() / 1000),
  };
  await writeOnce(path, `${JSON.stringify(fresh, null, 2)}\n`);
  return await Deno.readTextFile(path);
}

async function readText(path: string): Promise<string | undefined> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** A file is there whole or not at all: a cut-short one would be a lost key. */
async function writeOnce(path: string, text: string): Promise<void> {
  const temporary = `${path}.${crypto.randomUUID()}`;
  try {
    await Deno.writeTextFile(temporary, text, { createNew: true, mode: 0o600 });
    await Deno.link(temporary, path);
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
  } finally {
    await Deno.remove(temporary).catch(() => {});
  }
}

function parse(text: string, path: string): LocalSecrets {
  const file = parseObject(text);
  const { jwt_secret, encryption_key, client_key, created_at } = file;
  if (
    typeof jwt_secret !== "string" || typeof encryption_key !== "string" || typeof client_key !== "string" ||
    typeof created_at !== "number"
  ) {
    throw new StartError(`Cannot use "${path}": it is damaged; restore it, since what it encrypted is lost without it`);
  }
  return {
    jwtSecret: new Secret(jwt_secret),
    encryptionKey: new Secret(encryption_key),
    clientKey: new Secret(client_key),
    createdAtSec: created_at,
  };
}

function parseObject(text: string): Partial<Record<keyof SecretsFile, unknown>> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? value : {};
  } catch {
    return {};
  }
}

function randomBytes(): Uint8Array {
  return crypto.getRandomValues(new Uint8Array(32));
}
