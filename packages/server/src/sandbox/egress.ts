/**
 * Which addresses a function with network permission may not reach: everything that is not the public internet.
 *
 * Checked by Deno on resolved addresses; IPv6 is closed by the kernel filter, since Deno takes no IPv6 ranges.
 *
 * @module
 */

/** IANA special-purpose registry, IPv4: private, loopback, link-local, shared, documentation, multicast, reserved. */
export const DENIED_IPV4: readonly string[] = [
  "0.0.0.0/8",
  "10.0.0.0/8",
  "100.64.0.0/10",
  "127.0.0.0/8",
  "169.254.0.0/16",
  "172.16.0.0/12",
  "192.0.0.0/24",
  "192.0.2.0/24",
  "192.88.99.0/24",
  "192.168.0.0/16",
  "198.18.0.0/15",
  "198.51.100.0/24",
  "203.0.113.0/24",
  "224.0.0.0/4",
  "240.0.0.0/4",
];

/** The value of `--deny-net`. */
export function denyNetList(): string {
  return [...DENIED_IPV4, "[::1]", "[::]"].join(",");
}
