/**
 * Takes away what makes an object of the number of an open file: by it, code would speak to whatever the process has
 * open, past every permission.
 *
 * The classes of Node's servers and sockets make such an object with the methods removed here, so the ways in front of
 * them (`new net.Socket({ fd })`, `listen({ fd })`, …) end here too. WASI opens files by itself; what it may reach is for
 * the kernel to say, and nobody needs it.
 *
 * @module
 */

const OPENERS: readonly [binding: string, className: string][] = [
  ["pipe_wrap", "Pipe"],
  ["tcp_wrap", "TCP"],
  ["udp_wrap", "UDP"],
];
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
  Reflect.deleteProperty(process.getBuiltinModule("node:wasi"), "WASI");
}

/** Of a built-in module, instead of what `removeDescriptorAccess` takes away: exports of a module cannot be changed. */
export function withoutDescriptorAccess(specifier: string): Readonly<Record<string, unknown>> {
  return specifier === "node:wasi"
    ? { WASI: refusal("Cannot use node:wasi: a function has no files that it could open") }
    : {};
}

function refusal(sentence: string): () => never {
  return function () {
    throw new TypeError(sentence);
  };
}

function define(target: object, name: string, value: unknown): void {
  Object.defineProperty(target, name, { value, writable: false, configurable: false, enumerable: false });
}
