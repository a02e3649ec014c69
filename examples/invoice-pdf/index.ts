/**
 * Makes an invoice as PDF.
 *
 * @fluxbase:description An invoice as PDF
 */
import { PDFDocument, StandardFonts } from "npm:pdf-lib@1.17.1";

interface Item {
  readonly text: string;
  readonly cents: number;
}

export default async function handler(req: Request): Promise<Response> {
  const { number, items } = await req.json().catch(() => ({})) as { number?: string; items?: readonly Item[] };
  if (typeof number !== "string" || !Array.isArray(items) || items.length === 0) {
    return Response.json({ error: "number and items are needed" }, { status: 400 });
  }
  const pdf = await PDFDocument.create();
  pdf.setTitle(`Invoice ${number}`);
  const font = await pdf.embedFont(StandardFonts.Helvetica);
  const page = pdf.addPage();
  let y = page.getHeight() - 72;
  const line = (text: string, size = 12) => page.drawText(text, { x: 72, y: y -= size * 1.6, size, font });
  line(`Invoice ${number}`, 20);
  for (const { text, cents } of items) line(`${text}: ${(cents / 100).toFixed(2)} EUR`);
  line(`Total: ${(items.reduce((sum, { cents }) => sum + cents, 0) / 100).toFixed(2)} EUR`, 14);
  return new Response(await pdf.save() as Uint8Array<ArrayBuffer>, {
    headers: { "content-type": "application/pdf", "content-disposition": `attachment; filename="invoice.pdf"` },
  });
}
