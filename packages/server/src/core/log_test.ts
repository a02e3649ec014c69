import assert from "node:assert/strict";
import { createLog } from "./log.ts";

function jsonLog() {
  const lines: string[] = [];
  const log = createLog({ level: "info", format: "json", node: "n1", write: (line) => void lines.push(line) });
  return { log, last: (): Record<string, unknown> => JSON.parse(lines.at(-1) ?? "{}"), lines };
}

Deno.test("a line of JSON has stable names, which no fact replaces", () => {
  const { log, last } = jsonLog();
  log.warn("It is so", { requestId: "r", heldCount: 2, usedMiB: 3, level: "debug", message: "other", node: "evil" });
  const { time, ...others } = last();
  assert.match(String(time), /^\d{4}-\d\d-\d\dT/);
  assert.deepEqual(others, {
    level: "warn",
    node: "n1",
    message: "It is so",
    request_id: "r",
    held_count: 2,
    used_mib: 3,
  });
});

Deno.test("what others can make a line hold is bounded, and stays one line", () => {
  const { log, last, lines } = jsonLog();
  log.error("x".repeat(100_000), { error: new Error("y".repeat(1_000_000)), reason: "a\nb" });
  assert.ok((lines.at(-1)?.length ?? 0) < 20_000);
  assert.match(String(last()["message"]), /\[95904 characters more\]$/);
  const many = Object.fromEntries(Array.from({ length: 1_000 }, (_, index) => [`f${index}`, "z".repeat(4_000)]));
  log.error("many", many);
  assert.ok((lines.at(-1)?.length ?? 0) < 120_000);
  assert.equal(last()["f999"], "[left out: the line is too long]");
  const texts: string[] = [];
  createLog({ level: "info", format: "text", write: (line) => void texts.push(line) }).info("m", { reason: "a\nb" });
  assert.equal(texts[0]?.split("\n").length, 1);
});

Deno.test("the level may be changed while the log is used", () => {
  const { log, lines } = jsonLog();
  log.debug("not shown");
  log.level = "debug";
  log.debug("shown");
  log.level = "error";
  log.warn("not shown");
  assert.deepEqual(lines.map((line) => JSON.parse(line).message), ["shown"]);
});
