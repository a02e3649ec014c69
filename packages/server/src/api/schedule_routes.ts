/**
 * Routes that manage schedules of functions.
 *
 * Those that a version brings along are changed where they are written; here they can be paused, and run at once.
 *
 * @module
 */
import { CATCH_UPS, OVERLAPS, PlatformError, type Schedule, type ScheduleTick } from "@fluxbase/contract";
import { z } from "zod";
import { unknownField } from "../core/nearest.ts";
import type { Catalog, LiveFunction } from "../catalog/catalog.ts";
import { functionNotFound } from "../catalog/function_not_found.ts";
import { nextRuns } from "../schedules/next_runs.ts";
import { faultInName, faultInTiming, nameOf, parseScheduleText } from "../schedules/schedule_text.ts";
import { type TickCaller, tickTask } from "../schedules/tick_task.ts";
import { type Database, isUniqueViolation } from "../storage/db.ts";
import {
  deleteSchedule,
  findSchedule,
  insertSchedule,
  insertTicks,
  listSchedules,
  listTicks,
  noteTask,
  type ScheduleFields,
  type StoredSchedule,
  type StoredTick,
  updateSchedule,
} from "../storage/schedules.ts";
import { insertTasks } from "../storage/tasks.ts";
import { placeFor } from "./function_routes.ts";
import { parseQuery, textParam } from "./query.ts";
import { type ApiCall, type Audit, authorOf, type Route } from "./route.ts";
import { queuedTaskSchema, scheduleDetailsSchema, scheduleSchema } from "./schemas.ts";

export interface ScheduleRouteParts {
  readonly db: Database["db"];
  readonly catalog: Catalog;
  /** Who calls at an instant. */
  readonly caller: TickCaller;
  readonly place: { readonly baseUrl: string };
  isFull(functionId: string): boolean;
  announce(): void;
}

const namespaceQuery = z.object({ namespace: textParam });
const text = z.string().max(200, "must have at most 200 characters");
const instant = z.iso.datetime({ offset: true, error: "must be an instant such as 2026-01-31T12:00:00Z" });
const FIELDS = {
  name: text,
  cron: text.nullable(),
  time_zone: text,
  run_at: instant.nullable(),
  catch_up: z.enum(CATCH_UPS),
  overlap: z.enum(OVERLAPS),
  paused: z.boolean(),
};
const inputSchema = z.strictObject(FIELDS).partial();
type Input = z.output<typeof inputSchema>;

const API_MAX_COUNT = 100;
const SHOWN_TICKS_COUNT = 20;
const DEFAULTS: ScheduleFields = {
  name: "",
  cron: null,
  timeZone: "UTC",
  runAt: null,
  catchUp: "once",
  overlap: "skip",
  isPaused: false,
};

export function scheduleRoutes({ db, catalog, caller, place, isFull, announce }: ScheduleRouteParts): Route[] {
  function functionFor(call: ApiCall, scope: "functions:read" | "functions:write"): LiveFunction {
    parseQuery(namespaceQuery, call.query);
    const { namespace, name } = placeFor(call, scope);
    const fn = catalog.find(namespace, name);
    if (fn === undefined) throw functionNotFound(namespace, name);
    return fn;
  }

  async function find(call: ApiCall, scope: "functions:read" | "functions:write"): Promise<StoredSchedule> {
    const which = call.params["schedule"] ?? "";
    const { id, name } = functionFor(call, scope);
    const found = which.includes("\0") ? undefined : await findSchedule(db, id, which);
    if (found === undefined) throw scheduleNotFound(name, which);
    return found;
  }

  async function view(schedule: StoredSchedule): Promise<Schedule> {
    return viewOf(schedule, (await listTicks(db, [schedule.id], 1))[0]);
  }

  async function again({ functionId, id, name }: Pick<StoredSchedule, "functionId" | "id" | "name">) {
    const found = await findSchedule(db, functionId, id);
    if (found === undefined) throw scheduleNotFound(name, id);
    return found;
  }

  async function list(call: ApiCall) {
    const found = await listSchedules(db, functionFor(call, "functions:read").id);
    const ticks = new Map((await listTicks(db, found.map(({ id }) => id), 1)).map((tick) => [tick.scheduleId, tick]));
    return { status: 200, body: found.map((one) => viewOf(one, ticks.get(one.id))) };
  }

  async function read(call: ApiCall) {
    const found = await find(call, "functions:read");
    const ticks = await listTicks(db, [found.id], SHOWN_TICKS_COUNT);
    return { status: 200, body: { ...viewOf(found, ticks[0]), ticks: ticks.map(tickView) } };
  }

  async function add(call: ApiCall) {
    const fn = functionFor(call, "functions:write");
    const fields = fieldsOf(DEFAULTS, await inputOf(call));
    const ofApi = (await listSchedules(db, fn.id)).filter(({ source }) => source === "api");
    if (ofApi.length >= API_MAX_COUNT) throw invalid([`the function has ${API_MAX_COUNT} already: remove some`]);
    const id = await named(fields.name, () => insertSchedule(db, fn.id, { ...fields, createdBy: authorOf(call) }));
    return { status: 201, body: await view(await again({ functionId: fn.id, id, name: fields.name })) };
  }

  async function change(call: ApiCall) {
    const before = await find(call, "functions:write");
    const input = await inputOf(call);
    const { paused: _, ...others } = input;
    if (before.source !== "api" && Object.keys(others).length > 0) throw comesWithVersion(before, "change");
    const fields = fieldsOf(before, input);
    await named(fields.name, () => updateSchedule(db, before.id, fields));
    return { status: 200, body: await view(await again(before)) };
  }

  async function remove(call: ApiCall) {
    const found = await find(call, "functions:write");
    if (found.source !== "api") throw comesWithVersion(found, "remove");
    if (!await deleteSchedule(db, found.id)) throw scheduleNotFound(found.functionName, found.name);
    return { status: 204 };
  }

  async function run(call: ApiCall) {
    const found = await find(call, "functions:write");
    const fn = functionFor(call, "functions:write");
    if (!fn.enabled) {
      throw new PlatformError(
        "FUNCTION_DISABLED",
        `Cannot run schedule "${found.name}": function "${fn.name}" is disabled; enable it with {"enabled": true}`,
      );
    }
    if (isFull(fn.id)) {
      throw new PlatformError("QUEUE_FULL", `Cannot run schedule "${found.name}": too many tasks of "${fn.name}" wait`);
    }
    const tick = { id: crypto.randomUUID(), atMs: Date.now(), caller };
    await db.transaction().execute(async (trx) => {
      await insertTicks(trx, [{ scheduleId: found.id, atMs: tick.atMs, taskId: tick.id, skipped: null }]);
      await insertTasks(trx, [tickTask({ ...found, retries: fn.settings.retries ?? null }, tick)]);
      await noteTask(trx, found.id, tick.id);
    });
    announce();
    return { status: 202, body: { task_id: tick.id, status_url: `${place.baseUrl}/api/v1/tasks/${tick.id}` } };
  }

  async function named<Result>(name: string, save: () => Promise<Result>): Promise<Result> {
    try {
      return await save();
    } catch (error) {
      if (!isUniqueViolation(error)) throw error;
      throw new PlatformError("ALREADY_EXISTS", `Schedule "${name}" of the function already exists: take another name`);
    }
  }

  const audit: Audit = {
    before: async (call) => await view(await find(call, "functions:write")),
    target: ({ namespace, function_name: fn, name, schedule }) =>
      typeof fn === "string"
        ? `schedule ${name} of ${namespace}/${fn}`
        : typeof schedule === "string"
        ? `schedule ${schedule.slice(0, 100)} of ${namespace}/${name}`
        : undefined,
  };
  const one = { status: 200, schema: scheduleSchema };
  return ["/functions/{name}/schedules", "/functions/{namespace}/{name}/schedules"].flatMap((path): Route[] => [
    {
      method: "GET",
      path,
      summary: "List schedules of a function with their next runs and last result",
      access: "functions:read",
      query: namespaceQuery,
      answer: { status: 200, schema: z.array(scheduleSchema) },
      handle: list,
    },
    {
      method: "POST",
      path,
      summary: "Create a schedule: a cron expression, or run_at for a single run",
      access: "functions:write",
      audit: { target: audit.target },
      query: namespaceQuery,
      body: inputSchema,
      answer: { status: 201, schema: scheduleSchema },
      handle: add,
    },
    {
      method: "GET",
      path: `${path}/{schedule}`,
      summary: "Get a schedule by id or name, with its last results",
      access: "functions:read",
      query: namespaceQuery,
      answer: { status: 200, schema: scheduleDetailsSchema },
      handle: read,
    },
    {
      method: "PATCH",
      path: `${path}/{schedule}`,
      summary: "Update a schedule; one that comes from the source can only be paused",
      access: "functions:write",
      audit,
      query: namespaceQuery,
      body: inputSchema,
      answer: one,
      handle: change,
    },
    {
      method: "DELETE",
      path: `${path}/{schedule}`,
      summary: "Delete a schedule",
      access: "functions:write",
      audit,
      query: namespaceQuery,
      answer: { status: 204 },
      handle: remove,
    },
    {
      method: "POST",
      path: `${path}/{schedule}/run`,
      summary: "Run a schedule now",
      access: "functions:write",
      audit,
      query: namespaceQuery,
      answer: { status: 202, schema: queuedTaskSchema },
      handle: run,
    },
  ]);
}

async function inputOf(call: ApiCall): Promise<Input> {
  const { data, error } = inputSchema.safeParse(await call.body());
  if (data !== undefined) return data;
  throw invalid(
    error.issues.map((issue) =>
      issue.code === "unrecognized_keys"
        ? issue.keys.map((key) => unknownField(key, Object.keys(inputSchema.shape))).join("; ")
        : `"${issue.path.join(".") || "body"}" ${issue.message}`
    ),
  );
}

/** What is sent replaces; an expression may bring its time zone and more along, as in an annotation. */
function fieldsOf(before: ScheduleFields, input: Input): ScheduleFields {
  const problems: string[] = [];
  const said = typeof input.cron === "string" ? parseScheduleText(input.cron) : undefined;
  if (said !== undefined && "fault" in said) {
    throw invalid([`"cron" ${said.fault} (at character ${said.at + 1})`]);
  }
  const sentRunAt = input.run_at === undefined ? undefined : input.run_at === null ? null : new Date(input.run_at);
  // One kind takes the place of the other.
  const cron = said?.cron ?? (input.cron === null || sentRunAt ? null : before.cron);
  const runAt = sentRunAt === undefined ? (said === undefined ? before.runAt : null) : sentRunAt;
  if ((cron === null) === (runAt === null)) {
    problems.push('it needs either "cron", such as "0 9 * * MON-FRI Europe/Paris", or "run_at", an instant');
  }
  if (sentRunAt && sentRunAt.getTime() <= Date.now()) {
    problems.push(`"run_at" is ${sentRunAt.toISOString()}: it must be in the future`);
  }
  const saidZone = said !== undefined && said.time_zone !== DEFAULTS.timeZone ? said.time_zone : undefined;
  const timeZone = input.time_zone ?? saidZone ?? before.timeZone;
  const fault = cron === null ? undefined : faultInTiming({ cron, timeZone });
  if (fault !== undefined) problems.push(`"time_zone" or "cron" ${fault}`);
  const written = (option: RegExp) => typeof input.cron === "string" && option.test(input.cron) ? said : undefined;
  const name = input.name ?? written(/\bname=/)?.name ??
    (before.name || (cron === null ? `at ${runAt?.toISOString()}` : nameOf({ cron, timeZone })));
  const nameFault = faultInName(name);
  if (nameFault !== undefined) problems.push(`"name" is ${JSON.stringify(name.slice(0, 120))}: ${nameFault}`);
  if (problems.length > 0) throw invalid(problems);
  return {
    name,
    cron,
    timeZone,
    runAt,
    catchUp: input.catch_up ?? written(/\bcatch[-_]up=/)?.catch_up ?? before.catchUp,
    overlap: input.overlap ?? written(/\boverlap=/)?.overlap ?? before.overlap,
    isPaused: input.paused ?? before.isPaused,
  };
}

function viewOf(schedule: StoredSchedule, last: StoredTick | undefined): Schedule {
  const { cron, timeZone, runAt, isPaused } = schedule;
  const isToCome = runAt !== null && runAt.getTime() > Date.now();
  const next = cron === null ? (isToCome ? [runAt.toISOString()] : []) : nextRuns({ cron, time_zone: timeZone });
  return {
    id: schedule.id,
    function_name: schedule.functionName,
    namespace: schedule.namespace,
    name: schedule.name,
    source: schedule.source,
    cron,
    time_zone: timeZone,
    run_at: runAt?.toISOString() ?? null,
    catch_up: schedule.catchUp,
    overlap: schedule.overlap,
    paused: isPaused,
    next_runs: isPaused ? [] : next,
    last_tick: last === undefined ? null : tickView(last),
    created_at: schedule.createdAt.toISOString(),
    created_by: schedule.createdBy,
  };
}

function tickView({ at, skipped, taskId, taskState, executionId, statusCode, error }: StoredTick): ScheduleTick {
  return {
    scheduled_at: at.toISOString(),
    skipped,
    task_id: taskId,
    task_state: taskState,
    execution_id: executionId,
    status_code: statusCode,
    error,
  };
}

const WRITTEN = {
  annotation: "in a comment of its source",
  code: "in its source",
  field: 'in its field "cron_schedule"',
  api: "",
};

function comesWithVersion({ name, functionName, source }: StoredSchedule, verb: "change" | "remove"): PlatformError {
  return new PlatformError(
    "INVALID_ARGUMENT",
    `Cannot ${verb} schedule "${name}": function "${functionName}" says it ${
      WRITTEN[source]
    }; ${verb} it there, or pause it`,
  );
}

function scheduleNotFound(functionName: string, which: string): PlatformError {
  return new PlatformError(
    "NOT_FOUND",
    `Schedule "${which.slice(0, 100).replaceAll("\0", "")}" of function "${functionName}" not found`,
  );
}

function invalid(problems: readonly string[]): PlatformError {
  return new PlatformError("INVALID_ARGUMENT", `Cannot accept the schedule: ${problems.join("; ")}`, {
    details: { problems },
  });
}
