/**
 * Calls of a function as its callers make them: straight from the browser, with their own credential or none.
 *
 * @module
 */
import { createClient, type Execution, type FluxbaseClient, type LogEntry } from "@fluxbase/sdk";
import { SERVER_URL } from "../server.ts";
import { type FunctionPlace, pathOf } from "./functions.ts";

export const METHODS = ["POST", "GET", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"] as const;
export const CALLERS = ["me", "anonymous", "user", "key"] as const;

/** As it is filled in. */
export interface TestRequest {
  readonly method: typeof METHODS[number];
  /** Below the function's own path, with a query. */
  readonly path: string;
  /** Lines such as `x-name: value`. */
  readonly headers: string;
  readonly body: string;
  readonly caller: typeof CALLERS[number];
  /** E-mail of the one it is called as. */
  readonly user: string;
}

const FIRST_REQUEST: TestRequest = {
  method: "POST",
  path: "",
  headers: "",
  body: '{\n  "name": "Alice"\n}',
  caller: "me",
  user: "",
};

export interface TestAnswer {
  readonly status: number;
  readonly statusText: string;
  readonly headers: readonly (readonly [string, string])[];
  /** Of a body that is no text: undefined. */
  readonly text: string | undefined;
  readonly byteCount: number;
  readonly isWhole: boolean;
  /** From sending it to the head of the answer, and to its end so far. */
  readonly headMs: number;
  readonly totalMs: number;
  readonly requestId: string;
}

/** More is counted, and not shown. */
const SHOWN_MAX_BYTES = 1024 * 1024;

/** @throws {FluxbaseError} when there is no answer; @throws {TypeError} for a header that cannot be */
export async function callFunction(
  place: FunctionPlace,
  request: TestRequest,
  { me, key, signal, onProgress }: {
    readonly me: FluxbaseClient;
    readonly key: string;
    readonly signal: AbortSignal;
    /** Also while the body comes. */
    readonly onProgress: (answer: TestAnswer) => void;
  },
): Promise<TestAnswer> {
  const { method, path, body, caller } = request;
  const client = caller === "me" ? me : createClient(SERVER_URL, await credentialOf(request, { me, key }), APART);
  const headers = headersOf(request.headers);
  // By which its execution is found, whatever it answers.
  const requestId = headers.get("x-request-id") ?? crypto.randomUUID();
  headers.set("x-request-id", requestId);
  const startedMs = performance.now();
  const response = await client.functions.fetch(pathOf(place), {
    method,
    path: path.startsWith("?") ? `/${path}` : path,
    headers,
    signal,
    ...(body === "" ? {} : { body }),
  });
  const isText = isTextual(response.headers.get("content-type") ?? "");
  const decoder = new TextDecoder();
  const facts = {
    status: response.status,
    statusText: response.statusText,
    headers: [...response.headers],
    headMs: performance.now() - startedMs,
    requestId,
  };
  let byteCount = 0;
  let text = "";
  const answer = (isWhole: boolean): TestAnswer => ({
    ...facts,
    text: isText ? text : undefined,
    byteCount,
    isWhole,
    totalMs: performance.now() - startedMs,
  });
  onProgress(answer(false));
  if (response.body !== null) {
    const reader = response.body.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      if (isText && byteCount < SHOWN_MAX_BYTES) text += decoder.decode(value, { stream: true });
      byteCount += value.length;
      onProgress(answer(false));
    }
  }
  return answer(true);
}

/** With no session of its own, and what is refused is to be seen, not sent again. */
const APART = { storage: null, retries: 0 };

/** A token of a user is good for a few minutes, and its making is in the audit log. @throws {Error} without such a user */
async function credentialOf(
  { caller, user }: TestRequest,
  { me, key }: { readonly me: FluxbaseClient; readonly key: string },
): Promise<string | undefined> {
  if (caller !== "user") return caller === "key" ? key : undefined;
  const wanted = user.trim().toLowerCase();
  const { users } = await me.admin.users.list({ search: wanted, limit: 100 });
  const found = users.find(({ id, email }) => id === wanted || email?.toLowerCase() === wanted);
  if (found === undefined) throw new Error(`No user with the e-mail "${user.trim()}" was found`);
  return (await me.admin.users.tokenFor(found.id)).access_token;
}

/** @throws {TypeError} */
function headersOf(lines: string): Headers {
  const headers = new Headers();
  for (const line of lines.split("\n")) {
    if (line.trim() === "") continue;
    const colon = line.indexOf(":");
    if (colon < 1) throw new TypeError(`"${line.trim()}" is no header: write it such as x-name: value`);
    headers.append(line.slice(0, colon).trim(), line.slice(colon + 1).trim());
  }
  return headers;
}

function isTextual(type: string): boolean {
  return type === "" || /^text\/|json|xml|javascript|x-www-form-urlencoded|event-stream/i.test(type);
}

export interface CallRecord {
  readonly execution: Execution;
  readonly lines: readonly LogEntry[];
}

const LOOK_AGAIN_MS = 400;
const LOOKS_COUNT = 5;
const LINES_MAX_COUNT = 200;

/** What the server has recorded of it; undefined where there was no execution, or one may not see it. */
export async function recordOf(
  client: FluxbaseClient,
  place: FunctionPlace,
  requestId: string,
): Promise<CallRecord | undefined> {
  for (let look = 0; look < LOOKS_COUNT; look += 1) {
    const [execution] = await client.functions.getExecutions(pathOf(place), { request_id: requestId, limit: 1 });
    if (execution !== undefined) {
      const query = { execution_id: execution.id, limit: LINES_MAX_COUNT };
      const lines = await client.functions.getLogs(pathOf(place), query);
      return { execution, lines: lines.toReversed() };
    }
    await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN_MS));
  }
  return undefined;
}

const SAVED_MAX_COUNT = 30;
const savedKey = (place: FunctionPlace) => `fluxbase.requests.${SERVER_URL}.${pathOf(place)}`;

export interface SavedRequests {
  readonly last: TestRequest;
  readonly named: Readonly<Record<string, TestRequest>>;
}

export function readRequests(place: FunctionPlace): SavedRequests {
  try {
    const kept: Partial<SavedRequests> = JSON.parse(localStorage.getItem(savedKey(place)) ?? "{}");
    return { last: { ...FIRST_REQUEST, ...kept.last }, named: kept.named ?? {} };
  } catch {
    return { last: FIRST_REQUEST, named: {} };
  }
}

export function keepRequests(place: FunctionPlace, { last, named }: SavedRequests): void {
  try {
    const newest = Object.fromEntries(Object.entries(named).slice(-SAVED_MAX_COUNT));
    localStorage.setItem(savedKey(place), JSON.stringify({ last, named: newest }));
  } catch {
    // They are gone with the page then.
  }
}
