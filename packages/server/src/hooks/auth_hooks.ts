/**
 * Asks functions before somebody gets an account, a session or a token.
 *
 * Owns: which functions are asked, in which order and for how long, what they are told, what their answers mean.
 * Does not own: when they are asked (../auth/accounts.ts).
 *
 * Everything that is not a clear answer within the time is a no: sign-ups, sign-ins and tokens then wait for the hook to
 * be mended or switched off. Bodies and answers are Supabase's where it has the hook.
 *
 * @module
 */
import { createHmac } from "node:crypto";
import { type AccountEvent, type AuthHook, PlatformError } from "@fluxbase/contract";
import { z } from "zod";
import type { AuthHooks, AuthOrigin, ComingUser } from "../auth/auth_hooks.ts";
import { PLATFORM } from "../auth/caller.ts";
import { RESERVED_CLAIMS } from "../auth/tokens.ts";
import type { Catalog, LiveFunction } from "../catalog/catalog.ts";
import type { Clock } from "../core/clock.ts";
import type { Log } from "../core/log.ts";
import { internalCall } from "../invoke/internal_call.ts";
import { type InvokeParts, runFor } from "../invoke/invoke.ts";
import type { SandboxResponse } from "../sandbox/exchange.ts";
import { listHooksOff } from "../storage/auth_hooks.ts";
import { asDatabaseError, type Db } from "../storage/db.ts";
import type { User } from "../storage/users.ts";
import { standardKey } from "../webhooks/schemes.ts";

export interface AuthHookParts {
  readonly db: Db;
  readonly catalog: Catalog;
  readonly clock: Clock;
  readonly log: Log;
  readonly place: { readonly baseUrl: string };
  /** With it a function checks that the server asks. */
  readonly secretOf: (fn: LiveFunction) => string;
  readonly invokeParts: InvokeParts;
}

/** All functions of one event together. */
const TIME_MS = 5_000;
const CLAIMS_MAX_BYTES = 4 * 1024;
const METADATA_MAX_BYTES = 16 * 1024;
const ANSWER_MAX_BYTES = 64 * 1024;
const MESSAGE_MAX_CHARACTERS = 500;
const NEVER = "0001-01-01T00:00:00Z";

const record = z.record(z.string(), z.unknown());
const answerSchema = z.object({
  error: z.union([z.object({ message: z.string().optional() }), z.string()]).nullish(),
  decision: z.enum(["continue", "reject"]).optional(),
  message: z.string().optional(),
  user: z.object({ user_metadata: record.optional(), app_metadata: record.optional() }).optional(),
  claims: record.optional(),
});
type Answer = z.output<typeof answerSchema>;

/** What cannot be done while a hook says no, or nothing. */
const DEEDS: Readonly<Record<AuthHook, string>> = {
  before_user_created: "sign up",
  before_sign_in: "sign in",
  custom_access_token: "make a token",
};

export function createAuthHooks(parts: AuthHookParts): AuthHooks {
  const { db, catalog, clock, log, place, secretOf } = parts;

  /** None is asked about what is switched off; the database is asked only where there is a hook at all. */
  async function hooksOf(event: AuthHook): Promise<readonly LiveFunction[]> {
    const functions = functionsOf(catalog, event);
    if (functions.length === 0) return functions;
    const off = await listHooksOff(db).catch((error) => {
      throw asDatabaseError(error);
    });
    return off.has(event) ? [] : functions;
  }

  /** Asks one after the other; each is told what came of those before it. */
  async function ask(
    event: AuthHook,
    bodyNow: () => Record<string, unknown>,
    take: (answer: Answer) => string | undefined,
  ): Promise<void> {
    const functions = await hooksOf(event);
    const untilMs = clock.nowMs() + TIME_MS;
    for (const fn of functions) {
      try {
        const answer = await answerOf(fn, { event, body: bodyNow(), leftMs: untilMs - clock.nowMs() });
        const refusal = refusalIn(answer);
        if (refusal !== undefined) throw refused(event, refusal);
        const problem = take(answer);
        if (problem !== undefined) throw new Error(problem);
      } catch (error) {
        if (error instanceof PlatformError && error.code === "HOOK_REFUSED") throw error;
        log.error(
          `Hook ${event} failed, so nobody can ${
            DEEDS[event]
          }: mend function "${fn.namespace}/${fn.name}", or switch the event off with "fluxbase hooks disable ${event}"`,
          { reason: error instanceof Error ? error.message : error },
        );
        throw failed(event, error);
      }
    }
  }

  async function answerOf(
    fn: LiveFunction,
    { event, body, leftMs }: { event: AuthHook; body: Record<string, unknown>; leftMs: number },
  ): Promise<Answer> {
    if (!fn.enabled) throw new Error("the function is disabled");
    if (leftMs < 1) throw new Error(`the functions before it took all of ${TIME_MS} ms`);
    const bytes = new TextEncoder().encode(JSON.stringify(body));
    const signal = AbortSignal.timeout(Math.ceil(leftMs));
    const call = internalCall({
      fn,
      trigger: "hook",
      url: `${place.baseUrl}/functions/v1/${fn.name}`,
      headers: { "content-type": "application/json", ...signed(bytes, secretOf(fn), clock) },
      body: bytes,
      timeoutMs: Math.max(1, Math.floor(leftMs)),
      signal,
    });
    const late = new Promise<never>((_, reject) => {
      signal.addEventListener("abort", () => reject(new Error(`no answer to ${event} within ${TIME_MS} ms`)));
    });
    return await Promise.race([late, runFor(call, PLATFORM, parts.invokeParts).then(read)]);
  }

  return {
    async beforeUserCreated(user, origin) {
      let { userMetadata } = user;
      let appMetadata: Readonly<Record<string, unknown>> = {};
      await ask("before_user_created", () => ({
        metadata: metadataOf("before-user-created", { clock, origin }),
        user: comingUserView({ ...user, userMetadata }, appMetadata),
      }), ({ user: changed }) => {
        userMetadata = changed?.user_metadata ?? userMetadata;
        appMetadata = changed?.app_metadata ?? appMetadata;
        return problemOfSize("metadata", [userMetadata, appMetadata], METADATA_MAX_BYTES);
      });
      return { userMetadata, appMetadata };
    },

    async beforeSignIn(user, origin) {
      await ask("before_sign_in", () => ({
        metadata: metadataOf("before-sign-in", { clock, origin }),
        user: userView(user),
        user_id: user.id,
        authentication_method: methodOf(user),
      }), () => undefined);
    },

    async claimsFor(user, token) {
      let added: Record<string, unknown> = {};
      const given = {
        aud: "authenticated",
        phone: "",
        aal: "aal1",
        app_metadata: user.appMetadata,
        user_metadata: user.userMetadata,
        ...token,
      };
      await ask("custom_access_token", () => ({
        metadata: metadataOf("custom-access-token", { clock, origin: null }),
        user_id: user.id,
        claims: { ...given, ...added },
        authentication_method: methodOf(user),
      }), ({ claims = {} }) => {
        const before: Record<string, unknown> = { ...given, ...added };
        const changed = Object.entries(claims).filter(([name, value]) =>
          JSON.stringify(value) !== JSON.stringify(before[name])
        );
        const reserved = changed.find(([name]) => RESERVED_CLAIMS.has(name));
        if (reserved !== undefined) return `it changed claim "${reserved[0]}", which is the server's`;
        added = { ...added, ...Object.fromEntries(changed) };
        return problemOfSize("claims", [added], CLAIMS_MAX_BYTES);
      });
      return added;
    },
  };
}

/** In the order in which they are asked. */
export function functionsOf(catalog: Catalog, event: AuthHook | AccountEvent): LiveFunction[] {
  const asked = catalog.all().filter(({ settings }) => settings.hooks?.includes(event) === true);
  const placeOf = ({ namespace, name }: LiveFunction) => `${namespace}/${name}`;
  return asked.sort((a, b) => placeOf(a) < placeOf(b) ? -1 : 1);
}

/** As https://www.standardwebhooks.com has it. */
function signed(body: Uint8Array, secret: string, clock: Clock): Record<string, string> {
  const id = `msg_${crypto.randomUUID()}`;
  const timestamp = String(Math.floor(clock.epochMs() / 1_000));
  const hmac = createHmac("sha256", standardKey(secret) ?? "").update(`${id}.${timestamp}.`).update(body);
  return { "webhook-id": id, "webhook-timestamp": timestamp, "webhook-signature": `v1,${hmac.digest("base64")}` };
}

/** @throws {Error} when it makes no sense */
async function read({ status, body }: SandboxResponse): Promise<Answer> {
  const text = await textOf(body);
  let value: unknown;
  try {
    value = text.trim() === "" ? {} : JSON.parse(text);
  } catch {
    throw new Error(`it answered ${status} with what is no JSON`);
  }
  const { data, error } = answerSchema.safeParse(value ?? {});
  if (data === undefined) throw new Error(`it answered ${status} with a wrong shape: ${z.prettifyError(error)}`);
  // A refusal may come with any status that is not a failure, as on Supabase.
  if (status >= 500 || (status >= 300 && refusalIn(data) === undefined)) throw new Error(`it answered ${status}`);
  return data;
}

async function textOf(body: SandboxResponse["body"]): Promise<string> {
  if (body === null) return "";
  if (typeof body === "string") return body;
  if (!(body instanceof ReadableStream)) return new TextDecoder().decode(body);
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of body) {
    text += decoder.decode(chunk, { stream: true });
    if (text.length > ANSWER_MAX_BYTES) throw new Error(`it answered more than ${ANSWER_MAX_BYTES} bytes`);
  }
  return text;
}

/** The reason of a refusal, for the caller; undefined when there is none. */
function refusalIn({ error, decision, message }: Answer): string | undefined {
  if (decision !== "reject" && (error === undefined || error === null)) return undefined;
  const given = typeof error === "string" ? error : error?.message ?? message;
  // deno-lint-ignore no-control-regex -- they have no business in a sentence
  const reason = given?.replaceAll(/[\u0000-\u001f\u007f]+/g, " ").trim().slice(0, MESSAGE_MAX_CHARACTERS)
    .toWellFormed();
  return reason || "the server's owner does not allow it";
}

function problemOfSize(what: string, values: readonly unknown[], maxBytes: number): string | undefined {
  for (const value of values) {
    const text = JSON.stringify(value);
    const byteCount = new TextEncoder().encode(text).length;
    if (byteCount > maxBytes) return `its ${what} have ${byteCount} bytes, and at most ${maxBytes} are possible`;
    if (text.includes("\\u0000") || !text.isWellFormed()) return `its ${what} have NUL or half characters`;
  }
  return undefined;
}

function methodOf({ isAnonymous }: User): string {
  return isAnonymous ? "anonymous" : "password";
}

function metadataOf(name: string, { clock, origin }: { clock: Clock; origin: AuthOrigin | null }) {
  return {
    uuid: crypto.randomUUID(),
    time: new Date(clock.epochMs()).toISOString(),
    name,
    ...(origin === null ? {} : { ip_address: origin.address }),
  };
}

function comingUserView({ id, email, userMetadata }: ComingUser, appMetadata: Readonly<Record<string, unknown>>) {
  return {
    id,
    aud: "authenticated",
    role: "authenticated",
    email,
    phone: "",
    app_metadata: email === null ? appMetadata : { provider: "email", providers: ["email"], ...appMetadata },
    user_metadata: userMetadata,
    identities: [],
    is_anonymous: email === null,
    created_at: NEVER,
    updated_at: NEVER,
  };
}

function userView({ id, email, role, emailVerified, userMetadata, appMetadata, createdAt, updatedAt }: User) {
  return {
    ...comingUserView({ id, email, userMetadata }, appMetadata),
    role,
    email_confirmed_at: emailVerified ? createdAt.toISOString() : null,
    created_at: createdAt.toISOString(),
    updated_at: updatedAt.toISOString(),
  };
}

function refused(event: AuthHook, reason: string): PlatformError {
  return new PlatformError("HOOK_REFUSED", reason, { details: { hook: event } });
}

/** Says nothing of the function: whoever signs in has no business with it. */
function failed(event: AuthHook, cause: unknown): PlatformError {
  return new PlatformError(
    "HOOK_FAILED",
    `Cannot ${DEEDS[event]}: a check of this server (${event}) did not work; try again later`,
    { cause, details: { hook: event } },
  );
}
