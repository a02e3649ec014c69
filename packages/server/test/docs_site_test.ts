/**
 * The documentation as the server serves it: every page and link, the search, and the API reference in a browser.
 *
 * @module
 */
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { buildDocs } from "../../docs/build.mjs";
import { createDocs } from "../src/docs/docs.ts";
import { findBrowser } from "./support/browser.ts";
import { platformTest } from "./support/platform.ts";

const require = createRequire(import.meta.url);

Deno.test("without documentation the server has no such pages", () => {
  const docs = createDocs({ enabled: false, development: false });
  for (const path of ["/", "/docs", "/docs/", "/docs/api"]) {
    const request = new Request(`http://a.invalid${path}`, { headers: { accept: "text/html" } });
    assert.equal(docs.handle(request), undefined, path);
  }
});

platformTest("the documentation", async ({ url }, step) => {
  await buildDocs();
  const get = (path: string, headers: Record<string, string> = {}) =>
    fetch(url + path, { headers, redirect: "manual" });

  await step("the server says what it is, and where its documentation is", async () => {
    const answer = await (await get("/")).json();
    assert.deepEqual(
      { ...answer, version: "" },
      {
        name: "Fluxbase Edge Functions",
        version: "",
        api: `${url}/api/v1`,
        openapi: `${url}/openapi.json`,
        docs: `${url}/docs`,
        dashboard: `${url}/dashboard`,
      },
    );
    const moved = await get("/docs");
    assert.deepEqual([moved.status, moved.headers.get("location")], [302, "./docs/"]);
    await moved.body?.cancel();
  });

  await step("every link of every page leads to a page and to a heading that is there", async () => {
    const pages = new Map<string, string>();
    const waiting = ["/docs/"];
    const wrong: string[] = [];
    const wanted: { from: string; path: string; anchor: string }[] = [];
    for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
      if (pages.has(path)) continue;
      const response = await get(path);
      const html = await response.text();
      pages.set(path, html);
      if (response.status !== 200) wrong.push(`${path}: ${response.status}`);
      if (!response.headers.get("content-type")?.startsWith("text/html")) continue;
      assert.doesNotMatch(html, /<script>|<style>| on\w+="| style="/, path);
      for (const [, link = ""] of html.matchAll(/(?:href|src)="([^"]+)"/g)) {
        if (/^[a-z]+:/.test(link)) continue;
        const { pathname, hash }: URL = new URL(link, url + path);
        if (pathname !== path) waiting.push(pathname);
        if (hash !== "") wanted.push({ from: path, path: pathname, anchor: decodeURIComponent(hash.slice(1)) });
      }
    }
    for (const { from, path, anchor } of wanted) {
      if (!pages.get(path)?.includes(`id="${anchor}"`)) wrong.push(`${from}: no heading ${path}#${anchor}`);
    }
    assert.deepEqual(wrong, []);
    assert.ok(pages.size > 40, `${pages.size} pages`);
  });

  await step(
    "a page allows nothing but the server's own files, and is asked for again only when it changed",
    async () => {
      const page = await get("/docs/getting-started");
      await page.body?.cancel();
      const policy = page.headers.get("content-security-policy") ?? "";
      assert.match(policy, /^default-src 'none'; script-src 'self'; style-src 'self';/);
      assert.doesNotMatch(policy, /unsafe/);
      const again = await get("/docs/getting-started", { "if-none-match": page.headers.get("etag") ?? "" });
      assert.equal(again.status, 304);
      const absent = await get("/docs/../docs/%2e%2e/secret");
      assert.equal(absent.status, 404);
      await absent.body?.cancel();
    },
  );

  await step("in a browser the search finds a section, and the API reference asks nobody else", async () => {
    const executablePath = await findBrowser();
    if (executablePath === undefined) return;
    const { chromium } = require("playwright-core") as typeof import("playwright-core");
    const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-dev-shm-usage"] });
    try {
      const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
      page.setDefaultTimeout(30_000);
      const problems: string[] = [];
      page.on("console", (message) => message.type() === "error" && problems.push(message.text()));
      page.on("pageerror", (error) => problems.push(error.message));
      page.on("request", (request) => {
        if (!request.url().startsWith(url) && !/^(blob|data):/.test(request.url())) problems.push(request.url());
      });
      await page.goto(`${url}/docs/`);
      await page.keyboard.press("/");
      await page.keyboard.type("retry-after");
      await page.locator("#results a").first().waitFor();
      await page.keyboard.press("Enter");
      await page.waitForURL(/docs\/.+/);
      await page.goto(`${url}/docs/api`);
      await page.getByRole("heading", { name: "Fluxbase Edge Functions" }).waitFor();
      const shots = Deno.env.get("FLUXBASE_SCREENSHOTS");
      if (shots !== undefined) {
        await page.screenshot({ path: `${shots}/docs-api.png` });
        await page.goto(`${url}/docs/configuration`);
        await page.screenshot({ path: `${shots}/docs-page.png` });
      }
      assert.deepEqual(problems, []);
    } finally {
      await browser.close();
    }
  });
});
