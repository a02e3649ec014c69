/**
 * An API that anybody may call from a browser, so often and no more.
 *
 * @fluxbase:description Public API with a rate limit
 * @fluxbase:allow-unauthenticated
 * @fluxbase:rate-limit 3/min
 * @fluxbase:cors-origins *
 */
const FACTORS = { km: 1, mi: 1.609344, nmi: 1.852 } as const;

export default function handler(req: Request): Response {
  const { searchParams } = new URL(req.url);
  const value = Number(searchParams.get("value"));
  const [from, to] = ["from", "to"].map((name) => FACTORS[searchParams.get(name) as keyof typeof FACTORS]);
  if (!Number.isFinite(value) || from === undefined || to === undefined) {
    return Response.json({ error: `value, from and to are needed; units: ${Object.keys(FACTORS).join(", ")}` }, {
      status: 400,
    });
  }
  return Response.json({ value: value * from / to });
}
