/**
 * What functions may see of the server's environment: FLUXBASE_* without anything that is or looks like a credential.
 *
 * @module
 */
import type { Environment } from "./config.ts";
import { ALL_SETTINGS } from "./settings.ts";

/** The guide's list; the pattern below covers most of it, and a test keeps it that way. */
const BLOCKED: ReadonlySet<string> = new Set([
  "FLUXBASE_AUTH_JWT_SECRET",
  "FLUXBASE_DATABASE_PASSWORD",
  "FLUXBASE_DATABASE_ADMIN_PASSWORD",
  "FLUXBASE_STORAGE_S3_SECRET_KEY",
  "FLUXBASE_STORAGE_S3_ACCESS_KEY",
  "FLUXBASE_EMAIL_SMTP_PASSWORD",
  "FLUXBASE_SECURITY_SETUP_TOKEN",
  ...ALL_SETTINGS.filter(({ isSecret }) => isSecret).map(({ env }) => env),
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
