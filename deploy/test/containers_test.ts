/**
 * The image, built and run: the guide's environment, a read-only root without rights, fences under other settings,
 * secrets from files, the compose files, backup inside, and an end by SIGTERM.
 *
 * `npm run test:containers`; needs docker and its images debian:bookworm-slim and node:20-bookworm-slim. Compose files
 * are started where there is docker-compose. `FLUXBASE_TEST_IMAGE` names an image that is built already.
 *
 * @module
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { silentLog } from "../../packages/server/src/core/log.ts";
import { startEmbeddedPostgres } from "../../packages/server/src/storage/embedded/embedded_postgres.ts";
import { freePort, isInstalled } from "../../packages/server/test/support/programs.ts";
import { print } from "../../tools/test_run.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const BUILT = Deno.env.get("FLUXBASE_TEST_IMAGE");
const IMAGE = BUILT ?? "ghcr.io/fluxbase-eu/fluxbase:latest";
const STRICT = ["--cap-drop=ALL", "--security-opt=no-new-privileges", "--read-only", "--tmpfs=/tmp"];
const HELLO = `// @fluxbase:allow-unauthenticated
async function handler(req) { return { status: 200, body: JSON.stringify({ message: "Hello!" }) }; }
`;
const GUIDE = { ENABLED: "true", FUNCTIONS_DIR: "/app/functions", AUTO_LOAD_ON_BOOT: "true" };
const READY_MS = 180_000;

/** What starts, and which fences it lacks. */
const STARTS: readonly { readonly name: string; readonly args: readonly string[]; readonly missing: string[] }[] = [
  { name: "as it is", args: [], missing: ["uid"] },
  { name: "without rights on a read-only root", args: STRICT, missing: ["uid"] },
  { name: "without a seccomp profile of Docker", args: ["--security-opt=seccomp=unconfined"], missing: ["uid"] },
  { name: "with 1 MB of /dev/shm", args: ["--shm-size=1m"], missing: ["uid"] },
  { name: "with telemetry", args: ["-e", "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:9"], missing: ["uid"] },
  { name: "as root", args: ["--user=0"], missing: [] },
];

/** What does not start, and its sentence. */
const REFUSALS: readonly { readonly name: string; readonly args: readonly string[]; readonly says: RegExp }[] = [
  {
    name: "as root without capabilities",
    args: ["--user=0", "--cap-drop=ALL", "--tmpfs=/var/lib/fluxbase:mode=0711"],
    says: /refuses root, and this root may not become user .*set DATABASE_URL/,
  },
  {
    name: "as a user without a name",
    args: ["--user=12345", "--tmpfs=/var/lib/fluxbase:uid=12345,mode=0711"],
    says: /without an entry in \/etc\/passwd, such as 12345; .*set DATABASE_URL/,
  },
  {
    name: "as a user that does not own the data directory",
    args: ["--user=12345"],
    says: /Cannot keep secrets in .*check who owns the data directory/,
  },
  { name: "on a read-only root without /tmp", args: ["--read-only"], says: /Cannot .*\/tmp/ },
];

async function docker(...args: string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command("docker", { args, cwd: ROOT }).output();
  const said = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
  if (!success) throw new Error(`docker ${args.join(" ")}: ${said.slice(-4_000)}`);
  return said.trim();
}

async function answering(url: string, said: () => Promise<string>): Promise<Response> {
  const deadline = performance.now() + READY_MS;
  for (;;) {
    const answer = await fetch(url).catch(() => undefined);
    if (answer?.ok) return answer;
    await answer?.body?.cancel();
    if (performance.now() > deadline) throw new Error(`${url} does not answer: ${await said()}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

interface Container {
  readonly name: string;
  readonly url: string;
  /** From its start to its first answer; a figure to print, which no test asserts. */
  readonly startedMs: number;
  readonly ready: { readonly fences: { readonly missing: string[] } };
  [Symbol.asyncDispose](): Promise<void>;
}

const environment = (settings: Readonly<Record<string, string>>) =>
  Object.entries(settings).flatMap(([name, value]) => ["-e", `${name}=${value}`]);

/** Where the port is reached; the host's network where Docker has no bridge. */
async function publishing(port: number): Promise<string[]> {
  return (await docker("network", "ls", "--format", "{{.Name}}")).split("\n").includes("bridge")
    ? ["-p", `127.0.0.1:${port}:8080`]
    : ["--network=host", "-e", `FLUXBASE_SERVER_ADDRESS=127.0.0.1:${port}`];
}

async function startContainer(args: readonly string[], name = `fluxbase-test-${freePort()}`): Promise<Container> {
  const port = freePort();
  const startedAtMs = performance.now();
  await docker("run", "-d", "--init", "--name", name, ...await publishing(port), ...args, IMAGE);
  const url = `http://127.0.0.1:${port}`;
  const remove = async () => void await docker("rm", "-f", "-v", name).catch(() => {});
  try {
    const answer = await answering(`${url}/health/ready`, () => docker("logs", name));
    const startedMs = Math.round(performance.now() - startedAtMs);
    return { ...{ name, url, startedMs }, ready: await answer.json(), [Symbol.asyncDispose]: remove };
  } catch (error) {
    await remove();
    throw error;
  }
}

async function functionsDir(dir: string): Promise<void> {
  await Deno.mkdir(dir);
  await Deno.chmod(dir, 0o755);
  await Deno.writeTextFile(join(dir, "hello.ts"), HELLO);
}

/** Functions as files come after the server is ready. */
async function greets(url: string): Promise<void> {
  const answer = await answering(
    `${url}/api/v1/functions/hello/invoke`,
    () => Promise.resolve("the function is not there"),
  );
  assert.deepEqual(await answer.json(), { message: "Hello!" });
}

Deno.test("the image", async (test) => {
  if (!await isInstalled("docker")) throw new Error("Cannot build the image: docker is not installed");
  await using parts = new AsyncDisposableStack();
  const dir = await Deno.makeTempDir({ prefix: "fluxbase-containers-" });
  await Deno.chmod(dir, 0o755);
  parts.defer(() => Deno.remove(dir, { recursive: true }));
  await functionsDir(join(dir, "functions"));

  await test.step("is built", async () => {
    // The host's network: packages come from wherever the host gets them.
    if (BUILT === undefined) {
      await docker("build", "--network=host", "-f", "deploy/docker/Dockerfile", "-t", IMAGE, ".");
    }
    const bytes = Number(await docker("image", "inspect", "--format", "{{.Size}}", IMAGE));
    print(`${Math.round(bytes / 1e6)} MB\n`);
  });

  const volume = `fluxbase-test-${freePort()}`;
  parts.defer(async () => void await docker("volume", "rm", volume).catch(() => {}));
  const guide = [
    ...[...STRICT, "-v", `${volume}:/var/lib/fluxbase`, "-v", `${join(dir, "functions")}:/app/functions`],
    ...environment(Object.fromEntries(Object.entries(GUIDE).map(([name, on]) => [`FLUXBASE_FUNCTIONS_${name}`, on]))),
  ];
  {
    await using container = await startContainer(guide);
    const { name, url, ready, startedMs } = container;
    await test.step("answers as the guide says, with every fence but a user for each sandbox", async () => {
      print(`ready after ${startedMs} ms, with a new database\n`);
      assert.deepEqual(ready.fences.missing, ["uid"]);
      await greets(url);
      assert.doesNotMatch(await docker("logs", name), /eyJ|fbc_/, "keys in the log of the container");
    });
    await test.step("has the command line: a backup while it runs", async () => {
      const said = await docker("exec", name, "fluxbase", "backup", "/var/lib/fluxbase/backup.tar.gz");
      assert.match(said, /Wrote \/var\/lib\/fluxbase\/backup.tar.gz/);
      assert.match(await docker("exec", name, "/app/packages/deno", "run", "-A", "/app/healthy.mjs"), /^$/);
    });
    await test.step("runs as user 10001 and writes to its volume and /tmp only", async () => {
      assert.equal(await docker("exec", name, "id", "-u"), "10001");
      await assert.rejects(docker("exec", name, "touch", "/app/there"), /Read-only file system/);
    });
    await test.step("ends by SIGTERM with 0", async () => {
      await docker("stop", "-t", "60", name);
      assert.equal(await docker("inspect", "--format", "{{.State.ExitCode}}", name), "0");
    });
  }
  await test.step("is as it was when it starts again", async () => {
    await using container = await startContainer(guide);
    print(`ready again after ${container.startedMs} ms\n`);
    await greets(container.url);
    assert.match(await docker("exec", container.name, "ls", "/var/lib/fluxbase"), /backup\.tar\.gz/);
  });

  for (const { name, args, missing } of STARTS) {
    await test.step(`starts ${name}; fences it lacks: ${missing.join(", ") || "none"}`, async () => {
      await using container = await startContainer([...args, "-v", `${join(dir, "functions")}:/app/functions`]);
      assert.deepEqual(container.ready.fences.missing, missing);
      await greets(container.url);
    });
  }
  for (const { name, args, says } of REFUSALS) {
    await test.step(`does not start ${name}, and says why`, async () => {
      await assert.rejects(docker("run", "--rm", "--init", ...args, IMAGE), ({ message }: Error) => {
        const sentence = message.split("\n").slice(1).join("\n") || message;
        assert.match(message, says);
        assert.doesNotMatch(sentence, /^\s+at .*:\d+:\d+/m, "a stack in place of a sentence");
        return true;
      });
    });
  }
  await test.step("does not start without a fence that it must have", async () => {
    const required = docker("run", "--rm", "--init", "-e", "FLUXBASE_SANDBOX_REQUIRE=uid", IMAGE);
    await assert.rejects(required, /uid/);
  });

  await test.step("takes its secrets from files, as a user without a name, with Postgres elsewhere", async () => {
    await using postgres = await startEmbeddedPostgres({ dataDir: join(dir, "postgres"), log: silentLog });
    const secrets = { database_url: postgres.url.reveal(), jwt_secret: "j".repeat(64), encryption_key: "0".repeat(64) };
    await Deno.mkdir(join(dir, "secrets"));
    for (const [name, text] of Object.entries(secrets)) await Deno.writeTextFile(join(dir, "secrets", name), text);
    const port = freePort();
    const container = `fluxbase-test-${port}`;
    try {
      await docker(
        ...["run", "-d", "--init", "--name", container, "--network=host", "--user=12345", ...STRICT],
        ...["--tmpfs=/var/lib/fluxbase:uid=12345,mode=0711", "-v", `${join(dir, "secrets")}:/run/secrets:ro`],
        ...environment({
          FLUXBASE_SERVER_ADDRESS: `127.0.0.1:${port}`,
          DATABASE_URL_FILE: "/run/secrets/database_url",
          FLUXBASE_AUTH_JWT_SECRET_FILE: "/run/secrets/jwt_secret",
          FLUXBASE_ENCRYPTION_KEY_FILE: "/run/secrets/encryption_key",
        }),
        IMAGE,
      );
      const answer = await answering(`http://127.0.0.1:${port}/health/ready`, () => docker("logs", container));
      assert.equal((await answer.json()).database, "ok");
      assert.ok(!(await docker("inspect", container)).includes(secrets.database_url));
    } finally {
      await docker("rm", "-f", "-v", container).catch(() => {});
    }
  });
});

const COMPOSE = join(ROOT, "deploy/compose");
const GUIDES_FILE = `version: "3"
services:
  fluxbase:
    image: ${IMAGE}
    volumes:
      - ./functions:/app/functions
    environment:
${Object.entries(GUIDE).map(([name, on]) => `      FLUXBASE_FUNCTIONS_${name}: "${on}"\n`).join("")}`;

Deno.test("the compose files", async (test) => {
  if (!await isInstalled("docker-compose")) return;
  const dir = await Deno.makeTempDir({ prefix: "fluxbase-compose-" });
  await Deno.chmod(dir, 0o755);
  const project = `fluxbase-test-${freePort()}`;
  const compose = async (file: string, ...args: string[]): Promise<string> => {
    const { success, stdout, stderr } = await new Deno.Command("docker-compose", {
      args: ["-p", project, "--project-directory", dir, "-f", file, ...args],
      env: { FLUXBASE_HOST: "localhost" },
    }).output();
    const said = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
    if (!success) throw new Error(`docker-compose ${args.join(" ")}: ${said.slice(-4_000)}`);
    return said.trim();
  };
  try {
    await functionsDir(join(dir, "functions"));
    const port = freePort();
    const one = join(dir, "one-node.yaml");
    const text = await Deno.readTextFile(join(COMPOSE, "one-node.yaml"));
    await Deno.writeTextFile(one, text.replace("8080:8080", `127.0.0.1:${port}:8080`));
    const guides = join(dir, "docker-compose.yml");
    await Deno.writeTextFile(guides, GUIDES_FILE);
    await test.step("the one of one node starts, and stops", async () => {
      try {
        await compose(one, "up", "-d");
        await answering(`http://127.0.0.1:${port}/health/ready`, () => compose(one, "logs"));
        await greets(`http://127.0.0.1:${port}`);
        assert.match(await compose(one, "exec", "-T", "fluxbase", "cat", "/var/lib/fluxbase/keys.env"), /SERVICE_ROLE/);
      } finally {
        await compose(one, "down", "-v");
      }
    });
    await test.step("the guide's starts as it is written there", async () => {
      try {
        await compose(guides, "up", "-d");
        const call = `for (;;) try { const answer = await fetch("http://127.0.0.1:8080/api/v1/functions/hello/invoke");
          if (answer.ok) { console.log(await answer.text()); break; } } catch {} finally {
          await new Promise((resolve) => setTimeout(resolve, 100)); }`;
        const exec = ["exec", "-T", "fluxbase", "/app/packages/deno", "eval", call];
        assert.match(await compose(guides, ...exec), /Hello!/);
      } finally {
        await compose(guides, "down", "-v");
      }
    });
    await test.step("the one of two nodes is in order", async () => {
      await compose(join(COMPOSE, "two-nodes.yaml"), "config", "-q");
    });
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});
