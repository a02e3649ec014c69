-- Answers to changes that were sent with an Idempotency-Key, for a day.
create table fluxbase.idempotent_requests (
  -- SHA-256 of caller, method, path and key.
  place bytea primary key,
  body_hash bytea not null,
  started_at timestamptz not null default now(),
  -- Null while it runs. Encrypted: an answer may have a key in it that is shown once.
  answer bytea
);

create index idempotent_requests_started on fluxbase.idempotent_requests (started_at);
