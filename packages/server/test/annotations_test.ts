/**
 * Annotations: the guide's as written, in every style of comment, and what wins over what.
 *
 * @module
 */
import assert from "node:assert/strict";
import { platformTest } from "./support/platform.ts";

const HANDLER = `async function handler(req) { return { status: 200, body: "OK" }; }`;

/** The guide's examples, and the fields that each sets. */
const GUIDE: [string, string, Record<string, unknown>][] = [
  [
    "allow-unauthenticated",
    `/**
* Public webhook handler
*
* @fluxbase:allow-unauthenticated
*/
async function handler(req) {
// This function can be called without auth
return {
status: 200,
body: JSON.stringify({ message: "OK" }),
};
}`,
    { allow_unauthenticated: true },
  ],
  [
    "public",
    `/**
* Internal helper function
*
* @fluxbase:public false
*/
async function handler(req) {
// This function won't appear in public function listings
return { status: 200, body: "OK" };
}`,
    { is_public: false },
  ],
  [
    "cors-origins",
    `/**
* API function with restricted origins
*
* @fluxbase:cors-origins https://app.example.com,https://admin.example.com
*/
async function handler(req) {
return {
status: 200,
headers: { "Content-Type": "application/json" },
body: JSON.stringify({ data: "result" }),
};
}`,
    { cors_origins: ["https://app.example.com", "https://admin.example.com"] },
  ],
  [
    "cors-methods",
    `/**
* Read-only API endpoint
*
* @fluxbase:cors-methods GET,OPTIONS
*/
async function handler(req) {
// Only GET and OPTIONS methods allowed
return { status: 200, body: JSON.stringify({ data }) };
}`,
    { cors_methods: ["GET", "OPTIONS"] },
  ],
  [
    "cors-headers",
    `/**
* Custom header requirements
*
* @fluxbase:cors-headers Content-Type,Authorization,X-API-Key
*/
async function handler(req) {
const apiKey = req.headers["x-api-key"];
// Process request...
}`,
    { cors_headers: ["Content-Type", "Authorization", "X-API-Key"] },
  ],
  [
    "cors-credentials",
    `/**
* Function that requires cookies
*
* @fluxbase:cors-origins https://app.example.com
* @fluxbase:cors-credentials true
*/
async function handler(req) {
// Can receive cookies from app.example.com
return { status: 200, body: "OK" };
}`,
    { cors_origins: ["https://app.example.com"], cors_credentials: true },
  ],
  [
    "cors-max-age",
    `/**
* Long-lived preflight cache
*
* @fluxbase:cors-max-age 3600
*/
async function handler(req) {
// Preflight results cached for 1 hour
return { status: 200, body: "OK" };
}`,
    { cors_max_age: 3600 },
  ],
  [
    "webhook",
    `/**
* Webhook handler with custom CORS
*
* @fluxbase:allow-unauthenticated
* @fluxbase:cors-origins https://api.stripe.com,https://api.github.com
* @fluxbase:cors-methods POST,OPTIONS
* @fluxbase:cors-headers Content-Type,X-Stripe-Signature,X-Hub-Signature
* @fluxbase:cors-max-age 300
*/
async function handler(req) {
if (req.method === "POST") {
// Process webhook
const payload = JSON.parse(req.body);
// ... handle webhook ...
return {
status: 200,
body: JSON.stringify({ received: true }),
};
}
return { status: 405, body: "Method not allowed" };
}`,
    {
      allow_unauthenticated: true,
      cors_origins: ["https://api.stripe.com", "https://api.github.com"],
      cors_methods: ["POST", "OPTIONS"],
      cors_headers: ["Content-Type", "X-Stripe-Signature", "X-Hub-Signature"],
      cors_max_age: 300,
    },
  ],
];

platformTest("the guide's annotations", async (platform, step) => {
  for (const [name, code, fields] of GUIDE) {
    await step(name, async () => {
      const { body } = await platform.deploy(name, code);
      for (const [field, value] of Object.entries(fields)) {
        assert.deepEqual(body[field], value, field);
        assert.equal(body.settings_origins[field], "annotation");
      }
      assert.equal(body.settings_origins.timeout, "default");
      assert.deepEqual(body.warnings, []);
    });
  }

  await step("they act: without a key, hidden from listings, preflights answered", async () => {
    const open = await fetch(`${platform.url}/api/v1/functions/allow-unauthenticated/invoke`);
    assert.deepEqual(await open.json(), { message: "OK" });
    const { body } = await platform.api("GET", "/functions", undefined, platform.anonKey);
    const names = body.map(({ name }: { name: string }) => name);
    assert.ok(!names.includes("public") && names.includes("webhook"));
    const preflight = (origin: string) =>
      fetch(`${platform.url}/api/v1/functions/webhook/invoke`, {
        method: "OPTIONS",
        headers: { origin, "access-control-request-method": "POST" },
      });
    const allowed = await preflight("https://api.stripe.com");
    assert.equal(allowed.status, 204);
    assert.deepEqual(
      ["origin", "methods", "headers"].map((part) => allowed.headers.get(`access-control-allow-${part}`)).concat(
        allowed.headers.get("access-control-max-age"),
      ),
      ["https://api.stripe.com", "POST, OPTIONS", "Content-Type, X-Stripe-Signature, X-Hub-Signature", "300"],
    );
    assert.equal((await preflight("https://evil.example.com")).headers.get("access-control-allow-origin"), null);
    const called = await platform.call("webhook", {
      method: "POST",
      body: "{}",
      headers: { origin: "https://api.github.com" },
    });
    assert.equal(called.headers.get("access-control-allow-origin"), "https://api.github.com");
    assert.deepEqual(await called.json(), { received: true });
  });
});

platformTest("styles, places and values of annotations", async (platform, step) => {
  const styles: [string, string, string, unknown][] = [
    ["one line", `/** @fluxbase:timeout 7s */\n${HANDLER}`, "timeout", 7],
    ["a line comment", `// @fluxbase:timeout 7\n${HANDLER}`, "timeout", 7],
    ["a plain block", `/* @fluxbase:timeout 7000ms */ ${HANDLER}`, "timeout", 7],
    ["a block without stars", `/*\n  @fluxbase:memory 256MB\n*/\n${HANDLER}`, "memory", 256],
    ["CRLF", `/**\r\n * @fluxbase:memory 256\r\n */\r\n${HANDLER}`, "memory", 256],
    ["after the handler", `${HANDLER}\n// @fluxbase:isolation request`, "isolation", "request"],
    [
      "inside the handler",
      `async function handler() { /* @fluxbase:disable-execution-logs */ return 1; }`,
      "disable_execution_logs",
      true,
    ],
    [
      "at the end of a line",
      `const x = 1; // @fluxbase:max-response 100MB\n${HANDLER}`,
      "max_response_bytes",
      104_857_600,
    ],
    ["tabs and spaces", `/**\n\t*   @fluxbase:allow-net \t false  \n */\n${HANDLER}`, "allow_net", false],
    ["unicode", `// @fluxbase:description Grüße 👋\n${HANDLER}`, "description", "Grüße 👋"],
    ["the last of two", `// @fluxbase:timeout 7\n// @fluxbase:timeout 8\n${HANDLER}`, "timeout", 8],
    ["not in a string", `const x = "// @fluxbase:timeout 7"; ${HANDLER}`, "timeout", 30],
    ["not in a template", `const x = \`/** @fluxbase:timeout 7 */\`; ${HANDLER}`, "timeout", 30],
    ["not in the middle of a sentence", `// see @fluxbase:timeout 7\n${HANDLER}`, "timeout", 30],
  ];
  for (const [index, [name, code, field, value]] of styles.entries()) {
    await step(name, async () => {
      const { body } = await platform.deploy(`style-${index}`, code);
      assert.deepEqual(body[field], value, JSON.stringify(body.warnings));
    });
  }

  await step("mistyped names are warned of, with the nearest known one", async () => {
    const { body } = await platform.deploy(
      "typos",
      `// @fluxbase:timout 7\n// @fluxbase:cors-origin https://x.example\n// @fluxbase:nothing-like-it 1\n${HANDLER}`,
    );
    assert.deepEqual(body.warnings, [
      "typos.ts:1: @fluxbase:timout is not an annotation and was ignored; did you mean @fluxbase:timeout?",
      "typos.ts:2: @fluxbase:cors-origin is not an annotation and was ignored; did you mean @fluxbase:cors-origins?",
      "typos.ts:3: @fluxbase:nothing-like-it is not an annotation and was ignored",
    ]);
  });

  await step("values that make no sense are problems of the build, with their place", async () => {
    const wrong: [string, RegExp][] = [
      ["timeout soon", /@fluxbase:timeout is "soon": it must be a time/],
      ["timeout", /@fluxbase:timeout has no value/],
      ["timeout 2h", /must be a time/],
      ["timeout 600s", /"timeout" is 600: it must be from 0.001 to 60 seconds/],
      ["memory 1", /"memory" is 1: it must be from 32 to 1024 MB/],
      ["public flase", /@fluxbase:public is "flase": it must be true, false or nothing/],
      ["allow-net https://example.com", /"permissions.net" has "https:\/\/example.com": it must be a host/],
      ["allow-net example.com:99999", /must be a host/],
      ["allow-read example.com", /must be true, false or nothing/],
      ["cors-origins app.example.com", /"cors_origins" has "app.example.com"/],
      ["cors-max-age -1", /must be seconds/],
      ["isolation none", /must be shared or request/],
      ["rate-limit 100/week", /must be a number and a unit of time/],
      ["rate-limit 0/min", /must be a number and a unit of time/],
    ];
    for (const [annotation, says] of wrong) {
      const { status, body } = await platform.api("POST", "/functions?strict=true", {
        name: "wrong",
        code: `// first\n  // @fluxbase:${annotation}\n${HANDLER}`,
      });
      assert.equal(status, 422, annotation);
      assert.match(body.error, says);
      assert.deepEqual([body.problems[0].line, body.problems[0].column], [2, 6]);
    }
  });

  await step("hostile comments take no time", async () => {
    const hostile = [
      `/*${" * @fluxbase:".repeat(50_000)}*/`,
      `/*${" ".repeat(500_000)}@fluxbase:timeout 7*/`,
      `/*${"*".repeat(500_000)}@fluxbase:timeout 7*/`,
      `// @fluxbase:${"x".repeat(500_000)}`,
      `/*${"\n* @fluxbase:timeout 7".repeat(20_000)}*/`,
    ];
    for (const [index, comment] of hostile.entries()) {
      const { status } = await platform.api("POST", "/functions", {
        name: `hostile-${index}`,
        code: `${comment}\n${HANDLER}`,
      });
      assert.equal(status, 201);
    }
  });
});

platformTest("the API wins over annotations, which win over defaults", async (platform, step) => {
  const code =
    `/**\n * @fluxbase:timeout 7s\n * @fluxbase:cors-origins https://app.example.com\n * @fluxbase:description from the code\n */\n${HANDLER}`;

  await step("an explicit value stays when the code changes", async () => {
    const { body } = await platform.deploy("fn", code, { timeout: 5 });
    assert.deepEqual([body.timeout, body.settings_origins.timeout, body.description], [5, "api", "from the code"]);
    assert.deepEqual([body.cors_origins, body.settings_origins.cors_origins], [
      ["https://app.example.com"],
      "annotation",
    ]);
    assert.deepEqual([body.cors_methods, body.settings_origins.cors_methods], [null, "default"]);
    const { body: after } = await platform.api("PATCH", "/functions/fn", { code: code.replace("7s", "9s") });
    assert.deepEqual([after.timeout, after.settings_origins.timeout], [5, "api"]);
  });

  await step("a value that is taken away falls back to the annotation, and without one to the default", async () => {
    const set = await platform.api("PATCH", "/functions/fn", { cors_origins: "https://other.example.com" });
    assert.deepEqual([set.body.cors_origins, set.body.settings_origins.cors_origins], [
      ["https://other.example.com"],
      "api",
    ]);
    const unset = await platform.api("PATCH", "/functions/fn", { cors_origins: null });
    assert.deepEqual([unset.body.cors_origins, unset.body.settings_origins.cors_origins], [
      ["https://app.example.com"],
      "annotation",
    ]);
    const bare = await platform.api("PATCH", "/functions/fn", { code: HANDLER });
    assert.deepEqual([bare.body.cors_origins, bare.body.settings_origins.cors_origins, bare.body.timeout], [
      null,
      "default",
      5,
    ]);
  });

  await step("what is not set by the annotation follows the server", async () => {
    await platform.deploy("partial", `/**\n* @fluxbase:cors-origins https://app.example.com\n*/\n${HANDLER}`);
    const response = await fetch(`${platform.url}/api/v1/functions/partial/invoke`, {
      method: "OPTIONS",
      headers: { origin: "https://app.example.com", "access-control-request-method": "PUT" },
    });
    assert.deepEqual(
      [
        response.headers.get("access-control-allow-origin"),
        response.headers.get("access-control-allow-methods"),
        response.headers.get("access-control-max-age"),
      ],
      ["https://app.example.com", "GET, PUT", "77"],
    );
  });

  await step("a namespace by annotation, if the request names none; a key stays in its own", async () => {
    const inTeam = `// @fluxbase:namespace team-a\n${HANDLER}`;
    assert.equal((await platform.deploy("placed", inTeam)).body.namespace, "team-a");
    const { body } = await platform.deploy("placed", inTeam, { namespace: "team-b" });
    assert.equal(body.namespace, "team-b");
    assert.match(body.warnings[0], /@fluxbase:namespace team-a was ignored/);
    const key = await platform.mintKey(["functions:write"], ["team-b"]);
    const refused = await platform.api("POST", "/functions", { name: "sneaky", code: inTeam }, key);
    assert.equal(refused.status, 403);
    const odd = await platform.api("POST", "/functions", {
      name: "odd",
      code: `// @fluxbase:namespace a b\n${HANDLER}`,
    });
    assert.equal(odd.status, 400);
  });
}, { FLUXBASE_CORS_ALLOWED_METHODS: "GET,PUT", FLUXBASE_CORS_MAX_AGE: "77" });
