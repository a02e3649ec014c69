-- Functions that are called when rows of users' tables change. The tables are in the users' database, and so are the
-- triggers and what they write down; here is what an admin asked for.
create table fluxbase.db_hooks (
  id uuid primary key default gen_random_uuid(),
  function_id uuid not null references fluxbase.functions (id) on delete cascade,
  -- As it was called last; the number is that of the same table when it is renamed.
  table_schema text not null,
  table_name text not null,
  table_oid bigint not null,
  events text[] not null,
  columns text[],
  filter text,
  ordered boolean not null default false,
  created_by text,
  created_at timestamptz not null default now()
);

create function fluxbase.notify_db_hooks() returns trigger language plpgsql as $$
begin
  perform pg_notify('fluxbase_db_hooks', '');
  return null;
end
$$;

create trigger db_hooks_notify after insert or update or delete on fluxbase.db_hooks
  for each statement execute function fluxbase.notify_db_hooks();

-- Events of accounts for functions that are told of them, written in the transaction of the change; the users' database
-- has a table like it for events of rows. `hook_id` stands for a function and an event.
create table fluxbase.outbox (
  id bigint generated always as identity primary key,
  hook_id uuid not null,
  type text not null,
  record jsonb,
  old_record jsonb,
  is_cut boolean not null,
  written_at timestamptz not null default now(),
  attempts integer not null default 0,
  due_at timestamptz not null default now(),
  is_running boolean not null default false,
  died_at timestamptz,
  error text
);

create index outbox_waiting on fluxbase.outbox (hook_id, id) where died_at is null;
create index outbox_running on fluxbase.outbox (hook_id) where is_running;
create index outbox_due on fluxbase.outbox (hook_id, due_at, id) where died_at is null;

-- So that a sign-in does not look at every function.
create index versions_hooks on fluxbase.versions (function_id, number) where settings ? 'hooks';

create function fluxbase.note_user(event text, who fluxbase.users) returns void language plpgsql as $$
declare
  facts jsonb := jsonb_build_object(
    'id', who.id, 'email', who.email, 'role', who.role, 'email_verified', who.email_verified,
    'user_metadata', who.user_metadata, 'app_metadata', who.app_metadata,
    'created_at', who.created_at, 'updated_at', who.updated_at
  );
begin
  insert into fluxbase.outbox (hook_id, type, record, is_cut)
  select md5(f.id::text || event)::uuid, event, facts, false
    from fluxbase.versions v join fluxbase.functions f on f.id = v.function_id and f.live_version = v.number
   where v.settings ? 'hooks' and v.settings -> 'hooks' ? event and f.deleted_at is null;
  if found then perform pg_notify('fluxbase_outbox', ''); end if;
end
$$;

create function fluxbase.note_user_created() returns trigger language plpgsql as $$
begin
  perform fluxbase.note_user('user_created', new);
  return null;
end
$$;

create function fluxbase.note_user_deleted() returns trigger language plpgsql as $$
begin
  perform fluxbase.note_user('user_deleted', old);
  return null;
end
$$;

create function fluxbase.note_user_signed_in() returns trigger language plpgsql as $$
begin
  perform fluxbase.note_user('user_signed_in', u) from fluxbase.users u where u.id = new.user_id;
  return null;
end
$$;

create trigger users_created after insert on fluxbase.users
  for each row execute function fluxbase.note_user_created();
create trigger users_deleted after delete on fluxbase.users
  for each row execute function fluxbase.note_user_deleted();
create trigger sessions_signed_in after insert on fluxbase.sessions
  for each row execute function fluxbase.note_user_signed_in();
