-- Events of the authentication about which no function is asked, because an admin has switched them off.
create table fluxbase.auth_hooks_off (
  event text primary key,
  switched_by text,
  switched_at timestamptz not null default now()
);
