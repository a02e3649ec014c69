import assert from "node:assert/strict";
import { mirrored, parseMirror } from "./mirrors.ts";

const MIRRORS = [
  "https://esm.sh=npm:",
  "jsr:=npm:@jsr/",
  "jsr:@supabase/=npm:@supabase/",
  "jsr:@hono/hono=npm:hono",
  "https://deno.land/=https://modules.example.com/deno/",
].map((text) => parseMirror(text) ?? assert.fail(text));

const at = (specifier: string, names?: readonly string[]) => mirrored(specifier, { mirrors: MIRRORS, names });

Deno.test("where modules come from", () => {
  const table: Record<string, string> = {
    "https://esm.sh/marked": "npm:marked",
    "https://esm.sh/marked@9.1.0": "npm:marked@9.1.0",
    "https://esm.sh/v135/@supabase/supabase-js@2?target=deno&deps=ms@2": "npm:@supabase/supabase-js@2",
    "https://esm.sh/stable/react@18.2.0/jsx-runtime": "npm:react@18.2.0/jsx-runtime",
    "https://esm.sh/*swr@2.0.0": "npm:swr@2.0.0",
    "https://esm.sh/react-dom@18.2.0&deps=react@18.2.0/server": "npm:react-dom@18.2.0/server",
    "https://esm.sh/ms@%5E2.1.0": "npm:ms@^2.1.0",
    "https://esm.sh/jsr/@std/assert@1": "npm:@jsr/std__assert@1",
    "jsr:@std/assert@1/equals": "npm:@jsr/std__assert@1/equals",
    "jsr:/@std/assert@^1.0.0": "npm:@jsr/std__assert@^1.0.0",
    "jsr:@supabase/supabase-js@2": "npm:@supabase/supabase-js@2",
    "jsr:@hono/hono@4/cors": "npm:hono@4/cors",
    "jsr:@hono/hono-extra@4": "npm:@jsr/hono__hono-extra@4",
    "https://deno.land/x/zod@v3.22.4/mod.ts": "https://modules.example.com/deno/x/zod@v3.22.4/mod.ts",
  };
  for (const [from, to] of Object.entries(table)) assert.equal(at(from), to);
  for (
    const same of [
      "npm:ms",
      "./ms.ts",
      "https://esm.sh/gh/denoland/std@0.1.0/mod.ts",
      "https://esm.sh/react@18?alias=react:preact",
      "https://esm.sh/some@1/style.css",
      "https://esm.sh/react@18.2.0/es2022/react.mjs",
      "https://esm.sh.example.com/ms",
      "https://esm.sh/ms@%E0%A4%A",
    ]
  ) assert.equal(at(same), same);
});

Deno.test("modules of our own stand only for what they have", () => {
  const server = "https://deno.land/std@0.168.0/http/server.ts";
  const own = "./_built_in/serve.js";
  const mirror = server.replace("https://", "https://modules.example.com/").replace("deno.land", "deno");
  assert.equal(at(server, ["serve"]), own);
  assert.equal(at("https://deno.land/std/http/server.ts", ["serve"]), own);
  for (const names of [undefined, ["serve", "Server"], ["NamespaceObject"]]) assert.equal(at(server, names), mirror);
  assert.match(at("https://deno.land/std@0.90.0/http/server.ts", ["serve"]), /^https:/);
  assert.equal(at("jsr:@supabase/functions-js@2/edge-runtime.d.ts", []), "./_built_in/nothing.js");
});

Deno.test("what is no mirror", () => {
  for (
    const text of ["", "https://esm.sh", "esm.sh=npm:", "http://a/=npm:", "jsr:@a/=https://b/", "https://a/=ftp://b/"]
  ) {
    assert.equal(parseMirror(text), undefined, text);
  }
});
