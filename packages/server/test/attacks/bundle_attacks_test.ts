/**
 * Attacks by what is deployed, on the processes that build and on the machine's files.
 *
 * @module
 */
import { type Attack, attackTest } from "./corpus.ts";

/** A deployment that must be refused with a sentence. */
const build = (name: string, code: string, gets: RegExp, fields: Readonly<Record<string, unknown>> = {}): Attack => ({
  name,
  gets,
  async run({ api }) {
    const { status, body } = await api("POST", "/functions?strict=true", { name: "built", code, ...fields });
    return `${status} ${body.error}`;
  },
});

const importing = (from: string, gets: RegExp): Attack =>
  build(`an import of ${from}`, `import all from ${from}; export default () => all;`, gets);

const LEAVES = /^422 .*the path leaves the function/s;
const FILES: readonly Attack[] = [
  importing(`"/etc/hostname" with { type: "text" }`, /^422 .*a path must begin with/s),
  importing(`"../../../../../../../etc/hostname" with { type: "text" }`, LEAVES),
  importing(`"../../../../package.json" with { type: "json" }`, LEAVES),
  importing(`"file:///etc/hostname" with { type: "text" }`, /^422 .*file: modules cannot be imported/s),
  importing(`"fluxbase-workspace/package.json" with { type: "json" }`, /^422 .*no path and no known name/s),
  build(
    "a file of the machine by an import map",
    `import all from "host"; export default () => all;`,
    /^4\d\d /,
    { files: { "deno.json": JSON.stringify({ imports: { host: "file:///etc/hostname" } }) } },
  ),
];

const SOURCES: readonly Attack[] = [
  build(
    "200,000 nested brackets",
    `export default () => ${"[".repeat(200_000)}${"]".repeat(200_000)}.length;`,
    /^422 .*nested too deeply/s,
  ),
  build("200,000 terms of a sum", `export default () => 1${"+1".repeat(200_000)};`, /^422 .*nested too deeply/s),
  {
    name: "__proto__ as the name of a variable",
    gets: /^400 .*env\.__proto__/,
    async run({ api }) {
      const sent = `{"name":"built","code":"export default () => 1","env":{"__proto__":"x"}}`;
      const { status, body } = await api("POST", "/functions", sent);
      return `${status} ${body.error}`;
    },
  },
];

attackTest("bundle", () => [...FILES, ...SOURCES]);
