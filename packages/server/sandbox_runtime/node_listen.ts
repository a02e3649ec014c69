/**
 * `listen` of Node's servers: one that speaks HTTP becomes what answers requests, any other is refused.
 *
 * @module
 */
import type { Server } from "node:http";
import type { ServerHandle } from "./servers.ts";
import { replace } from "./taking_away.ts";

const PORT = 8_000;

type Load = typeof process.getBuiltinModule;
export type NodeServerKind = "http" | "https";

interface Listening {
  _handle: unknown;
}

/** @param start hands the server over, once */
export function replaceListen(start: (server: Server, kind: NodeServerKind) => ServerHandle, load: Load): void {
  const { Server: NetServer } = load("node:net");
  const listening = new Set<number>();

  replace(NetServer.prototype, "listen", function listen(this: Server & Listening, ...values: unknown[]): Server {
    const kind = kindOf(this, load);
    if (kind === undefined) {
      throw new Error(
        "Cannot listen with this server: a function answers HTTP requests; use createServer of node:http",
      );
    }
    const callback = values.findLast((value) => typeof value === "function");
    const { port, host } = placeOf(values);
    // For both of the machine's own addresses some frameworks make a server each.
    const isOfAnother = isLoopback(host) && listening.has(port);
    const handle = isOfAnother ? undefined : start(this, kind);
    listening.add(port);
    if (typeof callback === "function") this.once("listening", callback as () => void);
    const address = { address: host, family: host.includes(":") ? "IPv6" : "IPv4", port };
    this._handle = {
      close: () => {
        listening.delete(port);
        handle?.close();
      },
      ref() {},
      unref() {},
      getsockname(out: object) {
        Object.assign(out, address);
        return 0;
      },
    };
    process.nextTick(() => this.emit("listening"));
    return this;
  });
}

function kindOf(server: object, load: Load): NodeServerKind | undefined {
  if (server instanceof load("node:http").Server) return "http";
  return server instanceof load("node:https").Server ? "https" : undefined;
}

/** Of `listen(port, host, …)`, `listen({ port, host })` and `listen(path)`. */
function placeOf([first, second]: readonly unknown[]): { readonly port: number; readonly host: string } {
  const options = typeof first === "object" && first !== null ? first : { port: first, host: second };
  const port = Number(Reflect.get(options, "port"));
  const host: unknown = Reflect.get(options, "host");
  return {
    port: Number.isInteger(port) && port > 0 ? port : PORT,
    host: typeof host === "string" && host !== "" ? host.replace("localhost", "127.0.0.1") : "::",
  };
}

function isLoopback(host: string): boolean {
  return host === "::1" || host.startsWith("127.");
}
