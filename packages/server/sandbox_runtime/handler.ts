/**
 * Which function of a loaded bundle answers requests, and which face of the request it expects.
 *
 * @module
 */

/** `guide`: `req.body` is a string. `web`: `req.body` is a stream, as in `Deno.serve`. */
export type HandlerFace = "guide" | "web";
export type UserHandler = (request: unknown, context: unknown) => unknown;

export interface FoundHandler {
  readonly face: HandlerFace;
  readonly handle: UserHandler;
}

/**
 * In this order: `Deno.serve(…)` called at top level, the default export (a function, or an object with `fetch`),
 * the top-level `handler` or `main` that the bundler exports as `$fluxbaseHandler`, exports named so.
 */
export function findHandler(exports: Readonly<Record<string, unknown>>, served: UserHandler | undefined): FoundHandler {
  if (served !== undefined) return { face: "web", handle: served };

  const main = exports["default"];
  if (isHandler(main)) return { face: "guide", handle: main };
  if (typeof main === "object" && main !== null) {
    const fetch: unknown = Reflect.get(main, "fetch");
    if (isHandler(fetch)) return { face: "web", handle: (request, context) => fetch.call(main, request, context) };
  }
  for (const name of ["$fluxbaseHandler", "handler", "main"]) {
    const candidate = exports[name];
    if (isHandler(candidate)) return { face: "guide", handle: candidate };
  }
  throw new TypeError(
    "Cannot find a handler: export a function or an object with fetch as default, or declare `async function handler(req)`",
  );
}

/** Stands in for `Deno.serve` while a bundle loads: keeps the handler, binds nothing. */
export function captureServe(onServe: (handler: UserHandler) => void): typeof Deno.serve {
  function serve(...values: unknown[]): unknown {
    const handler = values.find(isHandler) ?? values.map((value) => partOf(value, "handler")).find(isHandler);
    if (handler === undefined) throw new TypeError("Cannot serve without a handler: call Deno.serve(handler)");
    onServe(handler);
    const addr = { transport: "tcp", hostname: "127.0.0.1", port: 0 };
    const onListen: unknown = values.map((value) => partOf(value, "onListen")).find(isHandler);
    if (isHandler(onListen)) onListen(addr, undefined);
    return {
      finished: new Promise<void>(() => {}),
      addr,
      ref() {},
      unref() {},
      shutdown: () => Promise.resolve(),
      [Symbol.asyncDispose]: () => Promise.resolve(),
    };
  }
  return serve as typeof Deno.serve;
}

function partOf(options: unknown, name: string): unknown {
  return typeof options === "object" && options !== null ? Reflect.get(options, name) : undefined;
}

function isHandler(value: unknown): value is UserHandler {
  return typeof value === "function";
}
