/**
 * The picture that social networks show for a link: ?title= drawn on a card, as PNG.
 *
 * @fluxbase:description Open Graph image
 * @fluxbase:allow-unauthenticated
 * @fluxbase:memory 256
 * @fluxbase:timeout 20
 */
import { initWasm, Resvg } from "npm:@resvg/resvg-wasm@2.6.2";
import wasm from "npm:@resvg/resvg-wasm@2.6.2/index_bg.wasm" with { type: "bytes" };
import font from "npm:@fontsource/inter@5.1.0/files/inter-latin-700-normal.woff" with { type: "bytes" };
import satori from "npm:satori@0.12.0";

const TITLE_MAX_CHARACTERS = 120;
await initWasm(wasm);

export default async function handler(req: Request): Promise<Response> {
  const title = (new URL(req.url).searchParams.get("title") ?? "Untitled").slice(0, TITLE_MAX_CHARACTERS);
  const style = { width: "100%", height: "100%", padding: 80, background: "#0b1021", color: "#fff", fontSize: 72 };
  const card = {
    type: "div",
    key: null,
    props: { style: { display: "flex", alignItems: "center", ...style }, children: title },
  };
  const svg = await satori(card, {
    width: 1200,
    height: 630,
    fonts: [{ name: "Inter", data: font.buffer as ArrayBuffer, weight: 700, style: "normal" }],
  });
  const png = new Resvg(svg).render().asPng();
  return new Response(png as Uint8Array<ArrayBuffer>, {
    headers: { "content-type": "image/png", "cache-control": "public, max-age=86400" },
  });
}
