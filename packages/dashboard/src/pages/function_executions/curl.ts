/**
 * A call as a command of curl.
 *
 * @module
 */
import type { CapturedRequestView, ExecutionDetails } from "@fluxbase/sdk";
import { SERVER_URL } from "../../server.ts";

/** curl and the connection make these themselves. */
const MADE_ANEW: ReadonlySet<string> = new Set(["host", "content-length", "connection", "transfer-encoding"]);

/** Without a captured request there is neither query nor headers nor body. */
export function curlOf(one: ExecutionDetails, request: CapturedRequestView | undefined): string {
  const { method, namespace, function_name: name, path } = one;
  const query = /\?.*$/s.exec(request?.target ?? "")?.[0] ?? "";
  const url = `${SERVER_URL}/api/v1/functions/${namespace}/${name}/invoke${path}${query}`;
  const headers = (request?.headers ?? []).filter(([name]) => !MADE_ANEW.has(name.toLowerCase()));
  const body = request?.body.encoding === "utf8" ? request.body.content : "";
  return [
    `curl -X ${quoted(method)} ${quoted(url)}`,
    // Its value is not kept: the shell puts in the key of whoever runs it.
    '-H "Authorization: Bearer $FLUXBASE_CLIENT_KEY"',
    ...headers.map(([name, value]) => `-H ${quoted(`${name}: ${value}`)}`),
    ...(body === "" ? [] : [`--data-raw ${quoted(body)}`]),
  ].join(" \\\n  ");
}

/** As one word of a shell, whatever is in it. */
function quoted(text: string): string {
  return /^[\w./:-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`;
}
