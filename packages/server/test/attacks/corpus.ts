/**
 * How an attack is written down and tried: what it deploys or does, what it must be told, what the record must say; a
 * victim in another namespace is called before, during and after it.
 *
 * Each kind of attack is a file beside this one. `npm test` runs them as tests, `npm run attacks` prints their table.
 *
 * @module
 */
import assert from "node:assert/strict";
import { platformTest, type TestPlatform } from "../support/platform.ts";

interface Expected {
  readonly name: string;
  /** What the attacker must be told. */
  readonly gets: RegExp;
}

/** A function that is deployed and called once: the body of an async function in its handler, or a whole source. */
export interface FunctionAttack extends Expected {
  /** What it returns or throws is the answer. */
  readonly body?: string;
  /** Outside the handler. */
  readonly top?: string;
  readonly source?: string;
  readonly fields?: Readonly<Record<string, unknown>>;
  readonly status?: number;
}

/** Anything that takes more than one call, or none. */
export interface StepAttack extends Expected {
  /** Says what it got, and what the record of the execution says where there is one. */
  run(platform: TestPlatform): Promise<string | { readonly got: string; readonly record: string }>;
  readonly says?: RegExp;
}

export type Attack = FunctionAttack | StepAttack;

export interface KindOptions {
  readonly settings?: Readonly<Record<string, string>>;
  /** What must go on as if nothing happened, in the namespace `team-b`. */
  readonly victim?: { readonly source: string; readonly answers: string };
}

/** One line of the table. */
export interface Result {
  readonly kind: string;
  readonly attack: string;
  readonly got: string;
  readonly record: string;
  readonly victim: "unharmed" | "see the failure";
  readonly failure?: string;
}

/** Where `npm run attacks` collects the lines. */
export const REPORT_VARIABLE = "FLUXBASE_TEST_ATTACKS_REPORT";

export const DENIED =
  /NotCapable|Cannot (connect|read|write|start|load|ask|signal|listen)|Requires .* access|PermissionDenied|Permission denied|not permitted|EPERM|EACCES|EROFS|ENOENT|Can't open|Access denied|Cannot use|Unsupported fd type/i;

export const SCRATCH = { allow_read: true, allow_write: true };

const VICTIM = { source: `export default () => "unharmed"`, answers: `"unharmed"` };

/** Tries every attack of a kind on one platform. */
export function attackTest(
  kind: string,
  attacks: (platform: TestPlatform) => readonly Attack[],
  { settings = {}, victim = VICTIM }: KindOptions = {},
): void {
  platformTest(`attacks: ${kind}`, async (platform, step) => {
    await platform.deploy("victim", victim.source, { namespace: "team-b" });
    const assertUnharmed = async () =>
      assert.equal(await (await platform.call("team-b/victim")).text(), victim.answers, "the victim");
    for (const [index, attack] of attacks(platform).entries()) {
      await step(attack.name, () =>
        reported({ kind, attack: attack.name }, async () => {
          const attackNow = await prepare(platform, attack, `attack-${index}`);
          await assertUnharmed();
          const [outcome] = await Promise.all([attackNow(), assertUnharmed(), assertUnharmed()]);
          await assertUnharmed();
          return outcome;
        }));
    }
  }, settings);
}

interface Outcome {
  readonly got: string;
  readonly record: string;
}

async function prepare(
  platform: TestPlatform,
  attack: Attack,
  name: string,
): Promise<() => Promise<Outcome>> {
  if ("run" in attack) return () => tryStep(platform, attack);
  const { namespace, ...fields } = attack.fields ?? {};
  await platform.deploy(name, sourceOf(attack), { ...fields, ...(namespace === undefined ? {} : { namespace }) });
  return () => tryFunction(platform, attack, namespace === undefined ? name : `${namespace}/${name}`);
}

function sourceOf({ body = "", top = "", source }: FunctionAttack): string {
  return source ?? `${top}
    const outcome = async (work) => { try { return String(await work()); } catch (error) { return error.name + ": " + error.message + " " + (error.code ?? ""); } };
    const builtIn = (name) => process["getBuiltin" + "Module"]("node:" + name);
    export default async (req) => new Response(await outcome(async () => { ${body} }));`;
}

async function tryStep(platform: TestPlatform, { run, gets, says }: StepAttack): Promise<Outcome> {
  const answer = await run(platform);
  const outcome = typeof answer === "string" ? { got: answer, record: "" } : answer;
  assert.match(outcome.got, gets);
  if (says !== undefined) assert.match(outcome.record, says, "what the record says");
  return outcome;
}

/** The record must say what the caller was told, and nothing where nothing failed. */
async function tryFunction(
  platform: TestPlatform,
  { gets, status = 200 }: FunctionAttack,
  path: string,
): Promise<Outcome> {
  const response = await platform.call(path);
  const text = await response.text();
  assert.match(text, gets);
  assert.equal(response.status, status, text);
  const told = status >= 500 ? JSON.parse(text) : { code: null, error: null };
  const record = await recordOf(platform, path);
  assert.deepEqual([record.error_code, record.error_message], [told.code, told.error], "what the record says");
  return { got: text, record: shown(record) };
}

interface Execution {
  readonly status: string;
  readonly status_code: number | null;
  readonly error_code: string | null;
  readonly error_message: string | null;
}

/** The last execution of a function. */
export async function recordOf(platform: TestPlatform, path: string): Promise<Execution> {
  const [execution] = await platform.executions(path);
  return execution;
}

export function shown({ status, status_code: code, error_code: error }: Execution): string {
  return [status, code, error].filter((part) => part !== null).join(" ");
}

/** Adds a line to the table, where there is one. */
async function reported(
  { kind, attack }: Pick<Result, "kind" | "attack">,
  work: () => Promise<Outcome>,
): Promise<void> {
  const add = async (result: Omit<Result, "kind" | "attack">) => {
    const path = Deno.env.get(REPORT_VARIABLE);
    if (path === undefined) return;
    await Deno.writeTextFile(path, `${JSON.stringify({ kind, attack, ...result })}\n`, { append: true });
  };
  try {
    await add({ ...await work(), victim: "unharmed" });
  } catch (error) {
    const failure = error instanceof Error ? error.message : String(error);
    await add({ got: "FAILED", record: "", victim: "see the failure", failure });
    throw error;
  }
}
