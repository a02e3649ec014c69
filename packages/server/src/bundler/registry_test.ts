/**
 * Registries of the operator's own, with tokens; hosts that do not answer.
 *
 * @module
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { evaluateBundle } from "../../sandbox_runtime/bundle.ts";
import { startTestBundler } from "../../test/support/runtime.ts";

/** A tar of files, with gzip around it, as registries serve packages. */
async function tarball(files: Readonly<Record<string, string>>): Promise<Uint8Array<ArrayBuffer>> {
  const encoder = new TextEncoder();
  const blocks: Uint8Array[] = [];
  for (const [path, text] of Object.entries(files)) {
    const content = encoder.encode(text);
    const header = new Uint8Array(512);
    const put = (offset: number, value: string) => header.set(encoder.encode(value), offset);
    put(0, path);
    put(100, "0000644\0");
    put(108, "0000000\0");
    put(116, "0000000\0");
    put(124, `${content.length.toString(8).padStart(11, "0")}\0`);
    put(136, "00000000000\0");
    put(148, "        ");
    put(156, "0");
    put(257, "ustar\0");
    put(263, "00");
    put(148, `${header.reduce((sum, byte) => sum + byte, 0).toString(8).padStart(6, "0")}\0 `);
    const padded = new Uint8Array(Math.ceil(content.length / 512) * 512);
    padded.set(content);
    blocks.push(header, padded);
  }
  blocks.push(new Uint8Array(1024));
  return await new Response(new Blob(blocks as BlobPart[]).stream().pipeThrough(new CompressionStream("gzip"))).bytes();
}

function startRegistry(token: string, archive: Uint8Array<ArrayBuffer>) {
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, async (request) => {
    const { pathname, origin } = new URL(request.url);
    if (pathname === "/hangs") await new Promise((resolve) => setTimeout(resolve, 20_000));
    if (request.headers.get("authorization") !== `Bearer ${token}`) return new Response(null, { status: 401 });
    if (pathname.endsWith(".tgz")) return new Response(archive);
    if (decodeURIComponent(pathname) !== "/@ours/greeting") return new Response(null, { status: 404 });
    const integrity = `sha512-${createHash("sha512").update(archive).digest("base64")}`;
    return Response.json({
      name: "@ours/greeting",
      "dist-tags": { latest: "1.2.3" },
      versions: {
        "1.2.3": {
          name: "@ours/greeting",
          version: "1.2.3",
          dist: { tarball: `${origin}/greeting-1.2.3.tgz`, integrity },
        },
      },
    });
  });
  return { port: server.addr.port, [Symbol.asyncDispose]: () => server.shutdown() };
}

Deno.test("packages come from a registry of one's own, with its token", { sanitizeResources: false }, async (test) => {
  const archive = await tarball({
    "package/package.json": JSON.stringify({
      name: "@ours/greeting",
      version: "1.2.3",
      type: "module",
      main: "index.js",
    }),
    "package/index.js": `export const greet = (name) => "Hello " + name;`,
  });
  await using registry = startRegistry("the-token", archive);
  const place = `127.0.0.1:${registry.port}`;
  const code = `import { greet } from "npm:@ours/greeting@^1.0.0"; export default () => greet("us");`;
  const workDir = await Deno.makeTempDir();
  await Deno.chmod(workDir, 0o755);
  const bundlerWith = (npmrc: string, folder: string) =>
    startTestBundler({
      workDir: `${workDir}/${folder}`,
      importHosts: [place],
      npmrc,
      bundlingMs: 3_000,
    });
  await Deno.mkdir(`${workDir}/a`, { mode: 0o755 });
  await Deno.mkdir(`${workDir}/b`, { mode: 0o755 });
  const rest = { entry: "index.ts", shared: {}, denoJson: {}, isPreBundled: false };

  await test.step("with the token", async () => {
    const bundler = await bundlerWith(`@ours:registry=http://${place}/\n//${place}/:_authToken=the-token\n`, "a");
    const built = await bundler.build({ ...rest, files: { "index.ts": code } });
    assert.ok(built.ok, JSON.stringify(built));
    const { default: handler } = (await evaluateBundle(built.code)).exports;
    assert.equal((handler as () => string)(), "Hello us");
    await bundler[Symbol.asyncDispose]();
  });

  await test.step("without it, and a host that does not answer: said in words, in time", async () => {
    const bundler = await bundlerWith(`@ours:registry=http://${place}/\n`, "b");
    const refused = await bundler.build({ ...rest, files: { "index.ts": code } });
    assert.ok(!refused.ok);
    assert.match(refused.problems[0]?.message ?? "", /Cannot (import|bundle)/);
    assert.ok(!JSON.stringify(refused.problems).includes(workDir));
    const hanging = await bundler.build({
      ...rest,
      files: { "index.ts": `import x from "http://${place}/hangs"; export default () => x;` },
    });
    assert.ok(!hanging.ok);
    assert.match(hanging.problems[0]?.message ?? "", /within 3 s: a registry or host may be slow/);
    await bundler[Symbol.asyncDispose]();
  });
  await Deno.remove(workDir, { recursive: true });
});
