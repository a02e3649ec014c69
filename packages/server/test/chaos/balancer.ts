/**
 * HAProxy before the servers: it sends a request to one that is ready, and says in the answer to which.
 *
 * @module
 */
import { join } from "node:path";
import { eventually } from "../support/platform.ts";
import { freePort, isInstalled } from "../support/programs.ts";

export interface Balancer {
  readonly url: string;
  [Symbol.asyncDispose](): Promise<void>;
}

export const NODE_HEADER = "x-node";

/** Undefined: there is no HAProxy. */
export async function startBalancer(
  dir: string,
  nodes: readonly { readonly name: string; readonly address: string }[],
): Promise<Balancer | undefined> {
  if (!await isInstalled("haproxy")) return undefined;
  const port = freePort();
  const file = join(dir, "haproxy.cfg");
  await Deno.writeTextFile(
    file,
    `global
  maxconn 2000
defaults
  mode http
  timeout connect 2s
  timeout client 90s
  timeout server 90s
  retries 3
  option redispatch 1
  option httpchk GET /health/ready
  http-check expect status 200
  timeout check 3s
  default-server inter 500ms fastinter 250ms fall 2 rise 1
listen servers
  bind 127.0.0.1:${port}
  balance roundrobin
  http-after-response set-header ${NODE_HEADER} %[srv_name]
${nodes.map(({ name, address }) => `  server ${name} ${address} check`).join("\n")}
`,
  );
  const child = new Deno.Command("haproxy", { args: ["-db", "-q", "-f", file], stdout: "null", stderr: "null" })
    .spawn();
  const url = `http://127.0.0.1:${port}`;
  await eventually(async () => {
    const answer = await fetch(`${url}/health/ready`).catch(() => undefined);
    await answer?.body?.cancel();
    return answer?.ok ?? false;
  });
  return {
    url,
    async [Symbol.asyncDispose]() {
      child.kill("SIGTERM");
      await child.status;
    },
  };
}
