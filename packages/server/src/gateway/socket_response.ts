/**
 * Joins a client's WebSocket with the function's end of it.
 *
 * @module
 */
import type { SocketLink } from "../sandbox/socket_link.ts";

/** A client that does not answer pings for this long is gone. */
const IDLE_SEC = 60;
/** What a client that is gone without a word is said to have closed with. */
const ABNORMAL = 1006;

/** The answer that makes the request's connection a WebSocket. */
export function socketResponse(request: Request, link: SocketLink): Response {
  const { socket, response } = upgrade(request, link);
  socket.binaryType = "arraybuffer";
  socket.onopen = () =>
    link.attach({
      send: (message) => socket.send(message),
      close(code, reason) {
        if (socket.readyState === WebSocket.OPEN) socket.close(code, reason);
      },
      get bufferedBytes() {
        return socket.bufferedAmount;
      },
    });
  socket.onmessage = ({ data }) => link.received(typeof data === "string" ? data : new Uint8Array(data));
  // An error is followed by a close.
  socket.onclose = ({ code, reason }) => link.clientClosed(code || ABNORMAL, reason);
  return response;
}

/** The function has its end of the socket already: it must not wait for a client that gets none. */
function upgrade(request: Request, link: SocketLink): Deno.WebSocketUpgrade {
  try {
    return Deno.upgradeWebSocket(request, {
      idleTimeout: IDLE_SEC,
      ...(link.protocol === "" ? {} : { protocol: link.protocol }),
    });
  } catch (error) {
    link.clientClosed(ABNORMAL, "");
    throw error;
  }
}
