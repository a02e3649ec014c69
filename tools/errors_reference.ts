/**
 * The page of error codes: status and whether to retry from their table, why and what to do from here.
 *
 * @module
 */
import { type ErrorCode, ERRORS } from "../packages/contract/mod.ts";
import { code, generatedFrom, table } from "./markdown.ts";

interface Explained {
  readonly why: string;
  readonly todo: string;
}

const EXPLAINED: Readonly<Record<ErrorCode, Explained>> = {
  INVALID_ARGUMENT: {
    why: "A field, a query parameter or a header has a value that the server does not accept.",
    todo: "Read `error`: it names the field, the value and what is allowed. `problems` lists all of them.",
  },
  INVALID_JSON: {
    why: "The request body is not valid JSON.",
    todo: "Check quotes and commas at the position that the message names; send `Content-Type: application/json`.",
  },
  UNAUTHENTICATED: {
    why: "The request has no credential, and this path needs one.",
    todo: "Send a key as `apikey` or `Authorization: Bearer …`, or let the function allow anonymous calls.",
  },
  INVALID_CREDENTIAL: {
    why: "The key or token is malformed, expired, revoked or from another server.",
    todo: "Read the reason in the message. Sign in or refresh again, or make a new key (`fluxbase keys create`).",
  },
  FORBIDDEN: {
    why: "The credential is valid but does not allow this.",
    todo: "Use a key with the scope that the message names, or the service-role key.",
  },
  HOOK_REFUSED: {
    why: "An authentication hook refused the sign-up or sign-in; the message is the hook's own.",
    todo: "Show the message to the user. Admins: `fluxbase hooks list` shows which functions are asked.",
  },
  FUNCTION_DISABLED: {
    why: "The function has been disabled.",
    todo: "`fluxbase functions set <name> --enabled true`.",
  },
  NOT_FOUND: {
    why: "There is nothing at this path, or no such object.",
    todo: "Check the path and the method against `/docs/api`.",
  },
  FUNCTION_NOT_FOUND: {
    why: "No function has this name in this namespace, or the key is limited to other namespaces.",
    todo: "`fluxbase functions list`; name the namespace as `namespace/name`.",
  },
  EXECUTION_NOT_FOUND: {
    why: "No execution has this id: it never existed, or retention has removed it.",
    todo: "Check the id; executions are written about a second after the call.",
  },
  VERSION_NOT_FOUND: {
    why: "The version does not exist or is no longer kept.",
    todo: "`fluxbase functions versions <name>` lists those that are kept.",
  },
  MODULE_NOT_FOUND: {
    why: "No shared module has this path.",
    todo: "`fluxbase shared list`; paths begin with `_shared/`.",
  },
  USER_NOT_FOUND: {
    why: "No user of this server has this id; a token may belong to a deleted account.",
    todo: "`fluxbase users list`; sign in again.",
  },
  SECRET_NOT_FOUND: {
    why: "The secret, or this version of it, does not exist.",
    todo: "`fluxbase secrets list` shows names and versions.",
  },
  KEY_NOT_FOUND: { why: "No key has this id.", todo: "`fluxbase keys list`; service keys with `--service`." },
  TASK_NOT_FOUND: {
    why: "No task has this id: finished tasks are kept for 7 days, dead ones for 30.",
    todo: "`fluxbase tasks list`.",
  },
  METHOD_NOT_ALLOWED: {
    why: "The path exists, but not with this method.",
    todo: "Use one of the methods in `allowed`.",
  },
  REQUEST_TIMEOUT: {
    why: "The request body did not arrive in time.",
    todo: "Send it faster or in smaller parts; `FLUXBASE_LIMITS_CONTROL_BODY_MS` is the limit of the management API.",
  },
  ALREADY_EXISTS: {
    why: "Something with this name exists.",
    todo: "Update it instead (`PUT` or `PATCH`), or choose another name.",
  },
  ALREADY_RUNNING: {
    why: "The same webhook delivery is being processed right now.",
    todo: "Nothing: the sender repeats it later.",
  },
  IDEMPOTENCY_IN_PROGRESS: {
    why: "A request with the same `Idempotency-Key` has not finished yet.",
    todo: "Wait and repeat it: the answer will be that of the first request.",
  },
  TASK_STATE: {
    why: "The task is in a state in which this is impossible, such as cancelling a finished task.",
    todo: "`fluxbase tasks get <id>` shows its state.",
  },
  NOT_CAPTURED: {
    why: "The request of this execution was not kept, so it cannot be replayed.",
    todo: "Set `@fluxbase:capture errors` (or `all`), and replay later calls.",
  },
  MODULE_IN_USE: {
    why: "Functions still import this shared module.",
    todo: "Change the functions in `functions` of the answer first, or delete with `?force=true`.",
  },
  VERSION_CONFLICT: {
    why: "Somebody else has changed it since you read it.",
    todo: "Read it again, merge, and send the new version number in `if_version`.",
  },
  VERSION_NOT_BUILT: {
    why: "This version never built, so it cannot become live.",
    todo: "Choose a version with `is_bundled: true`.",
  },
  BODY_TOO_LARGE: {
    why: "The request body, a source file or all sources together exceed a limit.",
    todo: "Send less, or raise the limit that the message names ([Limits](limits.md)).",
  },
  IDEMPOTENCY_MISMATCH: {
    why: "The same `Idempotency-Key` came with a different request.",
    todo: "Use a new key for each new request.",
  },
  BUNDLE_REJECTED: {
    why: "The source does not build, and strict deployment was asked for; nothing has changed.",
    todo: "Fix the file and line in `problems`.",
  },
  RATE_LIMITED: {
    why: "The caller has used up a rate limit of the function, of its key or of the server.",
    todo: "Wait for `Retry-After` seconds (`retry_after` in the body).",
  },
  QUEUE_FULL: {
    why: "Too many tasks of this function are waiting.",
    todo: "Wait for `Retry-After`; raise `task_concurrency` or `FLUXBASE_LIMITS_WAITING_TASKS_COUNT`.",
  },
  CLIENT_CLOSED_REQUEST: {
    why: "The caller closed the connection before the response was complete. Only executions show it.",
    todo: "Check timeouts of clients and proxies.",
  },
  INTERNAL: {
    why: "A bug or an unexpected fault in the server.",
    todo: "Search the server's log for `request_id`, and report it.",
  },
  USER_NOT_SAVED: {
    why: "Something in the users' database, such as a trigger on `auth.users`, refused the user.",
    todo: "Fix the trigger or constraint; the server's log has the message of Postgres.",
  },
  FUNCTION_ERROR: {
    why: "The function threw an error, or its promise was rejected.",
    todo: "`fluxbase functions executions <name>` and `fluxbase executions show <id>` show the stack.",
  },
  BUNDLE_FAILED: {
    why: "No version of the function has ever built or loaded.",
    todo: "Read `bundle_error` (`fluxbase functions get <name>`), fix it and deploy again.",
  },
  SANDBOX_DIED: {
    why: "The sandbox ended while the request ran.",
    todo: "Retry; if it happens again, look at the execution and the server's log.",
  },
  MEMORY_LIMIT: {
    why: "The function used more memory than it may.",
    todo: "Stream instead of collecting, or raise `memory`.",
  },
  CPU_LIMIT: {
    why: "The function blocked its event loop for too long without a pause.",
    todo: "Split long computations with `await`, or move them to a queued call.",
  },
  DISK_LIMIT: {
    why: "The function wrote more to its scratch folder than it may.",
    todo: "Delete files you no longer need, or raise `FLUXBASE_LIMITS_SCRATCH_BYTES`.",
  },
  RESPONSE_TOO_LARGE: {
    why: "The response exceeds the function's limit.",
    todo: "Send less, stream pages, or raise `max_response_bytes`.",
  },
  INVALID_RESPONSE: {
    why: "The function returned something that cannot become an HTTP response, such as a wrong header name.",
    todo: "Fix what the message names ([Responses](../requests-and-responses.md)).",
  },
  NOT_AVAILABLE: {
    why: "Clients know this feature from other platforms; this server does not have it.",
    todo: "Use what the message names instead.",
  },
  FEATURE_DISABLED: {
    why: "The operator has switched this feature off.",
    todo: "Ask the operator; the message names the setting.",
  },
  HOOK_FAILED: {
    why: "An authentication hook failed, timed out or answered with something unexpected.",
    todo: "Fix the function, or switch the event off: `fluxbase hooks disable <event>`.",
  },
  SECRET_MISSING: {
    why: "A secret that the function's webhook verification needs is not set. Only those who may set it see this.",
    todo: "`fluxbase secrets set <name>`.",
  },
  POOL_EXHAUSTED: {
    why: "All sandboxes are busy, or memory or processes have run out.",
    todo: "Retry after `Retry-After`; add memory or servers, or look for slow functions with `fluxbase top`.",
  },
  DATABASE_UNAVAILABLE: {
    why: "The database does not respond, is full, or all its connections are in use.",
    todo: "Retry; check the database with `fluxbase doctor`.",
  },
  SHUTTING_DOWN: {
    why: "The server is starting or stopping.",
    todo: "Retry, on another server if there is one.",
  },
  WALL_LIMIT: {
    why: "The function did not finish within its timeout.",
    todo: "Make it faster, raise `timeout`, or queue the call.",
  },
  CALL_LOOP: {
    why: "Functions called one another more than 15 levels deep.",
    todo: "Look for a function that calls itself.",
  },
};

export function errorsPage(): string {
  const rows = Object.entries(ERRORS).map(([name, { status, retryable }]) => {
    const { why, todo } = EXPLAINED[name as ErrorCode];
    return [code(name), String(status), retryable ? "yes" : "no", why, todo];
  });
  return `# Errors

Every error of the server is JSON: \`error\` is a sentence, \`code\` is one of those below and never changes its meaning,
\`request_id\` finds the request in logs and executions. What a function itself answers is passed on unchanged.

\`\`\`json
{ "error": "Function \\"hi\\" not found", "code": "FUNCTION_NOT_FOUND", "request_id": "0198c7a1-…" }
\`\`\`

"Retry" says whether the same request may succeed later. Paths below \`/auth/v1\` and \`/rest/v1\` answer in the words of
Supabase's services instead, for their clients.

${generatedFrom("packages/contract/src/errors.ts")}
${table(["Code", "Status", "Retry", "Why", "What to do"], rows)}`;
}
