/**
 * Who calls: tokens, keys, sessions that were ended.
 *
 * @module
 */
import { setupTokenOf } from "../auth/accounts.ts";
import { createAuthenticator } from "../auth/authenticator.ts";
import { startEndedSessions } from "../auth/ended_sessions.ts";
import { watchFunctionKeys } from "../auth/function_keys.ts";
import { startIssuer } from "../auth/issuers.ts";
import { startKeyStore } from "../auth/keys.ts";
import { readSigningKeys } from "../auth/signing_keys.ts";
import { createTokens } from "../auth/tokens.ts";
import type { Catalog } from "../catalog/catalog.ts";
import { Secret } from "../core/secret.ts";
import type { Base } from "./base.ts";
import type { Databases } from "./databases.ts";
import { seedLocalKeys } from "./local_keys.ts";
import type { RootSecrets } from "./root_secrets.ts";

export type Callers = Awaited<ReturnType<typeof startCallers>>;

export async function startCallers(
  { config, log, clock, parts }: Base,
  { db, listener, local, jwtSecret, catalog }: Databases & RootSecrets & { readonly catalog: Catalog },
) {
  const { issuer } = config.auth;
  const signingKeys = await readSigningKeys(config.signingKeys, jwtSecret);
  const tokens = createTokens(jwtSecret, {
    signingKeys,
    issuer: issuer === null ? undefined : parts.use(startIssuer(issuer, { clock, log })),
    functionKeys: parts.use(watchFunctionKeys(catalog, clock)),
    clockSkewSec: config.auth.clockSkewSec,
  });
  const localKeys = local === undefined ? null : await seedLocalKeys(local, { db, tokens });
  const keys = parts.use(await startKeyStore({ db, listener, log, clock }));
  const { attempts, issuer: _issuer, clockSkewSec: _skew, ...accountRules } = config.auth;
  const endedSessions = await startEndedSessions({ db, listener, accessTokenSec: accountRules.accessTokenSec });
  const setupToken = accountRules.setupToken ?? (local === undefined ? null : new Secret(setupTokenOf(jwtSecret)));
  const authenticator = createAuthenticator({
    tokens,
    keys,
    endedSessions,
    clock,
    metricsToken: config.metricsToken,
  });
  return { signingKeys, tokens, localKeys, keys, endedSessions, setupToken, authenticator, accountRules, attempts };
}
