/**
 * How the requests of a webhook prove who sent them, as a function says it: `stripe STRIPE_WEBHOOK_SECRET`.
 *
 * @module
 */
import { type HmacOptions, SCHEME_NAMES, type SchemeName } from "./schemes.ts";

export interface WebhookRule {
  readonly scheme: SchemeName;
  /** Names of system secrets. The signature must fit one of them, so that one can be replaced while both are in use. */
  readonly secrets: readonly string[];
  /** Of `hmac`; the other schemes have nothing to choose. */
  readonly options: HmacOptions;
}

const SECRETS_MAX_COUNT = 5;
const SECRET_NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$/;
const HEADER_NAME = /^[a-z0-9][a-z0-9-]{0,79}$/;
const TEXT_MAX_CHARACTERS = 1_000;
const ALGOS = ["sha1", "sha256", "sha384", "sha512"] as const;
const ENCODINGS = ["hex", "base64", "base64url"] as const;
const OPTION_NAMES = ["header", "algo", "encoding", "prefix", "timestamp", "id", "signed"] as const;
type OptionName = (typeof OPTION_NAMES)[number];

/** The rule, or a sentence that says what is wrong with the text. */
export function parseWebhookRule(text: string): WebhookRule | string {
  if (text.length > TEXT_MAX_CHARACTERS) return `it has more than ${TEXT_MAX_CHARACTERS} characters`;
  const [scheme = "", ...words] = text.trim().split(/\s+/);
  if (!isOneOf(SCHEME_NAMES, scheme)) {
    return `${JSON.stringify(scheme.slice(0, 80))} is no way to verify: it must be one of ${SCHEME_NAMES.join(", ")}`;
  }
  const names = words.filter((word) => !word.includes("="));
  const secrets = names.flatMap((word) => word.split(","));
  if (names.length !== 1 || secrets.length > SECRETS_MAX_COUNT || !secrets.every((name) => SECRET_NAME.test(name))) {
    return `"${scheme}" must be followed by the name of a system secret, such as "${scheme} WEBHOOK_SECRET", or by up to ${SECRETS_MAX_COUNT} with commas`;
  }
  const options = optionsOf(words.filter((word) => word.includes("=")), scheme);
  return typeof options === "string" ? options : { scheme, secrets, options };
}

function optionsOf(words: readonly string[], scheme: SchemeName): HmacOptions | string {
  const given = new Map<OptionName, string>();
  for (const word of words) {
    const name = word.slice(0, word.indexOf("="));
    if (scheme !== "hmac") return `"${name}" goes with hmac only: all of "${scheme}" is known`;
    if (!isOneOf(OPTION_NAMES, name)) {
      return `"${name.slice(0, 80)}" is no option: hmac knows ${OPTION_NAMES.join(", ")}`;
    }
    if (given.has(name)) return `"${name}" stands more than once`;
    given.set(name, word.slice(name.length + 1));
  }
  const header = given.get("header")?.toLowerCase() ?? "";
  const timestamp = given.get("timestamp")?.toLowerCase() ?? null;
  const id = given.get("id")?.toLowerCase() ?? null;
  if (scheme === "hmac" && header === "") return "hmac needs the header of the signature, such as header=x-signature";
  for (const [option, name] of Object.entries({ header, timestamp, id })) {
    if (name === null || (name === "" && scheme !== "hmac") || HEADER_NAME.test(name)) continue;
    return `"${option}" is ${JSON.stringify(name.slice(0, 80))}: it must be the name of a header`;
  }
  const algo = given.get("algo")?.toLowerCase() ?? "sha256";
  if (!isOneOf(ALGOS, algo)) return `"algo" must be one of ${ALGOS.join(", ")}`;
  const encoding = given.get("encoding")?.toLowerCase() ?? "hex";
  if (!isOneOf(ENCODINGS, encoding)) return `"encoding" must be one of ${ENCODINGS.join(", ")}`;
  const signed = given.get("signed") ?? (timestamp === null ? "{body}" : "{timestamp}.{body}");
  const problem = problemOfSigned(signed, { timestamp, id });
  if (problem !== undefined) return problem;
  return { header, timestamp, id, algo, encoding, prefix: given.get("prefix") ?? "", signed };
}

/** A time stamp that is not signed proves nothing: whoever repeats a request writes another one. */
function problemOfSigned(signed: string, { timestamp, id }: { timestamp: string | null; id: string | null }) {
  if (!signed.includes("{body}")) return '"signed" must have {body} in it';
  if (timestamp === null && signed.includes("{timestamp}")) return '"signed" has {timestamp}: name its header, too';
  if (timestamp !== null && !signed.includes("{timestamp}")) {
    return '"timestamp" names a header that is not signed: "signed" must have {timestamp} in it';
  }
  return id === null && signed.includes("{id}") ? '"signed" has {id}: name its header, too' : undefined;
}

function isOneOf<Value extends string>(values: readonly Value[], text: string): text is Value {
  return (values as readonly string[]).includes(text);
}
