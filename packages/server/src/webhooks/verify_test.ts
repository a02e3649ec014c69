/**
 * Signatures of webhooks: the vectors that their senders publish, and what must not pass.
 *
 * @module
 */
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { HeaderList } from "../core/header_list.ts";
import { parseWebhookRule } from "./rule.ts";
import { keyOf, schemeOf, verify } from "./verify.ts";

interface Vector {
  readonly rule: string;
  readonly secret: string;
  readonly headers: Record<string, string>;
  readonly body: string;
  readonly url?: string;
  readonly atSec: number;
}

function verdictOf({ rule: text, secret, headers, body, url = "https://example.invalid/", atSec }: Vector) {
  const rule = parseWebhookRule(text);
  if (typeof rule === "string") throw new Error(rule);
  const scheme = schemeOf(rule);
  const key = keyOf(scheme, secret);
  const request = { headers: new HeaderList(new Headers(headers)), body: new TextEncoder().encode(body), url };
  return verify(scheme, key === undefined ? [] : [key], { request, nowSec: atSec });
}

const hmac = (algo: string, secret: string, text: string) => createHmac(algo, secret).update(text);

/** From the documentation of each sender, where it has an example. */
const PUBLISHED: Readonly<Record<string, Vector>> = {
  github: {
    rule: "github SECRET",
    secret: "It's a Secret to Everybody",
    headers: {
      "x-hub-signature-256": "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
      "x-github-delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958",
    },
    body: "Hello, World!",
    atSec: 0,
  },
  slack: {
    rule: "slack SECRET",
    secret: "8f742231b10e8888abcd99yyyzzz85a5",
    headers: {
      "x-slack-request-timestamp": "1531420618",
      "x-slack-signature": "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
    },
    body:
      "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c",
    atSec: 1_531_420_618,
  },
  "standard, of Svix": {
    rule: "standard SECRET",
    secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    headers: {
      "svix-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
      "svix-timestamp": "1614265330",
      "svix-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    },
    body: '{"test": 2432232314}',
    atSec: 1_614_265_330,
  },
  twilio: {
    rule: "twilio SECRET",
    secret: "12345",
    url: "https://example.com/myapp.php?foo=1&bar=2",
    headers: {
      "content-type": "application/x-www-form-urlencoded",
      "x-twilio-signature": "L/OH5YylLD5NRKLltdqwSvS0BnU=",
    },
    body: "CallSid=CA1234567890ABCDE&Caller=%2B14158675310&Digits=1234&From=%2B14158675310&To=%2B18005551212",
    atSec: 0,
  },
  // No published one: their formula, written down here once more.
  stripe: {
    rule: "stripe SECRET",
    secret: "whsec_test",
    headers: {
      "stripe-signature": `t=1700000000,v1=${
        hmac("sha256", "whsec_test", '1700000000.{"id":"evt_1"}').digest("hex")
      },v0=6ffbb59b2300aae63f272406069a9788598b792a944a07aba816edb039989a39`,
    },
    body: '{"id":"evt_1"}',
    atSec: 1_700_000_100,
  },
  shopify: {
    rule: "shopify SECRET",
    secret: "hush",
    headers: {
      "x-shopify-hmac-sha256": hmac("sha256", "hush", '{"id":1}').digest("base64"),
      "x-shopify-webhook-id": "b1",
    },
    body: '{"id":1}',
    atSec: 0,
  },
  "hmac with all options": {
    rule:
      "hmac SECRET header=X-Sig algo=sha512 encoding=base64url prefix=v9: timestamp=x-time id=x-id signed={id}|{timestamp}|{body}",
    secret: "s",
    headers: {
      "x-sig": `v9:${hmac("sha512", "s", "7|1700000000000|x=ü").digest("base64url")}`,
      "x-time": "1700000000000",
      "x-id": "7",
    },
    body: "x=ü",
    atSec: 1_700_000_000,
  },
};

for (const [name, vector] of Object.entries(PUBLISHED)) {
  Deno.test(`${name}: the sender's request passes, and not with another body, secret, signature or time`, () => {
    assert.equal(verdictOf(vector).isGood, true);
    const { rule } = vector;
    const other = rule.startsWith("standard") ? "whsec_AAAA" : `${vector.secret}x`;
    assert.equal(verdictOf({ ...vector, secret: other }).isGood, false, "another secret");
    assert.equal(verdictOf({ ...vector, body: `${vector.body} ` }).isGood, rule.startsWith("twilio") && false);
    for (const header of Object.keys(vector.headers).filter((one) => /sig|hmac/.test(one))) {
      const text = vector.headers[header] ?? "";
      for (
        const wrong of [
          "",
          text.slice(0, -6),
          text.replace(/[0-9](?=[^0-9]*$)/, (digit) => digit === "1" ? "2" : "1"),
        ]
      ) {
        const headers = { ...vector.headers, [header]: wrong };
        if (wrong !== text && !(rule.startsWith("stripe"))) {
          assert.equal(verdictOf({ ...vector, headers }).isGood, false, wrong);
        }
      }
    }
    const hasTime = Object.keys(vector.headers).some((one) => /time/.test(one)) || rule.startsWith("stripe");
    for (const secLater of [-401, 401]) {
      assert.equal(verdictOf({ ...vector, atSec: vector.atSec + secLater }).isGood, !hasTime, `${secLater} s later`);
    }
  });
}

Deno.test("one signature of several suffices, and no other version of signature counts", () => {
  const { stripe } = PUBLISHED;
  assert.ok(stripe !== undefined);
  const right = /v1=([0-9a-f]+)/.exec(stripe.headers["stripe-signature"] ?? "")?.[1];
  const passes = (signature: string) => verdictOf({ ...stripe, headers: { "stripe-signature": signature } }).isGood;
  assert.equal(passes(`t=1700000000,v1=${"0".repeat(64)},v1=${right}`), true);
  assert.equal(passes(`t=1700000000,v0=${right}`), false);
  assert.equal(passes(`t=1700000001,v1=${right}`), false);
  assert.equal(passes(`v1=${right}`), false);
  assert.equal(passes(`t=NaN,v1=${right}`), false);
  assert.equal(passes(`t=1700000000,${`v1=${"0".repeat(64)},`.repeat(1_000)}v1=${right}`), false);
});

Deno.test("Twilio signs JSON by its hash in the URL, and some URLs with their port", () => {
  const body = '{"a":1}';
  const sha = "015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862";
  const url = `https://example.invalid/f?bodySHA256=${sha}`;
  const signature = (signed: string) => ({ "x-twilio-signature": hmac("sha1", "t", signed).digest("base64") });
  const vector = { rule: "twilio SECRET", secret: "t", body, url, headers: signature(url), atSec: 0 };
  assert.equal(verdictOf(vector).isGood, true);
  assert.equal(verdictOf({ ...vector, body: '{"a":2}' }).isGood, false);
  assert.equal(verdictOf({ ...vector, headers: signature(url.replace(".invalid", ".invalid:443")) }).isGood, true);
  const plain = "https://example.invalid/f";
  assert.equal(
    verdictOf({ ...vector, url: plain, headers: signature(plain) }).isGood,
    false,
    "a body that nothing signs",
  );
});

Deno.test("Twilio's forms may repeat a name, and a form of very many names is read in one go", () => {
  const url = "https://example.invalid/f";
  const type = { "content-type": "application/x-www-form-urlencoded" };
  const vector = (body: string, signed: string) => ({
    rule: "twilio SECRET",
    secret: "t",
    body,
    url,
    headers: { ...type, "x-twilio-signature": hmac("sha1", "t", url + signed).digest("base64") },
    atSec: 0,
  });
  assert.equal(verdictOf(vector("b=2&a=3&a=1&a=3", "a1a3b2")).isGood, true);
  const names = Array.from({ length: 100_000 }, (_, index) => `n${String(index).padStart(6, "0")}`);
  assert.equal(verdictOf(vector(names.join("&"), names.join(""))).isGood, true);
});

Deno.test("a rule says what is wrong with it", () => {
  for (
    const [text, expected] of Object.entries({
      "": /"" is no way to verify/,
      "stripe": /must be followed by the name of a system secret/,
      "stripe A B": /must be followed/,
      "stripe A,B,C,D,E,F": /up to 5/,
      "github A algo=sha1": /goes with hmac only/,
      "hmac A": /needs the header/,
      "hmac A header=x sig=1": /"sig" is no option/,
      "hmac A header=x header=y": /more than once/,
      "hmac A header=x:": /name of a header/,
      "hmac A header=x timestamp=": /name of a header/,
      "hmac A header=x algo=md5": /"algo" must be one of/,
      "hmac A header=x encoding=utf8": /"encoding" must be one of/,
      "hmac A header=x signed=nothing": /must have \{body\}/,
      "hmac A header=x timestamp=t signed={body}": /not signed/,
      "hmac A header=x signed={id}{body}": /name its header/,
      [`hmac A header=${"x".repeat(2_000)}`]: /more than 1000 characters/,
    })
  ) assert.match(String(parseWebhookRule(text)), expected, text);
});
