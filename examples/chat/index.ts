/**
 * A chat room over WebSockets. Who is in the room is in this process: with more than one server, or when many talk, let
 * the messages go through a table.
 *
 * @fluxbase:description WebSocket chat
 * @fluxbase:allow-unauthenticated
 * @fluxbase:timeout 60
 */
const room = new Set<WebSocket>();
const TEXT_MAX_CHARACTERS = 500;

export default function handler(req: Request): Response {
  if (req.headers.get("upgrade")?.toLowerCase() !== "websocket") {
    return Response.json({ people: room.size }, { status: 426, headers: { upgrade: "websocket" } });
  }
  const name = new URL(req.url).searchParams.get("name") ?? "somebody";
  const { socket, response } = Deno.upgradeWebSocket(req);
  socket.onopen = () => {
    room.add(socket);
    tell(`${name} came in`);
  };
  socket.onmessage = ({ data }) => tell(`${name}: ${String(data).slice(0, TEXT_MAX_CHARACTERS)}`);
  socket.onclose = () => {
    room.delete(socket);
    tell(`${name} left`);
  };
  return response;
}

function tell(text: string): void {
  for (const one of room) if (one.readyState === WebSocket.OPEN) one.send(text);
}
