/**
 * The pages of one function: its log as it comes, its calls, numbers, versions and settings.
 *
 * @module
 */
import assert from "node:assert/strict";
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
    await page.getByLabel("Where its time went").getByText("handler").waitFor();
    await look(page, "execution");
    await checkAxe(page);
    await page.getByRole("button", { name: "Copy as curl" }).click();
    assert.match(
      await page.evaluate("navigator.clipboard.readText()") as string,
      /^curl -X GET '.*shop\/invoke\/fail'/,
    );
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
    await timeout.getByText("set here").waitFor();
    await timeout.getByRole("textbox").fill("100000");
    await page.getByRole("button", { name: "Save", exact: true }).last().click();
    await page.getByRole("alert").filter({ hasText: "timeout" }).waitFor();
    await timeout.getByRole("textbox").fill("7");
    await page.getByRole("button", { name: "Save", exact: true }).last().click();
    await page.getByText("Saved as version 2").waitFor();
    assert.equal((await platform.api("GET", "/functions/shop")).body.timeout, 7);
    await timeout.getByRole("button", { name: "Take Time limit back" }).click();
    await timeout.getByText("default").waitFor();
    await look(page, "settings");
    await checkAxe(page);
  });

  await step("versions are compared, and one is gone back to", async () => {
    await platform.api("PUT", "/functions/shop", { code: CODE.replace("text/html", "text/plain") });
    await page.getByRole("link", { name: "Versions" }).click();
    await page.getByRole("button", { name: "What changed in version 4" }).click();
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
