/**
 * Schedules: rules by which functions are called at certain times.
 *
 * @module
 */
import type { CatchUp, Overlap, QueuedTask, Schedule, ScheduleDetails } from "@fluxbase/contract";
import type { Http } from "./http.ts";
import { placeOf } from "./place.ts";

export interface ScheduleFields {
  /** What it is called: the expression without. */
  readonly name?: string;
  /** Such as `0 9 * * MON-FRI`, `0 9 * * MON-FRI Europe/Paris` or `@hourly`. */
  readonly cron?: string | null;
  /** Of IANA, such as `Europe/Paris`; UTC without. */
  readonly time_zone?: string;
  /** Instead of `cron`: the one instant at which it runs. */
  readonly run_at?: string | null;
  /** What is made up for when no server was running: `once` (as without), `none`, or `all`, at most 100. */
  readonly catch_up?: CatchUp;
  /** While the call before is not over: `skip` (as without), `queue` or `allow`. */
  readonly overlap?: Overlap;
  readonly paused?: boolean;
}

interface InNamespace {
  readonly namespace?: string;
}

export class SchedulesClient {
  readonly #http: Http;

  constructor(http: Http) {
    this.#http = http;
  }

  /** Those that the function's version brings along, and those that were added. */
  async list(functionName: string, options: InNamespace = {}): Promise<Schedule[]> {
    return await this.#http.request("GET", pathOf(functionName, options));
  }

  /** By name or id, with what became of its last instants. */
  async get(functionName: string, schedule: string, options: InNamespace = {}): Promise<ScheduleDetails> {
    return await this.#http.request("GET", pathOf(functionName, options, schedule));
  }

  /** It stays when the function is deployed again. */
  async add(functionName: string, fields: ScheduleFields, options: InNamespace = {}): Promise<Schedule> {
    return await this.#http.request("POST", pathOf(functionName, options), { body: fields });
  }

  async update(
    functionName: string,
    schedule: string,
    change: ScheduleFields,
    options: InNamespace = {},
  ): Promise<Schedule> {
    return await this.#http.request("PATCH", pathOf(functionName, options, schedule), { body: change });
  }

  /** Instants go by until it is resumed; they are not made up for. */
  async pause(functionName: string, schedule: string, options: InNamespace = {}): Promise<Schedule> {
    return await this.update(functionName, schedule, { paused: true }, options);
  }

  async resume(functionName: string, schedule: string, options: InNamespace = {}): Promise<Schedule> {
    return await this.update(functionName, schedule, { paused: false }, options);
  }

  /** At once, as at an instant of the schedule. */
  async run(functionName: string, schedule: string, options: InNamespace = {}): Promise<QueuedTask> {
    return await this.#http.request("POST", `${pathOf(functionName, options, schedule)}/run`);
  }

  async remove(functionName: string, schedule: string, options: InNamespace = {}): Promise<void> {
    await this.#http.request("DELETE", pathOf(functionName, options, schedule));
  }
}

function pathOf(functionName: string, { namespace }: InNamespace, schedule?: string): string {
  const path = `/api/v1/functions/${placeOf(functionName, namespace)}/schedules`;
  return schedule === undefined ? path : `${path}/${encodeURIComponent(schedule)}`;
}
