/**
 * What is a public path, and what is none.
 *
 * @module
 */
import assert from "node:assert/strict";
import { parsePublicRoute, publicRouteText } from "./public_routes.ts";

Deno.test("routes, as they are kept", () => {
  const cases: Record<string, string> = {
    "GET /shop/*": "GET /shop/*",
    "get   /shop": "GET /shop",
    "/shop/": "* /shop",
    "ANY /a/b.json": "* /a/b.json",
    "* /*": "* /*",
    "/": "* /",
    "/.well-known/security.txt": "* /.well-known/security.txt",
    "DELETE /apis/v1": "DELETE /apis/v1",
  };
  for (const [text, expected] of Object.entries(cases)) {
    const route = parsePublicRoute(text);
    assert.equal(typeof route === "string" ? route : publicRouteText(route), expected, text);
  }
});

Deno.test("what is refused, and why", () => {
  const cases: Record<string, RegExp> = {
    "": /such as GET \/shop/,
    "shop": /such as GET \/shop/,
    "GET shop": /such as GET \/shop/,
    "FETCH /shop": /method must be one of/,
    "/api/v1/x": /\/api are the server's own/,
    "/API/*": /\/API are the server's own/,
    "/functions/v1/x": /server's own/,
    "/health": /server's own/,
    "/a/*/b": /letters, digits/,
    "/a*": /letters, digits/,
    "/a//b": /letters, digits/,
    "//evil.invalid": /letters, digits/,
    "/../api": /letters, digits/,
    "/%61pi": /letters, digits/,
    "/a?b": /letters, digits/,
    [`/${"a".repeat(300)}`]: /at most 200/,
    [`${"/a".repeat(17)}`]: /at most 16 parts/,
  };
  for (const [text, says] of Object.entries(cases)) {
    const route = parsePublicRoute(text);
    assert.ok(typeof route === "string", `${text} was accepted`);
    assert.match(route, says, text);
  }
});
