/**
 * Stacks as the author of a function wants them: his files and lines, without the frames of the harness.
 *
 * @module
 */

/** Source maps of bundles name files as `function:hello.ts`: Deno takes over a name only when it is a URL. */
export const SOURCE_SCHEME = "function:";

const FRAME_START = "\n    at ";
const HARNESS = /(^|\()ext:|\/sandbox_runtime\/[a-z_]+\.ts:\d+:\d+\)?$/;

/** Also takes text that holds stacks among other things. */
export function cleanStack(text: string): string {
  if (!text.includes(FRAME_START)) return text;
  return text.split("\n").filter((line) => !line.startsWith("    at ") || !HARNESS.test(line.slice("    at ".length)))
    .join("\n").replaceAll(SOURCE_SCHEME, "");
}
