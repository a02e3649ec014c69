/**
 * Makes a PNG smaller: POST the image, with ?width=. Codecs and resizing are WebAssembly.
 *
 * @fluxbase:description Resize an image
 * @fluxbase:memory 256
 * @fluxbase:timeout 20
 */
import { decode, encode } from "npm:@jsquash/png@3.1.1";
import resize from "npm:@jsquash/resize@2.1.1";

const WIDTH_MAX = 2_000;

export default async function handler(req: Request): Promise<Response> {
  const width = Number(new URL(req.url).searchParams.get("width") ?? 320);
  if (!Number.isInteger(width) || width < 1 || width > WIDTH_MAX) {
    return Response.json({ error: `width must be from 1 to ${WIDTH_MAX}` }, { status: 400 });
  }
  let image: ImageData;
  try {
    image = await decode(await req.arrayBuffer());
  } catch {
    return Response.json({ error: "The body must be a PNG" }, { status: 415 });
  }
  const height = Math.max(1, Math.round(image.height * width / image.width));
  const png = await encode(await resize(image, { width, height }));
  return new Response(png, { headers: { "content-type": "image/png", "cache-control": "public, max-age=86400" } });
}
