/**
 * A REST API over a table, with what it takes and gives checked. Row level security counts: each user sees their own.
 *
 * Table: notes (id bigint, user_id, text text) with a policy for authenticated.
 *
 * @fluxbase:description Notes
 */
import { createClient } from "@fluxbase/sdk";
import { Hono } from "npm:hono@4.7.8";
import { z } from "npm:zod@3.24.4";

const noteSchema = z.object({ text: z.string().min(1).max(1_000) });
const app = new Hono();
/** As whoever calls, so that the policies of the table decide. */
const rowsOf = (req: Request) =>
  createClient(Deno.env.get("FLUXBASE_URL")!, req.headers.get("authorization")?.replace(/^Bearer /i, "") ?? "")
    .from("notes");

app.get("*", async (c) => {
  const { data, error } = await rowsOf(c.req.raw).select("id,text").order("id");
  if (error) throw error;
  return c.json(data);
});

app.post("*", async (c) => {
  const note = noteSchema.safeParse(await c.req.json().catch(() => undefined));
  if (!note.success) return c.json({ error: note.error.issues.map(({ message }) => message).join("; ") }, 400);
  const { data, error } = await rowsOf(c.req.raw).insert([note.data]).select("id,text").single();
  if (error) throw error;
  return c.json(data, 201);
});

app.delete("*", async (c) => {
  const id = Number(c.req.query("id"));
  if (!Number.isInteger(id)) return c.json({ error: "id must be a number" }, 400);
  const { error } = await rowsOf(c.req.raw).delete().eq("id", id);
  if (error) throw error;
  return c.body(null, 204);
});

export default app.fetch;
