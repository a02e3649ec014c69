/**
 * The OpenAPI 3.1 document, made from the table of routes.
 *
 * @module
 */
import { z } from "zod";
import type { Access, Route } from "./route.ts";
import { errorSchema } from "./schemas.ts";

const INVOKE_METHODS = ["get", "post", "put", "patch", "delete"] as const;

export interface DocumentInfo {
  readonly version: string;
  readonly serverUrl: string;
  readonly apiPrefix: string;
}

interface Parameter {
  readonly name: string;
  readonly in: string;
}

/** By media type. */
type Content = Readonly<Record<string, { readonly schema?: unknown }>>;

interface Operation {
  readonly tags: readonly string[];
  readonly summary: string;
  readonly description: string;
  readonly parameters: readonly Parameter[];
  readonly requestBody?: { readonly required: boolean; readonly content: Content };
  readonly responses: Readonly<Record<string, { readonly description: string; readonly content?: Content }>>;
}

export interface OpenApiDocument {
  readonly openapi: string;
  readonly info: { readonly title: string; readonly version: string };
  readonly servers: readonly { readonly url: string }[];
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
}

export function openApiDocument(
  routes: readonly Route[],
  { version, serverUrl, apiPrefix }: DocumentInfo,
): OpenApiDocument {
  const paths: Record<string, Record<string, Operation>> = {};
  for (const route of routes) {
    // The document has no way to say that a parameter may hold slashes.
    const path = route.path.replaceAll("*}", "}");
    const methods = paths[`${route.isAtRoot ? "" : apiPrefix}${path}`] ??= {};
    methods[route.method.toLowerCase()] = operationOf({ ...route, path });
  }
  for (const path of ["/functions/{name}/invoke", "/functions/{namespace}/{name}/invoke"]) {
    paths[`${apiPrefix}${path}`] = Object.fromEntries(INVOKE_METHODS.map((method) => [method, invokeOperation(path)]));
  }
  const document = {
    openapi: "3.1.0",
    info: { title: "Fluxbase Edge Functions", version, license: { name: "Apache-2.0", identifier: "Apache-2.0" } },
    servers: [{ url: serverUrl }],
    security: [{ bearer: [] }, { apikey: [] }],
    paths,
    components: {
      securitySchemes: {
        bearer: { type: "http", scheme: "bearer", description: "A JWT or a key" },
        apikey: { type: "apiKey", in: "header", name: "apikey" },
      },
      schemas: { Error: jsonSchema(errorSchema) },
    },
  };
  return document;
}

function operationOf({ path, summary, access, query, body, answer }: Route): Operation {
  const { status, schema } = answer;
  return {
    tags: [tagOf(path)],
    summary,
    description: describeAccess(access),
    ...(access === "public" ? { security: [] } : {}),
    parameters: [...pathParameters(path), ...queryParameters(query)],
    ...(body === undefined ? {} : { requestBody: { required: true, content: jsonContent(jsonSchema(body)) } }),
    responses: {
      [status]: {
        description: "Success",
        ...(schema === undefined ? {} : { content: jsonContent(jsonSchema(schema)) }),
      },
      default: { description: "Error", content: jsonContent({ $ref: "#/components/schemas/Error" }) },
    },
  };
}

function invokeOperation(path: string): Operation {
  return {
    tags: [tagOf(path)],
    summary: "Call a function; a further path is passed to it",
    description: "The response is the function's",
    parameters: pathParameters(path),
    responses: {
      default: { description: "What the function answers, or an error of the platform", content: { "*/*": {} } },
    },
  };
}

/** The first word of a path; with `admin` before it, the second as well. */
function tagOf(path: string): string {
  const parts = path.replace(/^\/api\/v1/, "").split("/").filter((part) => part !== "" && !part.startsWith("{"));
  return parts.slice(0, parts[0] === "admin" ? 2 : 1).join(" ") || "server";
}

function pathParameters(path: string): Parameter[] {
  return [...path.matchAll(/\{(\w+)\}/g)].map(([, name = ""]) => ({
    name,
    in: "path",
    required: true,
    schema: { type: "string" },
  }));
}

function queryParameters(query: z.ZodObject | undefined): Parameter[] {
  return Object.entries(query?.shape ?? {}).map(([name, schema]) => ({
    name,
    in: "query",
    required: false,
    schema: jsonSchema(schema),
  }));
}

function jsonSchema(schema: z.core.$ZodType): unknown {
  // Records of texts are checked by hand and have no schema of their own.
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io: "input", unrepresentable: "any" });
  return rest;
}

function jsonContent(schema: unknown): Content {
  return { "application/json": { schema } };
}

function describeAccess(access: Access): string {
  switch (access) {
    case "public":
      return "Public";
    case "credential":
      return "Requires any valid credential";
    case "admin":
      return "Requires an admin or the service role";
    default:
      return `Requires the scope ${access}, an admin or the service role`;
  }
}
