/**
 * What a server is set to, and its backups, as they travel over HTTP.
 *
 * @module
 */
export interface ServerSetting {
  /** Of its environment variable. */
  readonly name: string;
  /** Its path in fluxbase.yaml. */
  readonly yaml: string;
  /** As it would be written; null: unset, or a secret. */
  readonly value: string | null;
  readonly default: string | null;
  readonly source: "environment" | "file" | "default";
  readonly is_secret: boolean;
  /** What a value must be. */
  readonly expected: string;
  readonly about: string;
}

export interface BackupView {
  readonly name: string;
  readonly size_bytes: number;
  readonly created_at: string;
}

export interface BackupsView {
  /** Null: this server makes no backups by itself. */
  readonly schedule: {
    readonly dir: string;
    readonly every_hours: number;
    /** Older ones are removed. */
    readonly keep: number;
  } | null;
  /** Newest first. */
  readonly backups: readonly BackupView[];
  /** One is being made by this server. */
  readonly running: boolean;
  /** Why the last one failed; null after one that did not. */
  readonly last_error: string | null;
}
