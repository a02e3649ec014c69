/**
 * Which address counts, with and without proxies, and what a client writes into headers.
 *
 * @module
 */
import assert from "node:assert/strict";
import { createClientAddresses, parseRange } from "./client_address.ts";

function addresses(...ranges: string[]) {
  return createClientAddresses(ranges.map((text) => {
    const range = parseRange(text);
    assert.ok(range !== undefined, text);
    return range;
  }));
}

Deno.test("without trusted proxies the connection counts, whatever a header says", () => {
  const { of } = addresses();
  assert.equal(of("203.0.113.7", "1.2.3.4"), "203.0.113.7");
  for (const same of ["::ffff:203.0.113.7", "::FFFF:cb00:7107", "0:0:0:0:0:ffff:203.0.113.7", "::ffff:cb00:7107%1"]) {
    assert.equal(of(same, null), "203.0.113.7", same);
  }
});

Deno.test("behind trusted proxies the last hop that is not theirs counts", () => {
  const { of } = addresses("10.0.0.0/8", "2001:db8:1::/48");
  const cases: [peer: string, header: string | null, client: string][] = [
    ["10.0.0.1", null, "10.0.0.1"],
    ["10.0.0.1", "203.0.113.7", "203.0.113.7"],
    ["10.0.0.1", "1.2.3.4, 203.0.113.7", "203.0.113.7"],
    ["10.0.0.1", "1.2.3.4, 203.0.113.7, 10.9.9.9", "203.0.113.7"],
    ["10.0.0.1", " 203.0.113.7:4711 ", "203.0.113.7"],
    ["10.0.0.1", "[2001:db8:2::5]:443", "2001:db8:2:0::/64"],
    ["10.0.0.1", "10.1.1.1, 10.2.2.2", "10.1.1.1"],
    ["10.0.0.1", "203.0.113.7, unknown", "10.0.0.1"],
    ["10.0.0.1", "", "10.0.0.1"],
    ["10.0.0.1", ",", "10.0.0.1"],
    ["10.0.0.1", ",203.0.113.7", "203.0.113.7"],
    ["10.0.0.1", "203.0.113.7,", "10.0.0.1"],
    ["10.0.0.1", "203.0.113.7, 10.1.1.1,, 10.2.2.2", "10.2.2.2"],
    ["::ffff:a00:1", "::ffff:203.0.113.7", "203.0.113.7"],
    ["10.0.0.1", `${"1,".repeat(100_000)}203.0.113.7`, "203.0.113.7"],
    ["2001:db8:1::9", "203.0.113.7", "203.0.113.7"],
    ["203.0.113.9", "1.2.3.4", "203.0.113.9"],
  ];
  for (const [peer, header, client] of cases) assert.equal(of(peer, header), client, `${peer} ${header}`);
});

Deno.test("an IPv6 address counts by its network", () => {
  const { of } = addresses();
  for (const address of ["2001:db8:1:2:3:4:5:6", "2001:0DB8:0001:0002::1", "2001:db8:1:2::%eth0"]) {
    assert.equal(of(address, null), "2001:db8:1:2::/64", address);
  }
  assert.equal(of("::1", null), "0:0:0:0::/64");
  assert.equal(of("1:2:3:4:5:6:1.2.3.4", null), "1:2:3:4::/64");
  assert.equal(of("1:2:3:4:5:6:7::", null), "1:2:3:4::/64");
});

Deno.test("ranges are addresses with a prefix or without", () => {
  for (const text of ["10.0.0.0/8", "10.0.0.1", "::/0", "2001:db8::1"]) assert.ok(parseRange(text), text);
  for (const text of ["", "10.0.0.0/33", "10.0.0/8", "host", "10.0.0.0/8/8", "10.0.0.0/", "::/129", "10.0.0.0/-1"]) {
    assert.equal(parseRange(text), undefined, text);
  }
});
