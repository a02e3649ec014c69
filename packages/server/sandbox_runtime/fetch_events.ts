/**
 * The form of service workers: `addEventListener("fetch", (event) => event.respondWith(…))`, which is what `app.fire()`
 * of some routers calls.
 *
 * @module
 */
import type { HandlerContext } from "./globals.ts";
import type { Servers } from "./servers.ts";
import { replace } from "./taking_away.ts";

const FORM = 'addEventListener("fetch", …)';
const { apply } = Reflect;
const NativeEvent = Event;

/** Makes `addEventListener` hand listeners of `fetch` to us, and all others on. */
export function captureFetchEvents(servers: Servers): void {
  const listeners: unknown[] = [];
  const native = globalThis.addEventListener;
  const answer = (request: unknown, context: unknown) => {
    const event = new FetchEvent(request, context as HandlerContext);
    for (const listener of listeners) {
      if (FetchEvent.answerOf(event) !== undefined) break;
      call(listener, event);
    }
    const given = FetchEvent.answerOf(event);
    if (given !== undefined) return given.answer;
    throw new TypeError("Cannot answer: no listener of fetch has called event.respondWith(response)");
  };
  replace(globalThis, "addEventListener", function (this: unknown, type: unknown, ...rest: unknown[]): void {
    if (type !== "fetch") return apply(native, this ?? globalThis, [type, ...rest]);
    if (listeners.length === 0) servers.start(FORM, answer);
    listeners.push(rest[0]);
  });
}

/** A listener is a function or an object with `handleEvent`. */
function call(listener: unknown, event: FetchEvent): void {
  const method: unknown = typeof listener === "object" && listener !== null
    ? Reflect.get(listener, "handleEvent")
    : listener;
  if (typeof method === "function") apply(method, listener, [event]);
}

class FetchEvent extends NativeEvent {
  readonly request: unknown;
  readonly #context: HandlerContext;
  #answer: { readonly answer: unknown } | undefined;

  constructor(request: unknown, context: HandlerContext) {
    super("fetch");
    this.request = request;
    this.#context = context;
  }
  respondWith(answer: unknown): void {
    if (this.#answer !== undefined) {
      throw new DOMException("Cannot respond twice: respondWith was already called", "InvalidStateError");
    }
    this.#answer = { answer };
  }
  waitUntil(work: Promise<unknown>): void {
    this.#context.waitUntil(work);
  }
  passThroughOnException(): void {
    this.#context.passThroughOnException();
  }
  static answerOf(event: FetchEvent): { readonly answer: unknown } | undefined {
    return event.#answer;
  }
}
