/**
 * What functions may see of the server's environment: FLUXBASE_* without anything that is or looks like a credential.
 *
 * @module
 */
import { ALL_SETTINGS } from "./settings.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

/** The guide's list; the pattern below covers most of it, and a test keeps it that way. */
const BLOCKED: ReadonlySet<string> = new Set([
  "FLUXBASE_AUTH_JWT_SECRET",
  "FLUXBASE_DATABASE_PASSWORD",
  "FLUXBASE_DATABASE_ADMIN_PASSWORD",
  "FLUXBASE_STORAGE_S3_SECRET_KEY",
  "FLUXBASE_STORAGE_S3_ACCESS_KEY",
  "FLUXBASE_EMAIL_SMTP_PASSWORD",
  "FLUXBASE_SECURITY_SETUP_TOKEN",
  "FLUXBASE_CLIENT_KEY",
  "FLUXBASE_SERVICE_ROLE_KEY",
  ...ALL_SETTINGS.filter(({ isSecret }) => isSecret).flatMap(({ env }) => [env, `${env}_FILE`]),
]);

const LOOKS_LIKE_CREDENTIAL = /SECRET|PASSWORD|PASSWD|TOKEN|PRIVATE_KEY|ACCESS_KEY|ENCRYPTION_KEY|_DSN$|DATABASE_URL$/;

export function functionEnvironment(env: Environment): Readonly<Record<string, string>> {
  const visible: Record<string, string> = {};
  for (const [name, value] of Object.entries(env)) {
    if (value !== undefined && isVisible(name)) visible[name] = value;
  }
  return visible;
}

function isVisible(name: string): boolean {
  return name.startsWith("FLUXBASE_") && !BLOCKED.has(name) && !LOOKS_LIKE_CREDENTIAL.test(name);
}

/** In either case, as programs that use the network know them. */
const NETWORK_NAMES =
  /^(https?_proxy|no_proxy|all_proxy|npm_config_registry|node_extra_ca_certs|ssl_cert_(file|dir)|deno_(cert|tls_ca_store|auth_tokens)|path)$/i;

/** What a build needs of the server's environment to reach registries. */
export function networkEnvironment(
  env: Readonly<Record<string, string | undefined>>,
): Readonly<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const [name, value] of Object.entries(env)) {
    if (value !== undefined && NETWORK_NAMES.test(name)) found[name] = value;
  }
  // Certificates that the machine's administrator trusts count for builds too.
  return { DENO_TLS_CA_STORE: "mozilla,system", ...found };
}
