-- Requests to run a function that are kept until they are answered or given up.
create table fluxbase.tasks (
  id uuid primary key,
  function_id uuid not null references fluxbase.functions (id) on delete cascade,
  state text not null default 'waiting' check (state in ('waiting', 'running', 'done', 'dead', 'cancelled')),
  -- What made it, as executions call it, and the id of the schedule or hook.
  trigger_type text not null,
  source_id text,
  -- Who made it: what the function is told of the caller, and who may ask about the task.
  caller jsonb not null,
  method text not null,
  -- Path and query as the function sees them, and what of the path follows the function's own.
  url text not null,
  path text not null,
  headers jsonb not null,
  body bytea,
  -- Tasks of one function and key are one task, for a day.
  dedupe_key text,
  run_at timestamptz not null default now(),
  retries integer not null,
  attempts integer not null default 0,
  lease_node text,
  lease_until timestamptz,
  execution_id text,
  status_code integer,
  answer_type text,
  answer bytea,
  answer_is_cut boolean not null default false,
  error text,
  error_code text,
  created_at timestamptz not null default now(),
  created_by text,
  finished_at timestamptz
) with (fillfactor = 80);

create unique index tasks_dedupe on fluxbase.tasks (function_id, dedupe_key) where dedupe_key is not null;
create index tasks_due on fluxbase.tasks (run_at) where state = 'waiting';
create index tasks_waiting on fluxbase.tasks (function_id, run_at, id) where state = 'waiting';
create index tasks_running on fluxbase.tasks (function_id) where state = 'running';
create index tasks_leases on fluxbase.tasks (lease_until) where state = 'running';
create index tasks_source on fluxbase.tasks (source_id, created_at) where source_id is not null;
create index tasks_newest on fluxbase.tasks (created_at desc, id desc);
create index tasks_of_function on fluxbase.tasks (function_id, created_at desc, id desc);
create index tasks_finished on fluxbase.tasks (finished_at) where finished_at is not null;

-- Takes up to `room` tasks for a node. Looking whether anything is due costs one look into an index and no lock. Claims
-- wait for one another, so that each counts what the others have taken: a function never has more attempts than it may.
-- Every function that waits gets its first task before any gets its second.
create function fluxbase.claim_tasks(node text, room integer, lease_sec double precision, default_concurrency integer)
returns setof fluxbase.tasks language plpgsql
set enable_seqscan = off as $$
begin
  if exists (select from fluxbase.tasks where state = 'running' and lease_until < now()) then
    update fluxbase.tasks t
       set state = case when t.attempts > t.retries then 'dead' else 'waiting' end, run_at = now(),
           finished_at = case when t.attempts > t.retries then now() end, lease_node = null, lease_until = null,
           error = 'the server that ran it has ended', error_code = 'SANDBOX_DIED'
     where t.id in (select l.id from fluxbase.tasks l where l.state = 'running' and l.lease_until < now()
                     for update skip locked);
  end if;
  if not exists (select from fluxbase.tasks where state = 'waiting' and run_at <= now()) then
    return;
  end if;
  perform pg_advisory_xact_lock(hashtext('fluxbase.tasks'));
  return query
    with recursive waiting as (
      (select t.function_id from fluxbase.tasks t where t.state = 'waiting' order by t.function_id limit 1)
      union all
      select (select t.function_id from fluxbase.tasks t
               where t.state = 'waiting' and t.function_id > w.function_id order by t.function_id limit 1)
        from waiting w where w.function_id is not null
    ), open as (
      select w.function_id, coalesce((v.settings ->> 'taskConcurrency')::integer, default_concurrency)
               - (select count(*) from fluxbase.tasks r where r.function_id = w.function_id and r.state = 'running') as places
        from waiting w
        join fluxbase.functions f on f.id = w.function_id and f.enabled and f.deleted_at is null
        join fluxbase.versions v on v.function_id = f.id and v.number = f.live_version
    ), due as (
      select d.id, d.run_at, d.turn
        from open o cross join lateral (
          select t.id, t.run_at, row_number() over (order by t.run_at, t.id) as turn
            from fluxbase.tasks t
           where t.state = 'waiting' and t.function_id = o.function_id and t.run_at <= now()
           order by t.run_at, t.id limit greatest(0, least(o.places, room))
        ) d
       order by d.turn, d.run_at, d.id limit room
    ), taken as (
      select t.id from fluxbase.tasks t where t.id in (select d.id from due d) and t.state = 'waiting'
         for update skip locked
    )
    update fluxbase.tasks t
       set state = 'running', attempts = t.attempts + 1, lease_node = node,
           lease_until = now() + make_interval(secs => lease_sec)
      from taken where t.id = taken.id
    returning t.*;
end
$$;

alter table fluxbase.executions add column task_id uuid;
alter table fluxbase.executions add column task_attempt integer;
create index executions_task on fluxbase.executions (task_id) where task_id is not null;
