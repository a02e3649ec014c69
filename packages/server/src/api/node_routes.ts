/**
 * The route that lists the servers that share this database.
 *
 * @module
 */
import type { NodeView } from "@fluxbase/contract";
import { z } from "zod";
import type { Nodes } from "../nodes/nodes.ts";
import type { NodeRow } from "../storage/nodes.ts";
import type { Route } from "./route.ts";

const view = z.object({
  id: z.string(),
  name: z.string(),
  version: z.string(),
  started_at: z.string(),
  seen_at: z.string(),
  status: z.enum(["alive", "lost"]),
  load: z.object({
    sandboxes: z.number(),
    busy: z.number(),
    waiting: z.number(),
    memory_mb: z.number(),
    machine_load: z.number(),
  }),
  leases: z.array(z.string()),
}) satisfies z.ZodType<NodeView>;

export function nodeRoutes(nodes: Nodes): Route[] {
  return [{
    method: "GET",
    path: "/admin/nodes",
    summary: "List the servers that share the database, with their load",
    access: "admin",
    answer: { status: 200, schema: z.array(view) },
    handle: async () => ({ status: 200, body: (await nodes.list()).map(shown) }),
  }];
}

function shown({ id, name, version, startedAt, seenAt, isAlive, load, leases }: NodeRow): NodeView {
  return {
    ...{ id, name, version, load, leases },
    started_at: startedAt.toISOString(),
    seen_at: seenAt.toISOString(),
    status: isAlive ? "alive" : "lost",
  };
}
