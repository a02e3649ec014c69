/**
 * A PgBouncer in transaction mode before the Postgres of the tests, where the machine has the program.
 *
 * @module
 */
import { join } from "node:path";
import { testServerUrl } from "./database.ts";
import { eventually } from "./platform.ts";
import { freePort, isInstalled } from "./programs.ts";

export const hasPgBouncer = () => isInstalled("pgbouncer");

export interface TestPgBouncer {
  readonly port: number;
  [Symbol.asyncDispose](): Promise<void>;
}

/** `ignored`: settings of a connection that it silently drops instead of refusing them. */
export async function startPgBouncer({ ignored }: { readonly ignored: readonly string[] }): Promise<TestPgBouncer> {
  const { hostname, port: serverPort, username, password } = new URL(testServerUrl());
  const port = freePort();
  const dir = await Deno.makeTempDir({ prefix: "fluxbase-pgbouncer-" });
  await Deno.chmod(dir, 0o755);
  const file = join(dir, "pgbouncer.ini");
  await Deno.writeTextFile(
    file,
    `[databases]
* = host=${hostname} port=${serverPort} user=${username} password=${decodeURIComponent(password)}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 4
ignore_startup_parameters = ${ignored.join(",")}
`,
  );
  const child = new Deno.Command("pgbouncer", {
    // It refuses to run as root.
    args: [...(Deno.uid() === 0 ? ["-u", "nobody"] : []), file],
    stdout: "null",
    stderr: "null",
  }).spawn();
  await eventually(() =>
    Deno.connect({ port, hostname: "127.0.0.1" }).then((connection) => {
      connection.close();
      return true;
    }, () => false)
  );
  return {
    port,
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await child.status;
      await Deno.remove(dir, { recursive: true });
    },
  };
}
