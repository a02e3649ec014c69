/**
 * The page that Prometheus reads: who may read it, that it says what was sent, and that Prometheus itself takes it.
 *
 * @module
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createFunctionTotals } from "../src/executions/function_totals.ts";
import type { MinuteCounts } from "../src/storage/metrics.ts";
import { eventually, platformTest } from "./support/platform.ts";
import { freePort, isInstalled } from "./support/programs.ts";

const TOKEN = "token-for-the-metrics-alone";
/** Names of other things. */
const NO_METRICS = new Set(["fluxbase_token"]);
const DEPLOY = fileURLToPath(new URL("../../../deploy/prometheus/", import.meta.url));

platformTest("metrics for Prometheus", async (platform, step) => {
  await platform.deploy("fine", `// @fluxbase:schedule @yearly\nexport default () => "12345"`);
  await platform.deploy("bad", `export default () => { throw new Error("no"); }`, { namespace: "else" });
  for (let index = 0; index < 7; index += 1) await (await platform.call("fine")).body?.cancel();
  for (let index = 0; index < 3; index += 1) await (await platform.call("else/bad")).body?.cancel();
  await (await fetch(`${platform.url}/api/v1/functions/fine/invoke`)).body?.cancel();

  async function read(key: string | null = platform.serviceKey) {
    const response = await fetch(`${platform.url}/metrics`, {
      headers: key === null ? {} : { authorization: `Bearer ${key}` },
    });
    return { status: response.status, type: response.headers.get("content-type"), text: await response.text() };
  }

  await step("says what was sent", async () => {
    const { status, type, text } = await read();
    assert.equal(status, 200);
    assert.match(type ?? "", /^text\/plain; version=0\.0\.4/);
    const lines = text.split("\n");
    for (
      const line of [
        `fluxbase_calls_total{namespace="default",function="fine",status="success"} 7`,
        `fluxbase_calls_total{namespace="else",function="bad",status="error"} 3`,
        `fluxbase_errors_total{namespace="else",function="bad",code="FUNCTION_ERROR"} 3`,
        `fluxbase_errors_total{namespace="default",function="fine",code="UNAUTHENTICATED"} 1`,
        `fluxbase_refused_total{namespace="default",function="fine"} 1`,
        `fluxbase_response_bytes_total{namespace="default",function="fine"} ${7 * `"12345"`.length}`,
        `fluxbase_call_duration_seconds_count{namespace="default",function="fine"} 7`,
        `fluxbase_call_duration_seconds_bucket{le="+Inf",namespace="default",function="fine"} 7`,
        "# TYPE fluxbase_calls_total counter",
        "# TYPE fluxbase_call_duration_seconds histogram",
        "# TYPE fluxbase_sandboxes gauge",
      ]
    ) assert.ok(lines.includes(line), `${line}\n${text}`);
    for (const name of ["fluxbase_database_connections", "fluxbase_server_memory_bytes"]) {
      assert.match(text, new RegExp(`^${name} [1-9]`, "m"));
    }
  });

  await step("says what the server is doing", async () => {
    await platform.api("POST", "/functions", { name: "wrong", code: "export default (" });
    await platform.call("fine", { headers: { authorization: "Bearer no.such.token" } });
    const task = await platform.call("fine", { method: "POST", headers: { prefer: "respond-async" } });
    assert.equal(task.status, 202);
    await eventually(async () => /^fluxbase_calls_total.*"fine",status="success"} 8$/m.test((await read()).text));
    const { text } = await read();
    for (
      const line of [
        /^fluxbase_sandboxes\{state="(idle|busy)"\} [1-9]/m,
        /^fluxbase_sandboxes_memory_bytes\{state="idle"\} [1-9]/m,
        /^fluxbase_builds_total\{result="success"\} 2$/m,
        /^fluxbase_builds_total\{result="failure"\} 1$/m,
        /^fluxbase_requests_refused_total\{code="INVALID_CREDENTIAL"\} 1$/m,
        /^fluxbase_requests_refused_total\{code="UNAUTHENTICATED"\} 1$/m,
        /^fluxbase_log_lines_dropped_total\{reason="rate"\} 0$/m,
        /^fluxbase_tasks_attempts_running \d$/m,
        /^fluxbase_schedule_lag_seconds\{namespace="default",function="fine"\} 0$/m,
      ]
    ) assert.match(text, line);
  });

  await step("has all that the docs, the dashboard and the alerts name, and the docs name all of it", async () => {
    const { text } = await read();
    const onPage = new Set([...text.matchAll(/^# TYPE (\w+)/gm)].map(([, name]) => name));
    const namesIn = async (path: string) => {
      const found = (await Deno.readTextFile(join(DEPLOY, "../..", path))).matchAll(/\bfluxbase_[a-z_]+/g);
      return new Set([...found].map(([name]) => name.replace(/_bucket$/, "")));
    };
    for (const path of ["docs/metrics.md", "deploy/grafana/fluxbase.json", "deploy/prometheus/alerts.yml"]) {
      const missing = (await namesIn(path)).difference(onPage).difference(NO_METRICS);
      assert.deepEqual([path, ...missing], [path]);
    }
    assert.deepEqual([...onPage.difference(await namesIn("docs/metrics.md"))], []);
  });

  await step("is for admins, the token, and keys with the scope, which see their namespaces", async () => {
    assert.equal((await read(null)).status, 401);
    assert.equal((await read(platform.anonKey)).status, 403);
    assert.equal((await read(await platform.mintKey(["functions:*"]))).status, 403);
    assert.equal((await read(`${TOKEN}.`)).status, 401);
    assert.match((await read(TOKEN)).text, /function="bad"/);
    const limited = await read(await platform.mintKey(["metrics:read"], ["else"]));
    assert.match(limited.text, /function="bad"/);
    assert.doesNotMatch(limited.text, /function="(fine|other)"|fluxbase_sandboxes|fluxbase_build_info/);
    assert.equal((await platform.api("GET", "/functions/fine/executions", undefined, TOKEN)).status, 403);
    assert.equal((await platform.api("GET", "/admin/metrics", undefined, TOKEN)).status, 403);
    assert.equal((await platform.call("fine", { headers: { authorization: `Bearer ${TOKEN}` } })).status, 403);
  });

  await step("a function that is deleted is counted among the others", async () => {
    await platform.api("DELETE", "/functions/else/bad");
    const { text } = await read();
    assert.match(text, /^fluxbase_calls_total\{namespace="other",function="other",status="error"\} 3$/m);
    assert.doesNotMatch(text, /function="bad"/);
  });

  await step("Prometheus takes the page, its rules are sound, and it counts the calls", async () => {
    if (!await isInstalled("promtool") || !await isInstalled("prometheus")) return;
    const dir = await Deno.makeTempDir({ prefix: "fluxbase-prometheus-" });
    try {
      await Deno.writeTextFile(join(dir, "fluxbase_token"), TOKEN);
      const { host } = new URL(platform.url);
      const config = (await Deno.readTextFile(join(DEPLOY, "prometheus.yml")))
        .replace("127.0.0.1:8080", host).replace("15s", "1s");
      await Deno.writeTextFile(join(dir, "prometheus.yml"), config);
      await Deno.copyFile(join(DEPLOY, "alerts.yml"), join(dir, "alerts.yml"));
      await promtool(["check", "config", join(dir, "prometheus.yml")]);
      await promtool(["check", "metrics"], (await read()).text);
      await promtool(["test", "rules", join(DEPLOY, "alerts_test.yml")]);
      const port = freePort();
      await using _ = startPrometheus(dir, port);
      const query = encodeURIComponent(`fluxbase_calls_total{function="fine",status="success"}`);
      await eventually(async () => {
        const answer = await fetch(`http://127.0.0.1:${port}/api/v1/query?query=${query}`).catch(() => undefined);
        const value = (await answer?.json().catch(() => undefined))?.data?.result?.[0]?.value?.[1];
        return value === "8";
      });
      const rules = await (await fetch(`http://127.0.0.1:${port}/api/v1/rules`)).json();
      assert.ok(rules.data.groups[0].rules.length >= 13);
    } finally {
      await Deno.remove(dir, { recursive: true });
    }
  });
}, { FLUXBASE_METRICS_TOKEN: TOKEN });

Deno.test("functions beyond the limit share one total, and none ever goes back", () => {
  const totals = createFunctionTotals(2);
  const minute = (functionId: string, calls: number): MinuteCounts => ({
    functionId,
    version: 1,
    triggerType: "http",
    minuteMs: 0,
    memoryMiB: 0,
    counts: { calls },
  });
  totals.add([minute("a", 1), minute("b", 2), minute("c", 4), minute("d", 8), minute("a", 16)]);
  let { own, others } = totals.read(() => true);
  assert.deepEqual([[...own], others], [[["a", { calls: 17 }], ["b", { calls: 2 }]], { calls: 12 }]);
  ({ own, others } = totals.read((id) => id !== "a"));
  assert.deepEqual([[...own], others], [[["b", { calls: 2 }]], { calls: 29 }]);
});

async function promtool(args: readonly string[], stdin = ""): Promise<void> {
  const child = new Deno.Command("promtool", { args: [...args], stdin: "piped", stdout: "piped", stderr: "piped" })
    .spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(stdin));
  await writer.close();
  const { code, stdout, stderr } = await child.output();
  const decoder = new TextDecoder();
  assert.equal(code, 0, decoder.decode(stdout) + decoder.decode(stderr));
}

function startPrometheus(dir: string, port: number): AsyncDisposable {
  const child = new Deno.Command("prometheus", {
    args: [
      `--config.file=${join(dir, "prometheus.yml")}`,
      `--storage.tsdb.path=${join(dir, "data")}`,
      `--web.listen-address=127.0.0.1:${port}`,
    ],
    stdout: "null",
    stderr: "null",
  }).spawn();
  return {
    async [Symbol.asyncDispose]() {
      child.kill("SIGTERM");
      await child.status;
    },
  };
}
