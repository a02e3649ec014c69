/**
 * The guide's walk through the dashboard, word for word, in a browser: navigate to the Functions section, click "New
 * Function", write code in the browser editor, save; it is in the database and in the functions folder.
 *
 * @module
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { dashboardTest } from "../support/dashboard.ts";

const folder = await Deno.makeTempDir({ prefix: "fluxbase-functions-" });
addEventListener("unload", () => Deno.removeSync(folder, { recursive: true }));

dashboardTest("the guide's chapter on the dashboard", async ({ platform, open, look, checkAxe }, step) => {
  const page = await open("");
  const editor = page.locator(".cm-content");
  const replaceCode = async (code: string) => {
    await editor.click();
    await page.keyboard.press("Control+a");
    await page.keyboard.insertText(code);
  };

  await step("navigate to the Functions section, click “New Function”", async () => {
    await page.getByRole("link", { name: "Functions", exact: true }).first().click();
    await page.getByRole("heading", { name: "No functions yet" }).waitFor();
    await look(page, "functions-none");
    await checkAxe(page);
    await page.getByRole("link", { name: "New function" }).first().click();
    await page.getByRole("heading", { name: "New function" }).waitFor();
    await look(page, "new-function");
    await checkAxe(page);
    await page.getByLabel("Name", { exact: true }).fill("hello world");
    await page.keyboard.press("Enter");
    assert.ok(await page.getByRole("heading", { name: "New function" }).isVisible());
    await page.getByLabel("Name", { exact: true }).fill("hello");
    await page.keyboard.press("Enter");
  });

  await step("write code in the browser editor, save: it is in the database and in the functions folder", async () => {
    await editor.waitFor();
    await replaceCode(`async function handler(req) {
  console.log("called by", req.method);
  return { status: 200, body: JSON.stringify({ from: "the browser", got: JSON.parse(req.body) }) };
}
`);
    await page.getByText("Not deployed yet").waitFor();
    await page.keyboard.press("Control+s");
    await page.getByText("Deployed version 2 of hello").waitFor();
    const { body } = await platform.api("GET", "/functions/hello");
    assert.match(body.code, /from: "the browser"/);
    assert.match(await Deno.readTextFile(join(folder, "hello.ts")), /from: "the browser"/);
  });

  await step("and it answers in the panel beside it, with its timing and its log lines", async () => {
    await page.getByRole("button", { name: "Send" }).click();
    await page.getByText('"from": "the browser"').waitFor();
    await page.getByText("200 OK").waitFor();
    await page.getByRole("button", { name: "Logs 1" }).click();
    await page.getByText("called by POST").waitFor();
    await page.getByText(/handler .* version 2/).waitFor();
    await look(page, "code");
    await checkAxe(page);
    await page.getByLabel("Caller").selectOption("anonymous");
    await page.getByRole("button", { name: "Send" }).click();
    await page.getByText(/^401/).waitFor();
    await platform.api("POST", "/auth/signup", { email: "grace@example.invalid", password: "a long password" }, null);
    await page.getByLabel("Caller").selectOption("user");
    await page.getByLabel("E-mail of the user").fill("grace@example.invalid");
    await page.getByRole("button", { name: "Send" }).click();
    await page.getByText("200 OK").waitFor();
    const [{ user_id }] = (await platform.api("GET", "/functions/hello/executions?limit=1")).body;
    assert.match(user_id ?? "", /-/);
  });

  await step("what does not build is shown at its line, and the version before goes on", async () => {
    await replaceCode("export default () => {\n  const = 1;\n};\n");
    await page.getByRole("button", { name: "Deploy", exact: true }).click();
    await page.getByText("version 2 goes on serving calls").waitFor();
    await page.getByRole("button", { name: /hello\.ts:2:9/ }).waitFor();
    await page.locator(".cm-lint-marker-error").waitFor();
    await look(page, "code-broken");
    await checkAxe(page);
  });

  await step("unsaved text survives a reload", async () => {
    await replaceCode(`export default () => "mine";\n`);
    await page.getByText("Not deployed yet").waitFor();
    await page.reload();
    await page.getByText("Not deployed yet").waitFor();
    await page.locator(".cm-content", { hasText: '"mine"' }).waitFor();
  });

  await step("somebody else's change is told, and nothing is overwritten without being asked", async () => {
    await platform.api("PUT", "/functions/hello", { code: `export default () => "theirs";\n` });
    await page.keyboard.press("Control+s");
    await page.getByText(/Somebody else has deployed version 4/).waitFor();
    assert.match((await platform.api("GET", "/functions/hello")).body.code, /theirs/);
    await page.getByRole("button", { name: "Compare and choose" }).click();
    await page.getByRole("heading", { name: "Your text, and version 4" }).waitFor();
    await page.locator(".cm-deletedChunk", { hasText: "theirs" }).waitFor();
    await look(page, "code-conflict");
    await checkAxe(page);
    await page.getByRole("button", { name: "Deploy mine over it" }).click();
    await page.getByText("Deployed version 5 of hello").waitFor();
    assert.match((await platform.api("GET", "/functions/hello")).body.code, /mine/);
    // Who has written nothing sees what others deploy.
    await platform.api("PUT", "/functions/hello", { code: `export default () => "again";\n` });
    await page.locator(".cm-content", { hasText: '"again"' }).waitFor();
  });

  await step("a second file is added and imported", async () => {
    await page.getByRole("button", { name: "Add a file" }).click();
    await page.getByLabel("Path", { exact: true }).fill("lib/words.ts");
    await page.keyboard.press("Enter");
    await editor.click();
    await page.keyboard.insertText(`export const WORD = "shared";\n`);
    await page.getByRole("button", { name: "index.ts" }).first().click();
    await replaceCode(`import { WORD } from "./lib/words.ts";\nexport default () => WORD;\n`);
    await page.keyboard.press("Control+s");
    await page.getByText("Deployed version 7 of hello").waitFor();
    const { body } = await platform.api("GET", "/functions/hello");
    assert.deepEqual(Object.keys(body.files).sort(), ["index.ts", "lib/words.ts"]);
  });

  await step("on a narrow window the panel takes the editor's place", async () => {
    const narrow = await open("functions/default/hello/code", { size: "narrow" });
    await narrow.locator(".cm-content").waitFor();
    await look(narrow, "code");
    await checkAxe(narrow);
    await narrow.getByRole("button", { name: "Test", exact: true }).click();
    await narrow.getByRole("button", { name: "Send" }).click();
    await narrow.getByText("200 OK").waitFor();
    await look(narrow, "code-test");
    await narrow.goto(`${platform.url}/dashboard/functions`);
    await narrow.getByRole("link", { name: "hello" }).waitFor();
    await look(narrow, "functions");
    await checkAxe(narrow);
  });
}, { FLUXBASE_FUNCTIONS_FUNCTIONS_DIR: folder });
