/**
 * The image, built and run: the guide's environment, a read-only root without rights, backup inside, and an end by SIGTERM.
 *
 * `npm run test:containers`; needs docker and its images debian:bookworm-slim and node:20-bookworm-slim.
 *
 * @module
 */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { freePort } from "../../packages/server/test/support/programs.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const IMAGE = "ghcr.io/fluxbase-eu/fluxbase:latest";
const STRICT = ["--cap-drop=ALL", "--security-opt=no-new-privileges", "--read-only", "--tmpfs=/tmp"];
const HELLO = `// @fluxbase:allow-unauthenticated
async function handler(req) { return { status: 200, body: JSON.stringify({ message: "Hello!" }) }; }
`;
const READY_MS = 60_000;

async function docker(...args: string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command("docker", { args, cwd: ROOT }).output();
  const said = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
  if (!success) throw new Error(`docker ${args.join(" ")}: ${said.slice(-4_000)}`);
  return said.trim();
}

async function answering(url: string): Promise<Response> {
  const deadline = performance.now() + READY_MS;
  for (;;) {
    const answer = await fetch(url).catch(() => undefined);
    if (answer?.ok) return answer;
    await answer?.body?.cancel();
    if (performance.now() > deadline) throw new Error(`${url} does not answer`);
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
}

Deno.test("the image", async (test) => {
  // The host's network: packages come from wherever the host gets them.
  await docker("build", "--network=host", "-f", "deploy/docker/Dockerfile", "-t", IMAGE, ".");
  const dir = await Deno.makeTempDir({ prefix: "fluxbase-functions-" });
  await Deno.chmod(dir, 0o755);
  await Deno.writeTextFile(`${dir}/hello.ts`, HELLO);
  const port = freePort();
  const url = `http://127.0.0.1:${port}`;
  const volume = `fluxbase-test-${port}`;
  const container = volume;
  const settings = ["ENABLED=true", "FUNCTIONS_DIR=/app/functions", "AUTO_LOAD_ON_BOOT=true"];
  const publish = (await docker("network", "ls", "--format", "{{.Name}}")).includes("bridge")
    ? ["-p", `127.0.0.1:${port}:8080`]
    : ["--network=host", "-e", `FLUXBASE_SERVER_ADDRESS=127.0.0.1:${port}`];
  const run = () =>
    docker(
      ...["run", "-d", "--init", "--name", container, ...publish, ...STRICT],
      ...["-v", `${volume}:/var/lib/fluxbase`, "-v", `${dir}:/app/functions`],
      ...settings.flatMap((setting) => ["-e", `FLUXBASE_FUNCTIONS_${setting}`]),
      IMAGE,
    );
  try {
    await run();
    await test.step("answers as the guide says, with every fence but a user for each sandbox", async () => {
      const { fences } = await (await answering(`${url}/health/ready`)).json();
      assert.deepEqual(fences.missing, ["uid"]);
      const answer = await fetch(`${url}/api/v1/functions/hello/invoke`, { method: "POST" });
      assert.deepEqual(await answer.json(), { message: "Hello!" });
      assert.doesNotMatch(await docker("logs", container), /eyJ|fbc_/, "keys in the log of the container");
    });
    await test.step("has the command line: a backup while it runs", async () => {
      const said = await docker("exec", container, "fluxbase", "backup", "/var/lib/fluxbase/backup.tar.gz");
      assert.match(said, /Wrote \/var\/lib\/fluxbase\/backup.tar.gz/);
      assert.match(await docker("exec", container, "/app/packages/deno", "run", "-A", "/app/healthy.mjs"), /^$/);
    });
    await test.step("ends by SIGTERM with 0, and is as it was when it starts again", async () => {
      await docker("stop", "-t", "60", container);
      assert.equal(await docker("inspect", "--format", "{{.State.ExitCode}}", container), "0");
      await docker("rm", container);
      await run();
      await answering(`${url}/health/ready`);
      assert.match(await docker("exec", container, "ls", "/var/lib/fluxbase"), /backup\.tar\.gz/);
    });
  } finally {
    await docker("rm", "-f", container).catch(() => {});
    await docker("volume", "rm", volume).catch(() => {});
    await Deno.remove(dir, { recursive: true });
  }
});
