/**
 * Settings from the environment and fluxbase.yaml.
 *
 * @module
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { StartError } from "../storage/start_error.ts";
import { readConfig } from "./config.ts";
import { readLocalSecrets } from "./local_secrets.ts";
import { withSecretFiles } from "./secret_files.ts";

const SECRETS = { FLUXBASE_AUTH_JWT_SECRET: "x".repeat(32), FLUXBASE_ENCRYPTION_KEY: "ab".repeat(32) };

function problemsOf(env: Record<string, string>, yaml?: string): string {
  try {
    readConfig(env, yaml);
  } catch (error) {
    assert.ok(error instanceof StartError);
    return error.message;
  }
  throw new Error("The settings were accepted");
}

Deno.test("without settings: port 8080, embedded database, no secrets yet", () => {
  const config = readConfig({}, undefined);
  assert.deepEqual(config.listen, { hostname: "0.0.0.0", port: 8080 });
  assert.deepEqual(config.database, { kind: "embedded", port: null });
  assert.equal(config.dataDir, "./.fluxbase");
  assert.equal(config.jwtSecret, null);
  assert.equal(config.limits.wallMs, 30_000);
});

Deno.test("every problem is reported at once, with the value, what was expected and an example", () => {
  const message = problemsOf({
    FLUXBASE_SERVER_ADDRESS: "8080",
    FLUXBASE_BASE_URL: "example.com",
    FLUXBASE_LIMITS_MEMORY_MIB: "1",
    FLUXBASE_LOG_LEVEL: "loud",
    FLUXBASE_AUTH_JWT_SECRET: "short",
  });
  assert.match(message, /FLUXBASE_SERVER_ADDRESS is "8080", but it must be host:port.*for example: 127\.0\.0\.1:8080/);
  assert.match(message, /FLUXBASE_BASE_URL is "example\.com", but it must be an http or https URL/);
  assert.match(message, /FLUXBASE_LIMITS_MEMORY_MIB is "1", but it must be an integer from 32 to 1024/);
  assert.match(message, /FLUXBASE_LOG_LEVEL is "loud", but it must be one of debug, info, warn, error/);
  assert.match(message, /FLUXBASE_AUTH_JWT_SECRET is set, but it must be at least 32 characters long/);
  assert.equal(message.split("\n").length, 6);
});

Deno.test("values of secrets are in no message", () => {
  const message = problemsOf({
    DATABASE_URL: "mysql://u:topsecret@h/d",
    FLUXBASE_ENCRYPTION_KEY: "topsecret",
    FLUXBASE_AUTH_JWT_SECRET: "topsecret",
  });
  assert.doesNotMatch(message, /topsecret/);
});

Deno.test("an external database needs both secrets", () => {
  const message = problemsOf({ DATABASE_URL: "postgres://h/d" });
  assert.match(message, /FLUXBASE_AUTH_JWT_SECRET is missing.*\n.*FLUXBASE_ENCRYPTION_KEY is missing/);
  const { database } = readConfig({ ...SECRETS, DATABASE_URL: "postgres://h/d" }, undefined);
  assert.equal(database.kind === "external" && database.url.reveal(), "postgres://h/d");
});

Deno.test("an external database may be named in parts, whatever is in the password", () => {
  const { database } = readConfig({
    ...SECRETS,
    FLUXBASE_DATABASE_HOST: "::1",
    FLUXBASE_DATABASE_USER: "a b",
    FLUXBASE_DATABASE_PASSWORD: "p@:/?#",
    FLUXBASE_DATABASE_SSL_MODE: "verify-full",
  }, undefined);
  assert.equal(
    database.kind === "external" && database.url.reveal(),
    "postgres://a%20b:p%40%3A%2F%3F%23@[::1]:5432/fluxbase?sslmode=verify-full",
  );
});

Deno.test("the encryption key may be raw, base64 or hexadecimal", () => {
  const bytes = new Uint8Array(32).map((_, index) => index + 40);
  const spellings = [bytes.toHex(), bytes.toBase64(), new TextDecoder().decode(bytes)];
  for (const key of spellings) {
    const { encryptionKey } = readConfig({ FLUXBASE_ENCRYPTION_KEY: key }, undefined);
    assert.equal(encryptionKey?.reveal(), bytes.toBase64(), key);
  }
  assert.match(problemsOf({ FLUXBASE_ENCRYPTION_KEY: "ab".repeat(31) }), /32 bytes/);
});

Deno.test("fluxbase.yaml is read, the environment wins, and what is unknown is named with its neighbour", () => {
  const yaml = `
server:
  address: ":9000"
cors:
  allowed_origins: [https://a.example.com, https://b.example.com]
limits:
  memory_mib: 256
`;
  const config = readConfig({ FLUXBASE_LIMITS_MEMORY_MIB: "512" }, yaml);
  assert.equal(config.listen.port, 9_000);
  assert.equal(config.limits.memoryMiB, 512);
  assert.deepEqual(config.cors.origins, ["https://a.example.com", "https://b.example.com"]);
  assert.match(
    problemsOf({}, "server:\n  adress: ':1'"),
    /server\.adress in fluxbase\.yaml is no setting; did you mean server\.address\?/,
  );
  assert.match(problemsOf({}, "limits:\n  memory_mib: lots"), /limits\.memory_mib in fluxbase\.yaml is "lots"/);
  assert.match(problemsOf({}, "a: [1"), /fluxbase\.yaml is not valid YAML/);
  assert.match(problemsOf({}, "just text"), /its content in fluxbase\.yaml is no setting/);
});

Deno.test("settings that contradict each other are refused", () => {
  assert.match(problemsOf({ FLUXBASE_CORS_ALLOW_CREDENTIALS: "true" }), /allows every origin/);
  assert.match(problemsOf({ FLUXBASE_LIMITS_WALL_MS: "90000" }), /must not exceed FLUXBASE_LIMITS_WALL_MAX_MS/);
});

Deno.test("functions see FLUXBASE_* without anything that is or looks like a credential", () => {
  const blocked = [
    "FLUXBASE_AUTH_JWT_SECRET",
    "FLUXBASE_ENCRYPTION_KEY",
    "FLUXBASE_DATABASE_PASSWORD",
    "FLUXBASE_DATABASE_ADMIN_PASSWORD",
    "FLUXBASE_STORAGE_S3_SECRET_KEY",
    "FLUXBASE_STORAGE_S3_ACCESS_KEY",
    "FLUXBASE_EMAIL_SMTP_PASSWORD",
    "FLUXBASE_SECURITY_SETUP_TOKEN",
    "FLUXBASE_MY_TOKEN",
    "FLUXBASE_SENTRY_DSN",
    "FLUXBASE_OTHER_DATABASE_URL",
    "DATABASE_URL",
    "PATH",
  ];
  const allowed = { FLUXBASE_API_URL: "https://api.example.com", FLUXBASE_MY_CONFIG: "1" };
  const hidden = Object.fromEntries(blocked.map((name) => [name, "postgres://x".padEnd(32, "x")]));
  assert.deepEqual(readConfig({ ...hidden, ...allowed }, undefined).functionEnv, allowed);
});

Deno.test("local secrets are made once, for two starters at once too, and a damaged file is named", async () => {
  const dir = await Deno.makeTempDir();
  try {
    let made = 0;
    const read = () => readLocalSecrets(dir, () => `fbk_${made += 1}`);
    const [first, second] = await Promise.all([read(), read()]);
    const third = await read();
    for (const other of [second, third]) {
      assert.equal(other.jwtSecret.reveal(), first.jwtSecret.reveal());
      assert.equal(other.encryptionKey.reveal(), first.encryptionKey.reveal());
      assert.equal(other.clientKey.reveal(), first.clientKey.reveal());
    }
    assert.equal(((await Deno.stat(join(dir, "secrets.json"))).mode ?? 0) & 0o777, 0o600);
    assert.deepEqual([...Deno.readDirSync(dir)].map(({ name }) => name), ["secrets.json"]);
    await Deno.writeTextFile(join(dir, "secrets.json"), `{"jwt_secret": 1}`);
    await assert.rejects(read(), /is damaged/);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("a secret may come as a file; a wrong one is named, and its content is not", async () => {
  const dir = await Deno.makeTempDir();
  try {
    const path = join(dir, "secret");
    await Deno.writeTextFile(path, `${SECRETS.FLUXBASE_ENCRYPTION_KEY}\n`);
    const env = await withSecretFiles({ FLUXBASE_ENCRYPTION_KEY_FILE: path, FLUXBASE_BASE_URL_FILE: "/not/a/secret" });
    assert.equal(
      readConfig(env, undefined).encryptionKey?.reveal(),
      Uint8Array.fromHex(SECRETS.FLUXBASE_ENCRYPTION_KEY).toBase64(),
    );
    await assert.rejects(
      withSecretFiles({ ...SECRETS, FLUXBASE_ENCRYPTION_KEY_FILE: path, DATABASE_URL_FILE: join(dir, "absent") }),
      ({ message }: Error) =>
        /FLUXBASE_ENCRYPTION_KEY and FLUXBASE_ENCRYPTION_KEY_FILE are both set/.test(message) &&
        /DATABASE_URL_FILE names ".+absent", which cannot be read/.test(message) && !message.includes("abab"),
    );
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});
