/**
 * The dashboard in a real browser, over a server with 10,000 functions and a million executions: first paint, the time
 * until a page has its rows, interactions, typing in the editor, and the language service.
 *
 * FLUXBASE_BENCH_ROWS says how many executions and lines of the log there are.
 *
 * @module
 */
import { createRequire } from "node:module";
import { join } from "node:path";
import pg from "pg";
import type { Browser, Page } from "playwright-core";
import { buildDashboard } from "../packages/dashboard/build.mjs";
import { silentLog } from "../packages/server/src/core/log.ts";
import { startEmbeddedPostgres } from "../packages/server/src/storage/embedded/embedded_postgres.ts";
import { findBrowser } from "../packages/server/test/support/browser.ts";
import { deploy, type RunningPlatform, startBeside } from "./server.ts";
import { median, type Row, type Suite, timeOf } from "./suite.ts";

const FUNCTIONS_COUNT = 10_000;
const ROWS_COUNT = Number(Deno.env.get("FLUXBASE_BENCH_ROWS") ?? 1_000_000);
const ROUNDS_COUNT = 5;
const SETUP_TOKEN = "the-setup-token-of-the-measurements";
const ADMIN = { email: "ada@bench.invalid", password: "a long password" };
const CODE = "export default () => 1;\n";
const EDITED = "functions/default/first/code";
/** The pages that have the most to show, and what is there when they show it. */
const PAGES: Readonly<Record<string, string>> = {
  overview: "dl.stats",
  functions: "tbody tr",
  "functions/default/first/executions": "tbody tr",
  "functions/default/first/logs": "li.log-line",
};
const FIRST_LOAD_MAX_KB = 150;
const PAINT_MAX_MS = 1_000;
const INTERACTION_MAX_MS = 200;
const BLOCKED_MAX_MS = 50;
const LANGUAGE_MAX_MS = 2_000;
const LANGUAGE_GIVE_UP_MS = 60_000;

/** Runs in the page before anything else. */
const WATCH = `
  globalThis.measured = { interactionMs: 0, blockedMs: 0, paintMs: 0 };
  const watch = (options, note) =>
    new PerformanceObserver((list) => list.getEntries().forEach(note)).observe({ buffered: true, ...options });
  watch({ type: "event", durationThreshold: 16 }, ({ interactionId, duration }) => {
    if (interactionId > 0) measured.interactionMs = Math.max(measured.interactionMs, duration);
  });
  watch({ type: "longtask" }, ({ duration }) => measured.blockedMs = Math.max(measured.blockedMs, duration));
  watch({ type: "paint" }, ({ name, startTime }) => {
    if (name === "first-contentful-paint") measured.paintMs = startTime;
  });
`;
const WIRE_KB = `performance.getEntries().filter(({ entryType, initiatorType }) =>
  entryType === "navigation" || entryType === "resource" && initiatorType !== "fetch")
  .reduce((sum, { encodedBodySize }) => sum + encodedBodySize, 0) / 1000`;

interface Measured {
  interactionMs: number;
  blockedMs: number;
  paintMs: number;
}

export const dashboard: Suite = {
  name: "dashboard",
  async run(dir, { isQuick }) {
    const executablePath = await findBrowser();
    if (executablePath === undefined) {
      throw new Error("Cannot measure the dashboard without a browser: install chromium first");
    }
    await buildDashboard();
    await using postgres = await startEmbeddedPostgres({ dataDir: join(dir, "postgres"), log: silentLog });
    const url = postgres.url.reveal();
    await using platform = await startBeside(url, join(dir, "server"), {
      FLUXBASE_SECURITY_SETUP_TOKEN: SETUP_TOKEN,
      FLUXBASE_DASHBOARD_ENABLED: "true",
    });
    await deploy(platform, "first", CODE);
    await fill(url);
    const { chromium } = createRequire(import.meta.url)("playwright-core") as typeof import("playwright-core");
    const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-dev-shm-usage"] });
    try {
      const open = await signedIn(browser, platform);
      const rounds = isQuick ? 1 : ROUNDS_COUNT;
      return [...await pages(open, rounds), await interactions(open), ...await editing(open)];
    } finally {
      await browser.close();
    }
  },
};

type Open = (path: string) => Promise<Page>;

/** Each page in a browser that has kept nothing. */
async function signedIn(browser: Browser, { url }: RunningPlatform): Promise<Open> {
  const response = await fetch(`${url}/api/v1/admin/setup`, {
    method: "POST",
    body: JSON.stringify({ ...ADMIN, setup_token: SETUP_TOKEN }),
  });
  const session = await response.json();
  if (!response.ok) throw new Error(`Cannot make the first admin: ${JSON.stringify(session)}`);
  const kept = JSON.stringify({ ...session, expires_at: Math.floor(Date.now() / 1_000) + session.expires_in });
  return async (path) => {
    const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, reducedMotion: "reduce" });
    await context.addInitScript(
      `localStorage.setItem("fluxbase.session.${new URL(url).host}", ${JSON.stringify(kept)}); ${WATCH}`,
    );
    const page = await context.newPage();
    await page.goto(`${url}/dashboard/${path}`);
    return page;
  };
}

async function pages(open: Open, rounds: number): Promise<Row[]> {
  const rows: Row[] = [];
  for (const [path, shown] of Object.entries(PAGES)) {
    const paints: number[] = [];
    const whole: number[] = [];
    let wireKb = 0;
    for (let round = 0; round < rounds; round += 1) {
      let page: Page | undefined;
      const wholeMs = await timeOf(async () => {
        page = await open(path);
        await page.locator(shown).first().waitFor();
      });
      if (page === undefined) continue;
      whole.push(wholeMs);
      paints.push(await paintOf(page));
      wireKb = await page.evaluate(WIRE_KB) as number;
      await page.context().close();
    }
    rows.push(
      row(`${path}: first contentful paint`, median(paints), PAINT_MAX_MS),
      row(`${path}: rows are there`, median(whole), 2 * PAINT_MAX_MS),
      {
        what: `${path}: first load, compressed`,
        target: `≤ ${FIRST_LOAD_MAX_KB} kB`,
        measured: `${Math.round(wireKb)} kB`,
        isMet: wireKb <= FIRST_LOAD_MAX_KB,
      },
    );
  }
  return rows;
}

/** From page to page, a search, and the palette. */
async function interactions(open: Open): Promise<Row> {
  const page = await open("functions");
  await page.getByLabel("Search functions").pressSequentially("fn-98");
  for (const name of ["Tasks", "Database", "Users", "Audit log", "System", "Overview", "Functions"]) {
    await page.getByRole("link", { name, exact: true }).first().click();
    await page.getByRole("heading", { level: 1 }).first().waitFor();
  }
  await page.keyboard.press("Control+k");
  await page.keyboard.type("fn-12", { delay: 20 });
  await page.keyboard.press("Escape");
  await page.waitForTimeout(500);
  const { interactionMs } = await measuredOn(page);
  await page.context().close();
  return row("slowest interaction until the next paint", interactionMs, INTERACTION_MAX_MS);
}

async function editing(open: Open): Promise<Row[]> {
  const page = await open(EDITED);
  const editor = page.locator(".cm-content").first();
  await editor.click();
  await page.keyboard.press("Control+End");
  const languageMs = await timeOf(async () => {
    await page.keyboard.type("export const wrong: number = false;\n");
    // What has not come by then is as slow as that.
    await page.locator(".cm-lintRange-error").first().waitFor({ timeout: LANGUAGE_GIVE_UP_MS }).catch(() => {});
  });
  await page.evaluate("measured.blockedMs = 0");
  await page.keyboard.type("export const words = [1, 2, 3].map((one) => one * 2);\n".repeat(5), { delay: 15 });
  await page.waitForTimeout(500);
  const { blockedMs } = await measuredOn(page);
  await page.context().close();
  return [
    row("language service, from the first key to the first problem", languageMs, LANGUAGE_MAX_MS),
    row("longest time that typing blocks the page", blockedMs, BLOCKED_MAX_MS),
  ];
}

/** A page is told of its first paint a moment later. */
async function paintOf(page: Page): Promise<number> {
  for (let tries = 0; tries < 100; tries += 1) {
    const { paintMs } = await measuredOn(page);
    if (paintMs > 0) return paintMs;
    await page.waitForTimeout(50);
  }
  throw new Error(`${page.url()} has painted nothing`);
}

function measuredOn(page: Page): Promise<Measured> {
  return page.evaluate("measured") as Promise<Measured>;
}

/** Every function with a version of its own; the executions of today are spread over a hundred of them and `first`. */
async function fill(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(`
      insert into fluxbase.functions
        select (jsonb_populate_record(f, jsonb_build_object('id', gen_random_uuid(), 'name', 'fn-' || i))).*
          from fluxbase.functions f, generate_series(1, ${FUNCTIONS_COUNT}) i where f.name = 'first'`);
    await client.query(`
      insert into fluxbase.versions
        select (jsonb_populate_record(v, jsonb_build_object('function_id', f.id))).*
          from fluxbase.versions v join fluxbase.functions seed on seed.id = v.function_id and seed.name = 'first',
               fluxbase.functions f where f.name like 'fn-%'`);
    const some = `(select id, name, row_number() over (order by length(name), name) - 1 as place
       from fluxbase.functions where name = 'first' or name like 'fn-__') f
       join generate_series(1, ${ROWS_COUNT}) i
         on i % (select count(*) from fluxbase.functions where name = 'first' or name like 'fn-__') = f.place`;
    const at = `date_trunc('day', now(), 'UTC') + (now() - date_trunc('day', now(), 'UTC')) * i / ${ROWS_COUNT}`;
    await client.query(`
      insert into fluxbase.executions (id, function_id, function_name, namespace, version, trigger_type, status, status_code,
                                       duration_ms, method, path, started_at)
      select 'e' || i, f.id, f.name, 'default', 1, 'http', case when i % 100 = 0 then 'error' else 'success' end,
             case when i % 100 = 0 then 500 else 200 end, i % 50, 'GET', '', ${at} from ${some}`);
    await client.query(`
      insert into fluxbase.execution_logs (execution_id, function_id, started_at, line_number, logged_at, level, message)
      select 'e' || i, f.id, ${at}, 1, ${at}, case when i % 500 = 0 then 'error' else 'info' end,
             'line ' || i || ' of many' from ${some}`);
    await client.query("vacuum analyze");
  } finally {
    await client.end();
  }
}

function row(what: string, ms: number, mostMs: number): Row {
  return { what, target: `≤ ${mostMs} ms`, measured: `${Math.round(ms)} ms`, isMet: ms <= mostMs };
}
