/**
 * What may stand in the header of an answer: one rule for the sandbox, which refuses it where the author sees why, and
 * for the server, which believes no sandbox.
 *
 * HTTP's rule is narrower than that of the class `Headers`, which lets control characters through; Deno's HTTP writer
 * ends its process on them.
 *
 * @module
 */

/** RFC 9110, section 5.6.2. */
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/** RFC 9110, section 5.5, one byte for each character. */
const REFUSED_IN_VALUE = /[^\t\x20-\x7e\x80-\xff]/;
const SHOWN_MAX_CHARACTERS = 80;

/** About one connection, and not about what is sent over it. */
export const CONNECTION_HEADERS: readonly string[] = [
  "connection",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
];

export interface HeadLimits {
  readonly headersCount: number;
  /** Names and values together. */
  readonly headBytes: number;
}

/** What names of headers, methods and WebSocket protocols are. */
export function isToken(text: string): boolean {
  return TOKEN.test(text);
}

export function isHeaderValue(text: string): boolean {
  return !REFUSED_IN_VALUE.test(text);
}

/** Why a header cannot leave, as the end of a sentence; undefined: it can. */
export function headerProblem(name: string, value: string): string | undefined {
  if (!isToken(name)) return `${nameShown(name)}: HTTP does not allow this name; use letters, digits and "-"`;
  const refused = REFUSED_IN_VALUE.exec(value);
  if (refused === null) return undefined;
  const character = `U+${(value.codePointAt(refused.index) ?? 0).toString(16).toUpperCase().padStart(4, "0")}`;
  return `${nameShown(name)}: its value has the character ${character} at position ${refused.index}, and HTTP ${
    value.charCodeAt(refused.index) > 0xff
      ? "carries only Latin-1; encode it, for example with encodeURIComponent"
      : "does not allow it"
  }`;
}

/** The first problem of all headers of an answer; names and values in turn. */
export function headProblem(headers: readonly string[], { headersCount, headBytes }: HeadLimits): string | undefined {
  const count = headers.length / 2;
  if (count > headersCount) return `${count} headers: at most ${headersCount} are allowed`;
  let bytes = 0;
  for (let index = 0; index < headers.length; index += 2) {
    const name = headers[index] ?? "";
    const value = headers[index + 1] ?? "";
    bytes += name.length + value.length;
    if (bytes > headBytes) {
      return `${nameShown(name)}: all headers together have more than ${headBytes} bytes, the limit`;
    }
    const problem = headerProblem(name, value);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

/** Without what could paint on a terminal. */
function nameShown(name: string): string {
  return `header ${JSON.stringify(name.slice(0, SHOWN_MAX_CHARACTERS))}`;
}
