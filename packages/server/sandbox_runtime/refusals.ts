/**
 * Notices connections that Deno refuses to user code, so that the operator hears of them even where the code catches the
 * error.
 *
 * Most ways to connect end in one class of error, whose parent is asked each time one is made; `fetch` of a name that
 * leads to a refused address has the sentence in the cause of its error. A WebSocket to such a name is not noticed.
 * User code can make such errors as well: what is noticed is a hint and no proof.
 *
 * @module
 */
import { inOurWords } from "./permission_messages.ts";

const ADDRESS = /Requires net access to "([\w.:[\]-]{1,262})"/;

// Captured before user code runs.
const match = RegExp.prototype.exec;
const { apply } = Reflect;
const soon = queueMicrotask;
let tell: (address: string) => void = () => {};

/**
 * Also says each refusal in the words of this product.
 *
 * @param onRefused called after the code that was refused has gone on: it may be in the middle of a frame
 */
export function watchRefusals(onRefused: (address: string) => void, words: { readonly hasNetwork: boolean }): void {
  tell = onRefused;
  const { NotCapable } = Deno.errors;
  class NoticedError extends Error {
    constructor(message?: string, options?: ErrorOptions) {
      super(typeof message === "string" ? inOurWords(message, words) : message, options);
      noticeRefusal(message);
    }
  }
  Object.setPrototypeOf(NotCapable, NoticedError);
  Object.freeze(NotCapable);
}

/** @param message of an error */
export function noticeRefusal(message: unknown): void {
  if (typeof message !== "string") return;
  const address = apply(match, ADDRESS, [message])?.[1];
  if (address !== undefined) soon(() => tell(address));
}
