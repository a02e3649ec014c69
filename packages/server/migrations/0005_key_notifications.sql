-- A key that is given another value or name is another key, too.
drop trigger keys_notify on fluxbase.keys;

create trigger keys_notify
  after insert or delete or update of key_hash, revoked_at, expires_at, scopes, namespaces on fluxbase.keys
  for each row execute function fluxbase.notify_key();
