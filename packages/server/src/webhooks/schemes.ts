/**
 * Where senders of webhooks put their signatures, and what they sign: one entry for each way.
 *
 * @module
 */
import { createHash } from "node:crypto";
import type { HeaderLookup } from "../core/header_list.ts";

export interface HmacOptions {
  /** Names of headers, in lower case. */
  readonly header: string;
  readonly timestamp: string | null;
  readonly id: string | null;
  readonly algo: "sha1" | "sha256" | "sha384" | "sha512";
  readonly encoding: "hex" | "base64" | "base64url";
  /** Stands before the signature in its header. */
  readonly prefix: string;
  /** What is signed: `{body}`, `{timestamp}` and `{id}` stand for what the request has. */
  readonly signed: string;
}

export const SCHEME_NAMES = ["stripe", "github", "slack", "shopify", "standard", "twilio", "hmac"] as const;
export type SchemeName = (typeof SCHEME_NAMES)[number];

export interface SignedRequest {
  readonly headers: HeaderLookup;
  /** As they came. */
  readonly body: Uint8Array;
  /** Public, as the sender knows it. */
  readonly url: string;
}

export interface Scheme {
  readonly algo: HmacOptions["algo"];
  readonly encoding: HmacOptions["encoding"];
  /** Of a secret; undefined when the secret cannot be one. As its bytes when left out. */
  keyOf?(secret: string): Uint8Array | undefined;
  /** Undefined: the request has no signature where there should be one. */
  claimOf(headers: HeaderLookup): Claim | undefined;
  /** What may be signed, each as parts in a row; one of them must fit. */
  contentsOf(request: SignedRequest, claim: Claim): readonly (readonly (string | Uint8Array)[])[];
  /** Names of this delivery: it was handled before when one of them is known. `signature` is what fitted. */
  deliveryOf(request: SignedRequest, claim: Claim, signature: string): readonly string[];
}

/** What a request says of itself. */
export interface Claim {
  /** Encoded, without what stands before them. */
  readonly signatures: readonly string[];
  /** Seconds since the epoch; null where the way has none, NaN when it makes no sense. */
  readonly timestamp: string | null;
  readonly id: string | null;
}

export const SCHEMES: Readonly<Record<Exclude<SchemeName, "hmac">, Scheme>> = {
  /** https://docs.stripe.com/webhooks#verify-manually */
  stripe: {
    algo: "sha256",
    encoding: "hex",
    claimOf(headers) {
      const pairs = (headers.get("stripe-signature") ?? "").split(",").map((pair) => pair.trim().split("="));
      const valuesOf = (name: string) => pairs.flatMap(([key, value]) => key === name ? [value ?? ""] : []);
      return claimed(valuesOf("v1"), valuesOf("t")[0] ?? "");
    },
    contentsOf: ({ body }, { timestamp }) => [[`${timestamp}.`, body]],
    deliveryOf: ({ body }, _, signature) => [textIn(body, "id") ?? signature],
  },
  /** https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries */
  github: {
    algo: "sha256",
    encoding: "hex",
    claimOf: (headers) => claimed(prefixed(headers.get("x-hub-signature-256"), "sha256="), null),
    contentsOf: ({ body }) => [[body]],
    // The id is not signed: whoever repeats a request with another one is known by what is.
    deliveryOf: ({ headers }, _, signature) => named(headers.get("x-github-delivery"), signature),
  },
  /** https://docs.slack.dev/authentication/verifying-requests-from-slack */
  slack: {
    algo: "sha256",
    encoding: "hex",
    claimOf: (headers) =>
      claimed(prefixed(headers.get("x-slack-signature"), "v0="), headers.get("x-slack-request-timestamp") ?? ""),
    contentsOf: ({ body }, { timestamp }) => [[`v0:${timestamp}:`, body]],
    deliveryOf: ({ body }, _, signature) => [textIn(body, "event_id") ?? signature],
  },
  /** https://shopify.dev/docs/apps/build/webhooks/subscribe/https */
  shopify: {
    algo: "sha256",
    encoding: "base64",
    claimOf: (headers) => claimed(prefixed(headers.get("x-shopify-hmac-sha256"), ""), null),
    contentsOf: ({ body }) => [[body]],
    deliveryOf: ({ headers }, _, signature) => named(headers.get("x-shopify-webhook-id"), signature),
  },
  /** https://www.standardwebhooks.com: Svix, Supabase, Clerk, Resend, OpenAI and more. */
  standard: {
    algo: "sha256",
    encoding: "base64",
    keyOf: standardKey,
    claimOf(headers) {
      const family = headers.get("webhook-signature") === null ? "svix" : "webhook";
      const signatures = prefixed(headers.get(`${family}-signature`)?.split(" ") ?? null, "v1,");
      const id = headers.get(`${family}-id`);
      return id === null ? undefined : claimed(signatures, headers.get(`${family}-timestamp`) ?? "", id);
    },
    contentsOf: ({ body }, { id, timestamp }) => [[`${id}.${timestamp}.`, body]],
    deliveryOf: (_, { id }) => [id ?? ""],
  },
  /** https://www.twilio.com/docs/usage/security#validating-requests */
  twilio: {
    algo: "sha1",
    encoding: "base64",
    claimOf: (headers) => claimed(prefixed(headers.get("x-twilio-signature"), ""), null),
    contentsOf(request) {
      const fields = twilioFields(request);
      return fields === undefined ? [] : spellingsOf(request.url).map((url) => [url + fields]);
    },
    // A call that asks for the same page again is no repeated delivery: only the token of a repetition tells.
    deliveryOf: ({ headers }) => named(headers.get("i-twilio-idempotency-token")),
  },
};

/** Whatever else signs its bodies with a shared secret. */
export function hmacScheme({ header, timestamp, id, algo, encoding, prefix, signed }: HmacOptions): Scheme {
  const pieces = signed.split(/(\{(?:body|timestamp|id)\})/);
  return {
    algo,
    encoding,
    claimOf(headers) {
      const given = id === null ? null : headers.get(id);
      if (id !== null && given === null) return undefined;
      return claimed(
        prefixed(headers.get(header), prefix),
        timestamp === null ? null : headers.get(timestamp) ?? "",
        given,
      );
    },
    contentsOf: ({ body }, claim) => [
      pieces.map((piece) =>
        piece === "{body}"
          ? body
          : piece === "{timestamp}"
          ? claim.timestamp ?? ""
          : piece === "{id}"
          ? claim.id ?? ""
          : piece
      ),
    ],
    // Without id and time stamp two events may well be the same bytes: then nothing tells a repetition.
    deliveryOf: (_, claim, signature) => claim.id !== null ? [claim.id] : timestamp !== null ? [signature] : [],
  };
}

/** `whsec_` and base64; Supabase writes `v1,whsec_`. */
export function standardKey(secret: string): Uint8Array | undefined {
  try {
    const key = Uint8Array.fromBase64(secret.replace(/^(?:v1,)?(?:whsec_)?/, ""));
    return key.length === 0 ? undefined : key;
  } catch {
    return undefined;
  }
}

/** So many are compared at most. */
const SIGNATURES_MAX_COUNT = 10;

function claimed(signatures: readonly string[], timestamp: string | null, id: string | null = null): Claim | undefined {
  if (signatures.length === 0) return undefined;
  return { signatures: signatures.slice(0, SIGNATURES_MAX_COUNT), timestamp, id };
}

function prefixed(values: string | readonly string[] | null, prefix: string): string[] {
  const list = values === null ? [] : typeof values === "string" ? [values] : values;
  return list.flatMap((value) => value.startsWith(prefix) ? [value.slice(prefix.length).trim()] : []);
}

function named(...ids: readonly (string | null)[]): string[] {
  return ids.filter((id) => id !== null);
}

/** A field of a body that is a JSON object. */
function textIn(body: Uint8Array, name: string): string | undefined {
  try {
    const value: unknown = JSON.parse(new TextDecoder().decode(body));
    const field = typeof value === "object" && value !== null ? (value as Record<string, unknown>)[name] : undefined;
    return typeof field === "string" && field !== "" ? field : undefined;
  } catch {
    return undefined;
  }
}

const FORM = /^application\/x-www-form-urlencoded\b/i;

/** What is signed behind the URL: fields of a form, sorted; other bodies are named by a hash in the URL. */
function twilioFields({ headers, body, url }: SignedRequest): string | undefined {
  const hash = URL.parse(url)?.searchParams.get("bodySHA256") ?? null;
  if (hash !== null) {
    return createHash("sha256").update(body).digest("hex") === hash.toLowerCase() ? "" : undefined;
  }
  if (body.length === 0) return "";
  if (!FORM.test(headers.get("content-type") ?? "")) return undefined;
  // A look-up by name in the form itself reads all of it: with very many names that would take minutes.
  const values = new Map<string, Set<string>>();
  for (const [name, value] of new URLSearchParams(new TextDecoder().decode(body))) {
    const known = values.get(name);
    if (known === undefined) values.set(name, new Set([value]));
    else known.add(value);
  }
  const names = [...values.keys()].sort();
  return names.map((name) => [...values.get(name) ?? []].sort().map((value) => name + value).join("")).join("");
}

/** Twilio signs some URLs with the port and some without. */
function spellingsOf(url: string): string[] {
  const [, scheme, host, port, rest] = /^(https?):\/\/([^/:?#]+)(?::(\d+))?(.*)$/s.exec(url) ?? [];
  if (scheme === undefined) return [url];
  return [
    url,
    port === undefined ? `${scheme}://${host}:${scheme === "https" ? 443 : 80}${rest}` : `${scheme}://${host}${rest}`,
  ];
}
