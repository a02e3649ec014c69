/**
 * The secret by which a function knows that the server asks it: another one for each function, the same on every server.
 *
 * @module
 */
import { createHmac } from "node:crypto";
import type { Secret } from "../core/secret.ts";

/** As Supabase writes those of its hooks. */
export function hookSecretOf(jwtSecret: Secret, functionId: string): string {
  const key = createHmac("sha256", jwtSecret.reveal()).update(`fluxbase hook of ${functionId}`).digest("base64");
  return `v1,whsec_${key}`;
}
