/**
 * Server-sent events: answers that have no end, and that nobody in between may keep back.
 *
 * @module
 */

/** For proxies of the kind of nginx, which keep an answer back until a buffer is full. */
export const UNBUFFERED: [string, string] = ["x-accel-buffering", "no"];

/** By the content type of an answer. */
export function isEventStream(contentType: string): boolean {
  return /^text\/event-stream\b/i.test(contentType);
}
