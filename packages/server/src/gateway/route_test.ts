/**
 * Which function a URL means.
 *
 * @module
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { functionRoute, seenTarget } from "./route.ts";

Deno.test("paths of functions", () => {
  const cases: [string, ReturnType<typeof functionRoute>][] = [
    ["/api/v1/functions/a/invoke", { namespace: "default", name: "a", path: "", by: "invoke" }],
    ["/api/v1/functions/a/invoke/", { namespace: "default", name: "a", path: "/", by: "invoke" }],
    ["/api/v1/functions/a/invoke/x/y?z=1", { namespace: "default", name: "a", path: "/x/y", by: "invoke" }],
    ["/api/v1/functions/ns/a/invoke/x", { namespace: "ns", name: "a", path: "/x", by: "invoke" }],
    ["/api/v1/functions/a/invoke?namespace=ns", { namespace: "ns", name: "a", path: "", by: "invoke" }],
    ["/api/v1/functions/a/invoke?x=1&namespace=n%73", { namespace: "ns", name: "a", path: "", by: "invoke" }],
    ["/api/v1/functions/ns/a/invoke?namespace=other", { namespace: "ns", name: "a", path: "", by: "invoke" }],
    ["/functions/v1/a", { namespace: "default", name: "a", path: "", by: "supabase" }],
    ["/functions/v1/a/b?c", { namespace: "default", name: "a", path: "/b", by: "supabase" }],
    ["/api/v1/functions/%61/invoke", { namespace: "default", name: "a", path: "", by: "invoke" }],
    ["/api/v1/functions/%ff/invoke", { namespace: "default", name: "%ff", path: "", by: "invoke" }],
  ];
  for (const [target, expected] of cases) assert.deepEqual(functionRoute(target), expected, target);
});

Deno.test("what the function sees of a path", () => {
  const cases: [target: string, seen: string, stripped: string][] = [
    ["/functions/v1/a", "/a", "/"],
    ["/functions/v1/a/", "/a/", "/"],
    ["/functions/v1/a/b/c?d=%20&e", "/a/b/c?d=%20&e", "/b/c?d=%20&e"],
    ["/functions/v1/%61?b", "/a?b", "/?b"],
    ["/functions/v1/a//evil.invalid/b", "/a//evil.invalid/b", "/evil.invalid/b"],
    ["/api/v1/functions/a/invoke", "/", "/"],
    ["/api/v1/functions/a/invoke/", "/", "/"],
    ["/api/v1/functions/ns/a/invoke/b?c", "/b?c", "/b?c"],
    ["/api/v1/functions/a/invoke//evil.invalid/b", "/evil.invalid/b", "/evil.invalid/b"],
  ];
  for (const [target, ...expected] of cases) {
    const route = functionRoute(target);
    assert.ok(route !== undefined, target);
    const seen = [undefined, "strip" as const].map((basePath) => seenTarget(route, { name: "a", target, basePath }));
    assert.deepEqual(seen, expected, target);
    const [path, query = ""] = target.split("?");
    const full = `/functions/v1/a${(path ?? "").replace(/^.*?\/(?:%61|a(?:\/invoke)?)(?=\/|$)/, "")}`;
    assert.equal(seenTarget(route, { name: "a", target, basePath: "full" }), query === "" ? full : `${full}?${query}`);
  }
});

Deno.test("paths of anything else", () => {
  const others = [
    "/",
    "/api/v1/functions",
    "/api/v1/functions/",
    "/api/v1/functions/a",
    "/api/v1/functions/a/",
    "/api/v1/functions/a/invoked",
    "/api/v1/functions/a/executions",
    "/api/v1/functions/a/b/c/invoke",
    "/api/v1/functions//invoke",
    "/functions/v1/",
    "/functions/v1",
    "//api/v1/functions/a/invoke",
  ];
  for (const target of others) assert.equal(functionRoute(target), undefined, target);
});

Deno.test("whatever the bytes, it never throws; what was put into a URL comes out", () => {
  fc.assert(fc.property(fc.string(), (text) => {
    functionRoute(text);
    functionRoute(`/api/v1/functions/${text}`);
    functionRoute(`/functions/v1/${text}`);
  }));
  const name = fc.stringMatching(/^[a-zA-Z0-9][a-zA-Z0-9_-]{0,20}$/).filter((text) => text !== "invoke");
  fc.assert(fc.property(name, name, fc.webPath(), (namespace, fn, path) => {
    const found = functionRoute(`/api/v1/functions/${namespace}/${fn}/invoke${path}`);
    assert.deepEqual(found, { namespace, name: fn, path, by: "invoke" });
  }));
});
