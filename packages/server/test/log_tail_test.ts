/**
 * Lines of log reach who follows them, whichever server runs the function.
 *
 * @module
 */
import assert from "node:assert/strict";
import { createClient, type LogEntry } from "@fluxbase/sdk";
import { eventually, platformTest, type TestPlatform, withTestPlatform } from "./support/platform.ts";

const TALKS = `export default async (req) => {
  const { say, count = "1", hold = "0", level = "log", times = "1" } = req.params;
  for (let n = 0; n < Number(count); n += 1) console[level](say.repeat(Number(times)) + " " + n);
  if (hold !== "0") await new Promise((done) => setTimeout(done, Number(hold)));
  if (hold !== "0") console.log(say + " end");
  return new Response("ok");
}`;

platformTest("lines are followed on another server, each once", async (a, step) => {
  await withTestPlatform(async (b) => {
    await a.deploy("talks", TALKS);
    await a.deploy("talks", TALKS, { namespace: "else" });
    await eventually(async () => (await b.call("else/talks?say=ready")).status === 200);
    const say = async (query: string, name = "talks") => {
      const response = await a.call(`${name}/invoke?say=${query}`);
      await response.body?.cancel();
      return response;
    };
    const watch = (path: string) => new Watch(b, path);

    await step("the last lines come first, then what is said, each once", async () => {
      for (let n = 0; n < 3; n += 1) await say(`past-${n}`);
      await using all = watch("/functions/talks/logs?");
      await all.has("past-2 0");
      await using two = watch("/functions/talks/logs?tail=2");
      await two.has("past-2 0");
      assert.deepEqual(two.messages, ["past-1 0", "past-2 0"]);
      await using none = watch("/functions/talks/logs?tail=0");
      await none.open;
      for (let n = 0; n < 20; n += 1) await say(`now-${n}`);
      const expected = Array.from({ length: 20 }, (_, n) => `now-${n} 0`);
      for (const each of [all, two, none]) await each.has("now-19 0");
      // Lines of one millisecond come in any order.
      assert.deepEqual(none.messages.toSorted(), expected.toSorted());
      assert.deepEqual(all.messages.slice(0, -20).slice(-3), ["past-0 0", "past-1 0", "past-2 0"]);
      assert.deepEqual(all.messages.slice(-20).toSorted(), expected.toSorted());
    });

    await step("by namespace, everything, level and text", async () => {
      const paths = {
        namespace: "/admin/functions/logs?namespace=else&",
        all: "/admin/functions/logs?",
        level: "/functions/talks/logs?level=warn&",
        text: "/functions/talks/logs?text=NEEDLE&",
      };
      await using stack = new AsyncDisposableStack();
      const watches = Object.entries(paths).map(([name, path]) => [name, stack.use(watch(`${path}tail=0`))] as const);
      for (const [, each] of watches) await each.open;
      await say("plain");
      await say("elsewhere", "else/talks");
      await say("careful&level=warn");
      await say("a-needle-in-hay");
      const expected: Record<string, string[]> = {
        namespace: ["elsewhere 0"],
        all: ["a-needle-in-hay 0", "careful 0", "elsewhere 0", "plain 0"],
        level: ["careful 0"],
        text: ["a-needle-in-hay 0"],
      };
      for (const [name, each] of watches) {
        await each.has(expected[name]?.at(0) ?? "");
        await eventually(() => each.messages.length >= (expected[name]?.length ?? 0));
        assert.deepEqual(each.messages.toSorted(), expected[name], name);
      }
    });

    await step(
      "a call that goes on is heard while it does, and its lines are complete and in order afterwards",
      async () => {
        await using live = watch("/functions/talks/logs?tail=0");
        await live.open;
        let isOver = false;
        const calling = say("long&count=5&hold=2500").then((response) => {
          isOver = true;
          return response;
        });
        await live.has("long 4");
        assert.equal(isOver, false, "heard before the call was over");
        const { body: early } = await b.api("GET", "/functions/talks/logs?text=long");
        assert.equal(early.length, 5);
        const id = (await calling).headers.get("x-request-id");
        await live.has("long end");
        assert.deepEqual(live.messages, ["long 0", "long 1", "long 2", "long 3", "long 4", "long end"]);
        const { body } = await a.api("GET", `/admin/functions/executions/${id}/logs`);
        assert.deepEqual(body.entries.map(({ line_number }: LogEntry) => line_number), [1, 2, 3, 4, 5, 6]);
        assert.deepEqual(live.ids, body.entries.map(({ id }: LogEntry) => id));
        const { series } = (await a.api("GET", "/functions/talks/metrics")).body;
        const { body: stored } = await a.api("GET", "/functions/talks/logs?limit=1000");
        assert.equal(series[0].total.log_lines, stored.length, "lines that were written early are counted once");
      },
    );

    await step("who does not read is told what is missing", async () => {
      const lazy = await open(b, "/functions/talks/logs?tail=0");
      const reader = lazy.getReader();
      await reader.read();
      const CALLS = 3;
      for (let n = 0; n < CALLS; n += 1) await say("x&times=50000&count=200");
      await using other = watch("/functions/talks/logs?tail=0");
      await other.open;
      await say("last");
      await other.has("last 0");
      let text = "";
      const decoder = new TextDecoder();
      while (!/event: left_out/.test(text)) text += decoder.decode((await reader.read()).value);
      await say("after");
      while (!/after 0/.test(text)) text += decoder.decode((await reader.read()).value);
      await reader.cancel();
      const missing = [...text.matchAll(/event: left_out\ndata: {"lines":(\d+)}/g)].reduce(
        (sum, [, n]) => sum + Number(n),
        0,
      );
      const got = [...text.matchAll(/^data: .*"message":"x{50000} \d+"/gm)].length;
      assert.ok(missing > 0 && got > 0);
      assert.equal(got + missing, CALLS * 200 + (/last 0/.test(text) ? 0 : 1));
    });

    await step("there is a limit for all servers together", async () => {
      await using stack = new AsyncDisposableStack();
      for (const each of [a, b, a, b, a]) await stack.use(new Watch(each, "/functions/talks/logs?tail=0")).open;
      const refused = await b.api("GET", "/functions/talks/logs?follow=true");
      assert.deepEqual([refused.status, refused.body.code], [429, "RATE_LIMITED"]);
      assert.match(refused.body.error, /^Cannot follow: 5 clients of this platform/);
      await stack.disposeAsync();
      await using again = watch("/functions/talks/logs?tail=0");
      await again.open;
    });

    await step("the SDK", async () => {
      const client = createClient(b.url, b.serviceKey);
      await say("for-the-sdk");
      await a.executions("talks");
      const stop = new AbortController();
      const messages: string[] = [];
      for await (const { message } of client.admin.functions.followAllLogs({ tail: 1, signal: stop.signal })) {
        messages.push(message);
        if (messages.length === 1) await say("and-then");
        else stop.abort();
      }
      assert.deepEqual(messages, ["for-the-sdk 0", "and-then 0"]);
    });
  }, { DATABASE_URL: a.databaseUrl.reveal(), FLUXBASE_LIMITS_LOG_FOLLOWERS_COUNT: "5" });
}, { FLUXBASE_LIMITS_LOG_FOLLOWERS_COUNT: "5" });

async function open({ url, serviceKey }: TestPlatform, path: string): Promise<ReadableStream<Uint8Array>> {
  for (;;) {
    const response = await fetch(`${url}/api/v1${path}&follow=true`, {
      headers: { authorization: `Bearer ${serviceKey}` },
    });
    // A place is free again a moment after who had it has gone.
    if (response.status === 429) {
      await response.body?.cancel();
      await new Promise((resolve) => setTimeout(resolve, 50));
      continue;
    }
    assert.equal(response.status, 200);
    assert.equal(response.headers.get("x-accel-buffering"), "no");
    assert.ok(response.body !== null);
    return response.body;
  }
}

/** Who follows and reads. */
class Watch implements AsyncDisposable {
  readonly entries: LogEntry[] = [];
  /** Resolves when what is written from now on is heard. */
  readonly open: Promise<void>;
  readonly #isOpen = Promise.withResolvers<void>();
  readonly #left = Promise.withResolvers<void>();
  readonly #reading: Promise<void>;

  constructor(platform: TestPlatform, path: string) {
    this.open = this.#isOpen.promise;
    this.#reading = this.#read(platform, path);
    this.#reading.catch(this.#isOpen.reject);
  }

  get messages(): string[] {
    return this.entries.map(({ message }) => message);
  }
  get ids(): string[] {
    return this.entries.map(({ id }) => id);
  }

  async has(message: string): Promise<void> {
    await eventually(() => this.messages.includes(message));
  }

  async #read(platform: TestPlatform, path: string): Promise<void> {
    const reader = (await open(platform, path)).getReader();
    void this.#left.promise.then(() => reader.cancel());
    const decoder = new TextDecoder();
    let text = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      this.#isOpen.resolve();
      text += decoder.decode(value, { stream: true });
      const events = text.split("\n\n");
      text = events.pop() ?? "";
      for (const event of events) {
        const [, data] = /^data: (.*)$/m.exec(event) ?? [];
        if (data !== undefined && !event.startsWith("event:")) this.entries.push(JSON.parse(data));
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#left.resolve();
    await this.#reading.catch(() => {});
  }
}
