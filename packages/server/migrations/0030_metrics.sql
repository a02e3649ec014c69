-- Counts of everything that was called, by function, version, trigger and minute, and the same by hour. They hold what
-- has a row among the executions and what was only counted, so that they are exact whatever was folded.
-- Every server adds to the same row. The function of all zeros has the sums over all functions.
create table fluxbase.execution_minutes (
  function_id uuid not null,
  version integer not null,
  -- Empty for what no single call is charged with: the processor time of a sandbox.
  trigger_type text not null,
  minute timestamptz not null,
  -- Numbers by name, those of zero left out; packages/server/src/executions/count_names.ts has the names.
  counts jsonb not null,
  -- The most that one sandbox had.
  memory_mib double precision not null default 0,
  primary key (function_id, minute, version, trigger_type)
) partition by range (minute);

create index execution_minutes_time_idx on fluxbase.execution_minutes using brin (minute);

create table fluxbase.execution_hours (
  function_id uuid not null,
  version integer not null,
  trigger_type text not null,
  hour timestamptz not null,
  counts jsonb not null,
  memory_mib double precision not null default 0,
  primary key (function_id, hour, version, trigger_type)
);

create index execution_hours_time_idx on fluxbase.execution_hours using brin (hour);

create function fluxbase.add_counts(a jsonb, b jsonb) returns jsonb language sql immutable parallel safe as $$
  select coalesce(pg_catalog.jsonb_object_agg(name, total), '{}'::pg_catalog.jsonb)
    from (select key as name, pg_catalog.sum(value::pg_catalog.numeric) as total
            from (select key, value from pg_catalog.jsonb_each_text(a)
                  union all
                  select key, value from pg_catalog.jsonb_each_text(b)) as both_
           group by key) as sums
$$;

-- Held only what had no row, by function and second, and nobody read it.
drop table fluxbase.execution_rollups;

alter table fluxbase.executions
  -- The server that ran it.
  add column node text,
  -- Null where it was over before anybody looked.
  add column cpu_ms double precision,
  add column memory_mib double precision,
  add column bytes_in bigint,
  add column bytes_out bigint,
  -- From the start to the head of the answer.
  add column first_byte_ms double precision;
