/**
 * Which function a URL means.
 *
 * @module
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { functionRoute } from "./route.ts";

Deno.test("paths of functions", () => {
  const cases: [string, ReturnType<typeof functionRoute>][] = [
    ["/api/v1/functions/a/invoke", { namespace: "default", name: "a", path: "" }],
    ["/api/v1/functions/a/invoke/", { namespace: "default", name: "a", path: "" }],
    ["/api/v1/functions/a/invoke/x/y?z=1", { namespace: "default", name: "a", path: "/x/y" }],
    ["/api/v1/functions/ns/a/invoke/x", { namespace: "ns", name: "a", path: "/x" }],
    ["/api/v1/functions/a/invoke?namespace=ns", { namespace: "ns", name: "a", path: "" }],
    ["/api/v1/functions/a/invoke?x=1&namespace=n%73", { namespace: "ns", name: "a", path: "" }],
    ["/api/v1/functions/ns/a/invoke?namespace=other", { namespace: "ns", name: "a", path: "" }],
    ["/functions/v1/a", { namespace: "default", name: "a", path: "" }],
    ["/functions/v1/a/b?c", { namespace: "default", name: "a", path: "/b" }],
    ["/api/v1/functions/%61/invoke", { namespace: "default", name: "a", path: "" }],
    ["/api/v1/functions/%ff/invoke", { namespace: "default", name: "%ff", path: "" }],
  ];
  for (const [target, expected] of cases) assert.deepEqual(functionRoute(target), expected, target);
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
    assert.deepEqual(found, { namespace, name: fn, path: path === "/" ? "" : path });
  }));
});
