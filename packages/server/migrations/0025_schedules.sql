-- Rules by which functions are called at certain times.
create table fluxbase.schedules (
  id uuid primary key default gen_random_uuid(),
  function_id uuid not null references fluxbase.functions (id) on delete cascade,
  name text not null,
  -- Those of the API stay; the others come and go with the live version.
  source text not null check (source in ('annotation', 'code', 'field', 'api')),
  cron text,
  time_zone text not null default 'UTC',
  run_at timestamptz,
  catch_up text not null default 'once' check (catch_up in ('once', 'none', 'all')),
  overlap text not null default 'skip' check (overlap in ('skip', 'queue', 'allow')),
  paused_at timestamptz,
  -- Every instant up to this one has been seen to.
  seen_until timestamptz not null default now(),
  -- When a server has to look at it; null: never again, unless it is changed.
  look_at timestamptz default now(),
  -- Of the last instant that was not skipped.
  last_task_id uuid,
  created_at timestamptz not null default now(),
  created_by text,
  unique (function_id, name),
  check ((cron is null) <> (run_at is null))
);
create index schedules_look on fluxbase.schedules (look_at) where look_at is not null;

-- What became of each instant. Whoever inserts the row is the one who makes the task.
create table fluxbase.schedule_ticks (
  schedule_id uuid not null references fluxbase.schedules (id) on delete cascade,
  at timestamptz not null,
  -- Neither a task nor a reason: it waits for the one before it.
  task_id uuid,
  skipped text,
  primary key (schedule_id, at)
);
create index schedule_ticks_waiting on fluxbase.schedule_ticks (schedule_id, at) where task_id is null and skipped is null;
create index schedule_ticks_at on fluxbase.schedule_ticks (at);

-- Tells servers of what people change, and not that one of them has looked.
create function fluxbase.notify_schedules() returns trigger language plpgsql as $$
begin
  perform pg_notify('fluxbase_schedules', '');
  return null;
end
$$;
create trigger schedules_change after insert or update of cron, time_zone, run_at, paused_at on fluxbase.schedules
  for each statement execute function fluxbase.notify_schedules();
