/**
 * What a client throws: the server's own words, or why there are none.
 *
 * @module
 */

export interface FluxbaseErrorFacts {
  readonly status: number;
  readonly code: string;
  readonly requestId?: string | null;
  readonly details?: Readonly<Record<string, unknown>>;
  readonly cause?: unknown;
}

export class FluxbaseError extends Error {
  override readonly name = "FluxbaseError";
  /** HTTP status of the answer; 0 when there was none. */
  readonly status: number;
  /**
   * From the server's closed list; `NETWORK_ERROR`, `TIMEOUT` or `ABORTED` when there was no answer, `INVALID_JSON` when it
   * cannot be read.
   */
  readonly code: string;
  /** Also the id of the execution; null when the request never arrived. */
  readonly requestId: string | null;
  /** Facts of the case, such as `retry_after` or `limit`. */
  readonly details: Readonly<Record<string, unknown>>;

  constructor(message: string, { status, code, requestId, details, cause }: FluxbaseErrorFacts) {
    super(message, { cause });
    this.status = status;
    this.code = code;
    this.requestId = requestId ?? null;
    this.details = details ?? {};
  }
}

/** Reads the error out of an answer of 400 and above, of the platform or of a function. */
export async function errorOf(response: Response): Promise<FluxbaseError> {
  const { status, headers } = response;
  const text = await response.text().catch(() => "");
  const body = parseObject(text);
  const { error, message, code, request_id: _requestId, ...details } = body;
  const said = typeof error === "string" ? error : typeof message === "string" ? message : "";
  return new FluxbaseError(said || text.slice(0, 500) || `The server answered ${status}`, {
    status,
    code: typeof code === "string" ? code : `HTTP_${status}`,
    requestId: headers.get("x-request-id"),
    details,
  });
}

function parseObject(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? value as Record<string, unknown> : {};
  } catch {
    return {};
  }
}
