/**
 * The published client of Supabase where it really runs: in Node, and in a browser on a page of another origin.
 *
 * @module
 */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { sql } from "kysely";
import { withDeadline } from "../src/core/clock.ts";
import { findBrowser, openPage } from "./support/browser.ts";
import { eventually, platformTest } from "./support/platform.ts";

const PACKAGE = new URL("../../../node_modules/@supabase/supabase-js/dist/", import.meta.url);
const PAGE_MS = 60_000;

/** The same everywhere; gives what each call said. */
const STORY = `async function story(createClient, { url, key, email }) {
  const client = createClient(url, key);
  const said = {};
  const note = (name, { data, error, count }) => said[name] = error === null ? (count ?? data) : String(error.message);
  const signedUp = await client.auth.signUp({ email, password: "correct horse battery" });
  said.signUp = signedUp.error?.message ?? signedUp.data.user.email;
  note("insert", await client.from("notes").insert([{ text: "one" }, { text: "two" }]).select("text"));
  note("select", await client.from("notes").select("text").order("text", { ascending: false }).range(0, 0));
  note("count", await client.from("notes").select("*", { count: "exact", head: true }));
  note("aggregate", await client.from("notes").select("count()").single());
  note("guarded", await client.from("notes").update({ text: "x" }).neq("text", "").maxAffected(1).select());
  note("rpc", await client.rpc("double", { n: 21 }));
  note("function", await client.functions.invoke("echo", { body: { a: 1 }, headers: { "x-extra": "yes" } }));
  const form = new FormData();
  form.set("a", "1");
  note("form", await client.functions.invoke("kind", { body: form }));
  note("blob", await client.functions.invoke("kind", { body: new Blob(["abc"], { type: "image/png" }) }));
  note("bytes", await client.functions.invoke("kind", { body: new Uint8Array([1, 2]).buffer, region: "us-east-1" }));
  note("failed", await client.functions.invoke("kind", { method: "DELETE" }));
  note("streamed", { error: null, data: await (await client.functions.invoke("stream")).data.text() });
  note("csv", await client.from("notes").select("text").order("text").csv());
  note("rows", await client.rpc("numbers", { n: 3 }).select("i").gt("i", 1).order("i", { ascending: false }));
  note("upsert", await client.from("tags").upsert([{ id: 1, name: "x" }], { onConflict: "id" }).select());
  note("otp", await client.auth.signInWithOtp({ email }));
  note("user", { ...await client.auth.updateUser({ data: { city: "Köln" } }), data: "changed" });
  const refreshed = await client.auth.refreshSession();
  said.refreshed = refreshed.error?.message ?? refreshed.data.user.user_metadata.city;
  note("out", { ...await client.auth.signOut(), data: "out" });
  note("closed", await client.from("notes").select("text"));
  return said;
}`;

const EXPECTED = {
  insert: [{ text: "one" }, { text: "two" }],
  select: [{ text: "two" }],
  count: 2,
  aggregate: { count: 2 },
  guarded: "Query result exceeds max-affected preference constraint",
  rpc: 42,
  function: { got: { a: 1 }, extra: "yes" },
  form: "multipart/form-data a=1",
  blob: "image/png 3",
  bytes: "application/octet-stream 2",
  failed: "Edge Function returned a non-2xx status code",
  streamed: "data: 1\n\ndata: 2\n\n",
  csv: "text\none\ntwo",
  rows: [{ i: 3 }, { i: 2 }],
  upsert: [{ id: 1, name: "x" }],
  otp: "Codes and links by e-mail or SMS are not available on this server: it sends no messages; " +
    "sign in with e-mail and password, or anonymously",
  user: "changed",
  refreshed: "Köln",
  out: "out",
  closed: "permission denied for table notes",
};

platformTest("the published client of Supabase, in Node and in a browser", async (platform, step) => {
  await sql.raw(`
    create table public.notes (
      id int primary key generated always as identity, text text not null,
      owner uuid not null default auth.uid() references auth.users (id) on delete cascade
    );
    alter table public.notes enable row level security;
    create policy own on public.notes to authenticated using (owner = auth.uid()) with check (owner = auth.uid());
    grant select, insert, update on public.notes to authenticated;
    create table public.tags (id int primary key, name text);
    grant all on public.tags to authenticated;
    create function public.numbers(n int) returns table (i int) language sql stable as 'select * from generate_series(1, n)';
    create function public.double(n int) returns int language sql immutable as 'select n * 2';
  `).execute(platform.appDb);
  await platform.deploy(
    "echo",
    `export default async (req: Request) =>
      Response.json({ got: await req.json(), extra: req.headers.get("x-extra") });`,
  );
  await platform.deploy(
    "kind",
    `export default async (req: Request) => {
      if (req.method === "DELETE") return new Response("no", { status: 418 });
      const type = req.headers.get("content-type")?.split(";")[0];
      const said = type === "multipart/form-data"
        ? [...await req.formData()].map(([name, value]) => name + "=" + value).join()
        : (await req.arrayBuffer()).byteLength;
      return new Response(type + " " + said, { headers: { "content-type": "text/plain" } });
    };`,
  );
  await platform.deploy(
    "stream",
    `export default () => new Response(new ReadableStream({
      start(controller) {
        for (const number of [1, 2]) controller.enqueue(new TextEncoder().encode("data: " + number + "\\n\\n"));
        controller.close();
      },
    }), { headers: { "content-type": "text/event-stream" } });`,
  );
  await eventually(async () => (await platform.api("POST", "/rpc/double", { n: 1 })).body === 2);
  const placeOf = (email: string) => ({ url: platform.url, key: platform.anonKey, email });

  await step("in Node", async () => {
    const place = placeOf("node@example.invalid");
    const entry = new URL("index.mjs", PACKAGE).href;
    const code = `import { createClient } from ${JSON.stringify(entry)};
      ${STORY}
      console.log(JSON.stringify(await story(createClient, ${JSON.stringify(place)})));
      process.exit(0);`;
    const { stdout, stderr } = await new Deno.Command("node", {
      // Its part for realtime wants the class to be there, which Node 20 hides behind this.
      args: ["--experimental-websocket", "--input-type=module", "--eval", code],
      cwd: fileURLToPath(new URL("../../../", import.meta.url)),
    }).output();
    const decoder = new TextDecoder();
    const text = decoder.decode(stdout);
    assert.notEqual(text, "", decoder.decode(stderr));
    assert.deepEqual(JSON.parse(text), { signUp: place.email, ...EXPECTED });
  });

  const browser = await findBrowser();
  if (browser === undefined) return;
  await step("in a browser, on a page of another origin", async () => {
    const place = placeOf("browser@example.invalid");
    const library = await Deno.readTextFile(new URL("umd/supabase.js", PACKAGE));
    const html = `<!doctype html><meta charset="utf-8"><script src="/supabase.js"></script><script type="module">
      ${STORY}
      const said = await story(supabase.createClient, ${
      JSON.stringify(place)
    }).catch((error) => ({ error: error.stack }));
      await fetch("/said", { method: "POST", body: JSON.stringify(said) });
    </script>`;
    const { promise, resolve } = Promise.withResolvers<string>();
    await using server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, async (request) => {
      const { pathname } = new URL(request.url);
      if (pathname === "/said") resolve(await request.text());
      return pathname === "/supabase.js"
        ? new Response(library, { headers: { "content-type": "text/javascript" } })
        : new Response(html, { headers: { "content-type": "text/html" } });
    });
    await using _page = await openPage(browser, `http://127.0.0.1:${server.addr.port}/`);
    const said = JSON.parse(await withDeadline(promise, PAGE_MS, () => new Error("The page said nothing")));
    assert.deepEqual(said, { signUp: place.email, ...EXPECTED });
  });
});
