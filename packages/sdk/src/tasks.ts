/**
 * Tasks: calls of functions that are kept until they are answered or given up.
 *
 * @module
 */
import type { Task, TaskDetails, TaskState } from "@fluxbase/contract";
import type { Http } from "./http.ts";
import { placeOf } from "./place.ts";

export interface ListTasks {
  readonly namespace?: string;
  /** Name of the function. */
  readonly function?: string;
  readonly state?: TaskState;
  /** Such as `task`, `cron` or `hook`. */
  readonly trigger?: string;
  /** Of the schedule or hook that made them. */
  readonly source_id?: string;
  /** Of the last task of the page before. */
  readonly cursor?: string;
  /** 50 without; at most 1,000. */
  readonly limit?: number;
}

const BASE = "/api/v1/tasks";

export class TasksClient {
  readonly #http: Http;

  constructor(http: Http) {
    this.#http = http;
  }

  /** Newest first. */
  async list(query: ListTasks = {}): Promise<Task[]> {
    return await this.#http.request("GET", BASE, { query: { ...query } });
  }

  /** With what was sent, and the function's last answer. */
  async get(id: string): Promise<TaskDetails> {
    return await this.#http.request("GET", pathOf(id));
  }

  /** An attempt that runs is aborted. */
  async cancel(id: string): Promise<Task> {
    return await this.#http.request("POST", `${pathOf(id)}/cancel`);
  }

  /** Runs one that is over again, with all its attempts. */
  async retry(id: string): Promise<Task> {
    return await this.#http.request("POST", `${pathOf(id)}/retry`);
  }

  /** Runs all dead tasks of a function again. */
  async retryDead(name: string, options: { readonly namespace?: string } = {}): Promise<{ readonly retried: number }> {
    return await this.#http.request("POST", `/api/v1/functions/${placeOf(name, options.namespace)}/tasks/retry`);
  }

  async delete(id: string): Promise<void> {
    await this.#http.request("DELETE", pathOf(id));
  }
}

function pathOf(id: string): string {
  return `${BASE}/${encodeURIComponent(id)}`;
}
