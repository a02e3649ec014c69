/**
 * What happens on the server: overview, tasks, audit log, system, database, and the palette that leads there.
 *
 * @module
 */
import assert from "node:assert/strict";
import { dashboardTest } from "../support/dashboard.ts";
import { askedBy, callsOfDashboard } from "../support/dashboard_calls.ts";

/** Whatever shows it as HTML runs it, and the policy then says so. */
const HOSTILE = `<img src=x onerror="console.error('it ran')">`;

dashboardTest("the server in the dashboard", async ({ platform, open, look, checkAxe }, step) => {
  const { api } = platform;

  await step("the overview says that nothing has happened, and then what fails", async () => {
    const page = await open("overview");
    await page.getByText("No function failed").waitFor();
    await look(page, "overview-none");
    await platform.deploy("fails", `export default () => { throw new Error(${JSON.stringify(HOSTILE)}); };`);
    await platform.deploy("works", `export default () => "fine";`);
    for (let count = 0; count < 12; count += 1) {
      await (await platform.call(count % 4 === 0 ? "fails" : "works")).body?.cancel();
    }
    await page.getByRole("link", { name: "fails" }).waitFor();
    await page.getByRole("img", { name: /12 calls, 3 of them failed/ }).waitFor();
    await look(page, "overview");
    await checkAxe(page);
    await page.setViewportSize({ width: 360, height: 740 });
    await look(page, "overview");
    await checkAxe(page);
  });

  await step("a dead task is looked at, and tried again", async () => {
    const { task_id } = await (await platform.call("fails", {
      method: "POST",
      headers: { prefer: "respond-async", authorization: `Bearer ${platform.serviceKey}` },
      body: HOSTILE,
    })).json();
    await platform.db.updateTable("fluxbase.tasks").set({ retries: 0 }).where("id", "=", task_id).execute();
    const page = await open("tasks?state=dead");
    await page.getByRole("button", { name: "fails", exact: true }).click();
    await page.getByRole("heading", { name: "Task of fails" }).waitFor();
    await page.getByText(HOSTILE).first().waitFor();
    await look(page, "task");
    await page.keyboard.press("Escape");
    await look(page, "tasks");
    await checkAxe(page);
    await page.getByRole("button", { name: "More about the task of fails" }).click();
    await page.getByRole("menuitem", { name: "Try again" }).click();
    await page.getByText("It is tried again").waitFor();
  });

  await step("the audit log shows who changed what, with before and after", async () => {
    await api("PATCH", "/functions/works", { description: HOSTILE });
    const page = await open("audit?target=default/works");
    await page.getByRole("button", { name: "PATCH /functions/{name}" }).click();
    await page.getByRole("cell", { name: "description", exact: true }).waitFor();
    await look(page, "audit-entry");
    await page.keyboard.press("Escape");
    await look(page, "audit");
    await checkAxe(page);
  });

  await step("the system says what stands and what it is set to", async () => {
    const page = await open("system?text=idle_ms");
    await page.getByText("The database responds").waitFor();
    await page.getByText("FLUXBASE_LIMITS_SANDBOX_IDLE_MS").waitFor();
    await page.getByText("This server makes no backups").waitFor();
    await page.getByLabel("Search settings").fill("jwt_secret");
    await page.getByRole("row", { name: /FLUXBASE_AUTH_JWT_SECRET.*hidden environment/ }).waitFor();
    await page.getByLabel("Log level").selectOption("warn");
    await page.getByText("Log level is warn").waitFor();
    assert.equal((await api("GET", "/admin/log-level")).body.level, "warn");
    await api("PUT", "/admin/log-level", { level: null });
    await look(page, "system");
    await checkAxe(page);
  });

  await step("SQL makes a table, a row is changed, and a user sees only their own", async () => {
    await api("POST", "/admin/users", { email: "eve@example.invalid", password: "a long password" });
    const page = await open("database?tab=sql");
    await page.getByRole("textbox", { name: "SQL" }).fill(
      `create table notes (id int primary key, owner text, text text);
      alter table notes enable row level security;
      create policy own on notes for select to authenticated using (owner = auth.email());
      grant select on notes to authenticated;
      insert into notes select n, case when n % 2 = 0 then 'eve@example.invalid' end, 'note ' || n
        from generate_series(1, 120) n;
      update notes set text = '${HOSTILE.replaceAll("'", "''")}' where id = 1;
      select count(*) from notes`,
    );
    await page.keyboard.press("Control+Enter");
    await page.getByRole("cell", { name: "120" }).waitFor();
    await look(page, "database-sql");
    await checkAxe(page);
    await page.getByRole("button", { name: "Rows" }).click();
    await page.getByRole("cell", { name: "note 2", exact: true }).waitFor();
    await look(page, "database-rows");
    await checkAxe(page);
    await page.getByRole("button", { name: "More about id=2", exact: true }).click();
    await page.getByRole("menuitem", { name: "Edit" }).click();
    await page.getByRole("textbox", { name: "text" }).fill("changed here");
    await look(page, "database-row");
    await page.keyboard.press("Enter");
    await page.getByRole("cell", { name: "changed here" }).waitFor();
    await page.getByRole("button", { name: "As a user" }).click();
    await page.getByRole("button", { name: "See rows as eve@example.invalid" }).click();
    await page.getByText("Seen as eve@example.invalid").waitFor();
    await page.getByRole("cell", { name: "note 4", exact: true }).waitFor();
    assert.equal(await page.getByRole("cell", { name: "note 3", exact: true }).count(), 0);
    await look(page, "database-as-user");
    await page.getByRole("button", { name: "Migrations" }).click();
    await page.getByRole("heading", { name: "No migration has run yet" }).waitFor();
  });

  await step(
    "rows of another schema that is served are changed like others, and of any other are only read",
    async () => {
      const made = await api("POST", "/admin/database/query", {
        sql: "create table shop.items (id int primary key, label text); insert into shop.items values (1, 'an item')",
      });
      assert.equal(made.status, 200, JSON.stringify(made.body));
      const page = await open("database?table=shop.items");
      await page.getByRole("cell", { name: "an item" }).waitFor();
      await page.getByRole("button", { name: "More about id=1", exact: true }).click();
      await page.getByRole("menuitem", { name: "Edit" }).click();
      await page.getByRole("textbox", { name: "label" }).fill("sold");
      await page.keyboard.press("Enter");
      await page.getByRole("cell", { name: "sold" }).waitFor();
      await page.goto(`${platform.url}/dashboard/database?table=auth.users`);
      await page.getByRole("cell", { name: "eve@example.invalid" }).waitFor();
      await page.getByText("does not serve the schema auth").waitFor();
      assert.equal(await page.getByRole("button", { name: "New row" }).count(), 0);
      await checkAxe(page);
    },
  );

  await step("a shared module is made, typed while it is written, and saved; functions are built again", async () => {
    const page = await open("shared");
    await page.getByRole("heading", { name: "No shared modules yet" }).waitFor();
    await page.getByRole("button", { name: "New module" }).first().click();
    await page.getByLabel("Name", { exact: true }).fill("greet.ts");
    await page.keyboard.press("Enter");
    const editor = page.getByRole("textbox", { name: "Code of _shared/greet.ts" });
    await editor.waitFor();
    await platform.deploy("greets", `import { greet } from "_shared/greet.ts"; export default () => greet("Ada");`);
    await editor.click();
    await page.keyboard.press("Control+End");
    await page.keyboard.type("export const wrong: number = greet(1);");
    // Of TypeScript, by way of the server: a string is no number.
    await page.locator(".cm-lintRange-error").first().waitFor({ timeout: 120_000 });
    await look(page, "shared-wrong");
    await page.keyboard.press("Control+a");
    await page.keyboard.insertText("export const greet = (name: string) => `Hi ${name}!`;\n");
    await page.locator(".cm-lintRange-error").first().waitFor({ state: "detached", timeout: 120_000 });
    await page.keyboard.press("Control+s");
    const users = page.getByLabel("Used by", { exact: true });
    await users.getByRole("listitem").filter({ hasText: "greets" }).getByText("built", { exact: true }).waitFor();
    await look(page, "shared");
    await checkAxe(page);
    await editor.click();
    await page.keyboard.press("Control+a");
    await page.keyboard.insertText("export const other = 1;\n");
    await page.keyboard.press("Control+s");
    await users.getByText("did not build").waitFor();
    await look(page, "shared-failed");
    await checkAxe(page);
    await page.getByRole("button", { name: "Compare with version 2" }).click();
    await page.locator(".cm-deletedChunk", { hasText: "greet" }).waitFor();
    await look(page, "shared-diff");
    await checkAxe(page);
    await page.getByRole("button", { name: "Put version 2 into the editor" }).click();
    await page.keyboard.press("Control+s");
    await users.getByText("built", { exact: true }).waitFor();
    assert.match(await (await platform.call("greets")).text(), /Hi Ada/);
    await page.setViewportSize({ width: 360, height: 740 });
    await look(page, "shared");
    await checkAxe(page);
    await page.setViewportSize({ width: 1440, height: 900 });
    await page.goto(`${platform.url}/dashboard/functions/default/greets/code`);
    const code = page.getByRole("textbox", { name: "Code of greets" });
    await code.click();
    await page.keyboard.press("Control+End");
    await page.keyboard.type(" secrets.");
    await page.getByRole("option", { name: /getRequired/ }).waitFor({ timeout: 120_000 });
    await look(page, "code-completion");
    await page.keyboard.press("Escape");
    await checkAxe(page);
  });

  await step("everything that pages ask for is a call of the SDK, and a route of the document", async () => {
    const { calls, otherWays } = await callsOfDashboard();
    assert.deepEqual(otherWays, [], "they speak with a server beside the SDK");
    assert.ok(calls.length > 40, calls.join(" "));
    const { body } = await api("GET", "/openapi.json");
    const routes = Object.entries<object>(body.paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) =>
        new RegExp(`^${method.toUpperCase()} ${path.replaceAll(/\{\w+\}/g, "[^/]+")}$`)
      )
    );
    const without: string[] = [];
    for (const call of calls) {
      const asked = await askedBy(call);
      const text = asked === undefined ? "nothing" : `${asked.method} ${asked.path}`;
      if (!routes.some((route) => route.test(text))) without.push(`${call} asks for ${text}`);
    }
    assert.deepEqual(without, []);
  });

  await step("Ctrl-K leads to pages and functions without a mouse", async () => {
    const page = await open("functions");
    await page.keyboard.press("Control+k");
    await page.getByRole("dialog").getByRole("combobox").fill("audit");
    await look(page, "palette");
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "Audit log" }).waitFor();
    await page.keyboard.press("Control+k");
    await page.getByRole("dialog").getByRole("combobox").fill("works");
    await page.getByRole("option", { name: /works/ }).waitFor();
    await checkAxe(page);
    await page.keyboard.press("Enter");
    await page.waitForURL(/works/);
  });
}, { FLUXBASE_DATABASE_SCHEMAS: "public,shop" });
