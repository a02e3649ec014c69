-- Batches of executions that are written: one that is offered again, after an answer was lost or from the disk of a
-- server that died, is known by its id.
create table fluxbase.execution_batches (
  id text primary key,
  written_at timestamptz not null default now()
);

create index execution_batches_time on fluxbase.execution_batches (written_at);

-- Makes the partition of one day. Several servers may try at once.
-- To attach a table waits for no reader and holds none up; CREATE TABLE … PARTITION OF does both.
create or replace function fluxbase.ensure_partition(parent text, day date) returns void language plpgsql
set lock_timeout = '2s' as $$
declare
  partition_name text := parent || '_' || to_char(day, 'YYYYMMDD');
begin
  if fluxbase.is_partition(parent, partition_name) then
    return;
  end if;
  perform pg_advisory_xact_lock(hashtext('fluxbase.partitions'));
  if fluxbase.is_partition(parent, partition_name) then
    return;
  end if;
  execute format('create table if not exists fluxbase.%I (like fluxbase.%I including all)', partition_name, parent);
  execute format(
    'alter table fluxbase.%I attach partition fluxbase.%I for values from (%L) to (%L)',
    parent, partition_name, day::text || ' 00:00:00+00', (day + 1)::text || ' 00:00:00+00');
end
$$;

create function fluxbase.is_partition(parent text, partition_name text) returns boolean language sql stable as $$
  select exists (
    select from pg_inherits
     where inhparent = ('fluxbase.' || parent)::regclass and inhrelid = to_regclass('fluxbase.' || partition_name))
$$;

-- The server drops partitions one by one, each with a limit to the wait for its lock.
drop function fluxbase.drop_partitions_before(text, date);
