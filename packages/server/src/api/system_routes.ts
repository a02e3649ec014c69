/**
 * Routes about the server itself.
 *
 * @module
 */
import { type LimitKey, LIMITS, type ServerSetting } from "@fluxbase/contract";
import { z } from "zod";
import type { Route } from "./route.ts";

/** What a server that is up can say about its parts. */
export interface Readiness {
  readonly isReady: boolean;
  readonly facts: Readonly<Record<string, unknown>>;
}

export interface SystemParts {
  readonly version: string;
  readonly limits: Readonly<Record<LimitKey, number>>;
  readonly settings: readonly ServerSetting[];
  readiness(): Promise<Readiness>;
  /** Where the server is, and its pages; null: it has none, or not for everybody. */
  addresses(): { readonly base: string; readonly docs: string | null; readonly dashboard: string | null };
}

const ABOUT = z.object({
  name: z.string(),
  version: z.string(),
  api: z.url(),
  openapi: z.url(),
  docs: z.url().nullable(),
  dashboard: z.url().nullable(),
});

const SETTING = z.object({
  name: z.string(),
  yaml: z.string(),
  value: z.string().nullable(),
  default: z.string().nullable(),
  source: z.enum(["environment", "file", "default"]),
  is_secret: z.boolean(),
  expected: z.string(),
  about: z.string(),
}) satisfies z.ZodType<ServerSetting>;

export function systemRoutes({ version, limits, settings, readiness, addresses }: SystemParts): Route[] {
  return [
    {
      method: "GET",
      path: "/",
      isAtRoot: true,
      summary: "Get what this server is and where its parts are",
      access: "public",
      answer: { status: 200, schema: ABOUT },
      handle() {
        const { base, docs, dashboard } = addresses();
        const body = {
          name: "Fluxbase Edge Functions",
          version,
          api: `${base}/api/v1`,
          openapi: `${base}/openapi.json`,
        };
        return { status: 200, body: { ...body, docs, dashboard } };
      },
    },
    {
      method: "GET",
      path: "/health",
      summary: "Liveness check",
      access: "public",
      answer: { status: 200, schema: z.object({ status: z.literal("ok"), version: z.string() }) },
      handle: () => ({ status: 200, body: { status: "ok", version } }),
    },
    {
      method: "GET",
      path: "/health/ready",
      summary: "Readiness check: database, sandboxes and isolation",
      access: "public",
      answer: { status: 200, schema: z.looseObject({ status: z.enum(["ready", "not_ready"]) }) },
      async handle() {
        const { isReady, facts } = await readiness();
        return { status: isReady ? 200 : 503, body: { status: isReady ? "ready" : "not_ready", ...facts } };
      },
    },
    {
      method: "GET",
      path: "/limits",
      summary: "List limits with their values and bounds",
      access: "public",
      answer: { status: 200, schema: z.record(z.string(), z.object({ value: z.int(), min: z.int(), max: z.int() })) },
      handle: () => ({
        status: 200,
        body: Object.fromEntries(
          Object.entries(limits).map(([key, value]) => {
            const { min, max } = LIMITS[key as LimitKey];
            return [key, { value, min, max }];
          }),
        ),
      }),
    },
    {
      method: "GET",
      path: "/admin/config",
      summary: "List settings of this server with value, default and source; secrets without values",
      access: "admin",
      answer: { status: 200, schema: z.array(SETTING) },
      handle: () => ({ status: 200, body: settings }),
    },
  ];
}
