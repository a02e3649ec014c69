/**
 * The least limit of all groups that hold the server counts.
 *
 * @module
 */
import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import { groupMemoryMiB } from "./machine_memory.ts";

async function limitWith(own: string, files: Readonly<Record<string, string>>): Promise<number> {
  const root = await Deno.makeTempDir();
  const places = { proc: join(root, "proc"), cgroups: join(root, "cgroup") };
  for (const [path, text] of Object.entries({ "proc/self/cgroup": own, ...files })) {
    await Deno.mkdir(dirname(join(root, path)), { recursive: true });
    await Deno.writeTextFile(join(root, path), text);
  }
  const found = groupMemoryMiB(places);
  await Deno.remove(root, { recursive: true });
  return found;
}

const MiB = 1024 * 1024;

Deno.test("limits of groups, nested and not, of both versions", async () => {
  const cases: [own: string, files: Record<string, string>, expected: number][] = [
    ["0::/\n", { "cgroup/memory.max": "max\n" }, Infinity],
    ["0::/\n", { "cgroup/memory.max": `${512 * MiB}\n` }, 512],
    ["0::/pod/box\n", { "cgroup/pod/memory.max": `${300 * MiB}\n`, "cgroup/pod/box/memory.max": "max\n" }, 300],
    ["0::/pod/box\n", { "cgroup/pod/memory.max": "max\n", "cgroup/pod/box/memory.max": `${200 * MiB}\n` }, 200],
    // A container that is shown its own group as the root.
    ["0::/docker/1234\n", { "cgroup/memory.max": `${100 * MiB}\n` }, 100],
    [
      "4:memory:/a/b\n3:cpu,cpuacct:/\n0::/\n",
      {
        "cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
        "cgroup/memory/a/b/memory.limit_in_bytes": `${64 * MiB}\n`,
      },
      64,
    ],
    ["5:cpu,memory:/a\n", { "cgroup/memory/a/memory.limit_in_bytes": `${32 * MiB}\n` }, 32],
    ["", {}, Infinity],
    ["nonsense", {}, Infinity],
  ];
  for (const [own, files, expected] of cases) assert.equal(await limitWith(own, files), expected, own);
});
