/**
 * Sends an e-mail to the signed-in user by a service's HTTP API (Resend's; others differ little).
 *
 * Environment: RESEND_API_KEY, MAIL_FROM; RESEND_BASE_URL for another place.
 *
 * @fluxbase:description Send a welcome e-mail
 * @fluxbase:rate-limit 5/min
 */
import { Resend } from "npm:resend@4.0.1";

interface Context {
  readonly user: { readonly email: string | null } | null;
}

export default async function handler(_req: Request, { user }: Context): Promise<Response> {
  if (!user?.email) return Response.json({ error: "Sign in first" }, { status: 401 });
  const resend = new Resend(Deno.env.get("RESEND_API_KEY"));
  const { data, error } = await resend.emails.send({
    from: Deno.env.get("MAIL_FROM")!,
    // Never from the request: anybody could send to anybody.
    to: user.email,
    subject: "Welcome",
    text: "Good to have you here.",
  });
  if (error) throw new Error(`The mail service refused: ${error.message}`);
  return Response.json({ sent: data?.id }, { status: 202 });
}
