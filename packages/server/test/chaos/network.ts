/**
 * Where servers live: each in a network namespace of its own on one bridge, or all on loopback where there are none.
 *
 * @module
 */
import { isInstalled } from "../support/programs.ts";

export interface Network {
  /** Undefined: loopback, and why. */
  readonly missing: string | undefined;
  /** What is not a server can be reached at this address. */
  readonly address: string;
  addressOf(node: number): string;
  /** What starts a program there. */
  prefixOf(node: number): readonly string[];
  /** Drops what a server sends to these ports of ours, and what comes from there; none: all passes again. */
  cut(node: number, ports: readonly number[]): Promise<void>;
  /** Loses that much of what passes to and from a server. */
  lose(node: number, percent: number): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

export async function makeNetwork(count: number): Promise<Network> {
  const missing = await missingFor();
  if (missing !== undefined) return loopback(missing);
  try {
    return await makeNamespaces(count);
  } catch (error) {
    return loopback(String(error));
  }
}

async function missingFor(): Promise<string | undefined> {
  if (Deno.uid() !== 0) return "network namespaces need root";
  for (const program of ["ip", "nft"]) {
    if (!await isInstalled(program)) return `network namespaces need the program ${program}`;
  }
  return undefined;
}

function loopback(missing: string): Network {
  return {
    missing,
    address: "127.0.0.1",
    addressOf: () => "127.0.0.1",
    prefixOf: () => [],
    cut: async () => {},
    lose: async () => {},
    [Symbol.asyncDispose]: async () => {},
  };
}

async function makeNamespaces(count: number): Promise<Network> {
  await using parts = new AsyncDisposableStack();
  const id = Deno.pid % 16_384;
  const subnet = `10.${192 + (id >> 8)}.${id & 255}`;
  const bridge = `fbx${id}`;
  const nameOf = (node: number) => `${bridge}-${node}`;
  const addressOf = (node: number) => `${subnet}.${10 + node}`;
  await run("ip", "link", "add", bridge, "type", "bridge");
  parts.defer(() => run("ip", "link", "del", bridge));
  await run("ip", "addr", "add", `${subnet}.1/24`, "dev", bridge);
  await run("ip", "link", "set", bridge, "up");
  for (let node = 0; node < count; node += 1) {
    const [name, outer] = [nameOf(node), `${bridge}v${node}`];
    const inside = (...args: string[]) => run("ip", "-n", name, ...args);
    await run("ip", "netns", "add", name);
    parts.defer(() => run("ip", "netns", "del", name));
    await run("ip", "link", "add", outer, "type", "veth", "peer", "name", "eth0", "netns", name);
    await run("ip", "link", "set", outer, "master", bridge, "up");
    await inside("addr", "add", `${addressOf(node)}/24`, "dev", "eth0");
    await inside("link", "set", "eth0", "up");
    await inside("link", "set", "lo", "up");
  }

  async function filter(node: number, rules: { readonly [hook in "input" | "output"]: string }): Promise<void> {
    const chains = Object.entries(rules).map(([hook, rule]) =>
      `chain ${hook} { type filter hook ${hook} priority 0;\n${rule}\n}`
    );
    // Both lines are one transaction: what was there is replaced.
    const script = `add table inet chaos\ndelete table inet chaos\ntable inet chaos {\n${chains.join("\n")}\n}`;
    await run("ip", "netns", "exec", nameOf(node), "nft", script);
  }

  const made = parts.move();
  return {
    missing: undefined,
    address: `${subnet}.1`,
    addressOf,
    prefixOf: (node) => ["ip", "netns", "exec", nameOf(node)],
    cut(node, ports) {
      const some = `{ ${ports.join(", ")} }`;
      return filter(
        node,
        ports.length === 0
          ? { input: "", output: "" }
          : { input: `tcp sport ${some} drop`, output: `tcp dport ${some} drop` },
      );
    },
    lose(node, percent) {
      const rule = percent === 0 ? "" : `numgen random mod 100 < ${percent} drop`;
      return filter(node, {
        input: rule && `iifname "eth0" ${rule}`,
        output: rule && `oifname "eth0" ${rule}`,
      });
    },
    [Symbol.asyncDispose]: () => made.disposeAsync(),
  };
}

async function run(program: string, ...args: string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command(program, { args, stdout: "null", stderr: "piped" }).output();
  if (!success) throw new Error(`Cannot run ${program} ${args.join(" ")}: ${new TextDecoder().decode(stderr)}`);
}
