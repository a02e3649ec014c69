-- What admins change while servers run; every server follows.
create table fluxbase.server_settings (
  name text primary key,
  value jsonb not null,
  changed_at timestamptz not null default now()
);

create function fluxbase.notify_server_setting() returns trigger language plpgsql as $$
begin
  perform pg_notify('fluxbase_server_settings', '');
  return null;
end
$$;

create trigger server_settings_notify after insert or update or delete on fluxbase.server_settings
  for each row execute function fluxbase.notify_server_setting();
