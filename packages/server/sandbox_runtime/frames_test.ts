/**
 * Frames over a real unix socket: what is written comes out, and bytes that are no frames never do.
 *
 * @module
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { LIMITS } from "@fluxbase/contract";
import {
  beginResponse,
  type ByteConnection,
  FRAME,
  FRAME_MAX_BYTES,
  FrameError,
  FrameWriter,
  HEADER_BYTES,
  readFrames,
  readHeaders,
  readList,
  readResponseHead,
} from "./frames.ts";
import { headProblem } from "./header_rules.ts";

interface Frame {
  readonly type: number;
  readonly id: number;
  readonly payload: Uint8Array;
}

async function socketPair(): Promise<[Deno.UnixConn, Deno.UnixConn, () => Promise<void>]> {
  const dir = await Deno.makeTempDir();
  const path = `${dir}/s`;
  const listener = Deno.listen({ transport: "unix", path });
  const [a, b] = await Promise.all([Deno.connect({ transport: "unix", path }), listener.accept()]);
  listener.close();
  return [a, b, () => Deno.remove(dir, { recursive: true })];
}

async function collect(connection: Deno.UnixConn, frames: Frame[] = []): Promise<Frame[]> {
  await readFrames(connection, (type, id, payload) => void frames.push({ type, id, payload: payload.slice() }));
  return frames;
}

const frame = fc.record({
  type: fc.integer({ min: 0, max: 255 }),
  id: fc.integer({ min: 0, max: 0xffff_ffff }),
  payload: fc.oneof(fc.uint8Array({ maxLength: 64 }), fc.uint8Array({ minLength: 60_000, maxLength: 90_000 })),
});

Deno.test("frames of any size come out as they went in, in their order", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(frame, { maxLength: 30 }), async (frames) => {
      const [a, b, remove] = await socketPair();
      const seen: Frame[] = [];
      const reading = collect(b, seen);
      const writer = new FrameWriter(a, (error) => assert.fail(String(error)));
      for (const { type, id, payload } of frames) {
        writer.begin(type, id);
        writer.bytes(payload);
        writer.end();
      }
      while (seen.length < frames.length) await new Promise((resolve) => setTimeout(resolve, 1));
      await a.closeWrite();
      await reading;
      assert.deepEqual(seen.map(({ type, id }) => [type, id]), frames.map(({ type, id }) => [type, id]));
      seen.forEach(({ payload }, index) => assert.deepEqual(payload, Uint8Array.from(frames[index]?.payload ?? [])));
      a.close();
      b.close();
      await remove();
    }),
    { numRuns: 25 },
  );
});

Deno.test("random bytes end in an error or in nothing, never in a frame over the limit", async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 2_000 }), async (bytes) => {
      const [a, b, remove] = await socketPair();
      const reading = collect(b).catch((error: unknown) => error);
      await a.write(bytes.length === 0 ? new Uint8Array([1]) : Uint8Array.from(bytes));
      a.close();
      const outcome = await reading;
      if (Array.isArray(outcome)) { for (const { payload } of outcome) assert.ok(payload.length <= FRAME_MAX_BYTES); }
      else assert.ok(outcome instanceof FrameError);
      b.close();
      await remove();
    }),
    { numRuns: 100 },
  );
});

/** Gives the bytes in pieces as they are asked for, and keeps the sizes of the buffers that it was given. */
function connectionOf(pieces: readonly Uint8Array[]): ByteConnection & { readonly bufferBytes: number[] } {
  const left = pieces.filter(({ length }) => length > 0);
  const bufferBytes: number[] = [];
  return {
    bufferBytes,
    read(buffer) {
      bufferBytes.push(buffer.length);
      const piece = left.shift();
      if (piece === undefined) return Promise.resolve(null);
      const taken = piece.subarray(0, buffer.length);
      buffer.set(taken);
      if (taken.length < piece.length) left.unshift(piece.subarray(taken.length));
      return Promise.resolve(taken.length);
    },
    write: () => assert.fail("Nothing is written here"),
  };
}

Deno.test("a length that no frame may have is refused with its fourth byte, before anything is made for it", async () => {
  for (const length of [0xffff_ffff, FRAME_MAX_BYTES + 1, 4, 0]) {
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setUint32(0, length, true);
    const connection = connectionOf([...bytes].map((byte) => Uint8Array.of(byte)));
    await assert.rejects(readFrames(connection, () => assert.fail("a frame")), FrameError);
    assert.ok(Math.max(...connection.bufferBytes) <= 256 * 1024);
  }
});

Deno.test("frames cut anywhere come out whole, and the buffer grows only with what has arrived", async () => {
  const pieceBytes = fc.oneof(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 200_000 }));
  const sizes = fc.oneof(fc.nat(40), fc.nat(FRAME_MAX_BYTES - 5));
  await fc.assert(
    fc.asyncProperty(
      fc.array(sizes, { maxLength: 4 }),
      fc.array(pieceBytes, { minLength: 1, maxLength: 200 }),
      async (payloads, cuts) => {
        const stream = new Uint8Array(payloads.reduce((sum, size) => sum + 9 + size, 0));
        const view = new DataView(stream.buffer);
        let at = 0;
        payloads.forEach((size, index) => {
          view.setUint32(at, 5 + size, true);
          view.setUint8(at + 4, index);
          view.setUint32(at + 5, size, true);
          stream.fill(index + 1, at + 9, at + 9 + size);
          at += 9 + size;
        });
        const pieces: Uint8Array[] = [];
        for (let start = 0, cut = 0; start < stream.length; cut += 1) {
          const length = cut < cuts.length ? cuts[cut] ?? 1 : 100_000;
          pieces.push(stream.subarray(start, start += length));
        }
        const seen: number[] = [];
        const connection = connectionOf(pieces);
        await readFrames(connection, (type, id, payload) => {
          assert.equal(payload.length, id);
          assert.ok(payload.every((byte) => byte === type + 1));
          seen.push(id);
        });
        assert.deepEqual(seen, payloads);
        assert.ok(Math.max(...connection.bufferBytes) <= 4 * FRAME_MAX_BYTES);
      },
    ),
    { numRuns: 40 },
  );
});

Deno.test("texts in a list come out as they went in, whatever they hold", () => {
  const text = fc.oneof(fc.string({ unit: "grapheme" }), fc.string({ unit: "binary" }), fc.constant("\uFEFFa\n\0b"));
  fc.assert(fc.property(fc.array(text, { maxLength: 30 }), (texts) => {
    assert.deepEqual(readList(listOf(texts)), texts.map((one) => one.toWellFormed()));
  }));
});

Deno.test("the largest head that the settings allow fits into a frame", () => {
  const { responseHeadersCount, responseHeadBytes } = LIMITS;
  const bytesOfEach = Math.floor(responseHeadBytes.max / responseHeadersCount.max);
  const headers = Array.from(
    { length: responseHeadersCount.max },
    () => ["x", "\u00ff".repeat(bytesOfEach - 1)],
  ).flat();
  assert.equal(
    headProblem(headers, { headersCount: responseHeadersCount.max, headBytes: responseHeadBytes.max }),
    undefined,
  );
  let payload = new Uint8Array(0);
  const write = (bytes: Uint8Array) => {
    payload = bytes.slice(HEADER_BYTES);
    return Promise.resolve(bytes.length);
  };
  const writer = new FrameWriter({ read: () => Promise.resolve(null), write }, (error) => assert.fail(String(error)));
  beginResponse(writer, { type: FRAME.RESPONSE, id: 1, flags: 0, status: 200, sizeBytes: 0 }, headers);
  writer.end();
  writer.flush();
  assert.deepEqual(readHeaders(payload, readResponseHead(payload)), headers);
});

Deno.test("random bytes are a list or an error", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
    try {
      assert.ok(Array.isArray(readList(bytes)));
    } catch (error) {
      assert.ok(error instanceof FrameError);
    }
  }));
});

/** What `sizedList` writes behind the size. */
function listOf(texts: readonly string[]): Uint8Array {
  let payload = new Uint8Array(0);
  const write = (bytes: Uint8Array) => {
    payload = bytes.slice(HEADER_BYTES + 4);
    return Promise.resolve(bytes.length);
  };
  const writer = new FrameWriter({ read: () => Promise.resolve(null), write }, (error) => assert.fail(String(error)));
  writer.begin(1, 1);
  writer.sizedList(texts);
  writer.end();
  writer.flush();
  return payload;
}
