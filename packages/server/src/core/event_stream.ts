/**
 * Server-sent events: answers that have no end, and that nobody in between may keep back.
 *
 * @module
 */

/** By the content type of an answer. */
export function isEventStream(contentType: string): boolean {
  return /^text\/event-stream\b/i.test(contentType);
}
