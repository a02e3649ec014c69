/**
 * What `fluxbase functions new` writes: a function, its test, and what editors and Deno need to know of both.
 *
 * @module
 */
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { UsageError } from "./place.ts";

/** Paths of what it wrote; what is there already, other than the function, stays. @throws {UsageError} */
export function writeFunction(dir: string, name: string, version: string): string[] {
  const path = join(dir, `${name}.ts`);
  if (existsSync(path) || existsSync(join(dir, name))) throw new UsageError(`${path} exists already`);
  const declarations = join(dir, "fluxbase.d.ts");
  const files: readonly (readonly [string, string])[] = [
    [path, functionText(name)],
    [join(dir, `${name}_test.ts`), testText(name)],
    [declarations, DECLARATIONS],
    // Not beside the functions: Deno and editors look where they are started.
    [join(dirname(dir), "deno.json"), denoJson(version, `./${relative(dirname(dir), declarations)}`)],
  ];
  const written: string[] = [];
  for (const [place, text] of files) {
    if (existsSync(place)) continue;
    mkdirSync(dirname(place), { recursive: true });
    writeFileSync(place, text);
    written.push(place);
  }
  return written;
}

function functionText(name: string): string {
  return `/**
 * @fluxbase:description ${name}
 */
export default async function handler(req: Request): Promise<Response> {
  const { name = "World" } = await req.json().catch(() => ({}));
  return Response.json({ message: \`Hello \${name}!\` });
}
`;
}

function testText(name: string): string {
  return `import handler from "./${name}.ts";

Deno.test("${name} greets who is named", async () => {
  const request = new Request("http://localhost/", { method: "POST", body: JSON.stringify({ name: "Alice" }) });
  const { message } = await (await handler(request)).json();
  if (message !== "Hello Alice!") throw new Error(\`it said \${message}\`);
});
`;
}

/** Functions of the guide say nothing of the type of \`req\`. */
function denoJson(version: string, declarations: string): string {
  const settings = {
    imports: { "@fluxbase/sdk": `npm:@fluxbase/sdk@^${version}` },
    compilerOptions: { types: [declarations], noImplicitAny: false },
    lock: false,
  };
  return `${JSON.stringify(settings, null, 2)}\n`;
}

const DECLARATIONS =
  `/** What functions find in their global scope. Written by \`fluxbase functions new\`; may be written again. */

/** What a handler without types gets: a web Request that is also a plain object. */
interface FluxbaseRequest extends Omit<Request, "body" | "headers"> {
  /** The whole body as text. */
  readonly body: string;
  /** By name in small letters, and with the methods of Headers. */
  readonly headers: Headers & Record<string, string>;
  /** Of the query. */
  readonly params: Record<string, string>;
  readonly user_id?: string;
  readonly user_email?: string;
  readonly user_role?: string;
  readonly session_id?: string;
}

/** What a handler without types may return. */
interface FluxbaseResponse {
  status?: number;
  headers?: Record<string, string>;
  /** What is no text is sent as JSON. */
  body?: unknown;
}

/** The second argument of a handler. */
interface FluxbaseContext {
  readonly functionName: string;
  readonly namespace: string;
  readonly version: number;
  readonly executionId: string;
  /** Null for a caller without a user. */
  readonly user: { readonly id: string; readonly email: string | null; readonly role: string | null } | null;
  readonly env: Readonly<Record<string, string>>;
  readonly secrets: FluxbaseSecrets;
  /** Fires when the client goes away or the time is over. */
  readonly signal: AbortSignal;
  readonly log: Console;
  /** Keeps the sandbox for this work after the answer has left. */
  readonly waitUntil: (work: Promise<unknown>) => void;
}

type FluxbaseHandler = (req: FluxbaseRequest, context: FluxbaseContext) => unknown;

interface FluxbaseSecrets {
  /** The user's, else the server's. */
  get(key: string): string | undefined;
  /** As \`get\`, and throws where there is none. */
  getRequired(key: string): string;
  getUser(key: string): string | undefined;
  getSystem(key: string): string | undefined;
}

declare const secrets: FluxbaseSecrets;

declare const Fluxbase: {
  waitUntil(work: Promise<unknown>): void;
  getExecutionContext(): {
    readonly functionName: string;
    readonly namespace: string;
    readonly version: number;
    readonly executionId: string;
    readonly user_id?: string;
    readonly user_email?: string;
    readonly user_role?: string;
  };
  /** The body, as JSON where it is. */
  // deno-lint-ignore no-explicit-any
  getPayload(): any;
  reportProgress(percent: number, message?: string): void;
  isCancelled(): boolean;
};

declare const EdgeRuntime: { waitUntil(work: Promise<unknown>): void };
`;
