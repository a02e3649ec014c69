/**
 * Takes credentials out of a request before it is kept.
 *
 * Nobody can list every credential that others invent, so what looks like one goes as well: by the name it has, and by
 * what it is. Something harmless that looks like one is lost with it, and its place is told.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { headerIn } from "../core/header_pairs.ts";

export interface PlainRequest {
  readonly method: string;
  /** Path and query. */
  readonly target: string;
  /** Name, value, name, value, … */
  readonly headerPairs: readonly string[];
  readonly body: Uint8Array;
}

export interface RedactedRequest extends PlainRequest {
  /** Where something was taken out, such as `header cookie`, `query token`, `body password`. */
  readonly removed: readonly string[];
}

const REMOVED = "[removed]";

/** In the name of a header, of a parameter or of a field. */
const SUSPICIOUS_NAME =
  /auth|token|secret|cookie|session|passw|passphrase|passcode|\bpwd|\bpin\b|credential|signature|\bsig\b|[-_]sig(?:$|[-_])|hmac|digest|jwt|jws|csrf|xsrf|nonce|assertion|saml|dpop|\botp|totp|one[-_]?time|verif|proof|bearer|private|api[-_]?key|(?:^|[-_.])key(?:$|[-_.])|key$|(?:^|[-_])code$|\bcvv|\bcvc|card[-_]?num|\biban|\bssn|cert|webhook-id|svix-|x-amz-|x-goog-/i;
/** Their values are of the protocol, whatever they look like; `referer` is a URL and is treated as one. */
const PLAIN_HEADERS: ReadonlySet<string> = new Set([
  "accept",
  "accept-charset",
  "accept-encoding",
  "accept-language",
  "cache-control",
  "content-encoding",
  "content-language",
  "content-length",
  "content-type",
  "date",
  "dnt",
  "host",
  "if-modified-since",
  "if-unmodified-since",
  "origin",
  "pragma",
  "prefer",
  "priority",
  "range",
  "te",
  "user-agent",
  "x-forwarded-for",
  "x-forwarded-host",
  "x-forwarded-port",
  "x-forwarded-proto",
  "x-real-ip",
]);
/** Made for the one connection, or for us. */
const DROPPED_HEADERS = /^(?:connection|keep-alive|upgrade|proxy-.*|transfer-encoding|expect|sec-.*)$/;

/** Forms that credentials have: PEM, schemes of Authorization, prefixes of well-known issuers. */
const CREDENTIAL_FORMS =
  /-----BEGIN [A-Z ]*(?:PRIVATE KEY|CERTIFICATE)-----[^]*?(?:-----END [A-Z ]+-----|$)|\b(?:Bearer|Basic|Digest|Negotiate)\s+[\w+/=.~-]{6,}|\b(?:sk|pk|rk|whsec|sbp|sb_secret|sb_publishable|ghp|gho|ghu|ghs|ghr|github_pat|glpat|xox[abeoprs]|shpat|npm|pypi|hf|dop_v1|AKIA|ASIA|AIza|ya29|SG|fb[a-z]{0,3})[-_.]?[\w.-]{16,}|\/\/[^\s/@:]+:[^\s/@]+@/g;
const WORD = /[\w.-]{20,}/g;
const WEB_TOKEN = /eyJ[\w-]{8}/;
const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
/** Long, of the letters that random bytes are written in, with digits among them. */
const RANDOM = /^(?=.*\d)(?=.*[a-z])[\w+/=~.:-]{20,}$/i;
const HEX_DIGEST = /^[0-9a-f]{32,}$/i;
const NESTED_MAX_COUNT = 64;
const PART_HEAD_MAX_CHARACTERS = 2_000;

/** `hidden`: secrets of the platform that this request has seen. */
export function redact(request: PlainRequest, hidden: readonly string[]): RedactedRequest {
  const removed = new Set<string>();
  const clean = (text: string) => withoutForms(withoutHidden(text, hidden));
  const target = redactTarget(request.target, { clean, removed });
  const headerPairs = redactHeaders(request.headerPairs, { clean, removed });
  const body = redactBody(request, { clean, removed });
  return { method: request.method, target, headerPairs, body, removed: [...removed] };
}

interface Redaction {
  readonly clean: (text: string) => string;
  readonly removed: Set<string>;
}

function withoutHidden(text: string, hidden: readonly string[]): string {
  return hidden.reduce((left, value) => value === "" ? left : left.replaceAll(value, REMOVED), text);
}

function withoutForms(text: string): string {
  return text.replaceAll(WORD, withoutWebToken).replaceAll(CREDENTIAL_FORMS, REMOVED);
}

/** JSON web tokens. Word by word: one expression for all of it takes a square of the time for a long word. */
function withoutWebToken(word: string): string {
  const at = word.search(WEB_TOKEN);
  return at >= 0 && word.includes(".", at) ? word.slice(0, at) + REMOVED : word;
}

function looksRandom(value: string): boolean {
  return !UUID.test(value) && (HEX_DIGEST.test(value) || RANDOM.test(value));
}

/** What stays of a value with a name. */
function cleanValue(name: string, value: string, { clean }: Pick<Redaction, "clean">): string {
  return value !== "" && (SUSPICIOUS_NAME.test(spoken(name)) || looksRandom(value)) ? REMOVED : clean(value);
}

/** `clientSecret` and `apiKey` have words in them like `client_secret` and `api_key`. */
function spoken(name: string): string {
  return name.replaceAll(/([a-z\d])([A-Z])/g, "$1_$2");
}

function redactTarget(target: string, { clean, removed }: Redaction): string {
  const [path = "", ...queries] = target.split("?");
  const query = queries.join("?");
  const segments = path.split("/").map((segment) => {
    const plain = decoded(segment);
    const kept = looksRandom(plain) ? REMOVED : clean(plain);
    if (kept === plain) return segment;
    removed.add("path");
    return encodeURIComponent(kept);
  });
  return segments.join("/") + (query === "" ? "" : `?${redactForm(query, "query", { clean, removed })}`);
}

/** Of a query or a form. Pairs in which nothing was found stay as they were written. */
function redactForm(text: string, where: string, { clean, removed }: Redaction): string {
  return text.split("&").map((pair) => {
    const [name = "", ...rest] = pair.split("=");
    const value = decoded(rest.join("=").replaceAll("+", " "));
    const kept = rest.length === 0
      ? cleanValue("", decoded(name), { clean })
      : cleanValue(decoded(name), value, { clean });
    if (kept === (rest.length === 0 ? decoded(name) : value)) return pair;
    removed.add(`${where} ${rest.length === 0 ? "" : decoded(name).slice(0, 80)}`.trim());
    return rest.length === 0 ? encodeURIComponent(kept) : `${name}=${encodeURIComponent(kept)}`;
  }).join("&");
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function redactHeaders(pairs: readonly string[], { clean, removed }: Redaction): string[] {
  const kept: string[] = [];
  for (let index = 0; index + 1 < pairs.length; index += 2) {
    const name = (pairs[index] ?? "").toLowerCase();
    const value = pairs[index + 1] ?? "";
    if (DROPPED_HEADERS.test(name)) continue;
    const left = name === "referer"
      ? refererOf(value, { clean, removed })
      : PLAIN_HEADERS.has(name)
      ? clean(value)
      : cleanValue(name, value, { clean });
    if (left !== value) removed.add(`header ${name}`);
    // A header that is nothing but a credential would be taken for a wrong one.
    if (left !== REMOVED) kept.push(name, left);
  }
  return kept;
}

function refererOf(value: string, redaction: Redaction): string {
  const url = URL.parse(value);
  return url === null ? REMOVED : url.origin + redactTarget(url.pathname + url.search, redaction);
}

function redactBody({ body, headerPairs }: PlainRequest, { clean, removed }: Redaction): Uint8Array {
  if (body.length === 0) return body;
  const text = textOf(body);
  // Bytes that are no text are kept as they are, unless there is text in them that has the form of a credential.
  if (text === undefined) return redactBytes(body, { clean, removed });
  const type = headerIn(headerPairs, "content-type") ?? "";
  const left = redactText(text, type, { clean, removed });
  if (left === text) return body;
  return new TextEncoder().encode(left);
}

function redactText(text: string, type: string, redaction: Redaction): string {
  const json = /[/+]json\b/i.test(type) || /^\s*[[{]/.test(text) ? parsed(text) : undefined;
  if (json !== undefined) {
    const before = redaction.removed.size;
    const left = redactJson(json.value, { ...redaction, path: "body", depth: 0 });
    return redaction.removed.size === before && redaction.clean(text) === text ? text : JSON.stringify(left);
  }
  if (/x-www-form-urlencoded/i.test(type)) return redactForm(text, "body", redaction);
  if (/^multipart\//i.test(type)) return redactMultipart(text, type, redaction);
  return noted(text, redaction);
}

function noted(text: string, { clean, removed }: Redaction): string {
  // `password = …` in a text that nobody declared.
  const left = clean(text).replaceAll(
    /([\w.-]{2,40})(\s*[:=]\s*)("[^"\n]*"|'[^'\n]*'|[^\s,;&"'<>]+)/g,
    (whole, name, sign) => SUSPICIOUS_NAME.test(spoken(name)) ? `${name}${sign}${REMOVED}` : whole,
  );
  if (left !== text) removed.add("body");
  return left;
}

function parsed(text: string): { readonly value: unknown } | undefined {
  try {
    return { value: JSON.parse(text) };
  } catch {
    return undefined;
  }
}

type JsonRedaction = Redaction & { readonly path: string; readonly depth: number };

function redactJson(value: unknown, { path, depth, ...redaction }: JsonRedaction): unknown {
  const { clean, removed } = redaction;
  if (depth > NESTED_MAX_COUNT) {
    removed.add(path);
    return REMOVED;
  }
  if (typeof value === "string") {
    const left = looksRandom(value) ? REMOVED : clean(value);
    if (left !== value) removed.add(path);
    return left;
  }
  if (Array.isArray(value)) {
    return value.map((item) => redactJson(item, { ...redaction, path, depth: depth + 1 }));
  }
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, inner]) => {
      const place = `${path} ${name}`.slice(0, 120);
      if (SUSPICIOUS_NAME.test(spoken(name)) && inner !== null && typeof inner !== "boolean" && inner !== "") {
        removed.add(place);
        return [name, REMOVED];
      }
      return [clean(name), redactJson(inner, { ...redaction, path: place, depth: depth + 1 })];
    }),
  );
}

/** The value of a part whose name is suspicious, and forms of credentials in the others. */
function redactMultipart(text: string, type: string, { clean, removed }: Redaction): string {
  const [, quoted, plain] = /\bboundary=(?:"([^"]{1,200})"|([^\s;]{1,200}))/i.exec(type) ?? [];
  const boundary = quoted ?? plain;
  if (boundary === undefined) return noted(text, { clean, removed });
  const left = text.split(`--${boundary}`).map((part) => {
    const [head = "", ...rest] = part.split("\r\n\r\n");
    const [, name = ""] = /\bname="?([^"\r\n;]{0,200})/i.exec(head.slice(0, PART_HEAD_MAX_CHARACTERS)) ?? [];
    const value = rest.join("\r\n\r\n");
    const isRemoved = cleanValue(name, value.trim(), { clean }) === REMOVED;
    return rest.length === 0 ? clean(part) : `${clean(head)}\r\n\r\n${isRemoved ? `${REMOVED}\r\n` : clean(value)}`;
  }).join(`--${boundary}`);
  if (left !== text) removed.add("body");
  return left;
}

function textOf(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

function redactBytes(bytes: Uint8Array, { clean, removed }: Redaction): Uint8Array {
  const text = Buffer.from(bytes).toString("latin1");
  const left = clean(text);
  if (left === text) return bytes;
  removed.add("body");
  return new Uint8Array(Buffer.from(left, "latin1"));
}
