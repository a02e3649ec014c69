/**
 * Settings that programs keep on a server, as they travel over HTTP.
 *
 * @module
 */
export interface SettingView {
  readonly id: string;
  readonly key: string;
  /** Any JSON. */
  // deno-lint-ignore no-explicit-any -- whoever set it knows what it is
  readonly value: any;
  readonly value_type: string;
  readonly description: string | null;
  /** Everybody may read it. */
  readonly is_public: boolean;
  // deno-lint-ignore no-explicit-any -- whoever set it knows what it is
  readonly metadata: any;
  readonly created_by: string | null;
  readonly updated_by: string | null;
  readonly created_at: string;
  readonly updated_at: string;
}

export interface UserSettingView {
  readonly id: string;
  readonly key: string;
  /** Any JSON. */
  // deno-lint-ignore no-explicit-any -- whoever set it knows what it is
  readonly value: any;
  readonly description: string | null;
  readonly user_id: string;
  readonly created_at: string;
  readonly updated_at: string;
}
