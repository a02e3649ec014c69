/**
 * The chart: helm takes it with every example of values, and refuses what makes no sense.
 *
 * Part of `npm run test:deploy`; without helm nothing is tried.
 *
 * @module
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseAllDocuments } from "yaml";
import { isInstalled } from "../../packages/server/test/support/programs.ts";

const HELM = fileURLToPath(new URL("../helm/", import.meta.url));
const CHART = join(HELM, "fluxbase");

interface Resource {
  readonly kind: string;
  // deno-lint-ignore no-explicit-any -- a test looks into manifests freely
  readonly spec: any;
}

async function helm(...args: string[]): Promise<{ success: boolean; said: string }> {
  const { success, stdout, stderr } = await new Deno.Command("helm", { args }).output();
  const decoder = new TextDecoder();
  return { success, said: decoder.decode(stdout) + decoder.decode(stderr) };
}

async function rendered(...args: string[]): Promise<Resource[]> {
  const { success, said } = await helm("template", "edge", CHART, "--kube-version", "1.31.0", ...args);
  assert.ok(success, said);
  return parseAllDocuments(said).map((document) => document.toJS()).filter((one) => one !== null);
}

Deno.test("the chart", async (test) => {
  if (!await isInstalled("helm")) return;
  const examples = [...Deno.readDirSync(join(HELM, "values"))].map(({ name }) => join(HELM, "values", name));
  for (const values of examples) {
    await test.step(`is in order with ${values.slice(HELM.length)}`, async () => {
      const { success, said } = await helm("lint", "--strict", CHART, "--values", values);
      assert.ok(success, said);
      const resources = await rendered("--values", values);
      const { template: { spec: pod } } = resources.find(({ kind }) => kind === "Deployment")?.spec ?? {};
      const [container] = pod.containers;
      // What Kubernetes calls restricted, and a grace that holds what the server is told to take.
      assert.equal(pod.securityContext.runAsNonRoot, true);
      assert.deepEqual(pod.securityContext.seccompProfile, { type: "RuntimeDefault" });
      assert.deepEqual(container.securityContext, {
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ["ALL"] },
      });
      const env = new Map<string, string>(
        container.env.map((one: Record<string, string>) => [one["name"], one["value"]]),
      );
      const drainMs = Number(env.get("FLUXBASE_LIMITS_DRAIN_DELAY_MS")) + Number(env.get("FLUXBASE_LIMITS_DRAIN_MS"));
      assert.ok(pod.terminationGracePeriodSeconds * 1_000 >= drainMs + 15_000);
      assert.ok(!JSON.stringify(container.env).includes("postgres://"));
      for (const kind of ["Service", "ServiceAccount", "PodDisruptionBudget", "NetworkPolicy"]) {
        assert.ok(resources.some((one) => one.kind === kind), kind);
      }
    });
  }

  await test.step("has what production asks for", async () => {
    const kinds = (await rendered("--values", join(HELM, "values/production.yaml"))).map(({ kind }) => kind);
    for (const kind of ["HorizontalPodAutoscaler", "Ingress", "ServiceMonitor"]) assert.ok(kinds.includes(kind), kind);
    const gateway = await rendered("--values", join(HELM, "values/gateway.yaml"));
    assert.ok(gateway.some(({ kind }) => kind === "HTTPRoute"));
  });

  await test.step("refuses values that are missing or unknown", async () => {
    for (const args of [[], ["--set", "existingSecret=a,replica=3"], ["--set", "existingSecret=a,replicas=0"]]) {
      assert.equal(
        (await helm("template", "edge", CHART, "--kube-version", "1.31.0", ...args)).success,
        false,
        args.join(" "),
      );
    }
  });
});
