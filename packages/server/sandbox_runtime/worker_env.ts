/**
 * The `env` of Workers: environment and secrets of the function as properties. What has neither name is looked up in the
 * context, which in `fetch(request, info)` of Deno is the second argument.
 *
 * @module
 */
import type { HandlerContext } from "./globals.ts";

// Captured before user code runs.
const { get, has, ownKeys } = Reflect;
const { hasOwn, getOwnPropertyDescriptor } = Object;
const env = Deno.env;
const CONTEXT = Symbol("context");
const NAME = /^[^=\0]+$/;

/** What the function writes to its `env` lies in it. */
interface Target {
  readonly [CONTEXT]: HandlerContext;
}

export function createWorkerEnv(context: HandlerContext): object {
  return new Proxy<Target>({ [CONTEXT]: context }, TRAPS);
}

function valueOf(target: Target, name: string): unknown {
  return (NAME.test(name) ? env.get(name) : undefined) ?? target[CONTEXT].secrets.get(name);
}

const TRAPS: ProxyHandler<Target> = {
  get(target, name) {
    if (typeof name === "symbol" || hasOwn(target, name)) return get(target, name);
    // A getter of the context needs the context itself.
    return valueOf(target, name) ?? get(target[CONTEXT], name) ?? get(target, name);
  },
  has(target, name) {
    if (typeof name === "symbol") return has(target, name);
    return valueOf(target, name) !== undefined || has(target[CONTEXT], name) || has(target, name);
  },
  ownKeys(target) {
    const own = ownKeys(target).filter((name) => name !== CONTEXT);
    return [...new Set([...Object.keys(env.toObject()), ...own])];
  },
  getOwnPropertyDescriptor(target, name) {
    if (typeof name === "symbol" || hasOwn(target, name)) return getOwnPropertyDescriptor(target, name);
    const value = valueOf(target, name);
    return value === undefined ? undefined : { value, writable: true, enumerable: true, configurable: true };
  },
};
