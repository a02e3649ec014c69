/**
 * The dashboard of a real server in a real browser. Whatever a page should not do fails the test: a violation of its
 * policy, an error in the console, a rejection that nobody handles, a request to somewhere else, a finding of axe.
 *
 * @module
 */
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { join } from "node:path";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { buildDashboard } from "../../../dashboard/build.mjs";
import { findBrowser } from "./browser.ts";
import { platformTest, type TestPlatform } from "./platform.ts";

const require = createRequire(import.meta.url);
/** Of `npm run test:browser`; `npm test` looks less closely. */
const IS_WHOLE = Deno.env.get("FLUXBASE_BROWSER_TESTS") === "all";
const SETUP_TOKEN = "the-setup-token-of-the-tests";
export const ADMIN = { email: "ada@example.invalid", password: "a long password" };
/** Machines are slow at times. */
const WAIT_MS = 60_000;
export const SIZES = { narrow: { width: 360, height: 740 }, wide: { width: 1440, height: 900 } } as const;

export interface OpenOptions {
  readonly size?: keyof typeof SIZES;
  readonly theme?: "light" | "dark";
  /** Nobody is signed in. */
  readonly anonymous?: boolean;
  /** Tabs of one browser. */
  readonly beside?: Page;
}

export interface Dashboard {
  readonly platform: TestPlatform;
  readonly setupToken: string;
  /** Opens a page below the dashboard's path, such as `functions`. */
  open(path: string, options?: OpenOptions): Promise<Page>;
  /** What it looks like, for people: in the folder FLUXBASE_SCREENSHOTS. */
  look(page: Page, name: string): Promise<void>;
  /** What keeps somebody from using the page, in both themes; and that it is not wider than its window. */
  checkAxe(page: Page): Promise<void>;
}

type Steps = (name: string, work: () => Promise<void>) => Promise<boolean>;

/** Runs nothing on a machine without a browser. */
export function dashboardTest(
  name: string,
  run: (dashboard: Dashboard, step: Steps) => Promise<void>,
  env: Readonly<Record<string, string>> = {},
): void {
  platformTest(
    name,
    async (platform, step) => {
      const executablePath = await findBrowser();
      if (executablePath === undefined) return;
      await buildDashboard();
      const { chromium } = require("playwright-core") as typeof import("playwright-core");
      const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-dev-shm-usage"] });
      try {
        const dashboard = await dashboardIn(browser, platform);
        let hasFailed = false;
        await run(dashboard, async (stepName, work) =>
          // Each step goes on where the one before has left the page.
          !hasFailed && await step(stepName, async () => {
            try {
              await work();
              dashboard.assertNoProblems();
            } catch (error) {
              hasFailed = true;
              await dashboard.explain(error, stepName);
              throw error;
            }
          }));
      } finally {
        await browser.close();
      }
    },
    { FLUXBASE_SECURITY_SETUP_TOKEN: SETUP_TOKEN, ...env },
  );
}

/** So that a test need not do what another one tests. */
async function makeAdmin({ api }: TestPlatform): Promise<Record<string, unknown>> {
  const { status, body } = await api("POST", "/admin/setup", { ...ADMIN, setup_token: SETUP_TOKEN }, null);
  assert.equal(status, 201, JSON.stringify(body));
  return { ...body, expires_at: Math.floor(Date.now() / 1_000) + body.expires_in };
}

interface Tried extends Dashboard {
  assertNoProblems(): void;
  explain(error: unknown, step: string): Promise<void>;
}

async function dashboardIn(browser: Browser, platform: TestPlatform): Promise<Tried> {
  const problems: string[] = [];
  const pages: Page[] = [];
  const { origin, host } = new URL(platform.url);
  const shots = Deno.env.get("FLUXBASE_SCREENSHOTS");
  const axe = await Deno.readTextFile(require.resolve("axe-core/axe.min.js"));
  let admin: Record<string, unknown> | undefined;

  async function contextOf({ size = "wide", theme = "light", anonymous = false }: OpenOptions) {
    const context = await browser.newContext({ viewport: SIZES[size], colorScheme: theme, reducedMotion: "reduce" });
    context.setDefaultTimeout(WAIT_MS);
    // What each step did and saw, for whoever has to find out why one failed.
    if (IS_WHOLE) await context.tracing.start({ screenshots: true, snapshots: true });
    await context.grantPermissions(["clipboard-read", "clipboard-write"], { origin });
    if (!anonymous) {
      admin ??= await makeAdmin(platform);
      const kept = [`fluxbase.session.${host}`, JSON.stringify(admin)] as const;
      await context.addInitScript(([key, value]) => {
        // Only before the first page: a test may sign out.
        if (sessionStorage.getItem("test.begun") === null && localStorage.getItem(key) === null) {
          localStorage.setItem(key, value);
        }
        sessionStorage.setItem("test.begun", "yes");
      }, kept);
    }
    await context.addInitScript(() => {
      // deno-lint-ignore no-explicit-any -- types of a browser are not here
      addEventListener("securitypolicyviolation", (event: any) => {
        const { violatedDirective, blockedURI, sourceFile, lineNumber } = event;
        // deno-lint-ignore no-console
        console.error(`policy violated: ${violatedDirective} ${blockedURI} ${sourceFile}:${lineNumber}`);
      });
    });
    return context;
  }

  function watch(page: Page): void {
    page.on("console", (message) => {
      // What the API refuses is what a page shows.
      const isRefusal = message.text().startsWith("Failed to load resource") &&
        /\/(api|rest)\//.test(message.location().url);
      if (message.type() === "error" && !isRefusal) problems.push(`console: ${message.text()}`);
    });
    page.on("pageerror", (error) => problems.push(`error: ${error.stack ?? error.message}`));
    page.on("request", (request) => {
      const url = request.url();
      if (!url.startsWith(origin) && !/^(blob|data|about):/.test(url)) problems.push(`request to ${url}`);
    });
  }

  return {
    platform,
    setupToken: SETUP_TOKEN,
    async open(path, options = {}) {
      const context: BrowserContext = options.beside?.context() ?? await contextOf(options);
      const page = await context.newPage();
      pages.push(page);
      watch(page);
      await page.goto(`${origin}/dashboard/${path}`);
      await page.waitForSelector("h1");
      return page;
    },
    async look(page, name) {
      if (shots === undefined) return;
      const { width = 0 } = page.viewportSize() ?? {};
      await Deno.mkdir(shots, { recursive: true });
      for (const theme of ["light", "dark"] as const) {
        await show(page, theme);
        await page.screenshot({ path: join(shots, `${name}-${width}-${theme}.png`) });
      }
      await show(page, "light");
    },
    async checkAxe(page) {
      for (const theme of IS_WHOLE ? ["light", "dark"] as const : ["light"] as const) {
        await show(page, theme);
        await page.evaluate(axe);
        const found = await page.evaluate(async () => {
          // deno-lint-ignore no-explicit-any -- it has just put itself there
          const { axe, document } = globalThis as any;
          const { violations } = await axe.run(document, {
            runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
          });
          // deno-lint-ignore no-explicit-any
          return violations.map(({ id, nodes }: any) =>
            // deno-lint-ignore no-explicit-any
            `${id}: ${nodes.map((node: any) => `${node.target} ${node.failureSummary}`).slice(0, 4).join(" | ")}`
          );
        });
        assert.deepEqual(found, [], `${page.url()} in ${theme}`);
        const overflow = await page.evaluate("document.documentElement.scrollWidth - innerWidth") as number;
        assert.ok(overflow <= 0, `${page.url()} is ${overflow} px wider than the window`);
      }
      await show(page, "light");
    },
    assertNoProblems() {
      assert.deepEqual(problems.splice(0), []);
    },
    async explain(error, step) {
      const dir = await Deno.makeTempDir({ prefix: "fluxbase-browser-" });
      const shown = pages.filter((page) => !page.isClosed());
      for (const [index, page] of shown.entries()) {
        await page.screenshot({ path: join(dir, `${index}.png`) }).catch(() => {});
      }
      const traces = IS_WHOLE ? browser.contexts() : [];
      for (const [index, context] of traces.entries()) {
        await context.tracing.stop({ path: join(dir, `trace-${index}.zip`) }).catch(() => {});
      }
      const urls = shown.map((page) => page.url()).join(" ");
      if (error instanceof Error) {
        const kept = traces.length === 0 ? "pictures" : "pictures and traces (`npx playwright-core show-trace`)";
        error.message += `\nIn the browser (${step}; ${urls}; ${kept} in ${dir}):\n${problems.splice(0).join("\n")}`;
      }
    },
  };
}

/** When it is drawn. */
async function show(page: Page, theme: "light" | "dark"): Promise<void> {
  await page.emulateMedia({ colorScheme: theme });
  await page.evaluate("new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))");
}
