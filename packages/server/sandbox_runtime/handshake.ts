/**
 * What makes a request the opening handshake of a WebSocket: one rule for the server, which refuses a broken one before
 * a function sees it, and for the sandbox, which upgrades no other request.
 *
 * Only the head as it came counts. What user code does to the headers of its request means nothing.
 *
 * @module
 */

/** By lower-case name. */
interface Lookup {
  get(name: string): string | null | undefined;
}

/** RFC 6455, section 4.2.1: 16 bytes in base64. */
const KEY = /^[A-Za-z0-9+/]{21}[AQgw]==$/;
const VERSION = "13";

/** Whether the client asks for a WebSocket, well or badly. */
export function asksForWebSocket(headers: Lookup): boolean {
  const upgrade = headers.get("upgrade");
  return upgrade !== null && upgrade !== undefined && listOf(upgrade).includes("websocket");
}

/** What is wrong with the handshake of a request that asks for a WebSocket, as the end of a sentence. */
export function handshakeProblem(method: string, headers: Lookup): string | undefined {
  if (method !== "GET") return `its method must be GET, not ${method}`;
  if (!listOf(headers.get("connection") ?? "").includes("upgrade")) {
    return 'it needs the header "Connection: Upgrade"; a proxy in between must pass it on';
  }
  if (headers.get("sec-websocket-version")?.trim() !== VERSION) return `its Sec-WebSocket-Version must be ${VERSION}`;
  if (!KEY.test(headers.get("sec-websocket-key")?.trim() ?? "")) {
    return "its Sec-WebSocket-Key must be 16 bytes in base64";
  }
  return undefined;
}

/** The names in a header that is a list, in lower case. */
function listOf(value: string): string[] {
  return value.split(",").map((name) => name.trim().toLowerCase());
}

/** Of names and values in turn, names in lower case. */
export function lookupIn(pairs: readonly string[]): Lookup {
  return {
    get(name) {
      for (let index = 0; index < pairs.length; index += 2) if (pairs[index] === name) return pairs[index + 1];
      return undefined;
    },
  };
}

/** Codes that an end may close with: those of RFC 6455, section 7.4, without the ones that only tell what has happened. */
export function isSendableCode(code: number): boolean {
  return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}
