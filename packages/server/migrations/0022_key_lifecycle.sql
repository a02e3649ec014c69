-- A key may be switched off for a while, run out after a grace period, or be known by its value of before for a while.
alter table fluxbase.keys
  add column disabled_at timestamptz,
  add column deprecated_at timestamptz,
  add column grace_ends_at timestamptz,
  add column revoked_by text,
  add column revocation_reason text,
  add column previous_hash bytea,
  add column previous_until timestamptz;

drop trigger keys_notify on fluxbase.keys;

-- Not for last_used_at, which changes all the time.
create trigger keys_notify
  after insert or delete
  or update of key_hash, revoked_at, expires_at, scopes, namespaces, rate_limit_per_minute, user_id, disabled_at,
    grace_ends_at, previous_hash, previous_until
  on fluxbase.keys for each row execute function fluxbase.notify_key();
