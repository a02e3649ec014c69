/**
 * The main module of a language service: gives up what the process does not need, then becomes `deno lsp`.
 *
 * Deno's language server reads what hostile authors write and gives nothing up by itself. What the process has given up
 * before stays given up: its user, its limits, every file but the session's, every socket, and the right to start
 * another program beside itself. Its input and output are the messages.
 *
 * @module
 */
import { hardenProcess } from "../../sandbox_runtime/harden.ts";
import { type FileRights, giveUpFiles } from "../../sandbox_runtime/landlock.ts";

/** The one command line argument, as JSON. */
export interface LanguageProcessOptions {
  readonly uid: number | null;
  readonly parentPid: number;
  readonly memoryBytes: number;
  /** All files of the machine that there are for it. */
  readonly files: FileRights;
  readonly program: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

const OPEN_FILES_COUNT = 256;
/** It has nothing to write; at 0, the kernel would end it for trying where files are not fenced. */
const FILE_BYTES = 1024 * 1024;

const { uid, parentPid, memoryBytes, files, program, args, env }: LanguageProcessOptions = JSON.parse(
  Deno.args[0] ?? "{}",
);
const { execve } = Deno.dlopen("libc.so.6", {
  execve: { parameters: ["buffer", "buffer", "buffer"], result: "i32" },
}).symbols;
hardenProcess({
  uid,
  parentPid,
  dataBytes: memoryBytes,
  openFilesCount: OPEN_FILES_COUNT,
  fileBytes: FILE_BYTES,
  hasNetwork: false,
  mayBecomeProgram: true,
});
giveUpFiles(files);

/** For C: ends with a zero. */
const text = (one: string) => new TextEncoder().encode(`${one}\0`);
/** Their addresses, and a zero behind them. */
const list = (texts: readonly Uint8Array<ArrayBuffer>[]) =>
  new BigUint64Array([...texts.map((one) => Deno.UnsafePointer.value(Deno.UnsafePointer.of(one))), 0n]);
const [argv, envp] = [
  [program, ...args].map(text),
  Object.entries(env).map(([name, value]) => text(`${name}=${value}`)),
];

// Comes back only when it fails; then the process ends without a word, and the server says so.
execve(text(program), list(argv), list(envp));
Deno.exit(1);
