/**
 * What Deno says when it refuses something, in the words of this product: a function has no command line.
 *
 * @module
 */

const { apply } = Reflect;
const match = RegExp.prototype.exec;

/** Of a refusal, what was asked for is the first group. */
const SENTENCES: readonly [pattern: RegExp, say: (what: string, hasNetwork: boolean) => string][] = [
  [
    /^Requires net access to "([^"]*)"/,
    (what, hasNetwork) =>
      hasNetwork
        ? `Cannot connect to ${what}: this function reaches public IPv4 addresses, or the hosts of @fluxbase:allow-net; an operator opens others with FLUXBASE_FUNCTIONS_EGRESS_ALLOW`
        : `Cannot connect to ${what}: this function has no network; set permissions.net, or @fluxbase:allow-net`,
  ],
  [
    /^Requires read access(?: to "([^"]*)"| to <[^>]*>)?/,
    (what) =>
      `Cannot read ${
        what || "that"
      }: a function reads files beside its code by new URL("./name", import.meta.url), and its scratch folder (TMPDIR) with permissions.read`,
  ],
  [
    /^Requires write access(?: to "([^"]*)"| to <[^>]*>)?/,
    (what) =>
      `Cannot write ${
        what || "that"
      }: a function writes to its scratch folder (TMPDIR) with permissions.write; what is to stay belongs into the database`,
  ],
  [
    /^Requires run access(?: to "([^"]*)")?/,
    (what) => `Cannot start ${what || "a program"}: a function starts no programs`,
  ],
  [/^Requires ffi access/, () => "Cannot load native code: a function is JavaScript and WebAssembly"],
  [
    /^Requires sys access(?: to "([^"]*)")?/,
    (what) => `Cannot ask for ${what || "that"}: what machine a function runs on is hidden from it`,
  ],
  [
    /^Requires env access(?: to "([^"]*)")?/,
    (what) => `Cannot read ${what || "the environment"}: permissions.env is off`,
  ],
  [/^Requires import access to "([^"]*)"/, (what) => `Cannot import from ${what} while the function runs`],
];
const ADVICE = /,? run again with (?:the )?--[\w-]+(?: flag)?\.?/;

export function inOurWords(message: string, { hasNetwork }: { readonly hasNetwork: boolean }): string {
  for (const [pattern, say] of SENTENCES) {
    const found: RegExpExecArray | null = apply(match, pattern, [message]);
    if (found !== null) return say(found[1] ?? "", hasNetwork);
  }
  const advice: RegExpExecArray | null = apply(match, ADVICE, [message]);
  return advice === null ? message : message.slice(0, advice.index) + message.slice(advice.index + advice[0].length);
}
