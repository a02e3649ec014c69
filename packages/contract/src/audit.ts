/**
 * Entries of the audit log as they travel over HTTP.
 *
 * @module
 */
export interface AuditEntry {
  readonly id: string;
  readonly timestamp: string;
  readonly request_id: string;
  /** `anonymous`, `anon`, `user`, `key`, `service`; `unknown` where the credential was refused. */
  readonly actor_kind: string;
  /** Of the user or the key. */
  readonly actor_id: string | null;
  readonly actor_role: string | null;
  /** Of the client. */
  readonly address: string;
  readonly user_agent: string | null;
  /** Method and path of the route, such as `PATCH /functions/{name}`. */
  readonly action: string;
  /** What it was about, such as `default/hello`. */
  readonly target: string | null;
  readonly status: number;
  /** Of the error; null when it was done. */
  readonly code: string | null;
  /** Why the caller was refused. */
  readonly reason: string | null;
  /** By field; sources as hashes, never a secret. */
  readonly changes: Readonly<Record<string, { readonly before?: unknown; readonly after?: unknown }>> | null;
}
