/**
 * Takes in the requests of webhooks: reads them whole, verifies them, and knows those that came before.
 *
 * Owns: that nothing of an unverified request is run, and that one delivery is handled once.
 * Does not own: what a signature is (./schemes.ts), when it is asked for (../invoke/invoke.ts).
 *
 * A delivery counts as handled when the function has answered with less than 400: senders repeat what was answered
 * otherwise, and then it must run again.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { PlatformError } from "@fluxbase/contract";
import type { Clock } from "../core/clock.ts";
import type { HeaderLookup } from "../core/header_list.ts";
import { InvariantError } from "../core/invariant.ts";
import type { Log } from "../core/log.ts";
import { asDatabaseError, type Db } from "../storage/db.ts";
import { type DeliveryNames, dropDelivery, keepDelivery, takeDelivery } from "../storage/webhook_deliveries.ts";
import { parseWebhookRule, type WebhookRule } from "./rule.ts";
import { keyOf, schemeOf, verify } from "./verify.ts";

export interface WebhookRequest {
  readonly fn: { readonly id: string; readonly namespace: string; readonly name: string };
  readonly headers: HeaderLookup;
  /** Public. */
  readonly url: string;
  /** @throws {PlatformError} BODY_TOO_LARGE, also as a rejection */
  readWhole(maxBytes: number): Promise<Uint8Array<ArrayBuffer>>;
}

export interface WebhookSettings {
  /** As the function says it. */
  readonly rule: string;
  /** System secrets that the function sees. */
  readonly secrets: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  /** Whether who asks may be told what is wrong with the secrets. */
  isOperator(): Promise<boolean>;
}

/** A request that is what it says. */
export interface Delivery {
  readonly body: Uint8Array<ArrayBuffer>;
  /** It was handled before, and must not run again. */
  readonly isRepeated: boolean;
  /** What became of it; null when there was no answer. Never rejects. */
  settle(status: number | null): Promise<void>;
}

export interface Webhooks {
  /**
   * @throws {PlatformError} INVALID_CREDENTIAL, SECRET_MISSING for operators, BODY_TOO_LARGE, ALREADY_RUNNING for a
   * delivery that is being handled, DATABASE_UNAVAILABLE
   */
  receive(request: WebhookRequest, settings: WebhookSettings): Promise<Delivery>;
}

export interface WebhookParts {
  readonly db: Db;
  readonly clock: Clock;
  readonly log: Log;
  readonly bodyMaxBytes: number;
}

const KEPT_DAYS = 3;
/** After the time of the function: for whoever writes down what became of it. */
const GRACE_MS = 60_000;
const SAY_AGAIN_MS = 60_000;
const SAID_MAX_COUNT = 1_000;
const REFUSAL = "Cannot accept the request";

export function createWebhooks({ db, clock, log, bodyMaxBytes }: WebhookParts): Webhooks {
  const rules = new Map<string, WebhookRule>();
  /** When the log was told of a function whose secrets are missing. */
  const saidMs = new Map<string, number>();

  function ruleOf(text: string): WebhookRule {
    let rule = rules.get(text);
    if (rule === undefined) {
      const parsed = parseWebhookRule(text);
      if (typeof parsed === "string") throw new InvariantError("webhook-rule", `Cannot read a stored rule: ${parsed}`);
      if (rules.size >= SAID_MAX_COUNT) rules.clear();
      rules.set(text, rule = parsed);
    }
    return rule;
  }

  function say(problem: string, { id }: WebhookRequest["fn"]): void {
    const nowMs = clock.nowMs();
    if (nowMs - (saidMs.get(id) ?? -Infinity) < SAY_AGAIN_MS) return;
    if (saidMs.size >= SAID_MAX_COUNT) saidMs.clear();
    saidMs.set(id, nowMs);
    log.error(problem);
  }

  async function settle(names: DeliveryNames, status: number | null): Promise<void> {
    try {
      if (status !== null && status < 400) await keepDelivery(db, names, { forDays: KEPT_DAYS });
      else await dropDelivery(db, names);
    } catch (error) {
      log.warn("Cannot write down what became of a webhook: its sender may have it run again", { error });
    }
  }

  return {
    async receive(request, { rule: text, secrets, timeoutMs, isOperator }) {
      const { fn, headers, url } = request;
      const rule = ruleOf(text);
      const scheme = schemeOf(rule);
      const keys = rule.secrets.flatMap((name) => {
        const key = Object.hasOwn(secrets, name) ? keyOf(scheme, secrets[name] ?? "") : undefined;
        return key === undefined ? [] : [key];
      });
      if (keys.length === 0) {
        const problem = secretsMissing(request, rule, secrets);
        say(problem, fn);
        if (await isOperator()) throw new PlatformError("SECRET_MISSING", problem);
        throw refusal("its signature does not fit its body");
      }
      // What has no signature costs not even the reading of its body.
      if (scheme.claimOf(headers) === undefined) throw refusal("it has no signature where its function expects one");
      const body = await request.readWhole(bodyMaxBytes);
      const nowSec = clock.epochMs() / 1_000;
      const verdict = verify(scheme, keys, { request: { headers, body, url }, nowSec });
      if (!verdict.isGood) throw refusal(verdict.reason);
      if (verdict.delivery.length === 0) return { body, isRepeated: false, settle: () => Promise.resolve() };
      const names = { functionId: fn.id, names: hashesOf(verdict.delivery) };
      const state = await takeDelivery(db, names, { forSec: (timeoutMs + GRACE_MS) / 1_000 }).catch((error) => {
        throw asDatabaseError(error);
      });
      if (state === "running") throw isRunning(fn.name);
      return { body, isRepeated: state === "handled", settle: (status) => settle(names, status) };
    },
  };
}

function hashesOf(delivery: readonly string[]): Uint8Array[] {
  const texts = [...new Set(delivery.map((name) => createHash("sha256").update(name).digest("hex")))];
  return texts.sort().map((text) => Uint8Array.fromHex(text));
}

function secretsMissing(
  { fn: { namespace, name } }: WebhookRequest,
  { scheme, secrets: names }: WebhookRule,
  secrets: Readonly<Record<string, string>>,
): string {
  const wrong = names.find((one) => Object.hasOwn(secrets, one));
  const what = wrong === undefined
    ? `there is no secret ${
      names.map((one) => `"${one}"`).join(" or ")
    } for namespace "${namespace}": make it with "fluxbase settings secrets set", or PUT it to /api/v1/admin/settings/custom/secret`
    : `secret "${wrong}" is no key of "${scheme}": it must be whsec_ and base64, as the sender shows it`;
  return `Cannot verify a webhook for function "${namespace}/${name}": ${what}; until then every request gets 401`;
}

function refusal(reason: string): PlatformError {
  return new PlatformError("INVALID_CREDENTIAL", `${REFUSAL}: ${reason}`);
}

function isRunning(name: string): PlatformError {
  return new PlatformError(
    "ALREADY_RUNNING",
    `Cannot run function "${name}" for this delivery: it is being handled at this moment; send it again later`,
    { details: { retry_after: 5 } },
  );
}
