/**
 * No credential of any kind stays in a request that is kept.
 *
 * @module
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { redact } from "./redaction.ts";

const NEEDLE = "h4ckMe-Needle_77";
const RANDOM = "Zk3v9QpL0xW8rT2bN6yH";
const JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl";

function kept(
  given: { target?: string; headers?: Record<string, string>; body?: string | Uint8Array; hidden?: string[] },
) {
  const { target = "/functions/v1/f", headers = {}, body = "", hidden = [] } = given;
  const bytes = typeof body === "string" ? new TextEncoder().encode(body) : body;
  const headerPairs = Object.entries(headers).flat();
  const { removed, ...request } = redact({ method: "POST", target, headerPairs, body: bytes }, hidden);
  const pairs = request.headerPairs.flatMap((name, index) =>
    index % 2 === 0 ? [[name, request.headerPairs[index + 1]]] : []
  );
  return {
    removed,
    target: request.target,
    headers: Object.fromEntries(pairs),
    body: new TextDecoder().decode(request.body),
    text: JSON.stringify([request.target, request.headerPairs, new TextDecoder("latin1").decode(request.body)]),
  };
}

test("headers that hold credentials go, by name and by what they are", () => {
  const names = [
    "Authorization",
    "Proxy-Authorization",
    "Cookie",
    "Cookie2",
    "Set-Cookie",
    "apikey",
    "x-api-key",
    "X-Client-Key",
    "X-Service-Key",
    "clientkey",
    "api-key",
    "x-auth-token",
    "x-access-token",
    "X-Amz-Security-Token",
    "x-goog-iap-jwt-assertion",
    "Cf-Access-Jwt-Assertion",
    "X-Forwarded-Client-Cert",
    "x-csrf-token",
    "x-xsrf-token",
    "DPoP",
    "Stripe-Signature",
    "X-Hub-Signature",
    "X-Hub-Signature-256",
    "X-Slack-Signature",
    "webhook-signature",
    "webhook-id",
    "svix-signature",
    "svix-id",
    "X-Shopify-Hmac-Sha256",
    "X-Twilio-Signature",
    "X-Gitlab-Token",
    "x-telegram-bot-api-secret-token",
    "x-vault-token",
    "x-session-id",
    "sessionid",
    "x-otp",
    "x-pin",
    "x-password",
    "Digest",
    "x-line-signature",
    "x-plaid-verification",
    "ocp-apim-subscription-key",
    "x-functions-key",
    "x-parse-rest-api-key",
    "private-token",
    "sec-websocket-protocol",
  ];
  for (const name of names) {
    const { text, removed } = kept({ headers: { [name]: NEEDLE } });
    assert.doesNotMatch(text, /Needle/, name);
    if (!name.startsWith("sec-") && !name.startsWith("Proxy")) {
      assert.deepEqual(removed, [`header ${name.toLowerCase()}`]);
    }
  }
  for (
    const value of [
      JWT,
      `Bearer ${NEEDLE}`,
      `prefix ${JWT} suffix`,
      RANDOM,
      "sk_live_abcdefghijklmnop1234",
      `https://user:${NEEDLE}@host/`,
    ]
  ) {
    const { text } = kept({ headers: { "x-custom": value, ...value === RANDOM ? {} : { "user-agent": value } } });
    assert.ok(
      !text.includes(value) && !text.includes(JWT) && !(value !== RANDOM && text.includes(NEEDLE)),
      `${value}: ${text}`,
    );
  }
  const { headers } = kept({
    headers: {
      "content-type": "application/json",
      "x-tenant-id": "acme",
      "x-github-event": "push",
      accept: "*/*",
      "accept-language": "en",
    },
  });
  assert.deepEqual(headers, {
    "content-type": "application/json",
    "x-tenant-id": "acme",
    "x-github-event": "push",
    accept: "*/*",
    "accept-language": "en",
  });
});

test("query, path and referer", () => {
  const names = [
    "key",
    "apikey",
    "api_key",
    "access_token",
    "token",
    "id_token",
    "refresh_token",
    "sig",
    "signature",
    "X-Amz-Signature",
    "X-Amz-Credential",
    "X-Goog-Signature",
    "code",
    "auth_code",
    "client_secret",
    "clientSecret",
    "password",
    "passwd",
    "session",
    "sessionId",
    "auth",
    "jwt",
    "otp",
    "hmac",
    "nonce",
    "SAMLResponse",
    "assertion",
    "%74oken",
    "user[password]",
    "hub.verify_token",
    "private",
  ];
  for (const name of names) {
    const { target } = kept({ target: `/f?page=2&${name}=${NEEDLE}&sort=asc` });
    assert.doesNotMatch(target, /Needle/, name);
    assert.match(target, /^\/f\?page=2&.*&sort=asc$/);
  }
  assert.doesNotMatch(kept({ target: `/f?x=${RANDOM}` }).target, /Zk3/);
  assert.doesNotMatch(kept({ target: `/f?x=${encodeURIComponent(JWT)}` }).target, /eyJ/);
  assert.doesNotMatch(kept({ target: `/f?${RANDOM}` }).target, /Zk3/);
  assert.doesNotMatch(kept({ target: `/bot12345:${RANDOM}/send` }).target, /Zk3/);
  assert.doesNotMatch(kept({ target: `/hook/${RANDOM}` }).target, /Zk3/);
  const plain = "/orders/6f1ed002-ab50-4d0f-9b3f-0d4b9a1d6b0c/items?page=2&q=a+b%20c&empty=&flag";
  assert.deepEqual([kept({ target: plain }).target, kept({ target: plain }).removed], [plain, []]);
  const { headers } = kept({ headers: { referer: `https://app.example/cb?code=${NEEDLE}&page=1#${NEEDLE}` } });
  assert.equal(headers.referer, "https://app.example/cb?code=%5Bremoved%5D&page=1");
});

test("bodies: JSON, forms, multipart, text, bytes", () => {
  const secret = {
    user: "ann",
    password: NEEDLE,
    nested: [{ apiKey: NEEDLE, note: `use ${JWT}` }],
    pin: 1234,
    card_number: NEEDLE,
    ok: true,
  };
  const json = kept({ headers: { "content-type": "application/json" }, body: JSON.stringify(secret) });
  assert.doesNotMatch(json.text, /Needle|eyJ|1234/);
  assert.deepEqual(JSON.parse(json.body).user, "ann");
  assert.deepEqual(json.removed.toSorted(), [
    "body card_number",
    "body nested apiKey",
    "body nested note",
    "body password",
    "body pin",
  ]);
  assert.doesNotMatch(kept({ body: `{"token":"${NEEDLE}"}` }).text, /Needle/, "without a type");
  assert.doesNotMatch(kept({ body: JSON.stringify([RANDOM]) }).text, /Zk3/);
  assert.doesNotMatch(kept({ body: JSON.stringify({ [JWT]: 1 }) }).text, /eyJ/);
  const form = kept({
    headers: { "content-type": "application/x-www-form-urlencoded" },
    body: `grant_type=password&username=ann&password=${NEEDLE}`,
  });
  assert.equal(form.body, "grant_type=password&username=ann&password=%5Bremoved%5D");
  const part = (name: string, value: string) =>
    `--b\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`;
  const multipart = kept({
    headers: { "content-type": "multipart/form-data; boundary=b" },
    body: `${part("name", "ann")}${part("password", NEEDLE)}${part("note", `my ${JWT}`)}--b--\r\n`,
  });
  assert.doesNotMatch(multipart.text, /Needle|eyJ/);
  assert.match(multipart.body, /\r\n\r\nann\r\n/);
  assert.doesNotMatch(kept({ body: `password=${NEEDLE}\nname: ann` }).text, /Needle/);
  assert.doesNotMatch(
    kept({ body: `-----BEGIN RSA PRIVATE KEY-----\n${NEEDLE}\n-----END RSA PRIVATE KEY-----` }).text,
    /Needle/,
  );
  const bytes = new Uint8Array([0xff, 0xfe, ...new TextEncoder().encode(` Bearer ${NEEDLE} `), 0x80]);
  assert.doesNotMatch(kept({ body: bytes }).text, /Needle/);
  assert.doesNotMatch(kept({ body: `the value is ${NEEDLE}!`, hidden: [NEEDLE] }).text, /Needle/);
  const harmless = JSON.stringify({
    id: "6f1ed002-ab50-4d0f-9b3f-0d4b9a1d6b0c",
    text: "Hello, world",
    price: 12.5,
    deep: { list: [1, null, ""] },
  });
  const same = kept({ headers: { "content-type": "application/json" }, body: harmless });
  assert.deepEqual([same.body, same.removed], [harmless, []]);
  const image = new Uint8Array(Array.from({ length: 5_000 }, (_, index) => (index * 37) % 256));
  const { body } = redact({ method: "POST", target: "/", headerPairs: ["content-type", "image/png"], body: image }, []);
  assert.deepEqual(body, image);
});

test("what is deep or long is looked at in bounded time", () => {
  const startedMs = performance.now();
  kept({ body: `${"[".repeat(100_000)}${"]".repeat(100_000)}` });
  kept({ body: "a=".repeat(128_000), headers: { "content-type": "text/plain" } });
  kept({ body: "eyJ".repeat(85_000) });
  kept({
    body: `content-disposition: form-data; name="x"\r\n`.repeat(6_000),
    headers: { "content-type": "multipart/form-data" },
  });
  kept({ body: "Bearer ".repeat(36_000) });
  kept({ body: "-----BEGIN PRIVATE KEY-----".repeat(9_000) });
  kept({ body: "//a:".repeat(60_000) });
  kept({ body: "x".repeat(256_000) });
  kept({ target: `/${"a1".repeat(8_000)}?${"b=2&".repeat(4_000)}` });
  assert.ok(performance.now() - startedMs < 10_000);
});
