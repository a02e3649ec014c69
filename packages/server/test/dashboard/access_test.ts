/**
 * Who may do what: keys, secrets and users in the dashboard.
 *
 * @module
 */
import assert from "node:assert/strict";
import { dashboardTest } from "../support/dashboard.ts";

/** Whatever shows it as HTML runs it, and the policy then says so. */
const HOSTILE = `<img src=x onerror="console.error('it ran')">`;

dashboardTest("keys, secrets and users in the dashboard", async ({ platform, open, look, checkAxe }, step) => {
  const { api } = platform;

  await step("a key is made, shown once, works, and is revoked", async () => {
    await api("POST", "/client-keys", {
      name: HOSTILE,
      description: HOSTILE,
      scopes: ["functions:*"],
      namespaces: ["a"],
    });
    const page = await open("keys");
    await page.getByRole("button", { name: "New key" }).first().click();
    await page.getByLabel("Name", { exact: true }).fill("ci");
    await page.getByLabel("See functions").check();
    await look(page, "key-new");
    await page.keyboard.press("Enter");
    const value = await page.getByLabel("The value").textContent() ?? "";
    await look(page, "key-shown-once");
    assert.equal((await api("GET", "/functions", undefined, value)).status, 200);
    await page.getByRole("button", { name: "I have it" }).click();
    await page.getByRole("button", { name: "More about ci" }).click();
    await page.getByRole("menuitem", { name: "Revoke" }).click();
    await page.getByRole("button", { name: "Revoke" }).click();
    await page.getByRole("row", { name: /ci .*revoked/ }).waitFor();
    assert.equal((await api("GET", "/functions", undefined, value)).status, 401);
    await look(page, "keys");
    await checkAxe(page);
    await page.goto(`${platform.url}/dashboard/keys?kind=service`);
    await page.getByRole("heading", { name: "No service keys yet" }).waitFor();
  });

  await step("a secret is set, read by a function, set again, and goes back", async () => {
    await platform.deploy("reads", `export default () => secrets.get("SHOP") ?? "nothing";`, {
      allow_unauthenticated: true,
    });
    const read = async () => await (await platform.call("reads")).text();
    const page = await open("secrets");
    await page.getByRole("heading", { name: "No secrets yet" }).waitFor();
    await look(page, "secrets-none");
    await page.getByRole("button", { name: "New secret" }).first().click();
    await page.getByLabel("Name", { exact: true }).fill("SHOP");
    await page.getByLabel("Value", { exact: true }).fill("first");
    await page.getByLabel("Description").fill(HOSTILE);
    await page.getByRole("button", { name: "Save" }).click();
    await page.getByRole("row", { name: /SHOP/ }).waitFor();
    assert.match(await read(), /first/);
    await page.getByRole("button", { name: "More about SHOP" }).click();
    await page.getByRole("menuitem", { name: "New value" }).click();
    await page.getByLabel("New value").fill("second");
    await page.getByRole("button", { name: "Save" }).click();
    await page.getByRole("cell", { name: "2", exact: true }).waitFor();
    await page.getByRole("button", { name: "More about SHOP" }).click();
    await page.getByRole("menuitem", { name: "Versions" }).click();
    await page.getByText("Version 1").waitFor();
    await look(page, "secret-versions");
    await page.getByRole("button", { name: "Use again" }).click();
    await page.getByText("Version 3").waitFor();
    assert.match(await read(), /first/);
    await page.keyboard.press("Escape");
    await page.getByRole("dialog").waitFor({ state: "detached" });
    await look(page, "secrets");
    await page.getByRole("button", { name: "Yours" }).click();
    await page.getByRole("heading", { name: "You have no secrets yet" }).waitFor();
    await page.getByRole("button", { name: "New secret of yours" }).click();
    await page.getByLabel("Name").fill("MINE");
    await page.getByLabel("Value").fill("only mine");
    await page.keyboard.press("Enter");
    await page.getByRole("cell", { name: "MINE", exact: true }).waitFor();
    await look(page, "secrets-own");
    await checkAxe(page);
    await page.getByRole("button", { name: "More about MINE" }).click();
    await page.getByRole("menuitem", { name: "Delete" }).click();
    await page.getByRole("button", { name: "Delete" }).click();
    await page.getByRole("heading", { name: "You have no secrets yet" }).waitFor();
    await checkAxe(page);
  });

  await step("users are found among many, and one is made, acted for, and deleted", async () => {
    for (let index = 0; index < 60; index += 1) {
      await platform.db.insertInto("fluxbase.users").values({
        email: `user${index}@example.invalid`,
        role: "authenticated",
        is_anonymous: false,
        email_verified: false,
        user_metadata: "{}",
      }).execute();
    }
    await platform.db.insertInto("fluxbase.users").values({
      email: HOSTILE,
      role: "authenticated",
      is_anonymous: false,
      email_verified: false,
      user_metadata: "{}",
    }).execute();
    const page = await open("users", { size: "narrow" });
    await page.getByRole("row", { name: /onerror/ }).waitFor();
    await look(page, "users");
    await checkAxe(page);
    await page.getByRole("button", { name: "New user" }).click();
    await page.getByLabel("E-mail").fill("no password");
    await page.getByLabel("E-mail").fill("eve@example.invalid");
    await page.getByLabel("Password").fill("a long password");
    await page.keyboard.press("Enter");
    await page.getByRole("row", { name: /eve@/ }).waitFor();
    await page.getByLabel("Search users").fill("eve@");
    await page.waitForURL(/text=eve/);
    await page.getByRole("button", { name: "More about eve@" }).click();
    await look(page, "user-menu");
    await page.getByRole("menuitem", { name: "Token to act as" }).click();
    const token = await page.getByLabel("The value").textContent() ?? "";
    assert.equal((await api("GET", "/auth/user", undefined, token)).body.email, "eve@example.invalid");
    await page.getByRole("button", { name: "I have it" }).click();
    await page.getByRole("button", { name: "More about eve@" }).click();
    await page.getByRole("menuitem", { name: "Delete" }).click();
    await page.getByRole("button", { name: "Delete" }).click();
    await page.getByRole("heading", { name: "No matching user" }).waitFor();
    await page.goto(`${platform.url}/dashboard/users?text=user7%40`);
    const more = page.getByRole("button", { name: "More about user7@" });
    await more.click();
    await page.getByRole("menuitem", { name: "Disable …" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Disable" }).click();
    await page.getByRole("cell", { name: /user7@.*disabled/ }).waitFor();
    await more.click();
    await look(page, "user-disabled");
    await page.getByRole("menuitem", { name: "Enable" }).click();
    await page.getByText("Enabled user7@example.invalid").waitFor();
    await page.getByRole("cell", { name: /user7@.*disabled/ }).waitFor({ state: "detached" });
    await page.goto(`${platform.url}/dashboard/users?text=ada`);
    await page.getByRole("button", { name: "More about ada@" }).click();
    await page.getByRole("menuitem", { name: "Remove admin role" }).click();
    await page.getByText(/the last admin/).waitFor();
  });
});
