-- Who changed what, and who was refused. Entries are never changed; old ones are dropped.
create table fluxbase.audit_log (
  id bigint generated always as identity primary key,
  at timestamptz not null default now(),
  request_id text not null,
  actor_kind text not null,
  actor_id text,
  actor_role text,
  address text not null,
  user_agent text,
  action text not null,
  target text,
  status int not null,
  code text,
  reason text,
  changes jsonb
);

create index audit_log_at on fluxbase.audit_log (at);
create index audit_log_actor on fluxbase.audit_log (actor_id, id);
create index audit_log_target on fluxbase.audit_log (target, id);

create function fluxbase.refuse_audit_change() returns trigger language plpgsql as $$
begin
  raise exception 'entries of the audit log are never changed';
end $$;

create trigger audit_log_is_final before update on fluxbase.audit_log
  for each row execute function fluxbase.refuse_audit_change();
