/**
 * The newest rows of a table as an RSS feed.
 *
 * Environment: SITE_URL. Table: posts (slug text, title text, published_at timestamptz), readable for anon.
 *
 * @fluxbase:description RSS feed
 * @fluxbase:allow-unauthenticated
 */
import { createClient } from "@fluxbase/sdk";

const client = createClient(Deno.env.get("FLUXBASE_URL")!, Deno.env.get("FLUXBASE_ANON_KEY")!);

interface Post {
  readonly slug: string;
  readonly title: string;
  readonly published_at: string;
}

export default async function handler(): Promise<Response> {
  const site = Deno.env.get("SITE_URL") ?? "https://example.com";
  const { data, error } = await client.from("posts").select("slug,title,published_at")
    .order("published_at", { ascending: false }).limit(20);
  if (error) throw error;
  const items = (data as readonly Post[]).map(({ slug, title, published_at }) => {
    const link = escape(`${site}/posts/${encodeURIComponent(slug)}`);
    const date = new Date(published_at).toUTCString();
    return `<item><title>${
      escape(title)
    }</title><link>${link}</link><guid>${link}</guid><pubDate>${date}</pubDate></item>`;
  });
  const feed = `<?xml version="1.0" encoding="utf-8"?>\n<rss version="2.0"><channel><title>Posts</title><link>${
    escape(site)
  }</link><description>The newest posts</description>${items.join("")}</channel></rss>`;
  return new Response(feed, {
    headers: { "content-type": "application/rss+xml; charset=utf-8", "cache-control": "public, max-age=300" },
  });
}

function escape(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
}
