/**
 * What `@fluxbase:` annotations in a function's comments say, in the words of the API.
 *
 * @module
 */
import { ACCOUNT_EVENTS, AUTH_HOOKS, type BuildProblem, CAPTURE_MODES, type VersionSchedule } from "@fluxbase/contract";
import type { Annotation } from "../bundler/bundler.ts";
import { nearestOf } from "../core/nearest.ts";
import { faultInName, parseScheduleText } from "../schedules/schedule_text.ts";
import type { FunctionInput } from "./function_input.ts";

export interface Annotated {
  /** One for each annotation that counts, in their order. */
  readonly inputs: readonly { readonly input: FunctionInput; readonly place: BuildProblem }[];
  /** In their order, each of another name. */
  readonly schedules: readonly VersionSchedule[];
  readonly problems: readonly BuildProblem[];
  readonly warnings: readonly string[];
}

/** From the text behind a name to fields of the API; undefined when the text makes no sense. */
type Reader = (text: string) => FunctionInput | undefined;

interface Known {
  readonly read: Reader;
  /** Completes the sentence "it must be …". */
  readonly expected: string;
  /** May stand more than once. */
  readonly isList?: true;
  /** What several say together; without, each counts for itself. */
  readonly join?: (before: FunctionInput, input: FunctionInput) => FunctionInput;
}

function flag(name: keyof FunctionInput): Known {
  const values: Readonly<Record<string, boolean>> = { "": true, "true": true, "false": false };
  return {
    expected: "true, false or nothing",
    read: (text) => {
      const value = values[text.toLowerCase()];
      return value === undefined ? undefined : { [name]: value };
    },
  };
}

function texts(name: keyof FunctionInput): Known {
  return { expected: "a list with commas", read: (text) => text === "" ? undefined : { [name]: text } };
}

function units(pattern: RegExp, factors: Readonly<Record<string, number>>, toInput: (value: number) => FunctionInput) {
  return (text: string): FunctionInput | undefined => {
    const [, number, unit = ""] = pattern.exec(text) ?? [];
    const factor = factors[unit.toLowerCase()];
    return number === undefined || factor === undefined ? undefined : toInput(Number(number) * factor);
  };
}

const NUMBER_WITH_UNIT = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/i;

const KNOWN: Readonly<Record<string, Known>> = {
  "allow-unauthenticated": flag("allow_unauthenticated"),
  "public": flag("is_public"),
  "cors-origins": texts("cors_origins"),
  "cors-methods": texts("cors_methods"),
  "cors-headers": texts("cors_headers"),
  "cors-credentials": flag("cors_credentials"),
  "cors-max-age": {
    expected: "seconds, such as 3600",
    read: units(/^(\d+)()$/, { "": 1 }, (value) => ({ cors_max_age: value })),
  },
  "timeout": {
    expected: "a time, such as 30s or 500ms",
    read: units(NUMBER_WITH_UNIT, { "": 1, "s": 1, "ms": 0.001, "m": 60, "min": 60 }, (value) => ({ timeout: value })),
  },
  "memory": {
    expected: "megabytes, such as 256",
    read: units(NUMBER_WITH_UNIT, { "": 1, "mb": 1, "mib": 1 }, (value) => ({ memory: value })),
  },
  "max-response": {
    expected: "a size, such as 100MB",
    read: units(
      NUMBER_WITH_UNIT,
      { "": 1, "b": 1, "kb": 1024, "mb": 1024 ** 2, "gb": 1024 ** 3 },
      (value) => ({ max_response_bytes: Math.round(value) }),
    ),
  },
  "isolation": {
    expected: "shared or request",
    read: (text) => text === "shared" || text === "request" ? { isolation: text } : undefined,
  },
  "base-path": {
    expected: "keep, strip or full",
    read: (text) => text === "keep" || text === "strip" || text === "full" ? { base_path: text } : undefined,
  },
  "auth": {
    expected: "none or platform",
    read: (text) => text === "none" || text === "platform" ? { auth: text } : undefined,
  },
  "cors": {
    expected: "on or off",
    read: (text) => text === "on" || text === "off" ? { cors: text } : undefined,
  },
  "allow-net": {
    expected: "true, false, or hosts with commas, such as api.example.com,*.example.org",
    read: (text) => flag("allow_net").read(text) ?? (text === "" ? undefined : { allow_net: text.split(",") }),
  },
  "allow-env": flag("allow_env"),
  "allow-read": flag("allow_read"),
  "allow-write": flag("allow_write"),
  "disable-execution-logs": flag("disable_execution_logs"),
  "verify": {
    expected: "a sender and the name of a secret, such as stripe STRIPE_WEBHOOK_SECRET",
    read: (text) => text === "" ? undefined : { verify: text },
  },
  "hook": {
    expected: `one of ${[...AUTH_HOOKS, ...ACCOUNT_EVENTS].join(", ")}, or several with commas`,
    read: (text) => text === "" ? undefined : { hooks: text },
  },
  "respond-async": flag("respond_async"),
  "retries": { expected: "a number, such as 3", read: units(/^(\d+)()$/, { "": 1 }, (value) => ({ retries: value })) },
  "task-concurrency": {
    expected: "a number, such as 10",
    read: units(/^(\d+)()$/, { "": 1 }, (value) => ({ task_concurrency: value })),
  },
  "capture": {
    expected: CAPTURE_MODES.join(", "),
    read(text) {
      const capture = CAPTURE_MODES.find((mode) => mode === text);
      return capture === undefined ? undefined : { capture };
    },
  },
  "description": { expected: "a text", read: (text) => text === "" ? undefined : { description: text } },
  "namespace": { expected: "a name", read: (text) => text === "" ? undefined : { namespace: text } },
  "route": {
    expected: "a path of its own, with a method or without, such as GET /shop/*",
    read: (text) => text === "" ? undefined : { routes: [text] },
    isList: true,
    join: (before, input) => ({ routes: [...before.routes ?? [], ...input.routes ?? []] }),
  },
  "rate-limit": {
    expected: "a number and a unit of time, such as 100/min, 1000/hour or 10000/day",
    read: (text) => {
      const [, number, unit] = /^([1-9]\d{0,8})\/(min|minute|hour|day)$/.exec(text) ?? [];
      if (number === undefined || unit === undefined) return undefined;
      const per = unit === "min" ? "minute" : unit;
      return { [`rate_limit_per_${per}`]: Number(number) };
    },
    isList: true,
  },
};

const SCHEDULE = "schedule";

/** Every name that counts, without `@fluxbase:`. */
export const ANNOTATION_NAMES: readonly string[] = [...Object.keys(KNOWN), SCHEDULE];

export function readAnnotations(annotations: readonly Annotation[]): Annotated {
  const inputs = new Map<string, { input: FunctionInput; place: BuildProblem }>();
  const problems: BuildProblem[] = [];
  const warnings: string[] = [];
  const schedules: VersionSchedule[] = [];
  const seen = new Set<string>();
  for (const annotation of annotations) {
    const { name, value, place } = annotation;
    const at = `${place.file}:${place.line}`;
    if (name === SCHEDULE) {
      const read = readSchedule(annotation, schedules);
      if ("name" in read) schedules.push(read);
      else if ("warning" in read) warnings.push(`${at}: ${read.warning}`);
      else problems.push(read);
      continue;
    }
    const known = Object.hasOwn(KNOWN, name) ? KNOWN[name] : undefined;
    if (known === undefined) {
      const near = nearestOf(name.replaceAll("_", "-"), ANNOTATION_NAMES);
      warnings.push(
        `${at}: @fluxbase:${name.slice(0, 60)} is not an annotation and was ignored${
          near === undefined ? "" : `; did you mean @fluxbase:${near}?`
        }`,
      );
      continue;
    }
    const input = known.read(value);
    if (input === undefined) {
      const shown = value === "" ? "has no value" : `is ${JSON.stringify(value.slice(0, 100))}`;
      problems.push({ ...place, message: `@fluxbase:${name} ${shown}: it must be ${known.expected}` });
      continue;
    }
    if (seen.has(name) && !known.isList) {
      warnings.push(`${at}: @fluxbase:${name} stands more than once; the last one counts`);
    }
    seen.add(name);
    // One that may stand more than once counts each time, for another window.
    const key = known.isList ? `${name} ${Object.keys(input).join()}` : name;
    const before = inputs.get(key);
    inputs.set(key, { input: before && known.join ? known.join(before.input, input) : input, place });
  }
  return { inputs: [...inputs.values()], schedules, problems, warnings };
}

const SCHEDULES_MAX_COUNT = 50;

/** As it stands in a comment, or in code. */
function readSchedule(
  { value, place, valueAt, inCode }: Annotation,
  before: readonly VersionSchedule[],
): VersionSchedule | BuildProblem | { readonly warning: string } {
  const where = inCode === undefined ? "@fluxbase:schedule" : "the schedule";
  if (inCode?.isUnread) {
    return {
      warning: "Deno.cron made no schedule: its name and its expression must be written out, as texts, to be found",
    };
  }
  const problem = (fault: string, at = 0): BuildProblem => ({
    ...place,
    column: place.column === null ? null : place.column + valueAt + at,
    message: `${where} ${fault}`,
  });
  const read = parseScheduleText(value);
  if ("fault" in read) return problem(read.fault, read.at);
  const { job } = inCode ?? {};
  const nameFault = job === undefined ? undefined : faultInName(job);
  if (nameFault !== undefined) return problem(`is called ${JSON.stringify(job)}: ${nameFault}`);
  const schedule = { ...read, name: job ?? read.name, source: inCode ? "code" as const : "annotation" as const };
  if (before.some(({ name }) => name === schedule.name)) {
    return problem(`is called ${JSON.stringify(schedule.name)} like another one: name it with name=…`);
  }
  if (before.length >= SCHEDULES_MAX_COUNT) {
    return problem(`is one too many: a function has ${SCHEDULES_MAX_COUNT} at most`);
  }
  return schedule;
}
