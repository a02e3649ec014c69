/**
 * Answers a slash command of Slack. https://api.slack.com/interactivity/slash-commands
 *
 * Environment: SLACK_SIGNING_SECRET.
 *
 * @fluxbase:description Slack slash command
 * @fluxbase:allow-unauthenticated
 * @fluxbase:timeout 3
 */
const MAX_AGE_SEC = 300;
const encoder = new TextEncoder();

export default async function handler(req: Request): Promise<Response> {
  const body = await req.text();
  if (!await isFromSlack(req.headers, body)) return new Response("Not from Slack", { status: 401 });
  const form = new URLSearchParams(body);
  const [sides, ...rest] = (form.get("text") ?? "").trim().split(/\s+/);
  const count = Number(sides || 6);
  if (rest.length > 0 || !Number.isInteger(count) || count < 2 || count > 1000) {
    return Response.json({ response_type: "ephemeral", text: "Usage: /roll [sides], from 2 to 1000" });
  }
  const rolled = 1 + crypto.getRandomValues(new Uint32Array(1))[0]! % count;
  return Response.json({ response_type: "in_channel", text: `<@${form.get("user_id")}> rolled ${rolled} of ${count}` });
}

async function isFromSlack(headers: Headers, body: string): Promise<boolean> {
  const timestamp = headers.get("x-slack-request-timestamp") ?? "";
  const signature = /^v0=([0-9a-f]{64})$/.exec(headers.get("x-slack-signature") ?? "")?.[1];
  if (signature === undefined || Math.abs(Date.now() / 1000 - Number(timestamp)) > MAX_AGE_SEC) return false;
  const secret = encoder.encode(Deno.env.get("SLACK_SIGNING_SECRET"));
  const key = await crypto.subtle.importKey("raw", secret, { name: "HMAC", hash: "SHA-256" }, false, ["verify"]);
  return await crypto.subtle.verify(
    "HMAC",
    key,
    Uint8Array.fromHex(signature),
    encoder.encode(`v0:${timestamp}:${body}`),
  );
}
