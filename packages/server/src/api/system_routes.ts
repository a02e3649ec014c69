/**
 * Routes about the server itself.
 *
 * @module
 */
import { type LimitKey, LIMITS } from "@fluxbase/contract";
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
  readiness(): Promise<Readiness>;
}

export function systemRoutes({ version, limits, readiness }: SystemParts): Route[] {
  return [
    {
      method: "GET",
      path: "/health",
      summary: "Says that the process answers",
      access: "public",
      answer: { status: 200, schema: z.object({ status: z.literal("ok"), version: z.string() }) },
      handle: () => ({ status: 200, body: { status: "ok", version } }),
    },
    {
      method: "GET",
      path: "/health/ready",
      summary: "Says whether the server can do its work: database, sandboxes and the fences around them",
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
      summary: "Lists every limit with its current value and bounds",
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
  ];
}
