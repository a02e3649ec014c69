/**
 * What `fluxbase functions new` writes: a function, its test, and what editors and Deno need to know of both.
 *
 * @module
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { DECLARATIONS } from "@fluxbase/contract";
import { UsageError } from "./connection.ts";

/** Where the examples are: beside the built command, or in the tree that it is built from. */
const EXAMPLES = ["./templates/", "../../../examples/"].map((path) => fileURLToPath(new URL(path, import.meta.url)));

export interface NewFunction {
  readonly name: string;
  /** Of the command, for the SDK that fits it. */
  readonly version: string;
  /** One of `templates()`. */
  readonly template: string;
}

/** Paths of what it wrote; what is there already, other than the function, stays. @throws {UsageError} */
export function writeFunction(dir: string, { name, version, template }: NewFunction): string[] {
  const path = join(dir, `${name}.ts`);
  if (existsSync(path) || existsSync(join(dir, name))) throw new UsageError(`${path} already exists`);
  const declarations = join(dir, "fluxbase.d.ts");
  const files: readonly (readonly [string, string])[] = [
    ...ownFiles(dir, name, template),
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

/** By what calls the function. */
const TEMPLATES = {
  http: { functionText, testText },
  webhook: { functionText: webhookText, testText: webhookTestText },
  schedule: { functionText: scheduleText, testText: scheduleTestText },
  "db-event": { functionText: dbEventText, testText: dbEventTestText },
} as const;

/** The function, and its test where it has one. */
function ownFiles(dir: string, name: string, template: string): readonly (readonly [path: string, text: string])[] {
  const path = join(dir, `${name}.ts`);
  if (!Object.hasOwn(TEMPLATES, template)) return [[path, exampleText(template)]];
  const { functionText, testText } = TEMPLATES[template as keyof typeof TEMPLATES];
  return [[path, functionText(name)], [join(dir, `${name}_test.ts`), testText(name)]];
}

/** What a function may start from: by what calls it, or an example. */
export function templates(): string[] {
  return [...Object.keys(TEMPLATES), ...examples()];
}

function examples(): string[] {
  const dir = EXAMPLES.find((one) => existsSync(one));
  if (dir === undefined) return [];
  return readdirSync(dir).filter((name) => existsSync(join(dir, name, "index.ts"))).sort();
}

function exampleText(template: string): string {
  if (!examples().includes(template)) {
    throw new UsageError(`There is no template "${template}": use one of ${templates().join(", ")}`);
  }
  const dir = EXAMPLES.find((one) => existsSync(one)) ?? "";
  return readFileSync(join(dir, template, "index.ts"), "utf8");
}

function functionText(name: string): string {
  return `/**
 * @fluxbase:description ${name}
 */
export default async function handler(req: Request): Promise<Response> {
  const { name = "World" } = await req.json().catch(() => ({}));
  console.log("greeting", name);
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

function webhookText(name: string): string {
  return `/**
 * @fluxbase:description ${name}
 *
 * The server verifies the signature before this runs, and runs each delivery once:
 * @fluxbase:verify standard ${secretName(name)}
 */
export default async function handler(req: Request): Promise<Response> {
  const { type } = await req.json();
  console.log(\`Received \${type}\`);
  return Response.json({ received: type });
}
`;
}

function webhookTestText(name: string): string {
  return `import handler from "./${name}.ts";

Deno.test("${name} takes in an event", async () => {
  const request = new Request("http://localhost/", { method: "POST", body: JSON.stringify({ type: "user.created" }) });
  const { received } = await (await handler(request)).json();
  if (received !== "user.created") throw new Error(\`it received \${received}\`);
});
`;
}

function scheduleText(name: string): string {
  return `/**
 * @fluxbase:description ${name}
 */
// When it runs, as many lines as you like: minute, hour, day, month, day of the week, and the time zone.
// @fluxbase:schedule 0 9 * * MON-FRI Europe/Paris name=${name}
interface Tick {
  readonly schedule: string;
  /** The instant that this call is for, even where it comes late. */
  readonly scheduled_at: string;
}

export default async function handler(req: Request & { user_role?: string }): Promise<Response> {
  // The server says so of itself; anybody else who may call the function is somebody else.
  if (req.user_role !== "service_role") return new Response("Only its schedule runs it", { status: 403 });
  const { schedule, scheduled_at }: Tick = await req.json();
  console.log(\`\${schedule} of \${scheduled_at}\`);
  // An answer of 500 or more has the call tried again.
  return Response.json({ done: scheduled_at });
}
`;
}

function scheduleTestText(name: string): string {
  return `import handler from "./${name}.ts";

Deno.test("${name} does its work for an instant", async () => {
  const tick = { schedule: "${name}", scheduled_at: "2026-01-31T08:00:00.000Z" };
  const request = new Request("http://localhost/", { method: "POST", body: JSON.stringify(tick) });
  const { done } = await (await handler(Object.assign(request, { user_role: "service_role" }))).json();
  if (done !== tick.scheduled_at) throw new Error(\`it did \${done}\`);
});
`;
}

function dbEventText(name: string): string {
  return `/**
 * @fluxbase:description ${name}
 *
 * Called when rows change: fluxbase hooks db add ${name} public.orders --event INSERT UPDATE
 */
interface RowEvent {
  readonly type: "INSERT" | "UPDATE" | "DELETE";
  readonly table: string;
  readonly schema: string;
  readonly record: Record<string, unknown> | null;
  readonly old_record: Record<string, unknown> | null;
}

export default async function handler(req: Request & { user_role?: string }): Promise<Response> {
  // The server says so of itself; anybody else who may call the function is somebody else.
  if (req.user_role !== "service_role") return new Response("Only the server tells of events", { status: 403 });
  const { type, table, record, old_record }: RowEvent = await req.json();
  console.log(\`\${type} in \${table}\`, old_record, record);
  // An answer of less than 400 means that the event is dealt with; others have it sent again.
  return Response.json({ type });
}
`;
}

function dbEventTestText(name: string): string {
  return `import handler from "./${name}.ts";

Deno.test("${name} takes in the event of a row", async () => {
  const event = { type: "INSERT", table: "orders", schema: "public", record: { id: 1 }, old_record: null };
  const request = new Request("http://localhost/", { method: "POST", body: JSON.stringify(event) });
  const { type } = await (await handler(Object.assign(request, { user_role: "service_role" }))).json();
  if (type !== "INSERT") throw new Error(\`it took in \${type}\`);
});
`;
}

function secretName(name: string): string {
  return `${name.toUpperCase().replaceAll(/[^A-Z0-9]+/g, "_")}_SECRET`;
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
