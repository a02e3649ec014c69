-- A secret has versions and may run out. The table itself has the value in use, secret_versions those before it.
alter table fluxbase.secrets
  add column version int not null default 1,
  add column expires_at timestamptz,
  -- When and by whom the value in use was set: description and expiry change without it.
  add column value_at timestamptz not null default now(),
  add column value_by text;

update fluxbase.secrets set value_at = updated_at, value_by = updated_by;

create table fluxbase.secret_versions (
  secret_id uuid not null references fluxbase.secrets (id) on delete cascade,
  version int not null,
  sealed bytea not null,
  created_at timestamptz not null,
  created_by text,
  primary key (secret_id, version)
);

-- Here rather than in the server, so that what an older release changes beside this one becomes a version too. A value
-- that is only encrypted again leaves updated_at alone. With the one in use 20 are kept.
create function fluxbase.keep_secret_version() returns trigger language plpgsql as $$
begin
  if tg_op = 'INSERT' then
    new.value_by := new.created_by;
  elsif new.sealed is distinct from old.sealed and new.updated_at is distinct from old.updated_at then
    insert into fluxbase.secret_versions (secret_id, version, sealed, created_at, created_by)
      values (old.id, old.version, old.sealed, old.value_at, old.value_by);
    delete from fluxbase.secret_versions where secret_id = old.id and version <= old.version - 19;
    new.version := old.version + 1;
    new.value_at := new.updated_at;
    new.value_by := new.updated_by;
  end if;
  return new;
end
$$;

create trigger secrets_keep_version before insert or update on fluxbase.secrets
  for each row execute function fluxbase.keep_secret_version();
