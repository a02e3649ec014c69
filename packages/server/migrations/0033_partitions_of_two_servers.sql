-- Whether a partition is there is read from the tables themselves: a look-up by name may come from what this connection
-- remembers of before another server made it, and then the partition was attached twice.
create or replace function fluxbase.is_partition(parent text, partition_name text) returns boolean language sql stable as $$
  select exists (
    select from pg_inherits join pg_class child on child.oid = inhrelid
     where inhparent = ('fluxbase.' || parent)::regclass and child.relname = partition_name)
$$;
