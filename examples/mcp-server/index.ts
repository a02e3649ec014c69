/**
 * Tools for AI assistants, by the Model Context Protocol over HTTP. https://modelcontextprotocol.io
 *
 * @fluxbase:description MCP server
 */
import { McpServer } from "npm:@modelcontextprotocol/sdk@1.25.1/server/mcp.js";
import { WebStandardStreamableHTTPServerTransport } from "npm:@modelcontextprotocol/sdk@1.25.1/server/webStandardStreamableHttp.js";
import { z } from "npm:zod@3.25.76";

function makeServer(): McpServer {
  const server = new McpServer({ name: "calculator", version: "1.0.0" });
  server.registerTool(
    "add",
    { description: "Adds two numbers", inputSchema: { a: z.number(), b: z.number() } },
    ({ a, b }: { a: number; b: number }) => ({ content: [{ type: "text", text: String(a + b) }] }),
  );
  return server;
}

export default async function handler(req: Request): Promise<Response> {
  // Without sessions: any process may get the next request.
  const transport = new WebStandardStreamableHTTPServerTransport({ enableJsonResponse: true });
  await makeServer().connect(transport);
  return await transport.handleRequest(req);
}
