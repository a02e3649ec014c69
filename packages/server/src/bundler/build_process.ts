/**
 * The main module of a builder: reads one source after another on behalf of the server. A source that stands alone
 * becomes its bundle here; of others it says which files belong together, and the bundling itself is for
 * ./bundle_process.ts.
 *
 * A process of its own, because the parser is native code that ends its process on hostile input (100,000 open
 * parentheses overflow its stack), and because nothing that reads user code should hold the server's rights.
 * It never runs user code. One JSON line in is one build; one JSON line out is its result. It ends with its input.
 *
 * @module
 */
import { SourceTextModule } from "node:vm";
import type { BuildProblem } from "@fluxbase/contract";
import { transformSync } from "oxc-transform";
import { CLIENT_EXPORT } from "../../sandbox_runtime/given_clients.ts";
import { hardenProcess } from "../../sandbox_runtime/harden.ts";
import { decorateAccessors } from "./accessors.ts";
import { analyse, type Annotation, importsIn, noHandlerProblem } from "./analysis.ts";
import type { Redirect } from "./import_map.ts";
import { codeOf, followImports, type GraphSource, SCRIPT } from "./module_graph.ts";
import { SDK_NAMES } from "./package_name.ts";
import { problemAt } from "./problem_at.ts";
import { shownSources } from "./shown_sources.ts";
import { TextLineStream } from "./text_lines.ts";

export type BuildRequest = GraphSource;

/** Whether V8 reads a module; it is not run. */
export interface CheckRequest {
  readonly moduleCode: string;
}

export interface CheckReply {
  /** Null: it does. */
  readonly syntaxError: string | null;
}

export type BuildReply =
  & { readonly annotations: readonly Annotation[] }
  & (
    | { readonly kind: "failed"; readonly problems: readonly BuildProblem[] }
    | {
      readonly kind: "built";
      readonly code: string; /** As a comment to put after the code. */
      readonly sourceMap: string;
    }
    | {
      readonly kind: "parts";
      /** What the bundle starts with: the entry, and an export of its handler. */
      readonly entryCode: string;
      /** Of what it is made of, by path; the text only where it is another one than was sent. */
      readonly files: Readonly<Record<string, string | null>>;
      readonly usesImportMap: boolean;
      readonly redirects: readonly Redirect[];
    }
  );

/** The one command line argument, as JSON. */
export interface BuilderOptions {
  readonly uid: number | null;
  readonly parentPid: number;
  readonly memoryBytes: number;
}

/** The extra export under which the runtime finds a handler that the source does not export. */
const HANDLER_EXPORT = "$fluxbaseHandler";

function build(request: BuildRequest): BuildReply {
  const { entry, files, isPreBundled } = request;
  // A byte order mark is no part of the program.
  const given = (files[entry] ?? "").replace(/^\uFEFF/, "");
  const { annotations: ofEntry, ...analysis } = analyse(entry, given, { isEntry: true });
  let annotations = ofEntry;
  const source = analysis.isCommonJs ? given.replaceAll(IS_MAIN, inPlace) : given;
  const failed = (problems: readonly BuildProblem[]): BuildReply => ({ kind: "failed", annotations, problems });
  if (analysis.problems.length > 0) return failed(analysis.problems);
  if (!analysis.hasHandler) return failed([noHandlerProblem(entry)]);

  // Before the transformation, which drops imports that nothing uses.
  const { handlerBinding, takesClients } = analysis;
  const exported = [
    source,
    ...handlerBinding === undefined ? [] : [`export { ${handlerBinding} as ${HANDLER_EXPORT} };`],
    ...takesClients && !isPreBundled ? [`export { createClient as ${CLIENT_EXPORT} } from "${SDK_NAMES[0]}";`] : [],
  ].join("\n");
  const output = transformSync(entry, exported, { sourceType: "module", sourcemap: true, target: "esnext" });
  const errors = output.errors.filter(({ severity }) => severity === "Error");
  if (errors.length > 0) {
    return failed(errors.map(({ message, labels }) => problemAt(entry, source, message, labels[0]?.start)));
  }
  const left = importsIn(entry.replace(/\.tsx?$/, ".js"), output.code);
  const graph = followImports(request, left);
  annotations = [...ofEntry, ...graph.schedules];
  if (graph.problems.length > 0) return failed(graph.problems);
  // What is left for V8 to stumble over, such as decorators, the bundling takes away.
  if (graph.needsBundling || (!isPreBundled && (analysis.isCommonJs || syntaxErrorOf(output.code) !== null))) {
    if (isPreBundled) return failed([notOneFile(entry)]);
    const { usesImportMap, redirects } = graph;
    const changed = Object.fromEntries([...graph.files].map((path) => [path, changedText(request, path)]));
    const entryCode = request.hasDecoratorSettings ? exported : decorateAccessors(entry, exported);
    return { kind: "parts", annotations, entryCode, files: changed, usesImportMap, redirects };
  }
  const { version, mappings, names } = output.map ?? { version: 3, mappings: "", names: [] };
  const map = new TextEncoder().encode(
    JSON.stringify({ version, sources: [entry], ...shownSources([source]), names, mappings }),
  )
    .toBase64();
  const sourceMap = `//# sourceMappingURL=data:application/json;base64,${map}\n`;
  return { kind: "built", annotations, code: output.code, sourceMap };
}

function changedText(source: GraphSource, path: string): string | null {
  if (!SCRIPT.test(path) || source.hasDecoratorSettings) return null;
  const code = codeOf(source, path);
  const decorated = decorateAccessors(path, code);
  return decorated === code ? null : decorated;
}

/** What a file of CommonJS asks to know whether it is the one that was started. */
const IS_MAIN = /\brequire\.main\s*===?\s*module\b/g;

/** Of the same length, for what is said of places in the source. */
function inPlace(asked: string): string {
  return `true${asked.slice(4).replaceAll(/\S/g, " ")}`;
}

function syntaxErrorOf(moduleCode: string): string | null {
  try {
    new SourceTextModule(moduleCode, { identifier: "bundle.js" });
    return null;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function notOneFile(file: string): BuildProblem {
  const message =
    "Cannot use the code as it is: it was sent as already bundled and still has imports; bundle it, or leave out is_pre_bundled";
  return { message, file, line: null, column: null, snippet: null };
}

const options: BuilderOptions = JSON.parse(Deno.args[0] ?? "{}");
const NOTHING = {
  shared: {},
  importMap: {},
  mirrors: [],
  hosts: [],
  hasJsxSettings: false,
  hasDecoratorSettings: false,
  isPreBundled: false,
};
// Loads the native code and compiles the path before the process gives up the right to do so.
build({ entry: "warm.ts", files: { "warm.ts": "async function handler(req: Request) {}" }, ...NOTHING });
decorateAccessors("warm.ts", "class Warm { accessor one = 1; }");
hardenProcess({
  uid: options.uid,
  dataBytes: options.memoryBytes,
  openFilesCount: 64,
  fileBytes: 0,
  hasNetwork: false,
  parentPid: options.parentPid,
});
for (const name of ["ffi", "read", "sys", "env"] as const) Deno.permissions.revokeSync({ name });

const encoder = new TextEncoder();
const lines = Deno.stdin.readable.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLineStream());
for await (const line of lines) {
  const request: BuildRequest | CheckRequest = JSON.parse(line);
  const answer = "moduleCode" in request
    ? { syntaxError: syntaxErrorOf(request.moduleCode) } satisfies CheckReply
    : build(request);
  const reply = encoder.encode(`${JSON.stringify(answer)}\n`);
  for (let written = 0; written < reply.length;) written += Deno.stdout.writeSync(reply.subarray(written));
}
