/**
 * A Redis for a test, where the machine has the program.
 *
 * @module
 */
import assert from "node:assert/strict";
import { eventually } from "./platform.ts";
import { freePort, isInstalled } from "./programs.ts";

const PROGRAMS = ["redis-server", "valkey-server"];

export async function redisProgram(): Promise<string | undefined> {
  for (const program of PROGRAMS) {
    if (await isInstalled(program)) return program;
  }
  return undefined;
}

export interface TestRedis {
  readonly url: string;
  start(): Promise<void>;
  signal(signal: Deno.Signal): void;
  end(signal: Deno.Signal): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

export async function startRedis(): Promise<TestRedis> {
  const program = await redisProgram();
  assert.ok(program !== undefined);
  const password = crypto.randomUUID();
  const port = freePort();
  let child: Deno.ChildProcess | undefined;

  async function start(): Promise<void> {
    const args = ["--port", `${port}`, "--bind", "127.0.0.1", "--requirepass", password, "--save", "", "--dir", "/tmp"];
    child = new Deno.Command(program ?? "", { args, stdout: "null", stderr: "null" }).spawn();
    await eventually(() =>
      Deno.connect({ port, hostname: "127.0.0.1" }).then((connection) => {
        connection.close();
        return true;
      }, () => false)
    );
  }

  const redis: TestRedis = {
    url: `redis://:${password}@127.0.0.1:${port}/0`,
    start,
    signal: (signal) => child?.kill(signal),
    async end(signal) {
      child?.kill(signal);
      await child?.status;
      child = undefined;
    },
    [Symbol.asyncDispose]: () => redis.end("SIGKILL"),
  };
  await start();
  return redis;
}
