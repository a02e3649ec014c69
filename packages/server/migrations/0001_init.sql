-- Functions and their versions, executions and their log lines, keys.
-- A version is one immutable deployment; the function row says which one is live.

create schema if not exists fluxbase;

create table fluxbase.functions (
  id uuid primary key default gen_random_uuid(),
  namespace text not null,
  name text not null,
  description text,
  enabled boolean not null default true,
  source text not null check (source in ('api', 'filesystem', 'dashboard')),
  live_version integer,
  latest_version integer not null default 0,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  created_by text,
  -- Soft delete: the row and its versions stay for 30 days.
  deleted_at timestamptz
);

create unique index functions_name_idx on fluxbase.functions (namespace, name) where deleted_at is null;

create table fluxbase.versions (
  function_id uuid not null references fluxbase.functions (id) on delete cascade,
  number integer not null check (number > 0),
  entry text not null,
  -- {path: source}, the entry included.
  files jsonb not null,
  -- FunctionSettings of the contract, complete.
  settings jsonb not null,
  env_names text[] not null default '{}',
  env_sealed bytea,
  bundle text,
  bundle_bytes integer,
  -- BuildProblem[] of the contract; empty when the build worked.
  problems jsonb not null default '[]',
  -- Of entry, files, settings and env: equal hashes are equal deployments.
  content_hash text not null,
  created_at timestamptz not null default now(),
  created_by text,
  primary key (function_id, number)
);

create function fluxbase.refuse_update() returns trigger language plpgsql as $$
begin
  raise exception 'Cannot change version % of a function: versions are immutable', old.number;
end
$$;

create trigger versions_are_immutable before update on fluxbase.versions
  for each row execute function fluxbase.refuse_update();

-- Every node keeps the live functions in memory and follows these notifications.
create function fluxbase.notify_function() returns trigger language plpgsql as $$
begin
  perform pg_notify('fluxbase_functions', new.id::text);
  return null;
end
$$;

create trigger functions_notify after insert or update on fluxbase.functions
  for each row execute function fluxbase.notify_function();

-- The id of an execution is the request id, which a client may choose and even repeat: it is unique only together
-- with the time, and log lines carry both.
create table fluxbase.executions (
  id text not null,
  function_id uuid not null,
  function_name text not null,
  namespace text not null,
  version integer not null,
  trigger_type text not null,
  status text not null,
  status_code integer,
  duration_ms double precision,
  queue_ms double precision not null default 0,
  cold_start boolean not null default false,
  method text not null,
  path text not null,
  user_id text,
  error_message text,
  error_code text,
  error_stack text,
  started_at timestamptz not null,
  completed_at timestamptz
) partition by range (started_at);

create index executions_function_idx on fluxbase.executions (function_id, started_at desc);
create index executions_id_idx on fluxbase.executions (id);
create index executions_started_idx on fluxbase.executions (started_at desc);

create table fluxbase.execution_logs (
  execution_id text not null,
  function_id uuid not null,
  -- Start of the execution: the partition key.
  started_at timestamptz not null,
  line_number integer not null,
  logged_at timestamptz not null,
  level text not null,
  message text not null,
  fields jsonb
) partition by range (started_at);

create index execution_logs_execution_idx on fluxbase.execution_logs (execution_id, line_number);
create index execution_logs_function_idx on fluxbase.execution_logs (function_id, logged_at desc);

-- Successes beyond the row budget of a node, folded per function, second and node: counts stay exact.
create table fluxbase.execution_rollups (
  function_id uuid not null,
  second timestamptz not null,
  node text not null,
  count bigint not null,
  error_count bigint not null,
  -- How many took up to 1, 2, 4, 8 … ms; the last bucket is open.
  latency_buckets bigint[] not null,
  primary key (function_id, second, node)
);

create index execution_rollups_second_idx on fluxbase.execution_rollups (second);

-- Makes the partition of one day. Several nodes may try at once.
create function fluxbase.ensure_partition(parent text, day date) returns void language plpgsql as $$
declare
  partition_name text := parent || '_' || to_char(day, 'YYYYMMDD');
begin
  if to_regclass('fluxbase.' || partition_name) is not null then
    return;
  end if;
  perform pg_advisory_xact_lock(hashtext('fluxbase.partitions'));
  execute format(
    'create table if not exists fluxbase.%I partition of fluxbase.%I for values from (%L) to (%L)',
    partition_name, parent, day::text || ' 00:00:00+00', (day + 1)::text || ' 00:00:00+00');
end
$$;

-- Drops the partitions of days before the given one.
create function fluxbase.drop_partitions_before(parent text, day date) returns integer language plpgsql as $$
declare
  partition record;
  dropped integer := 0;
begin
  for partition in
    select child.relname as name
      from pg_inherits
      join pg_class child on child.oid = pg_inherits.inhrelid
     where pg_inherits.inhparent = ('fluxbase.' || parent)::regclass
       and right(child.relname, 8) < to_char(day, 'YYYYMMDD')
  loop
    execute format('drop table if exists fluxbase.%I', partition.name);
    dropped := dropped + 1;
  end loop;
  return dropped;
end
$$;

create table fluxbase.keys (
  id uuid primary key default gen_random_uuid(),
  kind text not null check (kind in ('client', 'service')),
  name text not null,
  description text,
  -- The first characters, to recognise a key by.
  key_prefix text not null,
  -- SHA-256 of the key, which has 256 random bits: a slow hash would add nothing.
  key_hash bytea not null unique,
  scopes text[] not null,
  namespaces text[],
  created_at timestamptz not null default now(),
  created_by text,
  expires_at timestamptz,
  revoked_at timestamptz,
  last_used_at timestamptz
);

create function fluxbase.notify_key() returns trigger language plpgsql as $$
begin
  perform pg_notify('fluxbase_keys', coalesce(new.id, old.id)::text);
  return null;
end
$$;

create trigger keys_notify after insert or delete or update of revoked_at, expires_at, scopes, namespaces on fluxbase.keys
  for each row execute function fluxbase.notify_key();
