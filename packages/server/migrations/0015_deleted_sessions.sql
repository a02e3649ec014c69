-- A session that is deleted with its user has ended, and its access tokens live on: whoever was not listening at that
-- moment, or does not believe what it heard, reads it here.
create table fluxbase.deleted_sessions (
  id uuid primary key,
  deleted_at timestamptz not null default now()
);

create index deleted_sessions_time on fluxbase.deleted_sessions (deleted_at);

create or replace function fluxbase.notify_session() returns trigger language plpgsql as $$
begin
  if tg_op = 'DELETE' and old.ended_at is null and old.expires_at > now() then
    insert into fluxbase.deleted_sessions (id) values (old.id) on conflict do nothing;
  end if;
  perform pg_notify('fluxbase_sessions', old.id::text);
  return null;
end
$$;
