/**
 * The pages of one function: its log as it comes, its calls, numbers, versions and settings.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { Page } from "playwright-core";
import { dashboardTest } from "../support/dashboard.ts";

/** Everything in it tries to be run by who looks at it. */
const HOSTILE = `<img src=x onerror="document.title='owned'"><script>document.title='owned'</script>`;
const CODE = `export default async (req) => {
  const { pathname } = new URL(req.url);
  console.log(${JSON.stringify(HOSTILE)}, { path: pathname });
  if (pathname.endsWith("/fail")) throw new Error(${JSON.stringify(HOSTILE)});
  return new Response(${JSON.stringify(`<script>document.title="owned"</script>${HOSTILE}`)}, {
    headers: { "content-type": "text/html", "x-hostile": "<script>1</script>" },
  });
};
`;

async function clipboardOf(page: Page): Promise<string> {
  return await page.evaluate("navigator.clipboard.readText()") as string;
}

dashboardTest("the pages of a function", async ({ platform, open, look, checkAxe }, step) => {
  await platform.deploy("shop", CODE, { timeout: 5, description: HOSTILE, env: { API_KEY: "1" } });
  const call = (path = "") => platform.call(`shop/invoke${path}`).then((answer) => answer.text());
  await call();
  await call("/fail");
  await platform.executions("shop", 2);
  const page = await open("functions/default/shop/logs");

  await step("the log is shown as it comes, and a pause holds it", async () => {
    await page.getByText("live", { exact: true }).waitFor();
    await page.locator(".log-line").nth(2).waitFor();
    await call();
    await page.locator(".log-line").nth(3).waitFor();
    await page.getByRole("button", { name: "Pause" }).click();
    await call();
    await page.getByText("paused, 1 new").waitFor();
    assert.equal(await page.locator(".log-line").count(), 4);
    await page.getByRole("button", { name: "Go on" }).click();
    await page.locator(".log-line").nth(4).waitFor();
    await look(page, "logs");
    await checkAxe(page);
    await page.getByLabel("Search messages").fill("nothing like this");
    await page.getByText("No lines yet").waitFor();
    assert.match(page.url(), /text=nothing/);
  });

  await step("a failed call is found, and told in full", async () => {
    await page.getByRole("link", { name: "Executions" }).click();
    await page.getByLabel("Status", { exact: true }).selectOption("error");
    const row = page.getByRole("row").filter({ hasText: "500 error" });
    await row.getByRole("link").waitFor();
    await page.getByText("200 success").first().waitFor({ state: "detached" });
    await look(page, "executions");
    await checkAxe(page);
    await row.getByRole("link").click();
    await page.getByLabel("Failure").getByText("onerror").first().waitFor();
    await page.getByLabel("Time", { exact: true }).getByText("handler").waitFor();
    await look(page, "execution");
    await checkAxe(page);
    await page.getByRole("button", { name: "Copy as curl" }).click();
    assert.match(await clipboardOf(page), /^curl -X GET \S*shop\/invoke\/fail /);
  });

  await step("a request that was kept is read, copied, replayed on a version, and deleted", async () => {
    await platform.deploy("kept", CODE, { capture: "all" });
    const sent = await platform.call("kept/invoke/fail?which=it's", {
      method: "POST",
      headers: { "x-hostile": HOSTILE, authorization: `Bearer ${platform.serviceKey}`, cookie: "session=needle" },
      body: HOSTILE,
    });
    await sent.body?.cancel();
    await platform.api("PUT", "/functions/kept", { code: CODE.replace('endsWith("/fail")', 'endsWith("/never")') });
    await page.goto(`${platform.url}/dashboard/functions/default/kept/executions`);
    await page.getByLabel("Requests").selectOption("true");
    await page.getByRole("link", { name: "POST /fail" }).click();
    await page.getByRole("button", { name: "Show", exact: true }).click();
    await page.getByLabel("Body of the request").getByText(HOSTILE).waitFor();
    await page.getByText("Removed before it was kept").waitFor();
    await look(page, "execution-request");
    await checkAxe(page);
    await page.getByRole("button", { name: "Copy as curl" }).click();
    await page.getByText("Copied", { exact: true }).waitFor();
    const copied = await clipboardOf(page);
    assert.match(copied, /^curl -X POST '[^\n]*kept\/invoke\/fail\?which=it/);
    assert.ok(copied.endsWith(`--data-raw '${HOSTILE.replaceAll("'", String.raw`'\''`)}'`), copied);
    assert.doesNotMatch(copied, /needle/);
    await page.getByRole("button", { name: "Replay" }).click();
    await page.getByLabel("Version", { exact: true }).selectOption("1");
    await page.getByRole("button", { name: "Run", exact: true }).click();
    await page.getByText("Same answer").waitFor();
    await page.getByLabel("Version", { exact: true }).selectOption("");
    await page.getByRole("button", { name: "Run", exact: true }).click();
    await page.getByText("Different answer").waitFor();
    await page.getByRole("row", { name: /Status 500 200 different/ }).waitFor();
    await look(page, "replay");
    await checkAxe(page);
    await page.getByRole("link", { name: "Open the new execution" }).click();
    await page.getByText("Replay of").waitFor();
    await page.goBack();
    await page.getByRole("button", { name: "Delete", exact: true }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Delete", exact: true }).click();
    await page.getByText("Headers and body were not kept").waitFor();
    await look(page, "execution-not-kept");
    await page.goto(`${platform.url}/dashboard/functions/default/shop/executions`);
  });

  await step("its numbers are drawn, also by version", async () => {
    await page.getByRole("link", { name: "Metrics" }).click();
    await page.locator(".tile", { hasText: "Calls" }).getByText("4").waitFor();
    await page.locator(".chart canvas").first().waitFor();
    await look(page, "metrics");
    await checkAxe(page);
    await page.getByRole("button", { name: "By version" }).click();
    await page.locator(".u-legend", { hasText: "v1" }).first().waitFor();
  });

  await step("a setting is changed, and says where it comes from", async () => {
    await page.getByRole("link", { name: "Settings" }).click();
    const timeout = page.locator(".setting", { hasText: "Time limit" });
    await timeout.getByText("API", { exact: true }).waitFor();
    await timeout.getByRole("textbox").fill("100000");
    await page.getByRole("button", { name: "Save", exact: true }).last().click();
    await page.getByRole("alert").filter({ hasText: "timeout" }).waitFor();
    await timeout.getByRole("textbox").fill("7");
    await page.getByRole("button", { name: "Save", exact: true }).last().click();
    await page.getByText("Saved as version 2").waitFor();
    assert.equal((await platform.api("GET", "/functions/shop")).body.timeout, 7);
    await timeout.getByRole("button", { name: "Reset Time limit" }).click();
    await timeout.getByText("default").waitFor();
    await look(page, "settings");
    await checkAxe(page);
  });

  await step("one variable of the environment is added, replaced and deleted; the others stay", async () => {
    const card = page.getByLabel("Environment variables", { exact: true });
    await card.getByRole("button", { name: "Add" }).click();
    await page.getByLabel("Name", { exact: true }).fill("1 bad");
    await page.getByLabel("Value", { exact: true }).fill("x");
    await page.getByRole("button", { name: "Save", exact: true }).last().click();
    await page.getByRole("alert").filter({ hasText: "no name for a variable" }).waitFor();
    await page.getByLabel("Name", { exact: true }).fill("REGION");
    await page.getByLabel("Value", { exact: true }).fill(HOSTILE);
    await look(page, "settings-variable");
    await checkAxe(page);
    await page.getByRole("button", { name: "Save", exact: true }).last().click();
    await card.getByText("REGION", { exact: true }).waitFor();
    await card.getByRole("button", { name: "Paste .env" }).click();
    await page.getByLabel("Lines of NAME=value").fill("# mine\nexport MORE='x y'\n");
    await page.getByRole("button", { name: "Save", exact: true }).last().click();
    await card.getByText("MORE", { exact: true }).waitFor();
    await card.getByRole("button", { name: "Delete REGION" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Delete", exact: true }).click();
    await card.getByText("REGION", { exact: true }).waitFor({ state: "detached" });
    assert.deepEqual((await platform.api("GET", "/functions/shop")).body.env, ["API_KEY", "MORE"]);
    await card.scrollIntoViewIfNeeded();
    await look(page, "settings-environment");
    await checkAxe(page);
  });

  await step("versions are compared, and one is gone back to", async () => {
    await platform.api("PUT", "/functions/shop", { code: CODE.replace("text/html", "text/plain") });
    await page.getByRole("link", { name: "Versions" }).click();
    await page.getByRole("button", { name: "What changed in version 7" }).click();
    await page.locator(".cm-deletedChunk", { hasText: "text/html" }).waitFor();
    await look(page, "versions-diff");
    await checkAxe(page);
    await page.keyboard.press("Escape");
    await page.getByRole("button", { name: "Roll back to version 1" }).click();
    await page.getByRole("button", { name: "Roll back", exact: true }).click();
    await page.getByText("Version 1 is live").waitFor();
    assert.equal((await platform.api("GET", "/functions/shop")).body.live_version, 1);
    await look(page, "versions");
    await checkAxe(page);
  });

  await step("nothing that the function says is run, wherever it is shown", async () => {
    await page.getByRole("link", { name: "Code", exact: true }).click();
    await page.getByRole("button", { name: "Send" }).click();
    await page.getByLabel("Body of the answer").getByText("<script>").waitFor();
    await page.getByRole("button", { name: /^Headers/ }).click();
    await page.getByText("x-hostile: <script>1</script>").waitFor();
    await page.getByRole("link", { name: "Functions" }).first().click();
    await page.getByText("onerror").first().waitFor();
    await look(page, "functions");
    await checkAxe(page);
    assert.doesNotMatch(await page.title(), /owned/);
    assert.equal(await page.locator("img, script:not([src])").count(), 0);
  });

  await step("everything fits a narrow window", async () => {
    const narrow = await open("functions/default/shop/executions", { size: "narrow" });
    for (const name of ["Executions", "Logs", "Metrics", "Versions", "Settings"]) {
      await narrow.getByRole("link", { name, exact: true }).click();
      await narrow.locator(".table, .log, .chart, .setting").first().waitFor();
      await look(narrow, name.toLowerCase());
      const overflow = await narrow.evaluate("document.documentElement.scrollWidth - innerWidth") as number;
      assert.ok(overflow <= 0, `${name} is ${overflow} px too wide`);
    }
  });
});
