-- People who sign in, and how long they stay signed in.
create table fluxbase.users (
  id uuid primary key default gen_random_uuid(),
  -- As it is compared: in lower case.
  email text not null unique,
  password_hash text not null,
  role text not null check (role in ('authenticated', 'admin')),
  email_verified boolean not null default false,
  user_metadata jsonb not null default '{}',
  app_metadata jsonb not null default '{}',
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);

create table fluxbase.sessions (
  id uuid primary key default gen_random_uuid(),
  user_id uuid not null references fluxbase.users (id) on delete cascade,
  created_at timestamptz not null default now(),
  expires_at timestamptz not null,
  ended_at timestamptz
);

create index sessions_user on fluxbase.sessions (user_id);
create index sessions_ended on fluxbase.sessions (ended_at) where ended_at is not null;

-- One after the other for each session: whoever shows one that was used before has a copy.
create table fluxbase.refresh_tokens (
  token_hash bytea primary key,
  session_id uuid not null references fluxbase.sessions (id) on delete cascade,
  created_at timestamptz not null default now(),
  used_at timestamptz
);

create index refresh_tokens_session on fluxbase.refresh_tokens (session_id);

-- Every node refuses the access tokens of a session that has ended.
create function fluxbase.notify_session() returns trigger language plpgsql as $$
begin
  perform pg_notify('fluxbase_sessions', old.id::text);
  return null;
end
$$;

create trigger sessions_notify_end after update of ended_at on fluxbase.sessions
  for each row execute function fluxbase.notify_session();
create trigger sessions_notify_delete after delete on fluxbase.sessions
  for each row execute function fluxbase.notify_session();
