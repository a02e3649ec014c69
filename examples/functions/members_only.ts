/**
 * Lets in members of one company only, and tells their tokens which team they are in.
 *
 * @fluxbase:hook before_user_created,custom_access_token
 */
interface Question {
  readonly metadata: { readonly name: string };
  readonly user?: { readonly email: string };
  readonly claims?: Readonly<Record<string, unknown>>;
}

const TEAMS: Readonly<Record<string, string>> = { "ada@example.com": "research" };

export default async function handler(req: Request): Promise<Response> {
  const { metadata, user, claims }: Question = await req.json();
  if (metadata.name === "before-user-created") {
    if (user?.email.endsWith("@example.com")) return Response.json({});
    return Response.json({ error: { http_code: 403, message: "Sign up with the address of your company" } });
  }
  return Response.json({ claims: { ...claims, team: TEAMS[String(claims?.["email"])] ?? "guests" } });
}
