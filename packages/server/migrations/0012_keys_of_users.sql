-- A key may belong to a user: whoever shows it is that user, within the key's scopes.
alter table fluxbase.keys add column user_id uuid references fluxbase.users (id) on delete cascade;

create index keys_user on fluxbase.keys (user_id) where user_id is not null;

drop trigger keys_notify on fluxbase.keys;

-- Not for last_used_at, which changes all the time.
create trigger keys_notify
  after insert or delete
  or update of key_hash, revoked_at, expires_at, scopes, namespaces, rate_limit_per_minute, user_id
  on fluxbase.keys for each row execute function fluxbase.notify_key();

-- What a key knows of its user follows the user.
create function fluxbase.notify_keys_of_user() returns trigger language plpgsql as $$
begin
  if exists (select from fluxbase.keys where user_id = new.id) then
    perform pg_notify('fluxbase_keys', new.id::text);
  end if;
  return null;
end
$$;

create trigger users_notify_keys after update of email, role on fluxbase.users
  for each row when (old.email is distinct from new.email or old.role is distinct from new.role)
  execute function fluxbase.notify_keys_of_user();
