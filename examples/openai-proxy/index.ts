/**
 * Lets an app's users talk to a model without giving them the key; the answer streams as it is made.
 *
 * Environment: OPENAI_API_KEY; OPENAI_BASE_URL for another service with the same API.
 *
 * @fluxbase:description Chat with a model, streamed
 * @fluxbase:rate-limit 20/min
 * @fluxbase:timeout 60
 */
import OpenAI from "npm:openai@4.104.0";

const MODEL = "gpt-4o-mini";
const PROMPT_MAX_CHARACTERS = 4_000;

export default async function handler(req: Request): Promise<Response> {
  const { prompt } = await req.json().catch(() => ({}));
  if (typeof prompt !== "string" || prompt === "" || prompt.length > PROMPT_MAX_CHARACTERS) {
    return Response.json({ error: `prompt must be a text of 1 to ${PROMPT_MAX_CHARACTERS} characters` }, {
      status: 400,
    });
  }
  const openai = new OpenAI();
  const stream = await openai.chat.completions.create(
    { model: MODEL, stream: true, messages: [{ role: "user", content: prompt }] },
    // Who leaves pays for no more words.
    { signal: req.signal },
  );
  const events = ReadableStream.from(async function* () {
    for await (const { choices } of stream) {
      const text = choices[0]?.delta.content;
      if (text) yield `data: ${JSON.stringify({ text })}\n\n`;
    }
    yield "data: [DONE]\n\n";
  }());
  return new Response(events.pipeThrough(new TextEncoderStream()), {
    headers: { "content-type": "text/event-stream" },
  });
}
