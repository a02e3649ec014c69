/**
 * The main module of a builder: turns one source after another into one JavaScript module, on behalf of the server.
 *
 * A process of its own, because the parser is native code that ends its process on hostile input (100,000 open
 * parentheses overflow its stack), and because nothing that reads user code should hold the server's rights.
 * It never runs user code. One JSON line in is one build; one JSON line out is its result. It ends with its input.
 *
 * @module
 */
import type { BuildProblem } from "@fluxbase/contract";
import { TextLineStream } from "./text_lines.ts";
import { transformSync } from "oxc-transform";
import { hardenProcess } from "../../sandbox_runtime/harden.ts";
import { analyse, importsIn, type ImportUse, noHandlerProblem, problemAt } from "./analysis.ts";
import { blockedModuleOf } from "./blocked_modules.ts";

export interface BuildRequest {
  readonly entry: string;
  readonly files: Readonly<Record<string, string>>;
}

export type BuildReply =
  | { readonly ok: true; readonly code: string; /** As a comment to put after the code. */ readonly sourceMap: string }
  | { readonly ok: false; readonly problems: readonly BuildProblem[] };

/** The one command line argument, as JSON. */
export interface BuilderOptions {
  readonly uid: number | null;
  readonly parentPid: number;
  readonly memoryBytes: number;
}

/** The extra export under which the runtime finds a handler that the source does not export. */
const HANDLER_EXPORT = "$fluxbaseHandler";

function build({ entry, files }: BuildRequest): BuildReply {
  // A byte order mark is no part of the program.
  const source = (files[entry] ?? "").replace(/^\uFEFF/, "");
  const analysis = analyse(entry, source);
  if (analysis.problems.length > 0) return { ok: false, problems: analysis.problems };
  if (!analysis.hasHandler) return { ok: false, problems: [noHandlerProblem(entry)] };

  // Before the transformation, which drops imports that nothing uses.
  const { handlerBinding } = analysis;
  const exported = handlerBinding === undefined
    ? source
    : `${source}\nexport { ${handlerBinding} as ${HANDLER_EXPORT} };\n`;
  const output = transformSync(entry, exported, { sourceType: "module", sourcemap: true, target: "esnext" });
  const errors = output.errors.filter(({ severity }) => severity === "Error");
  if (errors.length > 0) {
    return {
      ok: false,
      problems: errors.map(({ message, labels }) => problemAt(entry, source, message, labels[0]?.start)),
    };
  }
  const refused = refuseImports(
    entry,
    source,
    analysis.imports,
    importsIn(entry.replace(/\.tsx?$/, ".js"), output.code),
  );
  if (refused.length > 0) return { ok: false, problems: refused };

  const { version, mappings, names } = output.map ?? { version: 3, mappings: "", names: [] };
  const map = new TextEncoder().encode(JSON.stringify({ version, sources: [entry], names, mappings }))
    .toBase64();
  return { ok: true, code: output.code, sourceMap: `//# sourceMappingURL=data:application/json;base64,${map}\n` };
}

/** Only what is left after the transformation counts: imports of types are gone by then. */
function refuseImports(
  file: string,
  source: string,
  written: readonly ImportUse[],
  left: readonly ImportUse[],
): BuildProblem[] {
  const remaining = new Set(left.map(({ specifier }) => specifier));
  const problems: BuildProblem[] = [];
  for (const { specifier, start } of written) {
    const blocked = blockedModuleOf(specifier);
    if (blocked !== undefined) {
      problems.push(
        problemAt(
          file,
          source,
          `Cannot import "${specifier}": module ${blocked} is blocked for security; use the APIs of Deno or the web platform instead`,
          start,
        ),
      );
    } else if (remaining.has(specifier) && !specifier.startsWith("node:")) {
      problems.push(
        problemAt(
          file,
          source,
          `Cannot import "${specifier}": this version of the platform runs functions of one file and built-in node: modules only; put the code into the function itself`,
          start,
        ),
      );
    }
  }
  return problems;
}

/** Deno itself keeps small caches in files; nothing else here writes any. */
const FILE_BYTES = 16 * 1024 * 1024;

const options: BuilderOptions = JSON.parse(Deno.args[0] ?? "{}");
// Loads the native code and compiles the path before the process gives up the right to do so.
build({ entry: "warm.ts", files: { "warm.ts": "async function handler(req: Request) {}" } });
hardenProcess({
  uid: options.uid,
  dataBytes: options.memoryBytes,
  openFilesCount: 64,
  fileBytes: FILE_BYTES,
  hasNetwork: false,
  parentPid: options.parentPid,
});
for (const name of ["ffi", "read", "sys", "env"] as const) Deno.permissions.revokeSync({ name });

const encoder = new TextEncoder();
const lines = Deno.stdin.readable.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLineStream());
for await (const line of lines) {
  const reply = encoder.encode(`${JSON.stringify(build(JSON.parse(line)))}\n`);
  for (let written = 0; written < reply.length;) written += Deno.stdout.writeSync(reply.subarray(written));
}
