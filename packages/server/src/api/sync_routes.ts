/**
 * Routes that bring many functions in step: with a list that is sent, and with the functions folder.
 *
 * @module
 */
import {
  DEFAULT_NAMESPACE,
  parseNamespace,
  PlatformError,
  type ReloadAnswer,
  type SyncAnswer,
} from "@fluxbase/contract";
import { z } from "zod";
import { unknownField } from "../core/nearest.ts";
import type { Deployer, SaveFunction } from "../deploy/deploy.ts";
import { syncFunctions } from "../deploy/sync.ts";
import type { Database } from "../storage/db.ts";
import { choiceParam, parseQuery } from "./query.ts";
import { type ApiCall, authorOf, type Route } from "./route.ts";
import { reloadAnswerSchema, syncAnswerSchema } from "./schemas.ts";

export interface SyncRouteParts {
  readonly db: Database["db"];
  readonly deployer: Deployer;
  readonly saving: SaveFunction;
  /** Brings everything in step with the functions folder. */
  readonly reload: (options: { readonly dryRun: boolean; readonly createdBy: string | null }) => Promise<ReloadAnswer>;
}

const flags = { delete_missing: z.boolean().optional(), dry_run: z.boolean().optional() };
const syncSchema = z.strictObject({
  namespace: z.string().optional(),
  functions: z.array(z.unknown()),
  ...flags,
  options: z.strictObject(flags).optional(),
});
const reloadQuery = z.object({ dry_run: choiceParam(["true", "false"]) });

export function syncRoutes({ db, deployer, saving, reload }: SyncRouteParts): Route[] {
  async function sync(call: ApiCall) {
    const { data, error } = syncSchema.safeParse(await call.body());
    if (data === undefined) throw invalidSync(error.issues);
    const namespace = parseNamespace(data.namespace ?? (call.query.get("namespace") || DEFAULT_NAMESPACE));
    const dryRun = data.dry_run ?? data.options?.dry_run ?? false;
    const { details, errors, warnings } = await syncFunctions({ db, deployer, saving }, {
      namespace,
      functions: data.functions,
      deleteMissing: data.delete_missing ?? data.options?.delete_missing ?? false,
      dryRun,
      source: "api",
      createdBy: authorOf(call),
    });
    const summary = {
      created: details.created.length,
      updated: details.updated.length,
      deleted: details.deleted.length,
      unchanged: details.unchanged.length,
      errors: errors.length,
    };
    const message = `${dryRun ? "Would sync" : "Synced"} ${data.functions.length} functions: ${
      Object.entries(summary).filter(([, count]) => count > 0).map(([what, count]) => `${count} ${what}`).join(", ") ||
      "nothing to do"
    }`;
    const body: SyncAnswer = { message, namespace, summary, details, errors, warnings, dry_run: dryRun };
    return { status: 200, body };
  }

  return [
    {
      method: "POST",
      path: "/admin/functions/sync",
      summary: "Create, update and delete many functions of a namespace at once",
      access: "admin",
      audit: { target: ({ namespace }) => `${namespace}` },
      body: syncSchema,
      answer: { status: 200, schema: syncAnswerSchema },
      handle: sync,
    },
    {
      method: "POST",
      path: "/admin/functions/reload",
      summary: "Reload the functions folder; functions missing there are deleted",
      access: "admin",
      audit: { target: () => undefined },
      query: reloadQuery,
      answer: { status: 200, schema: reloadAnswerSchema },
      async handle(call) {
        const { dry_run } = parseQuery(reloadQuery, call.query);
        return { status: 200, body: await reload({ dryRun: dry_run === "true", createdBy: authorOf(call) }) };
      },
    },
  ];
}

function invalidSync(issues: readonly z.core.$ZodIssue[]): PlatformError {
  const problems = issues.map((issue) =>
    issue.code === "unrecognized_keys"
      ? issue.keys.map((key) => unknownField(key, Object.keys(syncSchema.shape))).join("; ")
      : `"${issue.path.join(".") || "the body"}" ${issue.message}`
  );
  return new PlatformError(
    "INVALID_ARGUMENT",
    `Cannot sync: ${
      problems.join("; ")
    }; send such as {"namespace": "default", "functions": [{"name": "hello", "code": "…"}]}`,
    { details: { problems } },
  );
}
