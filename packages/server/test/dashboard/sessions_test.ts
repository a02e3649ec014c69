/**
 * Who is signed in: with a key, in several tabs, after a session has run out; a server that goes away; long lists.
 *
 * @module
 */
import assert from "node:assert/strict";
import { sql } from "kysely";
import { dashboardTest } from "../support/dashboard.ts";

const CODE = "export default () => 1;";

dashboardTest("sessions of the dashboard, and what may go wrong", async ({ platform, open, look, checkAxe }, step) => {
  await platform.deploy("first", CODE);
  await platform.deploy("second", CODE, { namespace: "shop" });

  await step("a key signs in with exactly what it may do", async () => {
    const key = await platform.mintKey(["functions:read"], ["shop"]);
    const page = await open("", { anonymous: true });
    await page.getByRole("button", { name: "Use a key instead" }).click();
    await page.getByLabel("Client key or service key").fill("fb_nothing");
    await page.keyboard.press("Enter");
    await page.getByRole("alert").waitFor();
    await page.getByLabel("Client key or service key").fill(key);
    await page.keyboard.press("Enter");
    await page.getByRole("link", { name: "second" }).waitFor();
    assert.equal(await page.getByRole("link", { name: "first" }).count(), 0);
    await page.getByRole("switch").click();
    await page.getByText(/Cannot change second: .*functions:write/).waitFor();
    await page.goto(`${platform.url}/dashboard/functions/default/first/code`);
    await page.getByText("There is no such function").waitFor();
    await look(page, "function-absent");
    await checkAxe(page);
    await page.getByRole("button", { name: /…$/ }).click();
    await page.getByRole("menuitem", { name: "Forget the key" }).click();
    await page.getByRole("heading", { name: "Sign in" }).waitFor();
  });

  const page = await open("functions");
  await step("a session that ran out is renewed once, for all tabs", async () => {
    await page.getByRole("link", { name: "first" }).waitFor();
    const beside = await open("functions", { beside: page });
    await page.evaluate(`{
      const key = Object.keys(localStorage).find((name) => name.startsWith("fluxbase.session."));
      localStorage.setItem(key, JSON.stringify({ ...JSON.parse(localStorage.getItem(key)), expires_at: 1 }));
    }`);
    await Promise.all([page.reload(), beside.reload()]);
    await Promise.all([page, beside].map((tab) => tab.getByRole("link", { name: "first" }).waitFor()));
    await beside.getByRole("button", { name: "ada@" }).click();
    await beside.getByRole("menuitem", { name: "Sign out" }).click();
    // Whoever signs out does so in all tabs.
    await page.getByRole("heading", { name: "Sign in" }).waitFor();
    await beside.getByRole("heading", { name: "Sign in" }).waitFor();
    await beside.close();
    await page.getByLabel("E-mail").fill("ada@example.invalid");
    await page.getByLabel("Password").fill("a long password");
    await page.keyboard.press("Enter");
    await page.getByRole("link", { name: "first" }).waitFor();
  });

  await step("a session that the server has ended leads to signing in, and back to the page", async () => {
    await page.goto(`${platform.url}/dashboard/functions/shop/second/versions`);
    await page.getByRole("table", { name: "Versions" }).waitFor();
    await sql`update fluxbase.sessions set ended_at = now()`.execute(platform.db);
    await page.evaluate(`{
      const key = Object.keys(localStorage).find((name) => name.startsWith("fluxbase.session."));
      localStorage.setItem(key, JSON.stringify({ ...JSON.parse(localStorage.getItem(key)), expires_at: 1 }));
    }`);
    await page.reload();
    await page.getByRole("heading", { name: "Sign in" }).waitFor();
    await page.getByLabel("E-mail").fill("ada@example.invalid");
    await page.getByLabel("Password").fill("a long password");
    await page.keyboard.press("Enter");
    await page.getByRole("table", { name: "Versions" }).waitFor();
  });

  await step("a server that goes away is told, and its coming back noticed", async () => {
    await page.route("**/api/v1/**", (route) => route.fulfill({ status: 503, body: "{}" }));
    await page.goto(`${platform.url}/dashboard/functions?text=x`);
    await page.getByRole("button", { name: "Try again" }).waitFor();
    await look(page, "functions-error");
    await checkAxe(page);
    await page.unroute("**/api/v1/**");
    await page.getByRole("button", { name: "Try again" }).click();
    await page.getByText("No matching function").waitFor();
  });

  await step("10,000 functions come page by page, and are found by their names", async () => {
    await sql.raw(`
      insert into fluxbase.functions
        select (jsonb_populate_record(f, jsonb_build_object('id', gen_random_uuid(), 'name', 'fn-' || i))).*
          from fluxbase.functions f, generate_series(1, 10000) i where f.name = 'first';
      insert into fluxbase.versions
        select (jsonb_populate_record(v, jsonb_build_object('function_id', f.id))).*
          from fluxbase.versions v join fluxbase.functions seed on seed.id = v.function_id and seed.name = 'first',
               fluxbase.functions f where f.name like 'fn-%';
    `).execute(platform.db);
    await page.goto(`${platform.url}/dashboard/functions`);
    await page.getByRole("row").nth(50).waitFor();
    await look(page, "functions-many");
    await page.getByRole("button", { name: "Show more" }).scrollIntoViewIfNeeded();
    await page.getByRole("row").nth(100).waitFor();
    await page.getByLabel("Search functions").fill("fn-9876");
    await page.getByRole("link", { name: "fn-9876" }).waitFor();
    await page.getByRole("row").nth(2).waitFor({ state: "detached" });
  });
});
