/**
 * Takes away what makes an object of the number of an open file: by it, code would speak to whatever the process has
 * open, past every permission. And WASI, which opens files by itself.
 *
 * Methods are taken from the classes, so the ways in front of them (`new net.Socket({ fd })`, `listen({ fd })`, …) end
 * here too.
 *
 * @module
 */
import { define, refusal } from "./taking_away.ts";

const OPENERS: readonly [binding: string, className: string][] = [
  ["pipe_wrap", "Pipe"],
  ["tcp_wrap", "TCP"],
  ["udp_wrap", "UDP"],
];
// Captured before user code runs.
const { defineProperty } = Object;
const { get } = Reflect;
const METHODS = ["open", "openFromRid", "bindWithFd"];

export function removeDescriptorAccess(): void {
  const binding: unknown = Reflect.get(process, "binding");
  if (typeof binding === "function") {
    for (const [name, className] of OPENERS) {
      const { prototype } = binding.call(process, name)[className];
      for (const method of METHODS) {
        if (method in prototype) define(prototype, method, refusal("Cannot use a file by its number"));
      }
    }
  }
  define(process, "binding", refusal("Cannot use process.binding: it leads past the limits of a function"));
  define(process, "_linkedBinding", refusal("Cannot use process._linkedBinding"));
}

/** Of node:wasi. */
export function removeWasi(module: object): void {
  const { prototype } = get(module, "WASI");
  const refuse = refusal("Cannot use node:wasi: a function has no files that it could open");
  // No loop over a list: user code may have replaced how lists are gone through.
  defineProperty(prototype, "wasiImport", { get: refuse, configurable: false });
  define(prototype, "getImportObject", refuse);
  define(prototype, "start", refuse);
  define(prototype, "finalizeBindings", refuse);
  define(prototype, "initialize", refuse);
}
