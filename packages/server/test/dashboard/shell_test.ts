/**
 * How one gets in, and what every page stands in.
 *
 * @module
 */
import assert from "node:assert/strict";
import { createDashboard } from "../../src/dashboard/dashboard.ts";
import { ADMIN, dashboardTest } from "../support/dashboard.ts";

Deno.test("the dashboard is where the settings say, or nowhere", async () => {
  const dir = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${dir}/index.html`, `<base href="/"><meta name="fluxbase-server" content="">`);
    const settings = { enabled: true, path: "/dashboard", host: null, development: false };
    const place = { baseUrl: "https://example.invalid/below" };
    const ask = async (changes: object, url: string) => {
      const request = new Request(url, { headers: { accept: "text/html" } });
      const answer = await createDashboard({ ...settings, ...changes, place }, dir).handle(request);
      return answer === undefined ? undefined : await answer.text() || answer.headers.get("location");
    };
    assert.equal(await ask({ enabled: false }, "http://a.invalid/dashboard"), undefined);
    assert.equal(await ask({ enabled: false }, "http://a.invalid/"), undefined);
    assert.equal(await ask({ path: "/admin" }, "http://a.invalid/dashboard"), undefined);
    assert.equal(await ask({ path: "/admin" }, "http://a.invalid/"), "./admin");
    assert.equal(
      await ask({ path: "/admin" }, "http://a.invalid/admin/functions"),
      '<base href="/below/admin/"><meta name="fluxbase-server" content="/below">',
    );
    assert.equal(await ask({ host: "b.invalid" }, "http://a.invalid/dashboard"), undefined);
    assert.match(await ask({ host: "b.invalid" }, "http://b.invalid:8080/dashboard") ?? "", /<base/);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

/** Compressed, without the editor. */
const FIRST_LOAD_MAX_BYTES = 150 * 1024;

dashboardTest("the shell of the dashboard", async ({ platform, setupToken, open, look, checkAxe }, step) => {
  await step("a browser is sent to it, and a page allows nothing but what was built", async () => {
    const { url } = platform;
    const root = await fetch(url, { headers: { accept: "text/html" }, redirect: "manual" });
    assert.deepEqual([root.status, root.headers.get("location")], [302, "./dashboard"]);
    await root.body?.cancel();
    const program = await fetch(url, { redirect: "manual" });
    assert.equal(program.status, 200);
    await program.body?.cancel();
    const page = await fetch(`${url}/dashboard/functions`);
    const html = await page.text();
    const policy = page.headers.get("content-security-policy") ?? "";
    assert.match(policy, /default-src 'none'; script-src 'nonce-[^']+' 'strict-dynamic';/);
    assert.doesNotMatch(policy, /unsafe/);
    assert.doesNotMatch(html, /<script>|<style>| on\w+=/);
    assert.equal(page.headers.get("cache-control"), "no-store");
    const script = /src="\.(\/assets\/[^"]+\.js)"/.exec(html)?.[1];
    const file = await fetch(`${url}/dashboard${script}`);
    assert.equal(file.headers.get("cache-control"), "public, max-age=31536000, immutable");
    assert.equal(file.headers.get("content-type"), "text/javascript; charset=utf-8");
    await file.body?.cancel();
    for (const path of ["/assets/../../../package.json", "/assets/nothing.js", "/assets/%2e%2e/index.html"]) {
      const refused = await fetch(`${url}/dashboard${path}`);
      assert.doesNotMatch(await refused.text(), /"name"/);
    }
    // A route of the API of old.
    const api = await fetch(`${url}/dashboard/auth/sso/providers`);
    assert.deepEqual(await api.json(), { providers: [], password_login_disabled: false });
  });

  await step("the first page is small", async () => {
    const page = await open("sign-in", { anonymous: true });
    await page.waitForLoadState("networkidle");
    const sent = await page.evaluate(
      `performance.getEntriesByType("resource").reduce((sum, { encodedBodySize }) => sum + encodedBodySize, 0)`,
    ) as number;
    assert.ok(sent > 50_000 && sent < FIRST_LOAD_MAX_BYTES, `${sent} bytes`);
  });

  await step("the first admin is made with the token of the link, signs out, and in again", async () => {
    const page = await open(`#token=${encodeURIComponent(setupToken)}`, { anonymous: true });
    await page.getByRole("heading", { name: "Set up the first admin" }).waitFor();
    assert.ok(!page.url().includes("token"), page.url());
    await look(page, "set-up");
    await checkAxe(page);
    await page.getByLabel("E-mail").fill(ADMIN.email);
    await page.getByLabel("Password").fill(ADMIN.password);
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "Overview", level: 1 }).waitFor();
    await page.getByRole("button", { name: ADMIN.email }).click();
    await look(page, "account");
    await page.getByRole("menuitem", { name: "Sign out" }).click();
    await page.getByRole("heading", { name: "Sign in" }).waitFor();
    await checkAxe(page);
    assert.equal(await page.getByRole("alert").count(), 0, "the setup token is no link to sign in with");
    await page.getByLabel("E-mail").fill(ADMIN.email);
    await page.getByLabel("Password").fill("a wrong password");
    await page.keyboard.press("Enter");
    await page.getByRole("alert").waitFor();
    await look(page, "sign-in");
    await page.getByLabel("Password").fill(ADMIN.password);
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "Overview", level: 1 }).waitFor();
  });

  await step("a link that was used before says so, and the password still works", async () => {
    const page = await open("#token=used", { anonymous: true });
    await page.getByRole("alert").filter({ hasText: "link was used before" }).waitFor();
    assert.ok(!page.url().includes("used"), page.url());
    await page.getByLabel("E-mail").fill(ADMIN.email);
    await page.getByLabel("Password").fill(ADMIN.password);
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "Overview", level: 1 }).waitFor();
  });

  await step("a page that a function answers has no part in it", async () => {
    const html = `<h1>Site</h1><script>
      try { localStorage.getItem("x"); document.title = "in"; } catch { document.title = "out"; }
    </script>`;
    const type = (text: string) => `{ headers: { "content-type": ${JSON.stringify(text)} } }`;
    const answering = (text: string) => `export default () => new Response(${JSON.stringify(html)}, ${type(text)});`;
    await platform.deploy("site", answering("text/html"), { allow_unauthenticated: true });
    await platform.deploy("data", answering("application/json"), { allow_unauthenticated: true });
    const policyOf = async (name: string, headers: Record<string, string> = {}) => {
      const answer = await platform.call(name, { headers });
      await answer.body?.cancel();
      return answer.headers.get("content-security-policy");
    };
    assert.match(await policyOf("site") ?? "", /^sandbox (?!.*same-origin)/);
    assert.deepEqual([await policyOf("site", { "sec-fetch-dest": "empty" }), await policyOf("data")], [null, null]);
    const page = await open("", { anonymous: true });
    await page.goto(`${platform.url}/functions/v1/site`);
    await page.waitForFunction("document.title !== ''");
    assert.equal(await page.title(), "out");
  });
});
