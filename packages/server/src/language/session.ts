/**
 * One session of an editor: the source as it is now, and the language server that reads it.
 *
 * Owns: which files are open, what they are called on either side, fetching packages that the source names.
 * Does not own: how many sessions there are and when one ends (./language_service.ts), the process (./json_rpc.ts).
 *
 * @module
 */
import type { LanguageAnswer, LanguageAsk, LanguagePlace } from "@fluxbase/contract";
import { placeOf } from "../bundler/bundling.ts";
import type { Rpc } from "./json_rpc.ts";
import {
  applyEdits,
  completionsOf,
  detailsOf,
  editsOf,
  hoverOf,
  isAbsent,
  problemsOf,
  signaturesOf,
} from "./lsp_shapes.ts";
import { type TypedText, typeHandler } from "./typed_handler.ts";

export interface Source {
  readonly entry: string;
  readonly files: Readonly<Record<string, string>>;
}

export interface SessionOptions {
  readonly rpc: Rpc;
  /** As a URL, with a slash at its end. */
  readonly root: string;
  /** Brings packages that the source names to where the language server reads them. */
  fetchPackages(source: Source): Promise<void>;
  onPackages(state: "fetching" | "fetched"): void;
}

export interface Session {
  change(entry: string, files: Readonly<Record<string, string | null>>): void;
  /** @throws {Error} with a sentence */
  answer(ask: LanguageAsk): Promise<LanguageAnswer[LanguageAsk["what"]]>;
}

const LANGUAGES: Readonly<Record<string, string>> = {
  ts: "typescript",
  mts: "typescript",
  cts: "typescript",
  tsx: "typescriptreact",
  js: "javascript",
  mjs: "javascript",
  cjs: "javascript",
  jsx: "javascriptreact",
  json: "json",
  jsonc: "jsonc",
};
const CHANGED = 2;
const FORMAT = { tabSize: 2, insertSpaces: true };

interface OpenFile {
  readonly source: string;
  readonly shown: TypedText;
  version: number;
}

/** Resolves when the language server is ready. @throws {Error} with a sentence */
export async function startSession({ rpc, root, fetchPackages, onPackages }: SessionOptions): Promise<Session> {
  await rpc.ask("initialize", {
    processId: null,
    rootUri: root,
    workspaceFolders: [{ uri: root, name: "functions" }],
    capabilities: {
      // Without, it looks for no deno.json.
      workspace: { configuration: false },
      textDocument: {
        completion: { completionItem: { documentationFormat: ["markdown"], snippetSupport: false } },
        hover: { contentFormat: ["markdown"] },
        signatureHelp: { signatureInformation: { documentationFormat: ["markdown"] } },
        diagnostic: {},
      },
    },
    initializationOptions: {
      enable: true,
      lint: false,
      cacheOnSave: false,
      // It has no network: what packages there are is found out by a build.
      suggest: { imports: { autoDiscover: false, hosts: {} } },
    },
  });
  rpc.tell("initialized", {});

  const open = new Map<string, OpenFile>();
  let entry = "";
  let completions: readonly unknown[] = [];
  let isFetching = false;
  /** What was absent when packages were fetched last: fetching the same again brings nothing. */
  let fetchedFor = "";

  const uriOf = (path: string) => root + placeOf(path).split("/").map(encodeURIComponent).join("/");

  function put(path: string, source: string): void {
    const before = open.get(path);
    const shown = path === entry ? typeHandler(path, source) : plain(source);
    const file = { source, shown, version: before?.version ?? 0 };
    open.set(path, file);
    if (before === undefined) {
      const languageId = LANGUAGES[path.split(".").at(-1) ?? ""] ?? "plaintext";
      rpc.tell("textDocument/didOpen", {
        textDocument: { uri: uriOf(path), languageId, version: 0, text: shown.text },
      });
    } else if (before.shown.text !== shown.text) show(path, file, shown.text);
  }

  function show(path: string, file: OpenFile, text: string): void {
    file.version += 1;
    const textDocument = { uri: uriOf(path), version: file.version };
    rpc.tell("textDocument/didChange", { textDocument, contentChanges: [{ text }] });
  }

  async function fetchFor(absent: string): Promise<void> {
    fetchedFor = absent;
    isFetching = true;
    onPackages("fetching");
    const files = Object.fromEntries([...open].map(([path, { source }]) => [path, source]));
    await fetchPackages({ entry, files }).catch(() => {});
    isFetching = false;
    // It looks again at what there is.
    rpc.tell("workspace/didChangeWatchedFiles", { changes: [{ uri: `${root}deno.json`, type: CHANGED }] });
    onPackages("fetched");
  }

  function fileAt(path: string): OpenFile {
    const file = open.get(path);
    if (file === undefined) throw new Error(`The session has no file "${path.slice(0, 200)}": send it first`);
    return file;
  }

  async function problems(path: string): Promise<LanguageAnswer["problems"]> {
    const { shown } = fileAt(path);
    const report = await rpc.ask("textDocument/diagnostic", { textDocument: { uri: uriOf(path) } });
    const found = problemsOf(report, shown.outward);
    if (found.absent !== "" && found.absent !== fetchedFor && !isFetching) void fetchFor(found.absent);
    return isFetching ? found.problems.filter((problem) => !isAbsent(problem)) : found.problems;
  }

  function askAt(method: string, path: string, place: LanguagePlace): Promise<unknown> {
    const position = fileAt(path).shown.inward(place);
    return rpc.ask(method, { textDocument: { uri: uriOf(path) }, position });
  }

  return {
    change(newEntry, files) {
      const moved = newEntry === entry ? [] : [entry, newEntry];
      entry = newEntry;
      for (const [path, source] of Object.entries(files)) {
        if (source !== null) put(path, source);
        else if (open.delete(path)) rpc.tell("textDocument/didClose", { textDocument: { uri: uriOf(path) } });
      }
      for (const path of moved) {
        const file = open.get(path);
        if (file !== undefined) put(path, file.source);
      }
    },
    async answer(ask) {
      switch (ask.what) {
        case "problems":
          return await problems(ask.path);
        case "completions": {
          const { source, shown } = fileAt(ask.path);
          const line = source.split("\n")[ask.place.line]?.slice(0, ask.place.character) ?? "";
          const word = /[\w$]*$/.exec(line)?.[0] ?? "";
          const list = await askAt("textDocument/completion", ask.path, ask.place);
          const { answer, raw } = completionsOf(list, word, shown.outward);
          completions = raw;
          return answer;
        }
        case "details": {
          const item = completions[ask.index];
          return item === undefined ? null : detailsOf(await rpc.ask("completionItem/resolve", item));
        }
        case "hover":
          return hoverOf(await askAt("textDocument/hover", ask.path, ask.place));
        case "signatures":
          return signaturesOf(await askAt("textDocument/signatureHelp", ask.path, ask.place));
        case "format": {
          const file = fileAt(ask.path);
          const { source, shown } = file;
          const params = { textDocument: { uri: uriOf(ask.path) }, options: FORMAT };
          // Types that are only shown must not get into the text.
          if (shown.text !== source) show(ask.path, file, source);
          const edits = editsOf(await rpc.ask("textDocument/formatting", params));
          if (shown.text !== source) show(ask.path, file, shown.text);
          return edits.length === 0 ? null : applyEdits(source, edits);
        }
      }
    },
  };
}

function plain(text: string): TypedText {
  return { text, inward: (place) => place, outward: (place) => place };
}
