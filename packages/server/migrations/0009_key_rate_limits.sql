-- How often a key may be used.
alter table fluxbase.keys add column rate_limit_per_minute int check (rate_limit_per_minute > 0);

drop trigger keys_notify on fluxbase.keys;

create trigger keys_notify
  after insert or delete or update of key_hash, revoked_at, expires_at, scopes, namespaces, rate_limit_per_minute
  on fluxbase.keys for each row execute function fluxbase.notify_key();
