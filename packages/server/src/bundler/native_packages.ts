/**
 * Packages that cannot work in a function, because they are native code or start programs, and what does their work.
 *
 * Owns: who they are, and the sentence about them.
 * Does not own: where in the source they are imported (./bundling.ts).
 *
 * @module
 */

const NATIVE = "is native code, and a function is JavaScript and WebAssembly";
const BROWSER = "starts a browser, and a function starts no programs";
const ENGINE = "needs a native engine and code that its own command generates";

/** By name; a line for whom more can be said than that they are native. */
const KNOWN: Readonly<Record<string, { readonly why: string; readonly instead: string }>> = {
  "@napi-rs/canvas": { why: NATIVE, instead: "npm:@resvg/resvg-wasm for drawing SVG, or npm:jimp" },
  "@node-rs/argon2": { why: NATIVE, instead: "npm:hash-wasm" },
  "@node-rs/bcrypt": { why: NATIVE, instead: "npm:bcryptjs" },
  "@prisma/client": { why: ENGINE, instead: "npm:kysely, npm:drizzle-orm or npm:postgres" },
  "@resvg/resvg-js": { why: NATIVE, instead: "npm:@resvg/resvg-wasm" },
  "@swc/core": { why: NATIVE, instead: "npm:@swc/wasm-web" },
  "@tensorflow/tfjs-node": { why: NATIVE, instead: "npm:@tensorflow/tfjs" },
  argon2: { why: NATIVE, instead: "npm:hash-wasm" },
  bcrypt: { why: NATIVE, instead: "npm:bcryptjs" },
  "better-sqlite3": { why: NATIVE, instead: "the database of the platform (DATABASE_URL), or npm:sql.js" },
  canvas: { why: NATIVE, instead: "npm:@resvg/resvg-wasm for drawing SVG, or npm:jimp" },
  esbuild: { why: NATIVE, instead: "npm:esbuild-wasm" },
  "fluent-ffmpeg": { why: "starts a program, and a function starts none", instead: "a service over HTTP" },
  lightningcss: { why: NATIVE, instead: "npm:lightningcss-wasm" },
  "node-sass": { why: NATIVE, instead: "npm:sass" },
  "onnxruntime-node": { why: NATIVE, instead: "npm:onnxruntime-web" },
  playwright: { why: BROWSER, instead: "a browser service over HTTP" },
  "playwright-core": { why: BROWSER, instead: "a browser service over HTTP" },
  puppeteer: { why: BROWSER, instead: "a browser service over HTTP" },
  re2: { why: NATIVE, instead: "npm:re2-wasm" },
  sharp: { why: NATIVE, instead: "npm:jimp, or npm:@jsquash/resize with the codecs beside it" },
  sqlite3: { why: NATIVE, instead: "the database of the platform (DATABASE_URL), or npm:sql.js" },
};
/** What installs an add-on. */
const INSTALLERS = /\b(node-gyp|node-gyp-build|node-pre-gyp|prebuild-install|cmake-js|pkg-prebuilds-verify)\b/;

/** They have an add-on and do without it. */
const WITH_FALLBACK: ReadonlySet<string> = new Set(["bufferutil", "utf-8-validate"]);

/** The sentence about a package, or undefined when it may work. `manifest` is its package.json, where it is there. */
export function nativeProblem(name: string, manifest: unknown): string | undefined {
  const known = Object.hasOwn(KNOWN, name) ? KNOWN[name] : undefined;
  if (known !== undefined) return `${name} ${known.why}; use ${known.instead} instead`;
  return isNative(manifest) && !WITH_FALLBACK.has(name)
    ? `${name} ${NATIVE}; look for a package that is written in those`
    : undefined;
}

function isNative(manifest: unknown): boolean {
  if (typeof manifest !== "object" || manifest === null) return false;
  const { napi, gypfile, scripts } = manifest as Record<string, unknown>;
  const install = typeof scripts === "object" && scripts !== null
    ? Object.entries(scripts).filter(([name]) => /^(pre|post)?install$/.test(name)).map(([, script]) => String(script))
    : [];
  return napi !== undefined || gypfile === true || install.some((script) => INSTALLERS.test(script));
}
