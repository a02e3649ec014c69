-- Secrets of the server (user_id is empty) and of users, encrypted.
create table fluxbase.secrets (
  id uuid primary key default gen_random_uuid(),
  user_id text not null default '',
  key text not null,
  sealed bytea not null,
  description text,
  created_by text,
  updated_by text,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  unique (user_id, key)
);

-- From which the key of a user is derived, together with the server's.
create table fluxbase.secret_salts (
  user_id text primary key,
  salt bytea not null
);

create function fluxbase.notify_secret() returns trigger language plpgsql as $$
begin
  perform pg_notify('fluxbase_secrets', coalesce(new.user_id, old.user_id));
  return null;
end
$$;

create trigger secrets_notify after insert or update or delete on fluxbase.secrets
  for each row execute function fluxbase.notify_secret();
