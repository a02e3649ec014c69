/**
 * Frames over a real unix socket: what is written comes out, and bytes that are no frames never do.
 *
 * @module
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { FRAME_MAX_BYTES, FrameError, FrameWriter, readFrames } from "./frames.ts";

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
