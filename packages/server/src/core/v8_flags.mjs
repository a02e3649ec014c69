/**
 * What V8 is told; plain JavaScript because `npm start` reads it under Node.
 *
 * @module
 */

/**
 * In every process: V8 learns at start, while few requests are under way, that objects of requests live long, and from
 * then on puts them into the old generation: collections of 3 to 8 ms instead of 0.7, and a heap of 80 MB instead of 23,
 * when measured. See docs/decisions/0012.
 */
const V8_FLAGS = "--no-allocation-site-pretenuring";

/** In the server: it may ask for a collection (./chunk_collector.ts). */
export const SERVER_V8_FLAGS = `${V8_FLAGS},--expose-gc`;

/** In a sandbox: no helper threads, since a copied process has none (../../sandbox_runtime/fork.ts). */
export const SANDBOX_V8_FLAGS = `${V8_FLAGS},--single-threaded`;
