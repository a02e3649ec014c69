-- How often a key may be used in an hour and in a day, beside a minute.
alter table fluxbase.keys
  add column rate_limit_per_hour int check (rate_limit_per_hour > 0),
  add column rate_limit_per_day int check (rate_limit_per_day > 0);

drop trigger keys_notify on fluxbase.keys;

create trigger keys_notify
  after insert or delete
  or update of key_hash, revoked_at, expires_at, scopes, namespaces, rate_limit_per_minute, rate_limit_per_hour,
    rate_limit_per_day, user_id, disabled_at, grace_ends_at, previous_hash, previous_until
  on fluxbase.keys for each row execute function fluxbase.notify_key();

-- Values that programs of the users keep here, in plain text: those of the server (user_id is empty) and of users.
create table fluxbase.custom_settings (
  id uuid primary key default gen_random_uuid(),
  user_id text not null default '',
  key text not null,
  value jsonb not null,
  value_type text not null default 'json',
  description text,
  -- Of the server: whoever asks may read it.
  is_public boolean not null default false,
  metadata jsonb,
  created_by text,
  updated_by text,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  unique (user_id, key)
);
