/**
 * The language service of editors, over a WebSocket.
 *
 * @module
 */
import { DEFAULT_NAMESPACE, parseNamespace, PlatformError } from "@fluxbase/contract";
import { z } from "zod";
import { asksForWebSocket, handshakeProblem } from "../../sandbox_runtime/handshake.ts";
import { assertMay } from "../auth/permissions.ts";
import type { Bundler } from "../bundler/bundler.ts";
import { joinDenoJson, ownDenoJson } from "../deploy/deno_json.ts";
import type { SharedModules } from "../deploy/shared_modules.ts";
import type { LanguageConnection, LanguageService } from "../language/language_service.ts";
import { parseQuery, textParam } from "./query.ts";
import type { ApiAnswer, ApiCall, Route } from "./route.ts";

export interface LanguageRouteParts {
  readonly language: LanguageService;
  readonly bundler: Bundler;
  readonly sharedModules: SharedModules;
}

const PROTOCOL = "fluxbase.language";
const query = z.object({ namespace: textParam });
/** How often the credential is looked at again. */
const LOOK_EVERY_MS = 30_000;
/** What a client may leave untaken. */
const UNTAKEN_MAX_BYTES = 16 * 1024 * 1024;

export function languageRoutes({ language, bundler, sharedModules }: LanguageRouteParts): Route[] {
  return [{
    method: "GET",
    path: "/admin/language",
    summary: "Open a WebSocket to the language service of editors",
    access: "functions:write",
    query,
    answer: { status: 101 },
    handle: open,
  }];

  function open(call: ApiCall): ApiAnswer {
    assertHandshake(call);
    const { namespace: named } = parseQuery(query, call.query);
    const namespace = parseNamespace(named ?? DEFAULT_NAMESPACE);
    // It shows what shared modules have in them.
    for (const scope of ["functions:read", "functions:write"] as const) assertMay(call.caller, scope, namespace);
    return { status: 101, socket: { protocol: PROTOCOL, attach: (socket) => attach(socket, namespace, call) } };
  }

  function attach(socket: WebSocket, namespace: string, call: ApiCall): void {
    const around = async (files: Readonly<Record<string, string>>) => {
      const { shared, denoJson } = await sharedModules.everything(namespace);
      return { shared, denoJson: joinDenoJson(denoJson, ownDenoJson(files).denoJson) };
    };
    let connection: LanguageConnection | undefined;
    let timer: ReturnType<typeof setInterval> | undefined;
    const close = () => {
      clearInterval(timer);
      if (socket.readyState === WebSocket.OPEN) socket.close(1000, "");
    };
    socket.onopen = () => {
      timer = setInterval(() => {
        call.callerNow().then((caller) => assertMay(caller, "functions:write", namespace)).catch(() =>
          connection?.end("credential", "The credential is good no more: connect with another one")
        );
      }, LOOK_EVERY_MS);
      connection = language.open({
        around,
        async fetchPackages({ entry, files }) {
          await bundler.build({ entry, files, ...await around(files), isPreBundled: false });
        },
        send(reply) {
          if (socket.readyState !== WebSocket.OPEN) return;
          if (socket.bufferedAmount > UNTAKEN_MAX_BYTES) return socket.close(1008, "it does not take its answers");
          socket.send(JSON.stringify(reply));
        },
        close,
      });
    };
    socket.onmessage = ({ data }) => {
      if (typeof data === "string") connection?.received(data);
      else connection?.end("message", "Cannot read the message: it is no text");
    };
    // An error is followed by a close.
    socket.onclose = () => {
      clearInterval(timer);
      connection?.end("idle", "The client has gone");
    };
  }
}

function assertHandshake({ method, headers }: ApiCall): void {
  const problem = asksForWebSocket(headers)
    ? handshakeProblem(method, headers)
    : 'it needs the headers of a WebSocket, such as "Upgrade: websocket"';
  if (problem !== undefined) {
    throw new PlatformError("INVALID_ARGUMENT", `Cannot open the language service for this request: ${problem}`);
  }
  const offered = (headers.get("sec-websocket-protocol") ?? "").split(",").map((one) => one.trim());
  if (offered.includes(PROTOCOL)) return;
  throw new PlatformError(
    "INVALID_ARGUMENT",
    `Cannot open the language service for this request: it must offer the protocol "${PROTOCOL}"`,
  );
}
