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
