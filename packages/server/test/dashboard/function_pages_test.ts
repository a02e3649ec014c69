/**
 * The pages of one function: its log as it comes, its calls, numbers, versions and settings.
 *
 * @module
 */
import assert from "node:assert/strict";
import { sql } from "kysely";
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
    const { settings_origins: origins } = (await platform.api("GET", "/functions/shop")).body;
    for (const name of Object.keys(origins)) {
      assert.equal(await page.locator(`#${name}.setting`).count(), 1, `${name} has no place on the page`);
    }
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

  await step("a setting that somebody else has changed meanwhile is not overwritten without being asked", async () => {
    const timeout = page.locator(".setting", { hasText: "Time limit" });
    await timeout.getByRole("textbox").fill("9");
    await platform.api("PUT", "/functions/shop", { timeout: 8, memory: 64 });
    await page.getByRole("button", { name: "Save", exact: true }).last().click();
    await page.getByText("Somebody else has saved version 4.").waitFor();
    await timeout.getByText("Now 8").waitFor();
    assert.equal(await page.locator("#memory").getByRole("textbox").inputValue(), "64");
    assert.equal(await timeout.getByRole("textbox").inputValue(), "9");
    assert.equal(await page.getByRole("heading", { name: "General" }).count(), 1);
    await look(page, "settings-conflict");
    await checkAxe(page);
    await page.getByRole("button", { name: "Save", exact: true }).last().click();
    await page.getByText("Saved as version 5").waitFor();
    const { body } = await platform.api("GET", "/functions/shop");
    assert.deepEqual([body.timeout, body.memory], [9, 64]);
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

  await step("a schedule is added, changed, run at once, and paused; its runs are shown", async () => {
    await page.getByRole("link", { name: "Triggers", exact: true }).click();
    await page.getByRole("heading", { name: "No schedules" }).waitFor();
    await look(page, "triggers-none");
    await checkAxe(page);
    await page.getByRole("button", { name: "New schedule" }).click();
    await page.getByLabel("When").fill("61 9 * * *");
    await page.keyboard.press("Enter");
    await page.getByRole("dialog").getByRole("alert").waitFor();
    await page.getByLabel("When").fill("0 9 * * MON-FRI");
    await look(page, "schedule");
    await checkAxe(page);
    await page.keyboard.press("Enter");
    await page.getByText(/^Next /).waitFor();
    await page.getByRole("button", { name: /^Change / }).click();
    await page.getByLabel("If the run before has not ended").selectOption("queue");
    await page.getByRole("button", { name: "Save", exact: true }).last().click();
    await page.getByText("Changed the schedule").waitFor();
    await page.getByRole("button", { name: /^Run .* now$/ }).click();
    await page.getByText("Started a run").waitFor();
    await page.getByRole("button", { name: /^Runs of / }).click();
    await page.getByLabel("Next runs").getByRole("listitem").nth(4).waitFor();
    await page.getByLabel("Last runs").getByRole("link", { name: "Execution" }).waitFor();
    await look(page, "schedule-runs");
    await checkAxe(page);
    await page.keyboard.press("Escape");
    await page.getByRole("button", { name: /^Pause / }).click();
    await page.getByText("Paused", { exact: true }).first().waitFor();
    const [schedule] = (await platform.api("GET", "/functions/shop/schedules")).body;
    assert.deepEqual(
      [schedule.cron, schedule.paused, schedule.overlap, schedule.source],
      ["0 9 * * MON-FRI", true, "queue", "api"],
    );
  });

  await step("webhooks are verified, and a secret that is missing is told", async () => {
    const card = page.getByLabel("Webhook signature", { exact: true });
    await card.getByRole("button", { name: "Set up" }).click();
    await page.getByLabel("Sender").selectOption("github");
    await page.getByLabel("Secret", { exact: true }).fill("GITHUB_WEBHOOK_SECRET");
    await look(page, "verification");
    await checkAxe(page);
    await page.keyboard.press("Enter");
    await card.getByText("github GITHUB_WEBHOOK_SECRET").waitFor();
    await card.getByText("see no secret named GITHUB_WEBHOOK_SECRET").waitFor();
    assert.equal((await platform.call("shop", { method: "POST" })).status, 401);
    await look(page, "triggers");
    await checkAxe(page);
    await card.getByRole("button", { name: "Change" }).click();
    await page.getByLabel("Sender").selectOption("hmac");
    await page.getByLabel("Options").fill("header=");
    await page.keyboard.press("Enter");
    await page.getByRole("dialog").getByRole("alert").waitFor();
    await page.getByLabel("Sender").selectOption("");
    await page.getByRole("button", { name: "Save", exact: true }).last().click();
    await card.getByText("Requests are not verified").waitFor();
    assert.equal((await platform.api("GET", "/functions/shop")).body.verify, null);
  });

  await step("a change of rows calls it, and so do events of accounts", async () => {
    await platform.api("POST", "/admin/database/query", {
      sql: "create table orders (id int primary key, status text)",
    });
    await page.getByRole("button", { name: "New table hook" }).click();
    await page.getByLabel("Table", { exact: true }).fill("nothing");
    await page.keyboard.press("Enter");
    await page.getByRole("dialog").getByRole("alert").waitFor();
    await page.getByLabel("Table", { exact: true }).fill("orders");
    await page.getByLabel("DELETE").uncheck();
    await page.getByLabel("Columns").fill("status");
    await page.getByLabel("Conditions").fill("status=eq.paid");
    await look(page, "table-hook");
    await checkAxe(page);
    await page.keyboard.press("Enter");
    await page.getByText("INSERT, UPDATE in public.orders").waitFor();
    await page.getByText("only status; where status=eq.paid").waitFor();
    await page.getByRole("button", { name: "Choose events" }).click();
    await page.getByRole("checkbox", { name: /^user_created/ }).check();
    await look(page, "auth-hooks");
    await checkAxe(page);
    await page.getByRole("button", { name: "Save", exact: true }).last().click();
    await page.getByRole("switch", { name: "user_created, for all functions" }).waitFor();
    await page.getByLabel("Table hooks").first().scrollIntoViewIfNeeded();
    await look(page, "hooks");
    await checkAxe(page);
    await page.getByRole("button", { name: "Delete the hook of public.orders" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Delete", exact: true }).click();
    await page.getByText("No table hooks").waitFor();
    await page.getByRole("button", { name: "Choose events" }).click();
    await page.getByRole("checkbox", { name: /^user_created/ }).uncheck();
    await page.getByRole("button", { name: "Save", exact: true }).last().click();
    await page.getByText("No auth hooks").waitFor();
  });

  await step("versions are compared, and one is gone back to", async () => {
    await platform.api("PUT", "/functions/shop", { code: CODE.replace("text/html", "text/plain") });
    await page.getByRole("link", { name: "Versions" }).click();
    await page.getByRole("button", { name: "What changed in version 13" }).click();
    await page.locator(".cm-deletedChunk", { hasText: "text/html" }).waitFor();
    await look(page, "versions-diff");
    await checkAxe(page);
    await page.keyboard.press("Escape");
    await page.getByRole("button", { name: "Roll back to version 1", exact: true }).click();
    await page.getByRole("button", { name: "Roll back", exact: true }).click();
    await page.getByText("Version 1 is live").waitFor();
    await page.getByRole("button", { name: "Split calls with version 13", exact: true }).click();
    await page.getByLabel("Share of the calls").fill("25");
    await look(page, "canary");
    await checkAxe(page);
    await page.keyboard.press("Enter");
    await page.getByText("Version 13 gets 25 % of the calls over HTTP").waitFor();
    assert.deepEqual((await platform.api("GET", "/functions/shop")).body.canary, { version: 13, percent: 25 });
    await look(page, "versions-canary");
    await checkAxe(page);
    await page.getByRole("button", { name: "End split" }).click();
    await page.getByText("Version 1 gets all calls").waitFor();
    await page.getByText("Version 13 gets 25 % of the calls over HTTP").waitFor({ state: "detached" });
    assert.equal((await platform.api("GET", "/functions/shop")).body.live_version, 1);
    await look(page, "versions");
    await checkAxe(page);
  });

  await step("each example of the repository is a template, and says what it does", async () => {
    const examples = new URL("../../../../examples/", import.meta.url);
    const found: string[] = [];
    for (const { name } of Deno.readDirSync(examples)) {
      const isFolder = Deno.statSync(new URL(name, examples)).isDirectory;
      if (name === "functions") {
        found.push(...[...Deno.readDirSync(new URL("functions/", examples))].map((one) => one.name));
      } else if (isFolder) found.push(name);
    }
    await page.goto(`${platform.url}/dashboard/functions/new`);
    const templates = page.locator(".template");
    await templates.first().waitFor();
    assert.equal(await templates.count(), found.length + 2);
    for (const one of await templates.all()) {
      await one.click();
      const title = await one.locator(".template-title").textContent();
      assert.ok((await one.locator(".template-about").textContent() ?? "").length > 10, `${title} says nothing`);
      assert.match(await page.getByLabel("Its code").textContent() ?? "", /handler|export default/, title ?? "");
    }
    await page.getByText("Stripe webhook", { exact: true }).first().click();
    await page.getByText(/^It needs: Environment: STRIPE_WEBHOOK_SECRET/).waitFor();
    await look(page, "new-function");
    await checkAxe(page);
    await page.getByText("Chat", { exact: true }).click();
    await page.getByLabel("Name", { exact: true }).fill("room");
    await page.keyboard.press("Enter");
    await page.getByRole("textbox", { name: "Code of room" }).waitFor();
    assert.equal((await platform.api("GET", "/functions/room")).body.is_bundled, true);
    await page.goto(`${platform.url}/dashboard/functions/default/shop/code`);
  });

  await step("10,000 calls are paged through, and a failed one among them is found", async () => {
    await sql`
      insert into fluxbase.executions
        (id, function_id, function_name, namespace, version, trigger_type, status, status_code, duration_ms, queue_ms,
         cold_start, method, path, error_message, error_code, started_at, completed_at)
      select 'many-' || n, f.id, f.name, f.namespace, 1, 'http', case n when 5000 then 'error' else 'success' end,
             case n when 5000 then 502 else 200 end, n % 900, 0, false, 'GET', '/many/' || n,
             case n when 5000 then ${HOSTILE} end, case n when 5000 then 'FUNCTION_ERROR' end,
             now() - n * interval '1 second', now() - n * interval '1 second'
        from generate_series(1, 10000) n, fluxbase.functions f where f.name = 'shop' and f.deleted_at is null`
      .execute(platform.db);
    await page.goto(`${platform.url}/dashboard/functions/default/shop/executions`);
    const rows = page.getByRole("table", { name: "Executions" }).locator("tbody tr");
    await rows.nth(49).waitFor();
    await look(page, "executions-many");
    await rows.nth(49).scrollIntoViewIfNeeded();
    await rows.nth(99).waitFor();
    await page.getByLabel("HTTP status").fill("502");
    await page.keyboard.press("Enter");
    await page.getByRole("link", { name: "GET /many/5000" }).waitFor();
    assert.equal(await rows.count(), 1);
    await checkAxe(page);
    await page.goto(`${platform.url}/dashboard/functions/default/shop/code`);
  });

  await step("who has a key sees what it may, and why it may not do more", async () => {
    const key = await platform.mintKey(["functions:read"]);
    const theirs = await open("", { anonymous: true });
    await theirs.getByRole("button", { name: "Use a key instead" }).click();
    await theirs.getByLabel("Client key or service key").fill(key);
    await theirs.keyboard.press("Enter");
    await theirs.getByRole("link", { name: "shop" }).waitFor();
    await theirs.goto(`${platform.url}/dashboard/functions/default/shop/triggers`);
    await theirs.getByRole("heading", { name: "Schedules" }).waitFor();
    assert.equal(await theirs.getByRole("heading", { name: "Table hooks" }).count(), 0);
    await theirs.getByRole("button", { name: /^Run .* now$/ }).click();
    await theirs.getByText(/Cannot change the schedule: .*functions:write/).waitFor();
    await checkAxe(theirs);
    await theirs.getByRole("link", { name: "Versions", exact: true }).click();
    await theirs.getByRole("button", { name: "Split calls with version 13", exact: true }).click();
    await theirs.getByRole("dialog").getByRole("button", { name: "Split" }).click();
    await theirs.getByRole("dialog").getByRole("alert").filter({ hasText: "functions:write" }).waitFor();
    await look(theirs, "canary-refused");
    await theirs.close();
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
    for (const name of ["Executions", "Logs", "Metrics", "Versions", "Triggers", "Settings"]) {
      await narrow.getByRole("link", { name, exact: true }).click();
      await narrow.locator(".table, .log, .chart, .setting, .plain-list").first().waitFor();
      await look(narrow, name.toLowerCase());
      const overflow = await narrow.evaluate("document.documentElement.scrollWidth - innerWidth") as number;
      assert.ok(overflow <= 0, `${name} is ${overflow} px too wide`);
    }
  });
});
