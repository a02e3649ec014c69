/**
 * Welcomes whoever opens an issue, with a comment. https://docs.github.com/webhooks
 *
 * Environment: GITHUB_WEBHOOK_SECRET, GITHUB_TOKEN; GITHUB_API_URL for GitHub Enterprise.
 *
 * @fluxbase:description GitHub webhook
 * @fluxbase:allow-unauthenticated
 */
const encoder = new TextEncoder();

export default async function handler(req: Request): Promise<Response> {
  const body = await req.text();
  if (!await isFromGitHub(req.headers.get("x-hub-signature-256") ?? "", body)) {
    return new Response("Not from GitHub", { status: 401 });
  }
  const { action, issue, repository } = JSON.parse(body);
  if (req.headers.get("x-github-event") !== "issues" || action !== "opened") return Response.json({ ignored: true });
  const api = Deno.env.get("GITHUB_API_URL") ?? "https://api.github.com";
  const response = await fetch(`${api}/repos/${repository.full_name}/issues/${issue.number}/comments`, {
    method: "POST",
    headers: { authorization: `Bearer ${Deno.env.get("GITHUB_TOKEN")}`, accept: "application/vnd.github+json" },
    body: JSON.stringify({ body: `Thank you, @${issue.user.login}. Somebody will look at it soon.` }),
  });
  if (!response.ok) throw new Error(`GitHub answered ${response.status}: ${await response.text()}`);
  return Response.json({ commented: issue.number });
}

async function isFromGitHub(header: string, body: string): Promise<boolean> {
  const signature = /^sha256=([0-9a-f]{64})$/.exec(header)?.[1];
  if (signature === undefined) return false;
  const secret = encoder.encode(Deno.env.get("GITHUB_WEBHOOK_SECRET"));
  const key = await crypto.subtle.importKey("raw", secret, { name: "HMAC", hash: "SHA-256" }, false, ["verify"]);
  return await crypto.subtle.verify("HMAC", key, Uint8Array.fromHex(signature), encoder.encode(body));
}
