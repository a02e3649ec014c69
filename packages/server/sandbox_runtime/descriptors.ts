/**
 * Takes away what makes an object of the number of an open file: by it, code would speak to whatever the process has
 * open, past every permission. And WASI, which opens files by itself.
 *
 * Methods are taken from the classes, not classes from the modules: a module of a `data:` URL gets the same classes, and
 * so do the ways in front of them (`new net.Socket({ fd })`, `listen({ fd })`, …).
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

  const { prototype } = process.getBuiltinModule("node:wasi").WASI;
  const refuse = refusal("Cannot use node:wasi: a function has no files that it could open");
  for (const name of Object.getOwnPropertyNames(prototype)) {
    if (name === "constructor") continue;
    const isGetter = Object.getOwnPropertyDescriptor(prototype, name)?.get !== undefined;
    if (isGetter) Object.defineProperty(prototype, name, { get: refuse, configurable: false });
    else define(prototype, name, refuse);
  }
}

function refusal(sentence: string): () => never {
  return function () {
    throw new TypeError(sentence);
  };
}

function define(target: object, name: string, value: unknown): void {
  Object.defineProperty(target, name, { value, writable: false, configurable: false, enumerable: false });
}
