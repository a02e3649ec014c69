/**
 * Handlers of the form `handler(req, fluxbase, fluxbaseService, utils)`: a client that acts as the caller, one that acts as
 * the function, and the context. The bundle brings the SDK where such a handler was found when it was built.
 *
 * @module
 */
import type { HandlerContext } from "./globals.ts";
import type { FunctionRequest } from "./request.ts";

/** The export under which a bundle brings `createClient`. */
export const CLIENT_EXPORT = "$fluxbaseCreateClient";

type CreateClient = (url: string, key: string | undefined) => unknown;
type FourPartHandler = (req: unknown, fluxbase: unknown, fluxbaseService: unknown, utils: unknown) => unknown;

const env = Deno.env;
const { assign, fromEntries } = Object;
const UTILS = ["getExecutionContext", "getPayload", "reportProgress", "isCancelled"] as const;

export function withClients(
  handle: FourPartHandler,
  createClient: CreateClient,
): (request: unknown, context: unknown) => unknown {
  let service: unknown;
  const globals: Record<string, unknown> = Reflect.get(globalThis, "Fluxbase");
  const utils = fromEntries(UTILS.map((name) => [name, globals[name]]));
  return (request, context) => {
    const url = env.get("FLUXBASE_URL") ?? "";
    const { headers, user_id } = request as FunctionRequest;
    const token = user_id === undefined ? undefined : bearerOf(headers.get("authorization"));
    service ??= createClient(url, env.get("FLUXBASE_SERVICE_ROLE_KEY"));
    const user = createClient(url, token ?? env.get("FLUXBASE_ANON_KEY"));
    return handle(request, user, service, assign(context as HandlerContext, utils));
  };
}

export function bearerOf(authorization: string | null | undefined): string | undefined {
  return /^bearer\s+(\S+)$/i.exec(authorization ?? "")?.[1];
}
